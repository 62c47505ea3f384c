"""The commands of the interface, revision 2026-04, on one store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, cast

from evse_security.additions import AnyCaType, AnyCertificateType
from evse_security.clock import Moment
from evse_security.core import Core, told
from evse_security.errors import (
    CommandRefused,
    NoLeafOfType,
    NoPlaceForRoots,
    NotInstalled,
    NoTrustAnchor,
    Refusal,
)
from evse_security.leaves import Leaves
from evse_security.outcomes import answers
from evse_security.pki import ocsp, pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import asked_for
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy, VerifiedChain
from evse_security.pki.request import RequestSubject
from evse_security.pki.signature import decode as decode_signature
from evse_security.signingrequests import signing_request
from evse_security.store import roots
from evse_security.store.changes import Decision, joined
from evse_security.store.firmware import LONGEST_PATH, file_signature_is_valid
from evse_security.store.kinds import LEAF_KINDS, TRUST
from evse_security.store.limits import with_room
from evse_security.store.parts import EVERYTHING, RootsOf
from evse_security.store.rules import report, select
from evse_security.store.rules.cache import cache
from evse_security.store.rules.delete import delete
from evse_security.store.rules.install import install
from evse_security.store.rules.renew import renew
from evse_security.store.rules.times import verified
from evse_security.store.snapshot import CaStore, Snapshot
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateHashDataChain,
    CertificateType,
    CertificateValidationResult,
    DeleteCertificateResult,
    EncodingFormat,
    GetCertificateFullInfoResult,
    GetCertificateInfoResult,
    GetCertificateInfoStatus,
    GetCertificateSignRequestResult,
    GetCertificateSignRequestStatus,
    GetInstalledCertificatesResult,
    GetInstalledCertificatesStatus,
    InstallCertificateResult,
    LeafCertificateType,
    OCSPRequestData,
    OCSPRequestDataList,
)

_MAY_START_LATER = frozenset({LeafCertificateType.CSMS, LeafCertificateType.V2G})

_MAX_LISTED = 256
"""Longest list that is remembered: of a station, not of a test lab, where it would take more than the certificates."""

_LISTED = "listed"


class _Listed(NamedTuple):
    """The last list of a picture: which types in which records were asked for, and the answer."""

    question: tuple[object, ...]
    found: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a verification found: the answer, why not, and the names from the leaf to the root."""

    result: CertificateValidationResult
    reason: Refusal | None
    path: tuple[str, ...]
    valid_from: datetime | None = None
    """When the leaf begins to be valid, if that lies ahead."""


class Commands:
    """Every command looks at the store once, lets a pure rule decide, applies, and answers in the interface's words."""

    def __init__(self, core: Core) -> None:
        """Work on this store."""
        self._core = core
        self._leaves = Leaves(core)

    # ---- installing and deleting

    def install_ca_certificate(self, *, certificate: str, certificate_type: AnyCaType) -> InstallCertificateResult:
        """Install one CA certificate (PEM). See `rules.install` for what is demanded (M05)."""

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            store = _roots(snapshot, certificate_type)
            token = self._core.token(moment)
            decision = install(snapshot, new, store, self._core.limits, moment.now, token, at_least=moment.at_least)
            return with_room(decision, snapshot, self._core.limits, moment)

        try:
            with self._core.deed("install_ca_certificate", certificate_type) as deed:
                new = pem.single(certificate, "the certificate")
                deed.given.append(new)
                self._core.change(decide, deed)
        except Refusal as refusal:
            told("install_ca_certificate", refusal)
            return answers(refusal).install
        return InstallCertificateResult.Accepted

    def delete_certificate(self, *, certificate_hash_data: CertificateHashData) -> DeleteCertificateResult:
        """Delete a certificate and what depends on it. See `rules.delete` (M04)."""
        try:
            with self._core.deed("delete_certificate") as deed:
                wanted = asked_for(certificate_hash_data)
                if wanted is None:
                    raise NotInstalled("with this hash data")
                deed.named.append(wanted)
                self._core.change(lambda snapshot, _: delete(snapshot, wanted), deed)
        except Refusal as refusal:
            told("delete_certificate", refusal)
            return answers(refusal).delete
        return DeleteCertificateResult.Accepted

    def update_leaf_certificate(
        self, *, certificate_chain: str, certificate_type: LeafCertificateType
    ) -> InstallCertificateResult:
        """Install a signed leaf with its sub-CAs for a key of the station (A02, A03)."""
        try:
            self.install_leaf(certificate_chain, (certificate_type,))
        except Refusal as refusal:
            told("update_leaf_certificate", refusal)
            return answers(refusal).install
        return InstallCertificateResult.Accepted

    def install_leaf(self, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]) -> None:
        """Install a signed leaf that is of all these types, for all of them or none. Raises the refusal.

        Only a power cut leaves it with some of them; then this can be done again.
        """

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            name = self._core.token(moment)
            found: list[Decision] = []
            for one in certificate_types:
                chain = self._verified(snapshot, received, (one,), moment)
                found.append(renew(snapshot.leaves[one], chain, name, self._leaves.key_in_der))
            decision, token = joined(found), token_of_certificate(received[0])
            return with_room(decision, snapshot, self._core.limits, moment, (token,))

        with self._core.deed("update_leaf_certificate", ", ".join(certificate_types)) as deed:
            for one in certificate_types:
                if one not in LEAF_KINDS:
                    raise NoLeafOfType(one)
            received = pem.chain(certificate_chain, "the certificate chain")
            deed.given += received
            self._core.change(decide, deed)

    # ---- verifying

    def verify_certificate(
        self, *, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]
    ) -> CertificateValidationResult:
        """Verify a leaf or chain against the roots of the given domains."""
        found = self._checked(certificate_chain, certificate_types)
        return CertificateValidationResult.Valid if isinstance(found, tuple) else answers(found).validation

    def check(self, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]) -> CheckReport:
        """Verify a leaf or chain, and say why not."""
        found = self._checked(certificate_chain, certificate_types)
        if isinstance(found, Refusal):
            return CheckReport(answers(found).validation, found, ())
        chain, moment = found
        begin = chain.leaf.not_before if chain.leaf.not_yet_valid(moment.now) else None
        return CheckReport(CertificateValidationResult.Valid, None, tuple(c.name for c in chain.path), begin)

    def _checked(
        self, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]
    ) -> tuple[VerifiedChain, Moment] | Refusal:
        """The verified chain, and when that was; or why it is none."""
        try:
            if not certificate_types:
                raise NoTrustAnchor("the domains asked for (there are none)")
            received = pem.chain(certificate_chain, "the certificate chain")
            snapshot, moment = self._core.look([RootsOf(TRUST[LeafCertificateType(one)]) for one in certificate_types])
            return self._verified(snapshot, received, tuple(certificate_types), moment), moment
        except Refusal as refusal:
            told("verify_certificate", refusal)
            return refusal

    def _verified(
        self,
        snapshot: Snapshot,
        received: Sequence[Certificate],
        leaf_types: tuple[LeafCertificateType, ...],
        moment: Moment,
    ) -> VerifiedChain:
        """Only leaves that the station itself will use may become valid later."""
        start = LeafStart.NOW_OR_LATER if _MAY_START_LATER.issuperset(leaf_types) else LeafStart.NOW
        trust = snapshot.trust(TRUST[LeafCertificateType(leaf_type)] for leaf_type in leaf_types)
        return verified(received[0], received[1:], trust, Policy(leaf_types, self._core.profile, start), moment)

    def verify_file_signature(self, *, file_path: str, signing_certificate: str, signature: str) -> bool:
        """Verify a file's signature with a certificate's key. Whether to trust that is `verify_certificate`'s (L01)."""
        try:
            certificate = pem.single(signing_certificate, "the signing certificate")
        except Refusal as refusal:
            told("verify_file_signature", refusal)
            return False
        octets = decode_signature(signature)
        if octets is None or len(file_path) > LONGEST_PATH:
            return False
        return file_signature_is_valid(Path(file_path), certificate, octets)

    # ---- listing

    def get_installed_certificates(
        self, *, certificate_types: Sequence[CertificateType]
    ) -> GetInstalledCertificatesResult:
        """List installed certificates as hash data (M03)."""
        status, found = self.listed(certificate_types, CertificateHashDataChain)
        return GetInstalledCertificatesResult(status=status, certificate_hash_data_chain=found)

    def listed(
        self, certificate_types: Sequence[AnyCertificateType], entry: Callable[..., report.Entry]
    ) -> tuple[GetInstalledCertificatesStatus, tuple[report.Entry, ...]]:
        """List installed certificates in records of one's own. See `report.installed` for what they are made of."""
        snapshot, _ = self._core.look()
        question = (entry, *certificate_types)
        known = snapshot.memory.get(_LISTED)
        if isinstance(known, _Listed) and known.question == question:
            found = cast(tuple[report.Entry, ...], known.found)
        else:
            found = tuple(report.installed(snapshot, certificate_types, self._core.config.newest_by, entry))
            if len(found) <= _MAX_LISTED:
                snapshot.memory[_LISTED] = _Listed(question, found)
        status = GetInstalledCertificatesStatus.Accepted if found else GetInstalledCertificatesStatus.NotFound
        return status, found

    def is_ca_certificate_installed(self, *, certificate_type: AnyCaType) -> bool:
        """Tell whether a valid root is installed."""
        store, moment = self._core.roots_of(certificate_type)
        return store is not None and bool(roots.worth_offering(store, moment))

    def get_verify_file(self, *, certificate_type: AnyCaType) -> str:
        """Path of a file with the valid roots of a domain."""
        store, moment = self._core.roots_of(certificate_type)
        return self._path("get_verify_file", roots.verify_file, store, moment)

    def get_verify_location(self, *, certificate_type: AnyCaType) -> str:
        """Path of a bundle file, or of a directory hashed for OpenSSL."""
        store, moment = self._core.roots_of(certificate_type)
        return self._path("get_verify_location", roots.verify_location, store, moment)

    def _path(
        self,
        command: str,
        find: Callable[[CaStore, Moment, roots.Writer], Path | None],
        store: CaStore | None,
        moment: Moment,
    ) -> str:
        try:
            found = None if store is None else find(store, moment, self._core)
        except Refusal as refusal:
            told(command, refusal)
            found = None
        return "" if found is None else str(found)

    # ---- OCSP

    def get_v2g_ocsp_request_data(self) -> OCSPRequestDataList:
        """List what to ask about the SECC chains (M06)."""
        snapshot, moment = self._core.look()
        questions = report.v2g_questions(snapshot, self._core.config.newest_by, moment.earliest)
        return OCSPRequestDataList(ocsp_request_data_list=tuple(questions))

    def get_mo_ocsp_request_data(self, *, certificate_chain: str) -> OCSPRequestDataList:
        """List what to ask about a contract chain (C07)."""
        questions: list[OCSPRequestData] = []
        try:
            received = pem.chain(certificate_chain, "the certificate chain")
            snapshot, _ = self._core.look()
            questions = report.contract_questions(snapshot, received)
        except Refusal as refusal:
            told("get_mo_ocsp_request_data", refusal)
        return OCSPRequestDataList(ocsp_request_data_list=tuple(questions))

    def update_ocsp_cache(self, *, certificate_hash_data: CertificateHashData, ocsp_response: str) -> None:
        """Keep an OCSP response. The result has no word for failure: raises `CommandRefused` with the reason."""

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            decision = cache(snapshot, wanted, response, check=self._core.config.ocsp_check, now=moment.now)
            return with_room(decision, snapshot, self._core.limits, moment)

        try:
            with self._core.deed("update_ocsp_cache") as deed:
                response = ocsp.decode(ocsp_response)
                found = asked_for(certificate_hash_data)
                if found is None:
                    raise NotInstalled("with this hash data")
                wanted = found
                deed.named.append(wanted)
                self._core.change(decide, deed)
        except Refusal as refusal:
            told("update_ocsp_cache", refusal)
            raise CommandRefused("update_ocsp_cache", refusal) from refusal

    # ---- signing requests

    def generate_certificate_signing_request(
        self, *, certificate_type: LeafCertificateType, country: str, organization: str, common: str, use_tpm: bool
    ) -> GetCertificateSignRequestResult:
        """Make a key and a signing request for it; the key is on the disk before the request is handed out."""
        try:
            subject = RequestSubject(country=country, organization=organization, common=common)
            csr = signing_request(self._core, (certificate_type,), subject, use_tpm=use_tpm)
        except Refusal as refusal:
            told("generate_certificate_signing_request", refusal)
            return GetCertificateSignRequestResult(status=answers(refusal).request)
        return GetCertificateSignRequestResult(status=GetCertificateSignRequestStatus.Accepted, csr=csr)

    # ---- leaves to use

    def get_leaf_certificate_info(
        self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat, include_ocsp: bool
    ) -> GetCertificateInfoResult:
        """Find the newest usable leaf."""
        snapshot, moment = self._core.look(EVERYTHING if include_ocsp else self._leaves.parts_for(certificate_type))
        store = snapshot.leaves.get(certificate_type)
        if store is None:
            return GetCertificateInfoResult(status=GetCertificateInfoStatus.Rejected)
        leaf = self._leaves.chosen(snapshot, store, moment)
        if leaf is None:
            return GetCertificateInfoResult(status=self._leaves.status(store, moment))
        try:
            info = self._leaves.info(snapshot, leaf, encoding, moment, with_ocsp=include_ocsp)
        except Refusal as refusal:
            told("get_leaf_certificate_info", refusal)
            return GetCertificateInfoResult(status=GetCertificateInfoStatus.Rejected)
        return GetCertificateInfoResult(status=GetCertificateInfoStatus.Accepted, info=info)

    def get_all_valid_certificates_info(
        self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat, include_ocsp: bool
    ) -> GetCertificateFullInfoResult:
        """Find the newest usable leaf of each root."""
        snapshot, moment = self._core.look(EVERYTHING if include_ocsp else self._leaves.parts_for(certificate_type))
        store = snapshot.leaves.get(certificate_type)
        if store is None:
            return GetCertificateFullInfoResult(status=GetCertificateInfoStatus.Rejected, info=())
        if self._leaves.chosen(snapshot, store, moment) is None:
            return GetCertificateFullInfoResult(status=self._leaves.status(store, moment), info=())
        trust, newest_by = snapshot.cas[store.kind.ca_type].trust, self._core.config.newest_by
        tried = self._leaves.attempts(store, moment)
        said = self._core.revocations(snapshot)
        found = (select.newest_per_root(store, trust, newest_by, *attempt, said) for attempt in tried)
        try:
            infos = [
                self._leaves.info(snapshot, leaf, encoding, moment, with_ocsp=include_ocsp, root=chain.anchor)
                for leaf, chain in next(filter(None, found), [])
            ]
        except Refusal as refusal:
            told("get_all_valid_certificates_info", refusal)
            return GetCertificateFullInfoResult(status=GetCertificateInfoStatus.Rejected, info=())
        return GetCertificateFullInfoResult(status=GetCertificateInfoStatus.Accepted, info=tuple(infos))

    def get_leaf_expiry_days_count(self, *, certificate_type: LeafCertificateType) -> int:
        """Whole days until the newest usable leaf expires; 0 if there is none."""
        return self.leaf_expiry_days(certificate_type) or 0

    def leaf_expiry_days(self, certificate_type: LeafCertificateType) -> int | None:
        """Whole days until the newest usable leaf expires; None if there is none, 0 on its last day."""
        if certificate_type not in LEAF_KINDS:
            return None
        _, leaf, moment = self._leaves.newest(certificate_type)
        if leaf is None:
            return None
        now = moment.now if leaf.certificate.valid_at(moment.now) else moment.at_least or moment.now
        left = leaf.certificate.not_after - now  # below zero within the last second, which is valid throughout
        return max(left // timedelta(days=1), 0)


def _roots(snapshot: Snapshot, ca_type: AnyCaType) -> CaStore:
    """The CA certificates of a domain. Raises `NoPlaceForRoots`."""
    store = snapshot.cas.get(ca_type)
    if store is None:
        raise NoPlaceForRoots(ca_type)
    return store

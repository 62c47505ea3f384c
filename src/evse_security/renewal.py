"""Renewing a leaf: what is to be known for it, its signing request and its answer, and taking the one before out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from evse_security.clock import Moment
from evse_security.commands import Commands
from evse_security.core import Core, telling, told
from evse_security.errors import MalformedRequest, MustStay, Refusal
from evse_security.keys.kinds import KeyType
from evse_security.leaves import Leaves
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import token_of_request
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.path import Policy, TrustStore, VerifiedChain
from evse_security.pki.profile import Edition
from evse_security.pki.request import RequestSubject
from evse_security.renewalfacts import RenewalFacts, renewal_facts
from evse_security.signingrequests import signing_request
from evse_security.store.changes import Decision
from evse_security.store.rules import select
from evse_security.store.rules.delete import discard
from evse_security.store.rules.retire import retire, trust_without
from evse_security.store.rules.revoked import NONE
from evse_security.store.rules.sweep import abandoned
from evse_security.store.snapshot import Leaf, Snapshot
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateInfo,
    EncodingFormat,
    LeafCertificateType,
)


class Renewal:
    """For those who renew leaves, and for those who put a new root in the place of an old one."""

    def __init__(self, core: Core, leaves: Leaves, commands: Commands) -> None:
        """Work on this store."""
        self._core = core
        self._leaves = leaves
        self._commands = commands

    def facts(
        self, certificate_type: LeafCertificateType, csr: str | None = None, edition: Edition | None = None
    ) -> RenewalFacts:
        """What is to be known to renew the V2G or CSMS leaf, and what became of a signing request (PEM).

        With an edition of ISO 15118 only the leaves of that one count.
        """
        return renewal_facts(self._core, self._leaves, certificate_type, csr, edition)

    def signing_request(
        self,
        certificate_types: Sequence[LeafCertificateType],
        *,
        country: str,
        organization: str,
        common: str,
        key_type: str | None = None,
    ) -> str:
        """Make a key and a signing request (PEM), with a kind of key of its own; None: `csr_key_type`.

        For several types it is one key, for one leaf that is of all of them. Raises `MalformedRequest` and the refusal.
        """
        if key_type not in (None, *KeyType):
            raise MalformedRequest("key_type", f"must be one of {', '.join(KeyType)}")
        subject = RequestSubject(country=country, organization=organization, common=common)
        kind = None if key_type is None else KeyType(key_type)
        with telling("signing_request"):
            return signing_request(self._core, _some(certificate_types), subject, key_type=kind)

    def await_certificate(self, whose: str, csr: str | None) -> None:
        """Keep the key of a signing request (PEM) from being swept, in place of another one's; None: of nobody's.

        `whose`: who waits for it, and for what. This holds for this station as long as it is open.
        """
        awaited = self._core.limits.awaited
        try:
            token = None if csr is None else token_of_request(csr)
        except ValueError:
            token = None
        if token is None:
            awaited.pop(whose, None)
        else:
            awaited[whose] = token

    def abandon_request(self, csr: str) -> None:
        """Remove the key of a signing request (PEM) that another one replaced, unless a leaf has it or somebody waits.

        Raises the refusal.
        """
        try:
            token = token_of_request(csr)
        except ValueError:
            return
        with self._core.deed("abandon_request") as deed:
            self._core.change(lambda snapshot, _: abandoned(snapshot, token, self._core.limits.kept), deed)

    def install_leaf(self, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]) -> None:
        """Install a signed leaf with its sub-CAs (PEM) for all these types, or for none of them.

        Only a power cut leaves it with some of them; then this can be done again. Raises `MalformedRequest` and the
        refusal.
        """
        with telling("install_leaf"):
            self._commands.install_leaf(certificate_chain, _some(certificate_types))

    def leaf_info(self, certificate_type: LeafCertificateType, fingerprint: str) -> CertificateInfo | None:
        """The files of one V2G or CSMS leaf, be it the newest or not; None where it cannot be used.

        That is: there is no such, it has no key, or its files cannot be made.
        """
        snapshot, moment = self._core.look()
        leaf = _leaf(snapshot, certificate_type, fingerprint)
        if leaf is None or leaf.key is None or not leaf.servable:
            return None
        try:
            return self._leaves.info(snapshot, leaf, EncodingFormat.PEM, moment, with_ocsp=False)
        except Refusal as refusal:
            told("leaf_info", refusal)
            return None

    def discard_leaf(self, certificate_type: LeafCertificateType, fingerprint: str) -> None:
        """Remove one leaf with its key, as another took its place. Raises the refusal: the last one stays."""

        def decide(snapshot: Snapshot, _: Moment) -> Decision:
            leaf = _leaf(snapshot, certificate_type, fingerprint)
            if leaf is not None:
                deed.given.append(leaf.certificate)
            return discard(snapshot, snapshot.leaves[certificate_type], fingerprint)

        with self._core.deed("discard_leaf", certificate_type) as deed:
            self._core.change(decide, deed)

    def root_of_leaf(self, certificate_type: LeafCertificateType, fingerprint: str) -> CertificateHashData | None:
        """The root that a leaf leads to, or led to when it was valid; None where there is none.

        Whoever renews the leaf asks the same PKI again.
        """
        snapshot, moment = self._core.look()
        leaf = _leaf(snapshot, certificate_type, fingerprint)
        if leaf is None:
            return None
        store = snapshot.leaves[certificate_type]
        trust, then = snapshot.cas[store.kind.ca_type].trust, _within(leaf.certificate, moment.now)
        once = Policy((certificate_type,), self._core.profile), then
        for policy, now in (*self._leaves.attempts(store, moment), once):
            found = select.verified(leaf, trust, policy, now, NONE)
            if isinstance(found, VerifiedChain):
                return certificate_id(found.anchor, found.anchor).hash_data
        return None

    def retire_root(self, fingerprint: str, *, needed: str = "") -> None:
        """Remove the CSMS root whose successor has proven itself; what it issued stays (M05.FR.13).

        A root that is not there is out. `needed`: fingerprint of a CSMS leaf that must stay usable. Raises the refusal:
        while that leaf leads to no other root, this one stays.
        """

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            store = snapshot.cas[CaCertificateType.CSMS]
            old = next((one for one in store.certificates if one.fingerprint == fingerprint), None)
            if old is None:
                return Decision()
            deed.given.append(old)
            leaf = _leaf(snapshot, LeafCertificateType.CSMS, needed)
            if leaf is not None:
                attempts = tuple(self._leaves.attempts(snapshot.leaves[LeafCertificateType.CSMS], moment))
                if _verifies(leaf, store.trust, attempts) and not _verifies(leaf, trust_without(store, old), attempts):
                    raise MustStay(old.name, f"{leaf.certificate.name}, which is in use, leads to no other root")
            return retire(snapshot, store, old)

        with self._core.deed("retire_root", CaCertificateType.CSMS) as deed:
            self._core.change(decide, deed)


def _some(certificate_types: Sequence[LeafCertificateType]) -> Sequence[LeafCertificateType]:
    if not certificate_types:
        raise MalformedRequest("certificate_types", "must name one at least")
    return certificate_types


def _leaf(snapshot: Snapshot, kind: LeafCertificateType, fingerprint: str) -> Leaf | None:
    return next((one for one in snapshot.leaves[kind].leaves if one.certificate.fingerprint == fingerprint), None)


def _verifies(leaf: Leaf, trust: TrustStore, attempts: Iterable[tuple[Policy, datetime]]) -> bool:
    return any(select.flaw(leaf, trust, policy, now) is None for policy, now in attempts)


def _within(certificate: Certificate, now: datetime) -> datetime:
    """The moment of a certificate's validity that is nearest to now."""
    return min(max(now, certificate.not_before), certificate.not_after)

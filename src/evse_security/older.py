"""The commands of revision 2023-10, in terms of today's."""

from __future__ import annotations

from evse_security.commands import Commands
from evse_security.core import Core, told
from evse_security.errors import CommandRefused, Refusal
from evse_security.interface.r2023_10 import LeafCertificateType
from evse_security.leaves import Leaves
from evse_security.outcomes import answers
from evse_security.pki.request import RequestSubject
from evse_security.signingrequests import signing_request
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.rules import report
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    DeleteCertificateResult,
    EncodingFormat,
    GetInstalledCertificatesResult,
    GetKeyPairResult,
    GetKeyPairStatus,
    InstallCertificateResult,
    KeyPair,
    OCSPRequestDataList,
)


class Commands202310:
    """Thirteen commands; where one is today's, it is today's."""

    def __init__(self, core: Core, commands: Commands) -> None:
        """Translate to these."""
        self._core = core
        self._today = commands
        self._leaves = Leaves(core)

    def install_ca_certificate(
        self, *, certificate: str, certificate_type: CaCertificateType
    ) -> InstallCertificateResult:
        """As today."""
        return self._today.install_ca_certificate(certificate=certificate, certificate_type=certificate_type)

    def delete_certificate(self, *, certificate_hash_data: CertificateHashData) -> DeleteCertificateResult:
        """As today."""
        return self._today.delete_certificate(certificate_hash_data=certificate_hash_data)

    def update_leaf_certificate(
        self, *, certificate_chain: str, certificate_type: LeafCertificateType
    ) -> InstallCertificateResult:
        """As today."""
        return self._today.update_leaf_certificate(
            certificate_chain=certificate_chain, certificate_type=certificate_type
        )

    def verify_certificate(
        self, *, certificate_chain: str, certificate_type: LeafCertificateType
    ) -> InstallCertificateResult:
        """Verify against one domain; the answer uses the words of an installation."""
        reason = self._today.check(certificate_chain, (certificate_type,)).reason
        return InstallCertificateResult.Accepted if reason is None else answers(reason).install

    def get_installed_certificates(
        self, *, certificate_types: tuple[CertificateType, ...]
    ) -> GetInstalledCertificatesResult:
        """As today."""
        return self._today.get_installed_certificates(certificate_types=certificate_types)

    def get_ocsp_request_data(self) -> OCSPRequestDataList:
        """The SECC chains, leaf first, then every other sub-CA of the V2G store, each once."""
        chains = self._today.get_v2g_ocsp_request_data().ocsp_request_data_list
        snapshot, _ = self._core.look()
        questions = dict.fromkeys((*chains, *report.v2g_sub_ca_questions(snapshot)))
        return OCSPRequestDataList(ocsp_request_data_list=tuple(questions))

    def update_ocsp_cache(self, *, certificate_hash_data: CertificateHashData, ocsp_response: str) -> None:
        """As today."""
        self._today.update_ocsp_cache(certificate_hash_data=certificate_hash_data, ocsp_response=ocsp_response)

    def is_ca_certificate_installed(self, *, certificate_type: CaCertificateType) -> bool:
        """As today."""
        return self._today.is_ca_certificate_installed(certificate_type=certificate_type)

    def generate_certificate_signing_request(
        self, *, certificate_type: LeafCertificateType, country: str, organization: str, common: str
    ) -> str:
        """A signing request (PEM). The result has no word for failure: raises `CommandRefused` with the reason."""
        try:
            subject = RequestSubject(country=country, organization=organization, common=common)
            return signing_request(self._core, (certificate_type,), subject)
        except Refusal as refusal:
            told("generate_certificate_signing_request", refusal)
            raise CommandRefused("generate_certificate_signing_request", refusal) from refusal

    def get_key_pair(self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat) -> GetKeyPairResult:
        """The newest usable leaf's key and certificate: the chain file if there is one; in DER the leaf alone."""
        if certificate_type not in LEAF_KINDS:
            return GetKeyPairResult(status=GetKeyPairStatus.Rejected)
        snapshot, leaf, moment = self._leaves.newest(certificate_type)
        if leaf is None:
            missing = self._leaves.status(snapshot.leaves[certificate_type], moment)
            return GetKeyPairResult(status=GetKeyPairStatus(missing))
        try:
            found = self._leaves.files(snapshot, leaf, encoding, moment)
        except Refusal as refusal:
            told("get_key_pair", refusal)
            return GetKeyPairResult(status=GetKeyPairStatus.Rejected)
        certificate = found.single if encoding == EncodingFormat.DER else found.chain
        pair = KeyPair(
            key=str(found.key),
            certificate=str(certificate or found.certificate),
            password=self._leaves.password_of(leaf),
        )
        return GetKeyPairResult(status=GetKeyPairStatus.Accepted, key_pair=pair)

    def get_verify_file(self, *, certificate_type: CaCertificateType) -> str:
        """As today."""
        return self._today.get_verify_file(certificate_type=certificate_type)

    def get_leaf_expiry_days_count(self, *, certificate_type: LeafCertificateType) -> int:
        """As today."""
        return self._today.get_leaf_expiry_days_count(certificate_type=certificate_type)

    def verify_file_signature(self, *, file_path: str, signing_certificate: str, signature: str) -> bool:
        """As today."""
        return self._today.verify_file_signature(
            file_path=file_path, signing_certificate=signing_certificate, signature=signature
        )

"""The interface as of 2023-10: 13 commands."""

from __future__ import annotations

from typing import Literal, Protocol

from evse_security import vocabulary
from evse_security.interface import changes_the_store
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    DeleteCertificateResult,
    EncodingFormat,
    GetInstalledCertificatesResult,
    GetKeyPairResult,
    InstallCertificateResult,
    OCSPRequestDataList,
)

LeafCertificateType = Literal[
    vocabulary.LeafCertificateType.CSMS,
    vocabulary.LeafCertificateType.V2G,
    vocabulary.LeafCertificateType.MF,
]
"""This revision has no contract certificates (MO)."""


class Variables:
    """This revision publishes nothing by itself."""


class Interface(Protocol):
    """The commands. Every argument is given by keyword."""

    @changes_the_store
    def install_ca_certificate(
        self, *, certificate: str, certificate_type: CaCertificateType
    ) -> InstallCertificateResult:
        """Install one CA certificate (PEM) in a trust domain."""

    @changes_the_store
    def delete_certificate(self, *, certificate_hash_data: CertificateHashData) -> DeleteCertificateResult:
        """Delete the certificate with this hash data, and what depends on it."""

    @changes_the_store
    def update_leaf_certificate(
        self, *, certificate_chain: str, certificate_type: LeafCertificateType
    ) -> InstallCertificateResult:
        """Install a signed leaf, alone or with its sub-CAs (PEM), for the key of an earlier signing request."""

    def verify_certificate(
        self, *, certificate_chain: str, certificate_type: LeafCertificateType
    ) -> InstallCertificateResult:
        """Verify a leaf or chain (PEM, leaf first) against the installed roots of one domain."""

    def get_installed_certificates(
        self, *, certificate_types: tuple[CertificateType, ...]
    ) -> GetInstalledCertificatesResult:
        """List the installed certificates of the given kinds as hash data."""

    def get_ocsp_request_data(self) -> OCSPRequestDataList:
        """List what to ask OCSP responders about the installed SECC chains and all V2G sub-CAs."""

    @changes_the_store
    def update_ocsp_cache(self, *, certificate_hash_data: CertificateHashData, ocsp_response: str) -> None:
        """Keep an OCSP response (DER, then base64) for the certificate with this hash data."""

    def is_ca_certificate_installed(self, *, certificate_type: CaCertificateType) -> bool:
        """Tell whether a currently valid root of this domain is installed."""

    @changes_the_store
    def generate_certificate_signing_request(
        self, *, certificate_type: LeafCertificateType, country: str, organization: str, common: str
    ) -> str:
        """Make a key and a PKCS #10 signing request for it (PEM), or fail with an error that says why."""

    def get_key_pair(self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat) -> GetKeyPairResult:
        """Find the newest usable leaf: paths of its certificate file and key."""

    def get_verify_file(self, *, certificate_type: CaCertificateType) -> str:
        """Path of a file that holds the roots of this domain; empty if there is none."""

    def get_leaf_expiry_days_count(self, *, certificate_type: LeafCertificateType) -> int:
        """Whole days until the newest usable leaf expires; 0 if there is none."""

    def verify_file_signature(self, *, file_path: str, signing_certificate: str, signature: str) -> bool:
        """Verify a file's signature (base64) with the key of a signing certificate (PEM)."""

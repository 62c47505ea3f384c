"""The interface as of 2026-04: 16 commands and one variable."""

from __future__ import annotations

from typing import Protocol

from evse_security.interface import changes_the_store
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateStoreUpdate,
    CertificateType,
    CertificateValidationResult,
    DeleteCertificateResult,
    EncodingFormat,
    GetCertificateFullInfoResult,
    GetCertificateInfoResult,
    GetCertificateSignRequestResult,
    GetInstalledCertificatesResult,
    InstallCertificateResult,
    LeafCertificateType,
    OCSPRequestDataList,
)


class Variables:
    """What the module publishes by itself."""

    certificate_store_update: CertificateStoreUpdate
    """A certificate was installed or deleted; published after the write, before the answer."""


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
        self, *, certificate_chain: str, certificate_types: tuple[LeafCertificateType, ...]
    ) -> CertificateValidationResult:
        """Verify a leaf or chain (PEM, leaf first) against the installed roots of the given domains."""

    def get_installed_certificates(
        self, *, certificate_types: tuple[CertificateType, ...]
    ) -> GetInstalledCertificatesResult:
        """List the installed certificates of the given kinds as hash data."""

    def get_v2g_ocsp_request_data(self) -> OCSPRequestDataList:
        """List what to ask OCSP responders about the installed SECC chains."""

    def get_mo_ocsp_request_data(self, *, certificate_chain: str) -> OCSPRequestDataList:
        """List what to ask OCSP responders about a contract certificate chain (PEM)."""

    @changes_the_store
    def update_ocsp_cache(self, *, certificate_hash_data: CertificateHashData, ocsp_response: str) -> None:
        """Keep an OCSP response (DER, then base64) for the certificate with this hash data."""

    def is_ca_certificate_installed(self, *, certificate_type: CaCertificateType) -> bool:
        """Tell whether a currently valid root of this domain is installed."""

    @changes_the_store
    def generate_certificate_signing_request(
        self,
        *,
        certificate_type: LeafCertificateType,
        country: str,
        organization: str,
        common: str,
        use_tpm: bool,
    ) -> GetCertificateSignRequestResult:
        """Make a key and a PKCS #10 signing request for it (PEM)."""

    def get_leaf_certificate_info(
        self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat, include_ocsp: bool
    ) -> GetCertificateInfoResult:
        """Find the newest usable leaf: paths of its key and certificate files, and its OCSP responses if asked for."""

    def get_all_valid_certificates_info(
        self, *, certificate_type: LeafCertificateType, encoding: EncodingFormat, include_ocsp: bool
    ) -> GetCertificateFullInfoResult:
        """Find the newest usable leaf of each root, with the root's PEM."""

    def get_verify_file(self, *, certificate_type: CaCertificateType) -> str:
        """Path of a file that holds the roots of this domain; empty if there is none."""

    def get_verify_location(self, *, certificate_type: CaCertificateType) -> str:
        """Path of a bundle file or of a hashed directory of this domain for OpenSSL; empty if there is none."""

    def get_leaf_expiry_days_count(self, *, certificate_type: LeafCertificateType) -> int:
        """Whole days until the newest usable leaf expires; 0 if there is none."""

    def verify_file_signature(self, *, file_path: str, signing_certificate: str, signature: str) -> bool:
        """Verify a file's signature (base64) with the key of a signing certificate (PEM)."""

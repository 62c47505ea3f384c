"""What is ours beside revision 2026-04: its commands about CA certificates, with the trust domain OEM.

Only those are here whose types differ. `delete_certificate` names no domain, and deletes OEM roots in every revision.
"""

from __future__ import annotations

from typing import Protocol

from evse_security.additions import (
    CaTypeWithOem,
    CertificateTypeWithOem,
    GetInstalledCertificatesResultWithOem,
    OemStoreUpdate,
)
from evse_security.interface import changes_the_store
from evse_security.vocabulary import InstallCertificateResult


class Variables:
    """What is published by itself."""

    oem_store_update: OemStoreUpdate
    """An OEM root was installed or deleted; published after the write, before the answer."""


class Interface(Protocol):
    """The commands. Every argument is given by keyword."""

    @changes_the_store
    def install_ca_certificate(self, *, certificate: str, certificate_type: CaTypeWithOem) -> InstallCertificateResult:
        """Install one CA certificate (PEM) in a trust domain."""

    def get_installed_certificates(
        self, *, certificate_types: tuple[CertificateTypeWithOem, ...]
    ) -> GetInstalledCertificatesResultWithOem:
        """List the installed certificates of the given kinds as hash data."""

    def is_ca_certificate_installed(self, *, certificate_type: CaTypeWithOem) -> bool:
        """Tell whether a currently valid root of this domain is installed."""

    def get_verify_file(self, *, certificate_type: CaTypeWithOem) -> str:
        """Path of a file that holds the roots of this domain; empty if there is none."""

    def get_verify_location(self, *, certificate_type: CaTypeWithOem) -> str:
        """Path of a file, or of a directory hashed for OpenSSL, that holds the roots of this domain; or empty."""

"""The commands of 2026-04-oem, in terms of today's: the same rules, and the trust domain OEM."""

from __future__ import annotations

from collections.abc import Sequence

from evse_security.additions import (
    AnyCaType,
    AnyCertificateType,
    CertificateHashDataChainWithOem,
    GetInstalledCertificatesResultWithOem,
)
from evse_security.commands import Commands
from evse_security.vocabulary import InstallCertificateResult


class CommandsWithOem:
    """Five commands; all but the list are today's as they are."""

    def __init__(self, commands: Commands) -> None:
        """Translate to these."""
        self._today = commands

    def install_ca_certificate(self, *, certificate: str, certificate_type: AnyCaType) -> InstallCertificateResult:
        """As today."""
        return self._today.install_ca_certificate(certificate=certificate, certificate_type=certificate_type)

    def get_installed_certificates(
        self, *, certificate_types: Sequence[AnyCertificateType]
    ) -> GetInstalledCertificatesResultWithOem:
        """As today, in records that can name OEM roots."""
        status, found = self._today.listed(certificate_types, CertificateHashDataChainWithOem)
        return GetInstalledCertificatesResultWithOem(status=status, certificate_hash_data_chain=found)

    def is_ca_certificate_installed(self, *, certificate_type: AnyCaType) -> bool:
        """As today."""
        return self._today.is_ca_certificate_installed(certificate_type=certificate_type)

    def get_verify_file(self, *, certificate_type: AnyCaType) -> str:
        """As today."""
        return self._today.get_verify_file(certificate_type=certificate_type)

    def get_verify_location(self, *, certificate_type: AnyCaType) -> str:
        """As today."""
        return self._today.get_verify_location(certificate_type=certificate_type)

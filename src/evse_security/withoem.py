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
from evse_security.core import Core
from evse_security.store.rules import report
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import GetInstalledCertificatesStatus, InstallCertificateResult

_Answer = tuple[Snapshot | None, tuple[AnyCertificateType, ...], GetInstalledCertificatesResultWithOem | None]
"""What was listed last: of which picture, and which types."""


class CommandsWithOem:
    """Five commands; all but the list are today's as they are."""

    def __init__(self, core: Core, commands: Commands) -> None:
        """Translate to these."""
        self._core = core
        self._today = commands
        self._answer: _Answer = (None, (), None)

    def install_ca_certificate(self, *, certificate: str, certificate_type: AnyCaType) -> InstallCertificateResult:
        """As today."""
        return self._today.install_ca_certificate(certificate=certificate, certificate_type=certificate_type)

    def get_installed_certificates(
        self, *, certificate_types: Sequence[AnyCertificateType]
    ) -> GetInstalledCertificatesResultWithOem:
        """As today, in records that can name OEM roots; the same object as before, as long as nothing changed."""
        snapshot, _ = self._core.look()
        asked = tuple(certificate_types)
        known, of, answer = self._answer
        if answer is None or known is not snapshot or of != asked:
            newest_by = self._core.config.newest_by
            found = report.installed(snapshot, asked, newest_by, CertificateHashDataChainWithOem)
            status = GetInstalledCertificatesStatus.Accepted if found else GetInstalledCertificatesStatus.NotFound
            answer = GetInstalledCertificatesResultWithOem(status=status, certificate_hash_data_chain=tuple(found))
            self._answer = snapshot, asked, answer
        return answer

    def is_ca_certificate_installed(self, *, certificate_type: AnyCaType) -> bool:
        """As today."""
        return self._today.is_ca_certificate_installed(certificate_type=certificate_type)

    def get_verify_file(self, *, certificate_type: AnyCaType) -> str:
        """As today."""
        return self._today.get_verify_file(certificate_type=certificate_type)

    def get_verify_location(self, *, certificate_type: AnyCaType) -> str:
        """As today."""
        return self._today.get_verify_location(certificate_type=certificate_type)

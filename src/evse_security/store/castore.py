"""The CA certificates of one trust domain, as they were seen at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import why_not_ca
from evse_security.pki.forest import Forest
from evse_security.pki.path import TrustStore
from evse_security.store.contents import CertificateFile
from evse_security.store.kinds import DOMAINS
from evse_security.store.layout import BUNDLE_DIRECTORY


class StoreForm(Enum):
    """What a CA bundle's path leads to."""

    FILE = "file"
    DIRECTORY = "directory"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, eq=False)
class CaStore:
    """The CA certificates of one trust domain."""

    ca_type: AnyCaType
    path: Path
    form: StoreForm
    files: tuple[CertificateFile, ...]
    additional_anchors: bool = False
    """Whether CA certificates that are not self-signed are trusted too (AdditionalRootCertificateCheck)."""

    @property
    def is_unused(self) -> bool:
        """Whether it is a domain that a station may do without, and this one does: nothing is there."""
        is_empty = not any(file.blocks or file.problem or file.holds_more for file in self.files)
        return DOMAINS[self.ca_type].is_optional and self.form is not StoreForm.UNREADABLE and is_empty

    @property
    def directory(self) -> Path:
        """Where the certificates lie."""
        return self.path if self.form is StoreForm.DIRECTORY else self.path.parent

    @property
    def copy_of_roots(self) -> Path:
        """The file made of all its roots, for consumers that read only a file, and only one without a bad block."""
        return self.directory / BUNDLE_DIRECTORY / f"{self.ca_type}_ROOT_CA.pem"

    @property
    def readable(self) -> bool:
        """Whether every certificate file could be read; where not, nobody knows what is missing."""
        return self.form is not StoreForm.UNREADABLE and not any(file.damaged or file.hides for file in self.files)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates, each once, in order of files and blocks."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.certificates))

    def holds(self, certificate: Certificate) -> bool:
        """Whether a certificate is in this store."""
        return certificate in self._members

    @cached_property
    def _members(self) -> frozenset[Certificate]:
        return frozenset(self.certificates)

    @cached_property
    def forest(self) -> Forest:
        """Who issued whom in this store alone."""
        return Forest(self.certificates)

    @cached_property
    def roots(self) -> tuple[Certificate, ...]:
        """The self-signed certificates that may be trust anchors: their own key confirms them, and they may sign."""
        return tuple(c for c in self.certificates if c.self_signed and may_sign(c))

    @cached_property
    def anchors(self) -> tuple[Certificate, ...]:
        """The certificates at which a path may end."""
        return tuple(filter(self._is_anchor, self.certificates))

    @cached_property
    def trust(self) -> TrustStore:
        """The store, prepared for verifications."""
        return TrustStore.among(self.forest, self._is_anchor)

    def _is_anchor(self, certificate: Certificate) -> bool:
        return (self.additional_anchors or certificate.self_signed) and may_sign(certificate)

    def valid_roots(self, now: datetime) -> tuple[Certificate, ...]:
        """The anchors that are valid now."""
        return tuple(c for c in self.anchors if c.valid_at(now))


def may_sign(certificate: Certificate) -> bool:
    """Whether a certificate is a CA that may sign others (RFC 5280 §4.2.1.9, §4.2.1.3); a v1 root counts."""
    return why_not_ca(certificate) is None

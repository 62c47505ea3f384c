"""What is to be done to the disk, as data. Every prefix of a list of changes leaves a lawful store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evse_security.vocabulary import CertificateStoreUpdate

PUBLIC_MODE = 0o644
SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Write:
    """Make or replace a file; its content appears at once or not at all."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = PUBLIC_MODE


@dataclass(frozen=True, slots=True)
class Edit:
    """Cut pieces out of a file and add some at its end; every other byte, mode and owner stay, links stay links."""

    path: Path
    cut: tuple[tuple[int, int], ...] = ()
    append: bytes = field(default=b"", repr=False)

    def applied(self, data: bytes) -> bytes:
        """The file's new content."""
        for start, end in sorted(self.cut, reverse=True):
            data = data[:start] + data[end:].lstrip(b"\r\n")
        if self.append and data and not data.endswith(b"\n"):
            data += b"\n"
        return data + self.append


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file, if it is still there."""

    path: Path


Change = Write | Edit | Remove


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided: the changes in the order in which they must be made, and what to announce after them."""

    changes: tuple[Change, ...] = ()
    updates: tuple[CertificateStoreUpdate, ...] = ()

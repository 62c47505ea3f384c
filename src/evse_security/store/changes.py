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
            data = data[:start] + _without_line_end(data[end:], at_line_start=data[:start][-1:] in (b"", b"\n"))
        if self.append and data and not data.endswith(b"\n"):
            data += b"\n"
        return data + self.append


def _without_line_end(rest: bytes, *, at_line_start: bool) -> bytes:
    """What follows a piece cut out: if that was a whole line, the end of the line goes with it."""
    return rest.removeprefix(b"\r").removeprefix(b"\n") if at_line_start else rest


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file, if it is still there."""

    path: Path


@dataclass(frozen=True, slots=True)
class Link:
    """Make a symbolic link, or lead the one of this name elsewhere at once."""

    path: Path
    leads_to: str


Change = Write | Edit | Remove | Link


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided: the changes in the order in which they must be made, and what to announce after them."""

    changes: tuple[Change, ...] = ()
    updates: tuple[CertificateStoreUpdate, ...] = ()

"""What is to be done to the disk, as data. Every prefix of a list of changes leaves a lawful store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import TypeVar

from evse_security.additions import StoreUpdate
from evse_security.pki.hashdata import CertID
from evse_security.store.contents import CertificateFile

PUBLIC_MODE = 0o644
SECRET_MODE = 0o600


class Order(Enum):
    """What must have reached the disk before a change may, so that a power cut leaves a lawful store as well.

    Changes are made in the order of their list in any case, and all have reached the disk before the command answers. A
    change must wait for those before it only if it must not survive without them: each wait costs milliseconds.
    """

    AFTER = "every change before it, but for the free ones"
    WITH = "what the change before it waits for: the two may survive without each other"
    FREE = "nothing, and nothing waits for it"


@dataclass(frozen=True, slots=True)
class Write:
    """Make or replace a file; its content appears at once or not at all."""

    path: Path
    content: bytes = field(repr=False)
    mode: int = PUBLIC_MODE
    order: Order = field(default=Order.AFTER, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Edit:
    """Cut pieces out of a file and add some at its end; every other byte, mode and owner stay, links stay links."""

    path: Path
    cut: tuple[tuple[int, int], ...] = ()
    append: bytes = field(default=b"", repr=False)
    of: CertificateFile | None = field(default=None, compare=False, repr=False, kw_only=True)
    """The file as it was seen when this was decided: what is to be cut out lies there in no other."""
    order: Order = field(default=Order.AFTER, compare=False, repr=False, kw_only=True)

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
    order: Order = field(default=Order.AFTER, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Link:
    """Make a symbolic link, or lead the one of this name elsewhere at once."""

    path: Path
    leads_to: str
    order: Order = field(default=Order.AFTER, compare=False, repr=False, kw_only=True)


Change = Write | Edit | Remove | Link
C = TypeVar("C", Write, Edit, Remove, Link)


def together(changes: Iterable[C]) -> list[C]:
    """Changes of which any may survive without the others, but none without those before them all."""
    return [replace(change, order=Order.WITH) if number else change for number, change in enumerate(changes)]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule decided: the changes in the order in which they must be made, and what to announce after them."""

    changes: tuple[Change, ...] = ()
    updates: tuple[StoreUpdate, ...] = ()
    concerned: tuple[CertID, ...] = field(default=(), compare=False, kw_only=True)
    """Which certificates come or go, or are talked of: for the audit log."""
    copies: tuple[Write, ...] = ()
    """What is made of the files afterwards. Where that fails it is made when it is asked for."""


def joined(decisions: Iterable[Decision]) -> Decision:
    """Several decisions as one, in their order."""
    found = tuple(decisions)
    return Decision(
        tuple(change for one in found for change in one.changes),
        tuple(update for one in found for update in one.updates),
        concerned=tuple(identity for one in found for identity in one.concerned),
        copies=tuple(copy for one in found for copy in one.copies),
    )

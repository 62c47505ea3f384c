"""What the files of a store say: certificates block by block, keys by the token that matches them, OCSP responses.

Stations and site controllers hold thousands of these. They are small: paths are text, sound files keep no blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID
from evse_security.pki.ocsp import OcspAnswer
from evse_security.pki.pem import Block, Flaw
from evse_security.pki.remembered import shared
from evse_security.store.stamp import Stamp, mode_of, modified_ns, size_of

_LAST_NS = 253_402_300_800_000_000_000
"""The end of the year 9999: no file was written later than that."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the store that cannot be used, and why."""

    path: Path
    text: str


class CertificateFile:
    """A file of certificates, block by block. Never altered once made; two are equal when they are one."""

    __slots__ = ("_blocks", "_spans", "certificates", "holds_more", "in_der", "location", "problem")

    location: str
    """Its path, as text."""
    certificates: tuple[Certificate, ...]
    """The good blocks, in order."""
    problem: str | None
    """Why the file as a whole could not be read."""
    in_der: bool
    """Whether it is one certificate in DER instead of text."""
    holds_more: bool
    """Whether there is more in it than certificates: keys, revocation lists, requests."""

    def __init__(
        self,
        path: Path | str,
        blocks: Sequence[Block],
        problem: str | None = None,
        *,
        in_der: bool = False,
        holds_more: bool = False,
    ) -> None:
        """Keep what was read. Of a sound file only its certificates are kept and where each begins and ends."""
        self.location, self.problem, self.in_der, self.holds_more = str(path), problem, in_der, holds_more
        self.certificates = tuple(block.certificate for block in blocks if block.certificate is not None)
        sound = len(self.certificates) == len(blocks) and not any(block.flaw for block in blocks)
        self._blocks = None if sound else tuple(blocks)
        self._spans = shared(b"".join(_SPAN.pack(block.start, block.end) for block in blocks)) if sound else b""

    def __repr__(self) -> str:
        return f"<CertificateFile {self.location}>"

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, good and bad, in order."""
        if self._blocks is not None:
            return self._blocks
        spans = zip(_SPAN.iter_unpack(self._spans), self.certificates, strict=True)
        return tuple(Block(start, end, certificate, None) for (start, end), certificate in spans)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file and its blocks."""
        whole = (Problem(self.path, self.problem),) if self.problem else ()
        if self._blocks is None:
            return whole
        found = ((block.start, block.problem or (block.flaw and block.flaw.value)) for block in self._blocks)
        return (*whole, *(Problem(self.path, f"at byte {start}: {text}") for start, text in found if text))

    @property
    def damaged(self) -> bool:
        """Whether it or a block of it could not be read."""
        return self.problem is not None or any(block.problem is not None for block in self._blocks or ())

    @property
    def hides(self) -> bool:
        """Whether others may find certificates in it that are not seen here."""
        return any(block.flaw is Flaw.HIDDEN for block in self._blocks or ())

    @property
    def fit(self) -> bool:
        """Whether it may be handed to others as it is: text that they read exactly as it is read here."""
        return not self.in_der and not self.problems

    @property
    def leaf(self) -> Certificate | None:
        """The first certificate, if it is an end entity."""
        if not self.certificates:
            return None
        constraints = self.certificates[0].basic_constraints
        return None if constraints is not None and constraints.ca else self.certificates[0]

    def same_as(self, other: CertificateFile | None) -> bool:
        """Whether another file, or this one read again, says the same."""
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


_SPAN = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key's file: a token to match certificates by, or why it cannot be read."""

    location: str
    """Its path, as text."""
    token: bytes | None
    problem: str | None
    encrypted: bool
    stamp: Stamp

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)

    @property
    def size(self) -> int:
        """Bytes."""
        return size_of(self.stamp)

    @property
    def mode(self) -> int:
        """Its rights."""
        return mode_of(self.stamp)

    @property
    def modified_ns(self) -> int:
        """When it was written last, in nanoseconds of the epoch."""
        return modified_ns(self.stamp)

    @property
    def modified(self) -> datetime:
        """When it was written last."""
        return moment_of(self.modified_ns)


@dataclass(frozen=True, slots=True)
class OcspEntry:
    """A cached OCSP response: the `.hash` that says whose it is, and the `.der`. Either may be missing."""

    hash_path: Path
    response_path: Path
    cert_id: CertID | None
    answer: OcspAnswer | None
    has_hash: bool
    has_response: bool
    evidence: bytes | None = field(default=None, repr=False)
    """The response itself, where it says that the certificate is revoked: for who acts upon it and must verify it."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The halves that are there."""
        halves = ((self.hash_path, self.has_hash), (self.response_path, self.has_response))
        return tuple(path for path, is_there in halves if is_there)


def stem_of(location: str) -> str:
    """A file's name without its suffix, as pathlib has it, which would keep each part of each path for ever."""
    name = location.rpartition("/")[2]
    at = name.rfind(".")
    return name[:at] if 0 < at < len(name) - 1 else name


def moment_of(nanoseconds: int) -> datetime:
    """A file's time; one that no calendar has is the last of all."""
    if nanoseconds >= _LAST_NS:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromtimestamp(max(nanoseconds, 0) / 1e9, UTC)

"""How a file looks in its directory: what shows that it was changed."""

from __future__ import annotations

import struct
from typing import NewType, Protocol

_FIELDS = struct.Struct("<QQQqqI")
_MOST = (1 << 63) - 1

SETTLING_NS = 100_000_000
"""A file changed this recently may change again without showing it: time stamps are coarse (4 ms before Linux 6.13)."""
COARSE_SETTLING_NS = 2_100_000_000
"""The same where time stamps have no fractions: ext4 with small inodes counts seconds, FAT every other second."""


class _Status(Protocol):
    """What stat(2) says of a file."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...
    @property
    def st_mode(self) -> int: ...


Stamp = NewType("Stamp", bytes)
"""A regular file as its directory shows it, packed. Equal values mean unchanged content, once settled.

Bytes, and no class of its own: a store has 30,000 of them, and an instance of a class is larger.
"""


def stamp_of(found: _Status) -> Stamp:
    """What stat(2) says."""
    times = found.st_mtime_ns, found.st_ctime_ns
    rights = found.st_mode & 0o7777
    try:
        return Stamp(_FIELDS.pack(found.st_size, found.st_ino, found.st_dev, *times, rights))
    except struct.error:  # times farther away than 292 years
        nearer = (max(-_MOST, min(time, _MOST)) for time in times)
        return Stamp(_FIELDS.pack(found.st_size, found.st_ino, found.st_dev, *nearer, rights))


def size_of(stamp: Stamp) -> int:
    """Bytes of the file."""
    return int(_FIELDS.unpack(stamp)[0])


def device_of(stamp: Stamp) -> int:
    """The device that the file is on."""
    return int(_FIELDS.unpack(stamp)[2])


def modified_ns(stamp: Stamp) -> int:
    """When the file was written last, in nanoseconds of the epoch."""
    return int(_FIELDS.unpack(stamp)[3])


def changed_ns(stamp: Stamp) -> int:
    """When content, name or rights changed; nanoseconds of the epoch."""
    return int(_FIELDS.unpack(stamp)[4])


def settled(stamp: Stamp, at_ns: int) -> bool:
    """Whether a change of a file after that time is sure to show in its stamp."""
    changed = changed_ns(stamp)
    return at_ns - changed > (SETTLING_NS if changed % 1_000_000_000 else COARSE_SETTLING_NS)


def mode_of(stamp: Stamp) -> int:
    """The file's rights."""
    return int(_FIELDS.unpack(stamp)[5])

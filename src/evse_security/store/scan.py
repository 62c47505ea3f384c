"""Looking at directories: which regular files there are, how each looks, and what each holds.

Reading never makes or changes a file. Only regular files are opened, and none is read further than its limit.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple

from evse_security.store import brief
from evse_security.store.brief import Status
from evse_security.store.layout import CERTIFICATE_SUFFIXES, KEY_SUFFIXES, TEMPORARY_SUFFIX
from evse_security.store.lock import LOCK_FILE
from evse_security.store.stamp import Stamp, stamp_of

Nanoseconds = Callable[[], int]
"""Tells the time of the file system: nanoseconds of the epoch."""

MAX_DEPTH = 8
"""Directories below a store's that are looked into."""
MAX_ENTRIES = 200_000
"""Entries of one directory that are looked at; more is a directory that is no store."""

_MATTERS = CERTIFICATE_SUFFIXES | KEY_SUFFIXES


class Manner(Enum):
    """How a name leads to a file."""

    DIRECTLY = "directly"
    LINK = "by a symbolic link"
    ONE_OF_SEVERAL = "one of several names (hard links)"


class Seen(NamedTuple):
    """A regular file, or why it could not be looked at though it may hold what is needed."""

    location: str
    found: Stamp | str
    manner: Manner = Manner.DIRECTLY
    passing: bool = False
    """Whether what keeps it from being looked at may pass without a trace in its directory."""


class Directory(NamedTuple):
    """A directory that is about to be listed."""

    location: str


def walk(location: str, depth: int = 0) -> Iterator[Seen | Directory]:
    """All regular files below a directory; links to files are followed, links to directories are not.

    Each directory is told of before it is listed. What is not there is passed over, and so are lock files. What is
    there and cannot be looked at is said so: directories, and entries that are named like certificates or keys.
    """
    yield Directory(location)
    inner: list[str] = []
    try:
        with os.scandir(location) as entries:
            number = 0
            for number, entry in enumerate(islice(entries, MAX_ENTRIES), start=1):  # noqa: B007
                if _is_directory(entry):
                    inner.append(entry.path)
                elif (file := _entry(entry)) is not None:
                    yield file
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield _unseen(location, error, "cannot be looked into")
        return
    if number == MAX_ENTRIES:
        yield Seen(location, f"{MAX_ENTRIES} entries or more, of which the others are not looked at")
    if depth < MAX_DEPTH:
        for one in inner:
            yield from walk(one, depth + 1)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _entry(entry: os.DirEntry[str]) -> Seen | None:
    is_temporary = entry.name.endswith(TEMPORARY_SUFFIX)
    try:
        found = entry.stat(follow_symlinks=not is_temporary)
    except OSError as error:
        return _not_seen(entry.path, error) if entry.name != LOCK_FILE else None
    return _seen(entry.path, entry.name, found, is_link=entry.is_symlink())


def look_at(
    location: str, own: Callable[[str], Status] = os.lstat, led_to: Callable[[str], Status] = os.stat
) -> Seen | Directory | None:
    """Look at one entry as `walk` does; None where there is nothing that matters. `own` and `led_to` ask the kernel."""
    name, is_link = os.path.basename(location), False
    try:
        found = own(location)
        is_link = stat.S_ISLNK(found.st_mode)
        if is_link and not name.endswith(TEMPORARY_SUFFIX):
            found = led_to(location)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not is_link:
            return None
        return _not_seen(location, error) if isinstance(error, OSError) and name != LOCK_FILE else None
    if stat.S_ISDIR(found.st_mode) and not is_link:
        return Directory(location)
    return _seen(location, name, found, is_link=is_link)


def _seen(location: str, name: str, found: Status, *, is_link: bool) -> Seen | None:
    """A regular file; and one being made under a temporary name, which may be a link."""
    mode = found.st_mode
    if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and name.endswith(TEMPORARY_SUFFIX)):
        if name == LOCK_FILE:
            return None
        several = Manner.ONE_OF_SEVERAL if found.st_nlink > 1 else Manner.DIRECTLY
        return Seen(location, stamp_of(found), Manner.LINK if is_link else several)
    if _matters(name):
        return Seen(location, "not a regular file", Manner.LINK if is_link else Manner.DIRECTLY)
    return None


def _not_seen(location: str, error: OSError) -> Seen | None:
    """What could not be looked at, if it may matter; what is gone since is not there."""
    if not _matters(location):
        return None
    if isinstance(error, FileNotFoundError):
        return Seen(location, "a link that leads nowhere", Manner.LINK) if os.path.islink(location) else None
    return _unseen(location, error, "cannot be looked at")


def _unseen(location: str, error: OSError, otherwise: str) -> Seen:
    is_link = os.path.islink(location)
    passing = not isinstance(error, PermissionError)
    return Seen(location, error.strerror or otherwise, Manner.LINK if is_link else Manner.DIRECTLY, passing)


def _matters(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _MATTERS


def read(path: str | os.PathLike[str], limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raises OSError, or ValueError where it is larger or not regular."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        pieces, left = [], limit + 1 if found.st_size <= limit else 0
        expected = min(found.st_size, limit) + 1
        while left > 0 and (piece := os.read(descriptor, expected)):
            pieces.append(piece)
            left -= len(piece)
            if len(pieces) == 1 and len(piece) == found.st_size:
                break  # one octet more was asked for, and there is none
            expected = min(left, 1 << 16)
    finally:
        os.close(descriptor)
    if left <= 0:
        raise ValueError(f"larger than {limit} bytes")
    return b"".join(pieces)


def read_briefly(path: str, limit: int) -> bytes:
    """The same, while no other thread runs: for a small file that was written just now."""
    found = brief.read(path, limit)
    return read(path, limit) if found is None else found

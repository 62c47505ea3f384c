"""Looking at the directories: which files are there, and what each holds.

Reading never makes or changes a file. Only regular files are opened, and none is read further than its limit.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from evse_security.store.layout import CERTIFICATE_SUFFIXES, KEY_SUFFIXES, TEMPORARY_SUFFIX
from evse_security.store.lock import LOCK_FILE

T = TypeVar("T")

Nanoseconds = Callable[[], int]
"""Tells the time of the file system: nanoseconds of the epoch."""

MAX_DEPTH = 8
"""Directories below a store's that are looked into."""
MAX_ENTRIES = 200_000
"""Entries of one directory that are looked at; more is a directory that is no store."""
SETTLING_NS = 100_000_000
"""A file changed this recently may change again without showing it: time stamps are coarse (4 ms before Linux 6.13)."""
COARSE_SETTLING_NS = 2_100_000_000
"""The same where time stamps have no fractions: ext4 with small inodes counts seconds, FAT every other second."""

_MATTERS = CERTIFICATE_SUFFIXES | KEY_SUFFIXES


class Seen(NamedTuple):
    """A regular file as the directory shows it. Equal values mean unchanged content, once settled."""

    path: Path
    size: int
    inode: int
    device: int
    modified_ns: int
    changed_ns: int
    mode: int

    def settled(self, at_ns: int) -> bool:
        """Whether a change after that time is sure to show in the time stamps."""
        coarse = self.changed_ns % 1_000_000_000 == 0
        return at_ns - self.changed_ns > (COARSE_SETTLING_NS if coarse else SETTLING_NS)


class Unseen(NamedTuple):
    """Something that could not be looked at, and may hold what is needed."""

    path: Path
    why: str


def seen(path: Path) -> Seen | None:
    """Look at one file; None where there is no regular file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return _seen(path, found)


def _seen(path: Path, found: os.stat_result) -> Seen | None:
    """A regular file; and one being made under a temporary name, which may be a link."""
    if not (stat.S_ISREG(found.st_mode) or (path.name.endswith(TEMPORARY_SUFFIX) and stat.S_ISLNK(found.st_mode))):
        return None
    return Seen(
        path,
        found.st_size,
        found.st_ino,
        found.st_dev,
        found.st_mtime_ns,
        found.st_ctime_ns,
        stat.S_IMODE(found.st_mode),
    )


def walk(directory: Path, depth: int = 0) -> Iterator[Seen | Unseen]:
    """All regular files below a directory, by name; links to files are followed, links to directories are not.

    What is not there is passed over, and so are lock files. What is there and cannot be looked at is said so:
    directories, and entries that are named like certificates or keys.
    """
    try:
        with os.scandir(directory) as entries:
            found = sorted(islice(entries, MAX_ENTRIES), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        yield Unseen(directory, error.strerror or "cannot be looked into")
        return
    if len(found) == MAX_ENTRIES:
        yield Unseen(directory, f"{MAX_ENTRIES} entries or more, of which the others are not looked at")
    for entry in found:
        if _is_directory(entry):
            if depth < MAX_DEPTH:
                yield from walk(Path(entry.path), depth + 1)
        elif entry.name != LOCK_FILE and (file := _entry(entry)) is not None:
            yield file


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _entry(entry: os.DirEntry[str]) -> Seen | Unseen | None:
    path = Path(entry.path)
    why = "not a regular file"
    try:
        file = _seen(path, entry.stat(follow_symlinks=not entry.name.endswith(TEMPORARY_SUFFIX)))
    except FileNotFoundError:
        if not entry.is_symlink():  # gone since
            return None
        file, why = None, "a link that leads nowhere"
    except OSError as error:
        file, why = None, error.strerror or "cannot be looked at"
    if file is None and path.suffix.lower() in _MATTERS:
        return Unseen(path, why)
    return file


def read(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raises OSError, or ValueError where it is larger or not regular."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        pieces, left = [], limit + 1 if found.st_size <= limit else 0
        while left > 0 and (piece := file.read(left)):
            pieces.append(piece)
            left -= len(piece)
    if left == 0:
        raise ValueError(f"larger than {limit} bytes")
    return b"".join(pieces)


def digest(content: bytes) -> bytes:
    """What tells one content from another, without keeping it: files may hold private keys."""
    return hashlib.sha256(content).digest()


@dataclass(slots=True)
class _Kept(Generic[T]):
    seen: Seen
    settled: bool
    mark: bytes | str
    """The content's digest, or why it could not be read."""
    value: T


class Contents(Generic[T]):
    """What files hold, parsed; each is read again only when it changed, or changed too recently to tell."""

    def __init__(
        self,
        parse: Callable[[Path, bytes], T],
        refuse: Callable[[Path, str], T],
        limit: int,
        now: Nanoseconds = time.time_ns,
    ) -> None:
        """`parse` makes a value of a file's bytes, `refuse` one of the reason why they cannot be read."""
        self._parse, self._refuse, self._limit, self._now = parse, refuse, limit, now
        self._kept: dict[Path, _Kept[T]] = {}
        self._unsettled: set[Path] = set()

    @property
    def settled(self) -> bool:
        """Whether every later change of what was read shows in the directory."""
        return not self._unsettled

    def of(self, file: Seen) -> T:
        """What a file holds. The same object as before, if nothing changed."""
        kept = self._kept.get(file.path)
        if kept is not None and kept.seen == file and kept.settled:
            return kept.value
        settled = file.settled(self._now())  # before reading: a change after this shows
        content: bytes | None = None
        mark: bytes | str
        try:
            content = read(file.path, self._limit)
            mark = digest(content)
        except (OSError, ValueError) as error:
            mark = error.strerror or "unreadable" if isinstance(error, OSError) else str(error)
            settled = settled and isinstance(error, ValueError | PermissionError)  # others pass without a trace
        if kept is not None and kept.mark == mark:
            value = kept.value
        elif isinstance(mark, str) or content is None:
            value = self._refuse(file.path, str(mark))
        else:
            value = self._parse(file.path, content)
        self._kept[file.path] = _Kept(file, settled, mark, value)
        (self._unsettled.discard if settled else self._unsettled.add)(file.path)
        return value

    def shows(self, path: Path, content: bytes) -> bool:
        """Whether this is what the file held when it was last read."""
        kept = self._kept.get(path)
        return kept is not None and kept.mark == digest(content)

    def forget(self, present: set[Path]) -> None:
        """Drop what is no longer there."""
        for path in self._kept.keys() - present:
            del self._kept[path]
            self._unsettled.discard(path)

"""Looking at the directories: which files are there, and what each holds.

Reading never makes or changes a file. Only regular files are opened, and none is read further than its limit.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

MAX_DEPTH = 8
"""Directories below a store's that are looked into."""
MAX_ENTRIES = 200_000
"""Files that are looked at; more is a directory that is no store."""
SETTLING_NS = 100_000_000
"""A file changed this recently may change again without showing it: time stamps are coarse (4 ms before Linux 6.13)."""


class Seen(NamedTuple):
    """A regular file as the directory shows it. Equal values mean unchanged content, once settled."""

    path: Path
    size: int
    inode: int
    device: int
    modified_ns: int
    changed_ns: int
    mode: int

    @property
    def settled(self) -> bool:
        """Whether a later change is sure to show in the time stamps."""
        return time.time_ns() - self.changed_ns > SETTLING_NS


def seen(path: Path) -> Seen | None:
    """Look at one file; None where there is no regular file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return _seen(path, found)


def _seen(path: Path, found: os.stat_result) -> Seen | None:
    if not stat.S_ISREG(found.st_mode):
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


def walk(directory: Path, depth: int = 0) -> Iterator[Seen]:
    """All regular files below a directory, by name; links to files are followed, links to directories are not."""
    try:
        with os.scandir(directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        try:
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    yield from walk(Path(entry.path), depth + 1)
            elif (file := _seen(Path(entry.path), entry.stat())) is not None:
                yield file
        except OSError:  # gone since, or a link that leads nowhere
            continue


def read(path: Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raises OSError, or ValueError where it is larger or not regular."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        pieces, left = [], limit + 1
        while left > 0 and (piece := file.read(left)):
            pieces.append(piece)
            left -= len(piece)
    if left == 0:
        raise ValueError(f"larger than {limit} bytes")
    return b"".join(pieces)


@dataclass(slots=True)
class _Kept(Generic[T]):
    seen: Seen
    settled: bool
    content: bytes | None
    value: T


class Contents(Generic[T]):
    """What files hold, parsed; each is read again only when it changed, or changed too recently to tell."""

    def __init__(self, parse: Callable[[Path, bytes], T], refuse: Callable[[Path, str], T], limit: int) -> None:
        """`parse` makes a value of a file's bytes, `refuse` one of the reason why they cannot be read."""
        self._parse, self._refuse, self._limit = parse, refuse, limit
        self._kept: dict[Path, _Kept[T]] = {}

    def of(self, file: Seen) -> T:
        """What a file holds. The same object as before, if nothing changed."""
        kept = self._kept.get(file.path)
        if kept is not None and kept.seen == file and kept.settled:
            return kept.value
        settled = file.settled
        try:
            content = read(file.path, self._limit)
        except (OSError, ValueError) as error:
            problem = error.strerror or "unreadable" if isinstance(error, OSError) else str(error)
            return self._keep(file, settled, None, self._refuse(file.path, problem))
        if kept is not None and kept.content == content and kept.seen.mode == file.mode:
            return self._keep(file, settled, content, kept.value)
        return self._keep(file, settled, content, self._parse(file.path, content))

    def _keep(self, file: Seen, settled: bool, content: bytes | None, value: T) -> T:  # noqa: FBT001
        self._kept[file.path] = _Kept(file, settled, None if settled else content, value)
        return value

    def forget(self, present: set[Path]) -> None:
        """Drop what is no longer there."""
        for path in self._kept.keys() - present:
            del self._kept[path]

"""One turn at writing the audit log: finding the end of the chain, adding to it, rotating the files."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evse_security.store.journal import HEAD_BYTES, LONGEST_LINE, Entry, Head, Link, opened, sealed

PATIENCE = 0.05
"""Seconds to wait for others who are writing an entry, which takes them microseconds."""
_PAUSE = 0.001
_BEGIN = b'{"n":'
"""How entries begin."""
FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""With which every file of the log is opened: no link is followed, no FIFO waited for."""
_SHORT = 400
"""Characters of the texts that stay in an entry that is too long otherwise."""
_TAIL = 2 * LONGEST_LINE
_LONGEST_TAIL = 4 << 20
"""Bytes that are looked at for entries that the head does not know of."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the log may become."""

    file_bytes: int = 1 << 20
    """Bytes after which a file is put aside and a new one begun."""
    files: int = 10
    """Files kept, the one that is written to included; the oldest go."""


class Turn:
    """One turn at the log, under its lock."""

    def __init__(self, directory: int, name: str, file: int, who: Mapping[str, Any]) -> None:
        """The log is open as `file`. Every entry says `who`."""
        self.directory, self.name, self.file, self.who = directory, name, file, who
        self.head = Head(Link(0, ""), 0, 1, 1)
        self.start = 0
        self.is_new = False
        """Whether nothing was in the file before: its name may not be on the disk yet."""

    def begin(self, head: Head | None, *, fresh: bool) -> None:
        """Find the end of the chain. `fresh`: there was no head at all."""
        size = os.fstat(self.file).st_size
        self.is_new = size == 0
        if head is None:
            self.head = self._without_head(size)
            if size or not fresh:
                self.add({"event": "headless"})
        else:
            self.head = head
            if size > head.size:
                self._take_over(size)
            elif size < head.size:
                self._go_on_after_less(size)
        self.start = self.head.size

    def _without_head(self, size: int) -> Head:
        """Go on after the last entry of the log. A log without any begins a chain, with a random link before it."""
        begin = os.pread(self.file, LONGEST_LINE, 0)
        first = next(map(_entry, _split(begin)), None)
        if first is None and self._last(size) is None and not _may_be_torn(begin):
            raise ValueError("there is a file of that name that is no audit log")
        size = self._cut(size)
        last = self._last(size)
        link = Link(0, secrets.token_hex(32)) if last is None else last.link
        return Head(link, size, first.link.number if first else link.number + 1, 1)

    def _take_over(self, size: int) -> None:
        """The log is longer than the head says: somebody was killed before writing that, or while writing the entry."""
        last = self._followed(self.file, size)
        self.head = self.head._replace(last=last, size=self._cut(size))
        if self.head.size < size:
            self.add({"event": "torn", "count": size - self.head.size})

    def _followed(self, file: int, size: int) -> Link:
        """The end of the chain in a file that is longer than the head says."""
        last = self.head.last
        for line in _split(os.pread(file, min(size - self.head.size, _LONGEST_TAIL), self.head.size)):
            found = _entry(line)
            if found is None or not found.sound or found.prev != last.hash:
                break
            last = found.link
        return last

    def _go_on_after_less(self, size: int) -> None:
        """The log is shorter than the head says: it was just rotated, or a power cut or somebody took entries away."""
        aside = _size(self._name_aside(), self.directory) if size == 0 else None
        if aside is not None and aside >= self.head.size:
            with ExitStack() as stack:
                last = self._followed(regular_file(self._name_aside(), self.directory, os.O_RDONLY, stack), aside)
            self.head = self.head._replace(last=last, size=0, began=last.number + 1)
            return
        following = self.head.last.number + 1
        size = self._cut(size)
        known = self._last(size)
        self.head = self.head._replace(size=size, began=self.head.began if size else following)
        self.add({"event": "lost", "count": max(following - 1 - (known.link.number if known else 0), 0)})

    def _last(self, size: int) -> Entry | None:
        """The last entry that can be read."""
        tail = _split(os.pread(self.file, _TAIL, max(size - _TAIL, 0)))
        return next((found for line in reversed(tail) if (found := _entry(line))), None)

    def _cut(self, size: int) -> int:
        """Cut off what was not written to the end of its line. The size that is left."""
        tail = os.pread(self.file, LONGEST_LINE, max(size - LONGEST_LINE, 0))
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            os.ftruncate(self.file, size - torn)
        return size - torn

    def add(self, body: Mapping[str, Any]) -> None:
        """Write an entry at the end of the log, whole or not at all."""
        line, link = sealed(self.head.last, {**self.who, **body})
        if len(line) > LONGEST_LINE:
            short = {key: value for key, value in body.items() if isinstance(value, str) and len(value) < _SHORT}
            line, link = sealed(self.head.last, {**self.who, **short})
        written = os.write(self.file, line)
        if written != len(line):
            os.ftruncate(self.file, self.head.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.head = self.head._replace(last=link, size=self.head.size + written)

    def take_back(self) -> None:
        """Remove the entries of this turn."""
        with suppress(OSError):
            os.ftruncate(self.file, self.start)

    def finish(self, head_file: int, bounds: Bounds, *, sync: bool) -> list[str]:
        """Write the head, after rotating where it is time. The old files that nobody needs from then on."""
        if sync:
            os.fsync(self.file)
            if self.is_new:
                os.fsync(self.directory)
        doomed: list[str] = []
        if self.head.size > bounds.file_bytes:
            with suppress(OSError):
                doomed = self._rotate(bounds.files)
        os.pwrite(head_file, self.head.text(), 0)
        with suppress(OSError):  # the entries are in the log, and the head says so: to take them back would be a lie
            if os.fstat(head_file).st_size > HEAD_BYTES:
                os.ftruncate(head_file, HEAD_BYTES)
            if sync:
                os.fsync(head_file)
        return doomed

    def _rotate(self, keep: int) -> list[str]:
        """Put the log aside under the number of its first entry; the chain goes on in a new one."""
        aside = self._name_aside()
        while _size(aside, self.directory) is not None:
            aside += "x"
        os.rename(self.name, aside, src_dir_fd=self.directory, dst_dir_fd=self.directory)
        following = self.head.last.number + 1
        self.head = self.head._replace(size=0, began=following)
        names = put_aside(self.name, os.listdir(self.directory))
        doomed = names[: max(len(names) - keep + 1, 0)]
        if doomed:
            kept = names[len(doomed) :]
            self.head = self.head._replace(first=_number(self.name, kept[0]) if kept else following)
        return doomed

    def _name_aside(self) -> str:
        return f"{self.name}.{self.head.began:010d}"


# ---- files


def regular_file(name: str, directory: int, flags: int, stack: ExitStack) -> int:
    """A regular file in a directory, made with mode 0600 if it is missing; no link is followed, nothing waited for."""
    try:
        descriptor = os.open(name, flags | FLAGS, dir_fd=directory)
    except FileNotFoundError:
        descriptor = os.open(name, flags | FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory)
        if os.geteuid() == 0:
            place = os.fstat(directory)
            os.fchown(descriptor, place.st_uid, place.st_gid)
    stack.callback(os.close, descriptor)
    if not is_regular(descriptor):
        raise OSError(errno.EINVAL, f"{name} is not a regular file")
    return descriptor


def is_regular(descriptor: int) -> bool:
    """Whether an open file is a regular one."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _size(name: str, directory: int) -> int | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def lock(descriptor: int) -> None:
    """Be the only one who writes, soon or not at all. Raises TimeoutError."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process is holding the lock on it") from None
            time.sleep(_PAUSE)
        else:
            return


def put_aside(name: str, names: Iterable[str]) -> list[str]:
    """The files that were put aside, the oldest first."""
    return sorted((one for one in names if _number(name, one)), key=lambda one: (_number(name, one), one))


def _number(name: str, aside: str) -> int:
    """The number of the first entry in a file that was put aside; 0 for any other file."""
    digits = aside.removeprefix(f"{name}.").rstrip("x")
    return int(digits) if aside.startswith(f"{name}.") and digits.isascii() and digits.isdigit() else 0


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, none longer than one may be."""
    descriptor = os.open(path, os.O_RDONLY | FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        if not is_regular(descriptor):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        while line := file.readline(LONGEST_LINE + 1):
            yield line


def _split(content: bytes) -> list[bytes]:
    """The whole lines of a piece of the log."""
    return [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def _may_be_torn(content: bytes) -> bool:
    """Whether this may be the beginning of an entry, or what a power cut makes of one."""
    written = content.lstrip(b"\0")[: len(_BEGIN)]
    return written == _BEGIN[: len(written)]


def _entry(line: bytes) -> Entry | None:
    try:
        return opened(line)
    except (ValueError, RecursionError):
        return None

"""What happened to directories since they were last looked at, without looking at every file (inotify(7)).

The kernel queues an event inside the system call that makes a change, so a question asked after somebody's write was
answered sees it. What inotify cannot tell is asked for each time: whether the directories are still the same ones, and
what links lead to. Where it cannot be used (network file systems and any that is not known, exhausted limits) the
answer is always that anything may have happened, and the caller looks at every file. Writing through mmap(2) is the one
change by this machine that makes no event.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import stat
import struct
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import cache

log = logging.getLogger(__name__)

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_OF_CONTENT = _MODIFY | _ATTRIB | _CLOSE_WRITE
_OF_DIRECTORY = _OF_CONTENT | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_OF_FILE = _OF_CONTENT | _DELETE_SELF | _MOVE_SELF
_OVERFLOW, _IGNORED = 0x4000, 0x8000
_ONLY_DIRECTORIES = 0x01000000
_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024
_MOST_REMEMBERED = 256
"""Paths that are looked at each time. More links than that and looking at every file is as good."""

_LOCAL = frozenset(
    {
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # xfs
        0x9123683E,  # btrfs
        0xF2F52010,  # f2fs
        0x2FC12FC1,  # zfs
        0xCA451A4E,  # bcachefs
        0x52654973,  # reiserfs
        0x01021994,  # tmpfs
        0x858458F6,  # ramfs
        0x794C7630,  # overlayfs
        0x24051905,  # ubifs
        0x000072B6,  # jffs2
        0x00004D44,  # vfat
        0x2011BAB0,  # exfat
        0x73717368,  # squashfs
        0xE0F5E1E2,  # erofs
    }
)
"""File systems (statfs(2)) that nobody changes without our kernel. Network and FUSE file systems are none of them."""

Identity = tuple[int, ...] | None


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class Watch:
    """Watches directories and some files, and remembers what else must be unchanged."""

    def __init__(self) -> None:
        """Nothing is watched yet, so the first answer is that anything may have happened."""
        self._descriptor = -1
        self._process = 0
        self._armed = False
        self._places: dict[int, set[str]] = {}
        """Paths of what is watched, by the kernel's number."""
        self._files: set[int] = set()
        """Numbers of those that are files."""
        self._identities: dict[str, Identity] = {}
        self._close: Callable[[], object] = lambda: None

    def news(self) -> set[str] | None:
        """The paths at which something happened since the last answer, or since `begin`; None: anywhere."""
        found = self._news() if self._armed and self._process == os.getpid() else None
        self._armed = found is not None
        return found

    def _news(self) -> set[str] | None:
        found: set[str] = set()
        for path, before in self._identities.items():
            now = _identity(path)
            if now != before:
                if now is None or before is None or len(now) != len(before) or len(now) == _OF_A_DIRECTORY:
                    return None
                self._identities[path] = now
                found.add(path)
        try:
            certain = all(self._told(number, mask, name, found) for number, mask, name in self._events())
        except OSError:
            return None
        return found if certain else None

    def _told(self, number: int, mask: int, name: str, found: set[str]) -> bool:
        """Note one event; false where it says that anything may have happened."""
        if mask & _OVERFLOW:
            return False
        places = self._places.get(number, ())
        if number in self._files:
            found.update(places)
            if mask & _IGNORED:  # the file is gone, or another has its name
                self._files.discard(number)
                del self._places[number]
            return True
        if not name:  # the directory itself; rights, place or existence
            return not places
        found.update(f"{place}/{name}" for place in places)
        return True

    def begin(self) -> None:
        """Start over, before looking: whatever happens from now on is in the next answer."""
        self.close()
        self._places, self._files, self._identities = {}, set(), {}
        try:
            self._descriptor = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):  # no such call in this C library
            self._descriptor = -1
        self._process = os.getpid()
        self._armed = self._descriptor >= 0
        if self._armed:
            self._close = weakref.finalize(self, _closed, self._descriptor, self._process)

    def add_directory(self, path: str) -> None:
        """Watch a directory; called before it is listed. Where that cannot be, nothing is certain any more."""
        self._add(path, _OF_DIRECTORY | _ONLY_DIRECTORIES)

    def add_file(self, path: str) -> None:
        """Watch what a name leads to, where others may change it by another name."""
        number = self._add(path, _OF_FILE)
        if number is not None:
            self._files.add(number)

    def _add(self, path: str, events: int) -> int | None:
        if not self._armed:
            return None
        name = os.fsencode(path)
        if not os.path.exists(name):
            return None
        if not _is_local(name):
            self._armed = False
            return None
        number = int(_libc().inotify_add_watch(self._descriptor, name, events))
        if number < 0:
            error = ctypes.get_errno()
            self._armed = error == errno.EACCES or not os.path.exists(name)  # who gets in later changes its rights
            log.debug("%s cannot be watched: %s", path, os.strerror(error))
            return None
        self._places.setdefault(number, set()).add(path)
        return number

    def remember(self, path: str) -> None:
        """Look at this path each time: a directory that may be made or replaced, or what a link leads to."""
        self._identities[path] = _identity(path)
        if len(self._identities) > _MOST_REMEMBERED:
            self._armed = False

    def doubt(self) -> None:
        """Be certain of nothing until the next beginning."""
        self._armed = False

    def close(self) -> None:
        """Watch nothing any more."""
        self._close()
        self._descriptor, self._armed = -1, False

    def _events(self) -> Iterator[tuple[int, int, str]]:
        while True:
            try:
                data = os.read(self._descriptor, _BUFFER)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                number, mask, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size + length
                yield number, mask, os.fsdecode(data[at - length : at].rstrip(b"\0"))


_OF_A_DIRECTORY = 3
"""Numbers in the identity of a directory."""


def _identity(path: str) -> Identity:
    """What must stay the same: of a directory which one it is, of a file its content as its stamp shows it."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return found.st_dev, found.st_ino, found.st_mode
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, *times


def _closed(descriptor: int, process: int) -> None:
    """Close a descriptor, unless it is a fork's copy: closing that is the fork's to do."""
    if process == os.getpid():
        os.close(descriptor)


def _is_local(path: bytes) -> bool:
    answer = ctypes.create_string_buffer(512)
    if _libc().statfs(path, answer) != 0:
        return False
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF in _LOCAL

"""What happened to directories since they were last looked at, without looking at every file (inotify(7)).

The kernel queues an event inside the system call that makes a change, so a question asked after somebody's write was
answered sees it. What inotify cannot tell is asked for each time: whether the directories are still the same ones,
what links lead to, and whether anything was mounted or unmounted (proc(5)). Where it cannot be used (network file
systems and any that is not known, exhausted limits) the answer is always that anything may have happened, and the
caller looks at every file. Writing through mmap(2) is the one change by this machine that makes no event.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import select
import stat
import struct
import sys
import threading
import weakref
from collections.abc import Callable
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
_MOUNTS = "/proc/self/mountinfo"
"""Whoever polls it is told once of each change to what is mounted."""
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
    """The C library, called as Python calls it: while these calls last no other thread runs, and they do not wait."""
    return ctypes.PyDLL(None, use_errno=True)


class _Polled(ctypes.Structure):
    """A descriptor that is asked about (poll(2))."""

    _fields_ = (("descriptor", ctypes.c_int), ("events", ctypes.c_short), ("told", ctypes.c_short))


class _Inbox:
    """What happened to what one watch is interested in."""

    def __init__(self) -> None:
        self.places: dict[int, set[str]] = {}
        """Paths of what is watched, by the kernel's number."""
        self.files: set[int] = set()
        """Numbers of those that are files."""
        self.found: set[str] = set()
        self.certain = True

    def tell(self, number: int, mask: int, name: str) -> None:
        """Note one event."""
        places = self.places.get(number, ())
        if number in self.files:
            self.found.update(places)
        elif not name:  # the directory itself: rights, place or existence
            self.certain = False
        else:
            self.found.update(f"{place}/{name}" for place in places)
        if mask & _IGNORED:  # the file is gone, or another has its name
            self.files.discard(number)
            self.places.pop(number, None)


class _Hub:
    """The one inotify instance of a process. A user may have 128 of them, and a site controller runs many stations."""

    def __init__(self) -> None:
        """Raises OSError where there can be none."""
        try:
            self.descriptor = int(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError as missing:
            raise OSError(errno.ENOSYS, "this C library has no inotify") from missing
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "no more inotify instances")
        try:
            mounts = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self.descriptor)
            raise
        self._polled = (_Polled * 2)(_Polled(self.descriptor, select.POLLIN), _Polled(mounts, select.POLLPRI))
        self.process = os.getpid()
        self.lock = threading.RLock()  # a finalizer may run while it is held
        self.inboxes: dict[int, list[_Inbox]] = {}

    def add(self, inbox: _Inbox, path: str, events: int) -> int:
        """Watch a path; the kernel's number. Raises OSError."""
        with self.lock:
            number = int(_libc().inotify_add_watch(self.descriptor, os.fsencode(path), events))
            if number < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
            readers = self.inboxes.setdefault(number, [])
            if inbox not in readers:
                readers.append(inbox)
            inbox.places.setdefault(number, set()).add(path)
            return number

    def drop(self, inbox: _Inbox) -> None:
        """Forget about an inbox, and watch no more what nobody is interested in."""
        if self.process != os.getpid():
            return
        with self.lock:
            for number in inbox.places:
                readers = self.inboxes.get(number, [])
                if inbox in readers:
                    readers.remove(inbox)
                if not readers and self.inboxes.pop(number, None) is not None:
                    _libc().inotify_rm_watch(self.descriptor, number)
            inbox.places = {}

    def deliver(self) -> None:
        """Read what the kernel has to tell, for everybody."""
        with self.lock:
            try:
                self._deliver()
            except BaseException:  # what was read is told to nobody again
                self._doubt()
                raise

    def _deliver(self) -> None:
        while self._is_told() and (data := self._read()):
            at, told = 0, set()
            while at < len(data):
                number, mask, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size + length
                name = data[at - length : at]
                if (number, mask & _IGNORED, name) not in told:  # one change makes several events
                    told.add((number, mask & _IGNORED, name))
                    self._tell(number, mask, os.fsdecode(name.rstrip(b"\0")))

    def _is_told(self) -> bool:
        """Whether there is something to read. Reading would let other threads run first, each for milliseconds.

        Where something was mounted or unmounted, anything may lie under the names that are watched.
        """
        if _libc().poll(self._polled, 2, 0) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        told, mounted = self._polled
        if mounted.told:
            self._doubt()
        return bool(told.told)

    def _read(self) -> bytes:
        try:
            return os.read(self.descriptor, _BUFFER)
        except BlockingIOError:
            return b""

    def _tell(self, number: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self._doubt()
            return
        for inbox in self.inboxes.get(number, ()):
            inbox.tell(number, mask, name)
        if mask & _IGNORED:
            self.inboxes.pop(number, None)

    def _doubt(self) -> None:
        """Have nobody be certain of anything until they begin anew."""
        for readers in self.inboxes.values():
            for inbox in readers:
                inbox.certain = False


_hubs: dict[int, _Hub] = {}
"""By process: a fork has its own."""


def _hub() -> _Hub:
    """The hub of this process. Raises OSError."""
    process = os.getpid()
    if process not in _hubs:
        _hubs[process] = _Hub()
    return _hubs[process]


class Watch:
    """Watches directories and some files, and remembers what else must be unchanged."""

    def __init__(self) -> None:
        """Nothing is watched yet, so the first answer is that anything may have happened."""
        self._armed = False
        self._hub: _Hub | None = None
        self._inbox = _Inbox()
        self._identities: dict[str, Identity] = {}
        self._devices: dict[int, bool] = {}
        """Whether only our kernel changes what is on a device."""
        self._drop: Callable[[], object] = lambda: None

    def news(self) -> set[str] | None:
        """The paths at which something happened since the last answer, or since `begin`; None: anywhere."""
        hub = self._hub
        if not self._armed or hub is None or hub.process != os.getpid():
            return None
        found = self._changed_identities()
        try:
            with hub.lock:
                hub.deliver()
                inbox = self._inbox
                if inbox.found:
                    found = None if found is None else found | inbox.found
                    inbox.found = set()
                self._armed = found is not None and inbox.certain
        except OSError:
            self._armed = False
        return found if self._armed else None

    def _changed_identities(self) -> set[str] | None:
        """Files that links lead to that are others now; None where a directory is."""
        found: set[str] = set()
        for path, before in self._identities.items():
            now = _identity(path)
            if now != before:
                if now is None or before is None or len(now) != len(before) or len(now) == _OF_A_DIRECTORY:
                    return None
                self._identities[path] = now
                found.add(path)
        return found

    def begin(self) -> None:
        """Start over, before looking: whatever happens from now on is in the next answer."""
        self.close()
        self._identities, self._inbox, self._devices = {}, _Inbox(), {}
        try:
            self._hub = _hub()
        except OSError as error:
            log.debug("nothing can be watched: %s", error)
            return
        self._armed = True
        finalizer = weakref.finalize(self, self._hub.drop, self._inbox)
        finalizer.atexit = False
        self._drop = finalizer

    def add_directory(self, path: str) -> None:
        """Watch a directory; called before it is listed. Where that cannot be, nothing is certain any more."""
        self._add(path, _OF_DIRECTORY | _ONLY_DIRECTORIES)

    def add_file(self, path: str) -> None:
        """Watch what a name leads to, where others may change it by another name."""
        number = self._add(path, _OF_FILE)
        if number is not None:
            self._inbox.files.add(number)

    def _add(self, path: str, events: int) -> int | None:
        if not self._armed or self._hub is None:
            return None
        try:
            device = os.stat(path).st_dev
            if device not in self._devices:
                self._devices[device] = _is_local(os.fsencode(path))
            if self._devices[device]:
                return self._hub.add(self._inbox, path, events)
            self._armed = False
        except OSError as error:  # who gets in later changes its rights, which its parent tells
            self._armed = error.errno == errno.EACCES or not os.path.exists(path)
            log.debug("cannot be watched: %s", error)
        return None

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
        self._drop()
        self._armed = False


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


def _is_local(path: bytes) -> bool:
    answer = ctypes.create_string_buffer(512)
    if _libc().statfs(path, answer) != 0:
        return False
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF in _LOCAL

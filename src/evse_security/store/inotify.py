"""The one inotify(7) instance of a process, and what it tells: which paths changed, and when nobody knows."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
import sys
import threading

from evse_security.store.brief import libc

_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_OF_CONTENT = _MODIFY | _ATTRIB | _CLOSE_WRITE
OF_DIRECTORY = _OF_CONTENT | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
OF_FILE = _OF_CONTENT | _DELETE_SELF | _MOVE_SELF
_OVERFLOW, _IGNORED = 0x4000, 0x8000
ONLY_DIRECTORIES = 0x01000000
_BESIDE_OTHERS = 0x20000000
"""What is told of it already is told on (IN_MASK_ADD): a link may lead to a directory that is watched."""
_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024
_MOUNTS = "/proc/self/mountinfo"
"""Whoever polls it is told once of each change to what is mounted."""

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


class _Polled(ctypes.Structure):
    """A descriptor that is asked about (poll(2))."""

    _fields_ = (("descriptor", ctypes.c_int), ("events", ctypes.c_short), ("told", ctypes.c_short))


class Inbox:
    """What happened to what one watch is interested in."""

    def __init__(self) -> None:
        self.places: dict[int, tuple[str, ...]] = {}
        """Paths of what is watched, by the kernel's number: one, unless links lead there as well."""
        self.files: dict[str, int] = {}
        """The kernel's number of what each path that is no directory led to when it was added last."""
        self.alone = (self,)
        """The readers of what nobody else watches."""
        self.directories: set[int] = set()
        """Numbers of those that are directories; files are many more."""
        self.found: set[str] = set()
        self.certain = True

    def tell(self, number: int, mask: int, name: str) -> None:
        """Note one event."""
        places = self.places.get(number, ())
        if number not in self.directories:
            self.found.update(places)
        elif not name:  # the directory itself: rights, place or existence
            self.certain = False
        else:
            self.found.update(f"{place}/{name}" for place in places)
        if mask & _IGNORED:  # the file is gone, or another has its name
            self.directories.discard(number)
            self.places.pop(number, None)


class Hub:
    """The one inotify instance of a process. A user may have 128 of them, and a site controller runs many stations."""

    def __init__(self) -> None:
        """Raises OSError where there can be none."""
        try:
            self.descriptor = int(libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
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
        self._poll = libc().poll
        self._buffer = ctypes.create_string_buffer(_BUFFER)
        self.process = os.getpid()
        self.lock = threading.RLock()  # a finalizer may run while it is held
        self.inboxes: dict[int, tuple[Inbox, ...]] = {}

    def add(self, inbox: Inbox, path: str, events: int) -> None:
        """Watch a path. Raises OSError."""
        with self.lock:
            number = int(libc().inotify_add_watch(self.descriptor, os.fsencode(path), events | _BESIDE_OTHERS))
            if number < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
            readers, places = self.inboxes.get(number, ()), inbox.places.get(number, ())
            if inbox not in readers:
                self.inboxes[number] = (*readers, inbox) if readers else inbox.alone
            if path not in places:
                inbox.places[number] = (*places, path)
            if events & ONLY_DIRECTORIES:
                inbox.directories.add(number)
            elif inbox.files.setdefault(path, number) != number:
                self._let_go(inbox, path)
                inbox.files[path] = number

    def _let_go(self, inbox: Inbox, path: str) -> None:
        """Forget what a path led to before: what happens to that is of no interest any more, as that it is removed."""
        number = inbox.files[path]
        left = tuple(place for place in inbox.places.pop(number, ()) if place != path)
        if left:
            inbox.places[number] = left
        else:
            self._without(inbox, number)

    def _without(self, inbox: Inbox, number: int) -> None:
        """Tell an inbox nothing more of one number, and watch no more what nobody is interested in."""
        readers = self.inboxes.pop(number, ())
        if others := tuple(one for one in readers if one is not inbox):
            self.inboxes[number] = others
        elif readers:
            libc().inotify_rm_watch(self.descriptor, number)

    def drop(self, inbox: Inbox) -> None:
        """Forget about an inbox, and watch no more what nobody is interested in."""
        if self.process != os.getpid():
            return
        with self.lock:
            for number in inbox.places:
                self._without(inbox, number)
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
        while self.is_told() and (data := self._read()):
            at, told = 0, set()
            while at < len(data):
                number, mask, _, length = _HEADER.unpack_from(data, at)
                at += _HEADER.size + length
                name = data[at - length : at]
                if (number, mask & _IGNORED, name) not in told:  # one change makes several events
                    told.add((number, mask & _IGNORED, name))
                    self._tell(number, mask, os.fsdecode(name.rstrip(b"\0")))

    def is_told(self) -> bool:
        """Whether there is something to read. Reading would let other threads run first, each for milliseconds.

        Where something was mounted or unmounted, anything may lie under the names that are watched.
        """
        told_of = self._poll(self._polled, 2, 0)
        if told_of == 0:
            return False
        if told_of < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        told, mounted = self._polled
        if mounted.told:
            self._doubt()
        return bool(told.told)

    def _read(self) -> bytes:
        length = libc().read(self.descriptor, self._buffer, _BUFFER)
        if length < 0 and ctypes.get_errno() != errno.EAGAIN:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return bytes(memoryview(self._buffer)[: max(length, 0)])

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


_hubs: dict[int, Hub] = {}
"""By process: a fork has its own."""


def hub() -> Hub:
    """The hub of this process. Raises OSError."""
    process = os.getpid()
    if process not in _hubs:
        _hubs[process] = Hub()
    return _hubs[process]


def is_local(path: bytes) -> bool:
    """Whether only our kernel changes what is there."""
    answer = ctypes.create_string_buffer(512)
    if libc().statfs(path, answer) != 0:
        return False
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF in _LOCAL

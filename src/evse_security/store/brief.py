"""System calls that last microseconds, made without letting other threads of this process run meanwhile.

Python lets go of its interpreter lock around every `os.stat`; where another thread takes it, getting it back takes
until that one lets go, or five milliseconds (`sys.setswitchinterval`). That is worth it where a call may wait for a
disk or a network. Here are the calls that do not: only for what a file system of this kernel has in memory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol


@cache
def libc() -> ctypes.PyDLL:
    """The C library, called as Python calls itself: while these calls last no other thread runs."""
    return ctypes.PyDLL(None, use_errno=True)


class Status(Protocol):
    """What stat(2) says of a file, as far as it is used here."""

    @property
    def st_mode(self) -> int: ...
    @property
    def st_ino(self) -> int: ...
    @property
    def st_dev(self) -> int: ...
    @property
    def st_nlink(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


class _Found(NamedTuple):
    st_mode: int
    st_ino: int
    st_dev: int
    st_nlink: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int


MAX_BYTES = 64 * 1024
"""Largest file that is read so: what is larger may take a while."""

_HERE, _NO_AUTOMOUNT, _NO_FOLLOW, _OPEN_ITSELF = -100, 0x800, 0x100, 0x1000
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BASIC = 0x7FF
_STATX = struct.Struct("=16x I 8x H 2x Q Q 48x qI4x qI4x 8x II")
"""struct statx (statx(2)), the same on every machine: links, mode, inode, size, ctime, mtime, device."""
_STATX_DIRECTORY = struct.Struct("=28x H 2x Q 96x II")
"""Of the same, what tells a directory from another: mode, inode, device."""
_Buffer = ctypes.c_char * 256
_BILLION = 1_000_000_000
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})


@cache
def _statx() -> Callable[..., int] | None:
    try:
        found = libc().statx
    except AttributeError:  # a C library before 2018
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
    found.restype = ctypes.c_int
    return found


def status(path: str | bytes) -> Status:
    """What a path leads to: the same as `os.stat`. Raises OSError and ValueError as that does."""
    return _of_path(path, 0) or os.stat(path)


def own_status(path: str) -> Status:
    """What has a name, without following it if it is a link: the same as `os.lstat`."""
    return _of_path(path, _NO_FOLLOW) or os.lstat(path)


def read(path: str, limit: int) -> bytes | None:
    """What a small regular file holds; None where it is none, cannot be read, or must be read otherwise."""
    name = os.fsencode(path)
    if b"\0" in name or (descriptor := libc().open(name, _TO_READ)) < 0:
        return None
    try:
        found = _asked(descriptor, b"", _OPEN_ITSELF)
        if isinstance(found, int) or not stat.S_ISREG(found.st_mode) or found.st_size >= min(limit, MAX_BYTES):
            return None
        buffer = ctypes.create_string_buffer(found.st_size + 1)
        length = libc().read(descriptor, buffer, found.st_size + 1)
        return buffer.raw[:length] if length == found.st_size else None  # it may be growing
    finally:
        libc().close(descriptor)


def directory(name: bytes) -> tuple[int, int, int] | None:
    """Device, inode and mode of what a path leads to; None where that cannot be told here. In half the time."""
    ask, buffer = _statx(), _Buffer()
    if ask is None or ask(_HERE, name, _NO_AUTOMOUNT, _BASIC, buffer) != 0:
        return None
    mode, inode, major, minor = _STATX_DIRECTORY.unpack_from(buffer)
    return os.makedev(major, minor), inode, mode


def _of_path(path: str | bytes, flags: int) -> Status | None:
    name = os.fsencode(path)
    if b"\0" in name:
        return None
    found = _asked(_HERE, name, flags | _NO_AUTOMOUNT)
    if not isinstance(found, int):
        return found
    if found in _NOT_THERE:
        raise OSError(found, os.strerror(found), path)
    return None  # a kernel or a sandbox may not know the call


def _asked(at: int, name: bytes, flags: int) -> Status | int:
    """The answer, or the number of the error."""
    ask, buffer = _statx(), _Buffer()
    if ask is None:
        return errno.ENOSYS
    if ask(at, name, flags, _BASIC, buffer) != 0:
        return ctypes.get_errno()
    links, mode, inode, size, c, c_ns, m, m_ns, major, minor = _STATX.unpack_from(buffer)
    device = os.makedev(major, minor)
    return _Found(mode, inode, device, links, size, m * _BILLION + m_ns, c * _BILLION + c_ns)

"""Firmware files: whether a file is what a signature was made over.

The path comes from outside, so whatever is not a regular file is refused before it is opened: opening a device can have
effects (a watchdog starts), and a FIFO has no end.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
import tempfile
from collections.abc import Iterator
from io import FileIO, RawIOBase
from pathlib import Path

from evse_security.pki.certificate import Certificate
from evse_security.pki.signature import (
    Signed,
    digest_signature_is_valid,
    message_signature_is_valid,
    signed_part,
)

_PIECE = 1 << 18
"""Bytes that are read at once: as hashlib does; more is not faster."""
LONGEST_PATH = 4096
"""Characters of a path: as many octets are what Linux takes at most (PATH_MAX)."""
_LARGEST_SHARE = 0.5
"""Of the free space, for a copy: a sparse file takes next to none of it, and its copy all."""


def file_signature_is_valid(path: Path, certificate: Certificate, signature: bytes) -> bool:
    """Whether the key of `certificate` confirms the signature over the file.

    Files of any size: RSA and ECDSA read it once in small pieces. False as well for what is no regular file, cannot be
    read to its end, or changes meanwhile. The certificate itself is not judged.
    """
    try:
        _demand_regular(os.stat(path))
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            _demand_regular(os.fstat(file.fileno()))  # it may have been replaced in between
            return open_file_signature_is_valid(file, path.parent, certificate, signature)
    except (OSError, ValueError):  # ValueError: NUL in the path, or a file too large to map
        return False


def open_file_signature_is_valid(file: FileIO, scratch: Path, certificate: Certificate, signature: bytes) -> bool:
    """The same for a file that is open for reading, at its start. Raises OSError.

    `scratch` is the directory for a nameless copy, if one is needed and may be made there.
    """
    before = _version(file)
    match signed_part(certificate):
        case Signed.DIGEST:
            valid = _digest_confirmed(file, certificate, signature)
        case Signed.MESSAGE:
            valid = _message_confirmed(file, scratch, certificate, signature)
        case _:
            valid = False
    return valid and _version(file) == before


def _without_waiting(path: str, flags: int) -> int:
    """Open for reading, not waiting for anybody at the other end, and not becoming anybody's terminal."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _demand_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")


def _version(file: FileIO) -> tuple[int, int]:
    """What changes when the content does: size and time of the last change."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _digest_confirmed(file: FileIO, certificate: Certificate, signature: bytes) -> bool:
    digest = hashlib.sha256()
    for piece in _pieces(file, os.fstat(file.fileno()).st_size):
        digest.update(piece)
    return digest_signature_is_valid(digest.digest(), certificate, signature)


def _pieces(file: RawIOBase, size: int) -> Iterator[memoryview]:
    """What a file of this size holds, each piece to be used before the next is asked for. Raises OSError.

    Some that are called regular, as in /proc, have no end, or make readers wait.
    """
    buffer = memoryview(bytearray(_PIECE))
    while count := file.readinto(buffer):
        size -= count
        if size < 0:
            raise OSError(errno.EFBIG, "longer than it says")
        yield buffer[:count]
    if count is None:
        raise OSError(errno.EAGAIN, "somebody would have to be waited for")


def _message_confirmed(file: FileIO, scratch: Path, certificate: Certificate, signature: bytes) -> bool:
    """Verify EdDSA, which wants the whole message at once, without holding it in memory.

    What is mapped is a nameless copy, if there is ample room for one: were the file itself mapped and then cut
    short by its owner, the process would die of SIGBUS. Old versions of `cryptography` (44 for one) let no other thread
    run while they verify, some two seconds a gigabyte.
    """
    with tempfile.TemporaryFile(dir=scratch if os.access(scratch, os.W_OK) else None) as copy:
        size = os.fstat(file.fileno()).st_size
        if size > _free(copy.fileno()) * _LARGEST_SHARE:
            raise OSError(errno.ENOSPC, "a copy would take most of the free space")
        for piece in _pieces(file, size):
            copy.write(piece)
        copy.flush()
        if not copy.tell():  # nothing to map
            return message_signature_is_valid(b"", certificate, signature)
        with mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as message:
            return message_signature_is_valid(message, certificate, signature)


def _free(descriptor: int) -> int:
    """Bytes that are free on a file's file system, for those who are not root."""
    found = os.fstatvfs(descriptor)
    return found.f_bavail * found.f_frsize

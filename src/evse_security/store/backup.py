"""The file of a backup: written at once or not at all, read within bounds, sealed with a passphrase by age.

age (age-encryption.org/v1) is a format with several independent programs: `age -d backup.age | tar x` opens a backup
without this one. Its passphrase goes through scrypt, and every piece of the file is authenticated.
"""

from __future__ import annotations

import importlib
import os
import re
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from evse_security.errors import BackupRefused
from evse_security.pki.pem import MAX_FILE_BYTES
from evse_security.store.archive import BLOCK, MANIFEST, Item, LeftOut
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.store.rules.restore import Place
from evse_security.store.scan import read

_AGE = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
_WORK = re.compile(rb"^-> scrypt \S+ (\d+)$", re.MULTILINE)
_MOST_WORK = 20
"""Binary logarithm of scrypt's work that is done for a file: 1 GiB of memory, seconds. age itself writes 18."""
_OVERHEAD = 1 << 20
"""Bytes that sealing, headers and padding add at most."""


def items_of(places: Iterable[Place], limit: int) -> tuple[list[Item], list[LeftOut]]:
    """Read the files of a store; what cannot be read is named. Raises `BackupRefused` beyond `limit` bytes in all."""
    items, left_out, size = [], [], 0
    for place in places:
        try:
            content = read(place.file, MAX_FILE_BYTES)
            mode = place.file.stat().st_mode & 0o777
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            left_out.append(LeftOut(f"{place.role}/{place.path}", why))
            continue
        size += len(content)
        if size > limit:
            raise BackupRefused(str(place.file), f"the store has more than {limit} bytes")
        items.append(Item(place.role, place.path, content, mode, place.damaged))
    return items, left_out


def present(path: Path) -> bytes | None:
    """What a file holds now; None where there is none. Raises `BackupRefused` for what cannot be read."""
    try:
        return read(path, MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BackupRefused(str(path), f"what is there cannot be read, and so not be replaced: {why}") from None


# ---- the file


def check_new(path: Path) -> None:
    """Refuse to write over anything. Raises `BackupRefused`."""
    if os.path.lexists(path):
        raise BackupRefused(str(path), "there is such a file already")


def remove(path: Path) -> None:
    """Remove a file that was written here, if that can be done."""
    with suppress(OSError):
        os.unlink(path)


def write(path: Path, content: bytes) -> None:
    """Write a new file for nobody else, at once or not at all. Raises `BackupRefused`."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _name(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _force(path)
    except OSError as error:
        raise BackupRefused(str(path), error.strerror or str(error)) from error


def _force(path: Path) -> None:
    """Force the name of a new file to the disk. Where that fails the file goes: it is refused, and keys are in it."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        remove(path)
        raise


def _name(temporary: Path, path: Path) -> None:
    """Give the file its name, unless another has it; where no second name can be given, look and rename."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        check_new(path)
        os.rename(temporary, path)


def read_file(path: Path, limit: int) -> bytes:
    """Read the file of a backup; of what does not begin like one, no more than that. Raises `BackupRefused`."""
    try:
        if not _begins_like_one(_beginning(path)):
            raise BackupRefused(str(path), "it is no backup of evse-security")
        return read(path, limit + _OVERHEAD)
    except ValueError as problem:
        raise BackupRefused(str(path), str(problem)) from None
    except OSError as error:
        raise BackupRefused(str(path), error.strerror or str(error)) from error


def _beginning(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        return os.read(descriptor, BLOCK)
    finally:
        os.close(descriptor)


def _begins_like_one(begin: bytes) -> bool:
    return is_sealed(begin) or begin.startswith(MANIFEST.encode() + b"\0")


def check_room(items: Iterable[tuple[Path, int]], path: Path) -> None:
    """Refuse where a file system has no room for new files beside the old ones. Raises `BackupRefused`."""
    needed: dict[int, tuple[Path, int, int]] = {}
    for target, size in items:
        place = target.parent
        while not os.path.exists(place) and place != place.parent:
            place = place.parent
        device = place.stat().st_dev
        _, bytes_needed, files = needed.get(device, (place, 0, 0))
        needed[device] = place, bytes_needed + size + 4096, files + 1
    for place, bytes_needed, files in needed.values():
        free = os.statvfs(place)
        if free.f_bavail * free.f_frsize < bytes_needed or (free.f_files > 0 and free.f_favail < files):
            raise BackupRefused(str(path), f"there is no room for it: {place} needs {bytes_needed} bytes free")


# ---- sealing


def is_sealed(content: bytes) -> bool:
    """Whether a passphrase protects it."""
    return content.startswith(_AGE)


def seal(content: bytes, passphrase: str, path: Path) -> bytes:
    """Encrypt with a passphrase (age, scrypt recipient). Raises `BackupRefused`."""
    return bytes(_age(path).passphrase.encrypt(content, passphrase))


def unsealed(content: bytes, passphrase: str, path: Path) -> bytes:
    """Decrypt. Raises `BackupRefused` for a wrong passphrase, and for a file that is damaged: they look alike."""
    age = _age(path)
    if not content.startswith(_AGE[0]):
        raise BackupRefused(str(path), "it is encrypted as text (age --armor), which is not read here: age -d opens it")
    if any(int(work[:9]) > _MOST_WORK for work in _WORK.findall(content[: content.find(b"\n--- ") + 1])):
        problem = f"opening it takes scrypt more work than 2^{_MOST_WORK}, and so gigabytes of memory: age -d opens it"
        raise BackupRefused(str(path), problem)
    try:
        return bytes(age.passphrase.decrypt(content, passphrase))
    except age.DecryptError as error:
        problem = "the passphrase is wrong, or the file is damaged"
        raise BackupRefused(str(path), f"it cannot be decrypted: {problem} ({error})") from None


def _age(path: Path) -> Any:
    try:
        return importlib.import_module("pyrage")
    except ImportError:
        problem = "encryption needs the package pyrage: install evse-security[backup], or use the program age"
        raise BackupRefused(str(path), problem) from None

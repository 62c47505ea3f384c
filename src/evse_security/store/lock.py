"""One writer at a time, across threads and processes. Readers never wait for it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

LOCK_FILE = ".evse-security.lock"
"""In each directory that holds files of the store. Not the directory itself: whoever may read that could lock it."""
PATIENCE = 30.0
"""Seconds to wait for another process. Writers hold the lock for milliseconds; one that is stopped must not stop us."""
_PAUSE = 0.002
_FOR_THE_OWNER, _FOR_THE_GROUP = 0o600, 0o660
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Missing(Enum):
    """What becomes of lock files that are not there."""

    MAKE = "they are made"
    LEAVE = "their directories are left out"


class Absence(Enum):
    """Why a directory is not locked."""

    MISSING = "it is not there, or has no lock file"
    NOT_OURS = "we cannot write in it"


class Held(NamedTuple):
    """What is locked."""

    places: Mapping[Path, int]
    """Descriptors of the locked directories, by the paths that were asked for."""
    complete: bool
    """Whether all are locked, but for those that we cannot write in."""


class _Place(NamedTuple):
    """A directory that is open, and its lock file."""

    path: Path
    directory: int
    file: int
    identity: tuple[int, int]
    """The same for all paths that lead there, in every process."""


class WriterLock:
    """flock(2) on a file in each of the store's directories, in one order for all.

    The kernel drops it when its process ends, however that happens. Within the process it is a re-entrant lock. The
    files are made where they are missing and never removed; only who may write in a directory can open its file.
    """

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._threads = threading.RLock()
        self._held: Held | None = None

    @contextmanager
    def held(
        self, directories: Iterable[Path], patience: float = PATIENCE, missing: Missing = Missing.MAKE
    ) -> Iterator[Held]:
        """Hold the lock, after waiting for other processes at most `patience` seconds in all.

        Directories that do not exist are left out, and those that we cannot write in: nothing is changed there.
        Raises OSError where a file cannot be made or opened, and TimeoutError where somebody else holds it too long.
        """
        with self._threads, ExitStack() as stack:
            if self._held is None:
                deadline = time.monotonic() + patience
                self._held = _locked(dict.fromkeys(directories), deadline, missing, stack)
                stack.callback(self._leave)
            yield self._held

    def _leave(self) -> None:
        self._held = None


def _locked(directories: Iterable[Path], deadline: float, missing: Missing, stack: ExitStack) -> Held:
    """Open and lock all; what was made anew while waiting is waited for itself."""
    while True:
        with ExitStack() as opened:
            found = {path: _place(path, missing, opened) for path in directories}
            places = [place for place in found.values() if isinstance(place, _Place)]
            for _, place in sorted({place.identity: place for place in places}.items()):
                _wait(place, deadline)
            if all(map(_is_still, places)):
                stack.push(opened.pop_all())
                complete = all(place is not Absence.MISSING for place in found.values())
                return Held({place.path: place.directory for place in places}, complete)


def _place(path: Path, missing: Missing, opened: ExitStack) -> _Place | Absence:
    """Open a directory and its lock file."""
    try:
        directory = opened_directory(path)
    except (FileNotFoundError, NotADirectoryError):
        return Absence.MISSING
    except OSError as error:
        if error.errno == errno.EPERM or _is_writable(path):
            raise
        return Absence.NOT_OURS
    try:
        file = _opened_file(directory, missing)
    except OSError as error:
        os.close(directory)
        if not os.path.isdir(path):
            return Absence.MISSING
        if not _is_writable(path):
            return Absence.NOT_OURS
        if isinstance(error, FileNotFoundError) and missing is Missing.LEAVE:
            return Absence.MISSING
        raise OSError(error.errno, error.strerror, str(path / LOCK_FILE)) from error
    opened.callback(_let_go, directory, file)
    found = os.fstat(file)
    return _Place(path, directory, file, (found.st_dev, found.st_ino))


def _let_go(directory: int, file: int) -> None:
    """Close both; whoever inherited the descriptors does not keep the lock."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)
    os.close(directory)


def opened_directory(path: Path) -> int:
    """A directory. Links of another user's are refused: they could lead to what is none of ours."""
    try:
        return os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:  # or a link
        if os.lstat(path).st_uid not in (0, os.geteuid()) and os.path.isdir(path):
            raise PermissionError(errno.EPERM, "it is a link that another user made", str(path)) from None
        return os.open(path, _DIRECTORY)


def _opened_file(directory: int, missing: Missing) -> int:
    """The lock file, made if it is missing. Its rights are set when it is made only: it may be anybody's later."""
    while True:
        try:
            return os.open(LOCK_FILE, _FILE, dir_fd=directory)
        except FileNotFoundError:
            if missing is Missing.LEAVE:
                raise
        with suppress(FileExistsError):
            descriptor = os.open(LOCK_FILE, _FILE | os.O_CREAT | os.O_EXCL, _FOR_THE_OWNER, dir_fd=directory)
            break
    try:
        _share(descriptor, os.fstat(directory))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _share(descriptor: int, directory: os.stat_result) -> None:
    """Let those open a new lock file who may write in its directory: its owner where root made it, and its group."""
    with suppress(PermissionError):  # a group that we are not in
        os.fchown(descriptor, directory.st_uid if os.geteuid() == 0 else -1, directory.st_gid)
    os.fchmod(descriptor, _FOR_THE_GROUP if directory.st_mode & stat.S_IWGRP else _FOR_THE_OWNER)


def _is_writable(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _wait(place: _Place, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(place.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                path = str(place.path / LOCK_FILE)
                raise TimeoutError(errno.ETIMEDOUT, "another process is holding the lock on it", path) from None
            time.sleep(_PAUSE)
        else:
            return


def _is_still(place: _Place) -> bool:
    """Whether the path still leads to the file that was locked; a directory made anew has another one."""
    try:
        now = os.lstat(f"{place.path}/{LOCK_FILE}")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (now.st_dev, now.st_ino) == place.identity

"""One writer at a time, across threads and processes. Readers never wait for it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".evse-security.lock"
"""In each directory that holds files of the store. Not the directory itself: whoever may read that could lock it."""
PATIENCE = 30.0
"""Seconds to wait for another process. Writers hold the lock for milliseconds; one that is stopped must not stop us."""
_PAUSE = 0.002
_FOR_THE_OWNER, _FOR_THE_GROUP = 0o600, 0o660


class WriterLock:
    """flock(2) on a file in each of the store's directories, in one order for all.

    The kernel drops it when its process ends, however that happens. Within the process it is a re-entrant lock. The
    files are made where they are missing and never removed; only who may write in a directory can open its file.
    """

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._threads = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self, directories: Iterable[Path], patience: float = PATIENCE) -> Iterator[None]:
        """Hold the lock, after waiting for other processes at most `patience` seconds in all.

        Directories that do not exist are left out, and those that we cannot write in: nothing is changed there.
        Raises OSError where a file cannot be made or opened, and TimeoutError where somebody else holds it too long.
        """
        with self._threads, ExitStack() as stack:
            if self._depth == 0:
                deadline = time.monotonic() + patience
                for path in sorted({os.path.realpath(directory) for directory in directories}):
                    stack.enter_context(_flock(path, deadline))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


def is_prepared(directory: Path) -> bool:
    """Whether locking a directory makes no file: it has one, or we cannot make one."""
    return os.path.lexists(directory / LOCK_FILE) or not _is_writable(directory)


@contextmanager
def _flock(directory: str, deadline: float) -> Iterator[None]:
    descriptor = _locked(directory, deadline)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _locked(directory: str, deadline: float) -> int | None:
    """A descriptor of the directory's lock file, locked; None where there is no directory to write in."""
    path = os.path.join(directory, LOCK_FILE)
    while True:
        try:
            descriptor = _opened(path, directory)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            if _is_writable(directory):
                raise
            return None
        try:
            _wait(descriptor, path, deadline)
            if _is_still(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _opened(path: str, directory: str) -> int:
    """The lock file, made if it is missing. Its rights are set when it is made only: it may be anybody's later."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, _FOR_THE_OWNER)
            break
    try:
        _share(descriptor, os.stat(directory))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _share(descriptor: int, directory: os.stat_result) -> None:
    """Let those open a new lock file who may write in its directory: its owner where root made it, and its group."""
    with suppress(PermissionError):  # a group that we are not in
        os.fchown(descriptor, directory.st_uid if os.geteuid() == 0 else -1, directory.st_gid)
    os.fchmod(descriptor, _FOR_THE_GROUP if directory.st_mode & stat.S_IWGRP else _FOR_THE_OWNER)


def _is_writable(directory: str | Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def _wait(descriptor: int, path: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process is holding the lock on it", path) from None
            time.sleep(_PAUSE)
        else:
            return


def _is_still(descriptor: int, path: str) -> bool:
    """Whether the file that was locked is still there; a directory made anew has another one."""
    try:
        now, locked = os.lstat(path), os.fstat(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (now.st_dev, now.st_ino) == (locked.st_dev, locked.st_ino)

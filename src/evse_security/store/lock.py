"""One writer at a time, across threads and processes. Readers never wait for it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PATIENCE = 30.0
"""Seconds to wait for another process. Writers hold the lock for milliseconds; one that is stopped must not stop us."""
_PAUSE = 0.002


class WriterLock:
    """flock(2) on the store's directories, in one order for all; no file is made for it.

    The kernel drops it when its process ends, however that happens. Within the process it is a re-entrant lock.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        """Nothing is held yet. `patience` is how many seconds to wait for other holders of each directory."""
        self._threads = threading.RLock()
        self._depth = 0
        self._patience = patience

    @contextmanager
    def held(self, directories: Iterable[Path]) -> Iterator[None]:
        """Hold the lock; directories that do not exist are left out.

        Raises OSError where they cannot be opened, and TimeoutError where somebody else holds one for too long.
        """
        with self._threads, ExitStack() as stack:
            if self._depth == 0:
                for path in sorted({os.path.realpath(directory) for directory in directories}):
                    stack.enter_context(_flock(path, self._patience))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


@contextmanager
def _flock(path: str, patience: float) -> Iterator[None]:
    descriptor = _locked(path, time.monotonic() + patience)
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _locked(path: str, deadline: float) -> int | None:
    """A descriptor of the directory, locked; None where there is no directory."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            _wait(descriptor, path, deadline)
            if _is_still(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


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
    """Whether the path still leads to the directory that was locked; one made anew has another lock."""
    try:
        now, locked = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (locked.st_dev, locked.st_ino)

"""One writer at a time, across threads and processes. Readers never wait for it."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class WriterLock:
    """flock(2) on the store's directories, in one order for all; no file is made for it.

    The kernel drops it when its process ends, however that happens. Within the process it is a re-entrant lock.
    """

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._threads = threading.RLock()
        self._depth = 0

    @contextmanager
    def held(self, directories: Iterable[Path]) -> Iterator[None]:
        """Hold the lock; directories that do not exist are left out. Raises OSError where they cannot be opened."""
        with self._threads, ExitStack() as stack:
            if self._depth == 0:
                for path in sorted({os.path.realpath(directory) for directory in directories}):
                    stack.enter_context(_flock(path))
            self._depth += 1
            stack.callback(self._leave)
            yield

    def _leave(self) -> None:
        self._depth -= 1


@contextmanager
def _flock(path: str) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)

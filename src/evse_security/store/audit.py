"""The audit log on the disk: who changed what, one line per change, in one chain for all processes.

Beside the log lies its head (`journal.Head`), which is also the lock of those who write. An entry is written in one
piece at the end of the log, and then the head. Who finds that they disagree has come after a process that was killed in
between, after a power cut, or after somebody who altered the log: what follows in the chain is taken over, what was not
written to its end is cut off, and everything else is left for `verify` to find.

Writing never fails and never waits long: what cannot be recorded is counted, and the count is recorded when it can be.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evse_security.actor import current_actor
from evse_security.errors import AuditLogUnusable
from evse_security.store.deeds import bounded
from evse_security.store.journal import HEAD_BYTES, Check, Entry, Head, Link, Verdict
from evse_security.store.turn import FLAGS, PATIENCE, Bounds, Turn, is_regular, lines_of, lock, put_aside, regular_file

log = logging.getLogger(__name__)

_HEAD = ".head"
_TRIES = 3
"""Checks of a log that is being rotated meanwhile."""


class AuditLog:
    """The audit log of one store. Safe to use from several threads, and beside other processes."""

    def __init__(self, path: Path, bounds: Bounds | None = None, *, sync: bool = False) -> None:
        """Nothing is read or written yet. `sync` forces each entry to the disk."""
        self._path, self._bounds, self._sync = path, bounds or Bounds(), sync
        self._threads = threading.Lock()
        self._missed = 0

    def begin_in_fork(self) -> None:
        """Start anew in a process that was forked: a thread that was writing is not in it."""
        self._threads = threading.Lock()

    # ---- writing

    def record(self, body: Mapping[str, Any], now: datetime) -> None:
        """Add an entry. Where that is not possible, this is logged once, and the entry counted as missed."""
        time = now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
        who = {"time": f"{time}Z", **_who()}
        try:
            with self._alone() as directory:
                self._append(directory, who, body)
        except (OSError, ValueError) as error:
            self._miss(error)
        except Exception:  # what is recorded must not undo what was done
            log.exception("the audit log could not be written")

    def _miss(self, error: Exception) -> None:
        self._missed += 1
        if self._missed == 1:
            why = error.strerror if isinstance(error, OSError) else str(error)
            log.warning("the audit log %s could not be written: %s", self._path, why or error)

    @contextmanager
    def _alone(self) -> Iterator[int]:
        """A descriptor of the log's directory, while no other thread of this process writes."""
        if not self._threads.acquire(timeout=PATIENCE):
            raise TimeoutError(errno.ETIMEDOUT, "another thread is writing to it")
        try:
            directory = self._directory()
            try:
                yield directory
            finally:
                os.close(directory)
        finally:
            self._threads.release()

    def _directory(self) -> int:
        """The log's directory, made if it is missing; its parents are not. A link in its place is not followed."""
        place = self._path.parent
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(FileNotFoundError):
            return os.open(place, flags)
        with suppress(FileExistsError):
            os.mkdir(place, 0o700)
            if os.geteuid() == 0:  # for those, too, who may write beside it
                above = os.stat(place.parent)
                os.chown(place, above.st_uid, above.st_gid, follow_symlinks=False)
            if self._sync:
                _force(place.parent)
        return os.open(place, flags)

    def _append(self, directory: int, who: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Write one entry, after those that say what happened to the log; all of them or none."""
        name, missed = self._path.name, self._missed
        with ExitStack() as stack:
            head_file = regular_file(name + _HEAD, directory, os.O_RDWR, stack)
            lock(head_file)
            text = os.pread(head_file, HEAD_BYTES + 1, 0)
            writing = Turn(directory, name, regular_file(name, directory, os.O_RDWR | os.O_APPEND, stack), who)
            writing.begin(Head.of(text), fresh=not text)
            try:
                if missed:
                    writing.add({"event": "missed", "count": missed})
                writing.add(body)
                doomed = writing.finish(head_file, self._bounds, sync=self._sync)
            except OSError:
                writing.take_back()
                raise
            for old in doomed:
                with suppress(OSError):
                    os.unlink(old, dir_fd=directory)
        if missed:
            log.warning("the audit log %s can be written again; it lacks %d entries", self._path, missed)
            self._missed -= missed  # others may be missing theirs at this moment

    # ---- reading

    def entries(self) -> Iterator[Entry]:
        """All entries that can be read, the oldest first. Raises `AuditLogUnusable`."""
        check = Check(None)
        with self._reading():
            for path in self._files():
                yield from check.follow(path.name, lines_of(path))

    def verify(self, noted: Link | None = None) -> Verdict:
        """Check the whole chain. `noted` is an entry's hash as it was noted elsewhere. Raises `AuditLogUnusable`."""
        with self._reading():
            return self._verified(noted)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditLogUnusable(str(self._path), error.strerror or str(error)) from error

    def _verified(self, noted: Link | None) -> Verdict:
        head = self._head()
        for _ in range(_TRIES):
            before, check, found = head, Check(head), None
            for path in self._files() if head is None else filter(os.path.lexists, self._files()):
                for entry in check.follow(path.name, lines_of(path)):
                    if noted is not None and entry.link.number == noted.number:
                        found = entry.link.hash
            head = self._head()
            if before is None or head is None or before.began == head.began:
                break  # else it was rotated meanwhile
        return check.verdict(noted, found)

    def _head(self) -> Head | None:
        with suppress(FileNotFoundError), ExitStack() as stack:
            descriptor = os.open(self._path.with_name(self._path.name + _HEAD), os.O_RDONLY | FLAGS)
            stack.callback(os.close, descriptor)
            return Head.of(os.read(descriptor, HEAD_BYTES + 1)) if is_regular(descriptor) else None
        return None

    def _files(self) -> list[Path]:
        """The files of the log, the oldest first."""
        names = put_aside(self._path.name, os.listdir(self._path.parent))
        aside = [self._path.with_name(name) for name in names]
        return [*aside, self._path] if os.path.lexists(self._path) or not aside else aside


def _force(directory: Path) -> None:
    """Force the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _who() -> dict[str, Any]:
    """Who writes: the user and the process, and on whose behalf if that was said."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    who: dict[str, Any] = {"uid": os.getuid(), "pid": os.getpid(), "process": bounded(program or "python")}
    actor = current_actor()
    return who if actor is None else {**who, "actor": bounded(actor)}

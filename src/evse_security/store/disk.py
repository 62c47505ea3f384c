"""The directory of certificates: look at it, and change it.

Looking takes no lock and changes nothing. Changes are staged first (written aside and forced to the disk), then given
their names one by one in the order of the decision, each forced to the disk before the next: being killed between any
two steps leaves a lawful store and at most leftovers that a sweep removes.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evse_security.errors import NotWritable
from evse_security.pki.pem import MAX_FILE_BYTES
from evse_security.store import scan
from evse_security.store.changes import SECRET_MODE, Change, Edit, Remove, Write
from evse_security.store.files import Files
from evse_security.store.layout import TEMPORARY_SUFFIX, Layout
from evse_security.store.lock import WriterLock
from evse_security.store.picture import Picture
from evse_security.store.snapshot import Snapshot

log = logging.getLogger(__name__)

_TRIES = 5
"""Looks at a directory that others are changing, before the last one is taken."""
_CANNOT_REPLACE = frozenset({errno.EBUSY, errno.EXDEV})
"""What rename(2) answers for a file that is mounted by itself."""


class _Staged(NamedTuple):
    """A change whose content is on the disk under a temporary name."""

    change: Write | Edit
    target: Path
    temporary: Path
    is_new: bool


class Disk:
    """The files of one store."""

    def __init__(self, layout: Layout, picture: Picture, files: Files | None = None) -> None:
        """`picture` makes snapshots of what is seen; `files` are the steps of writing."""
        self._layout = layout
        self._picture = picture
        self._files = files or Files()
        self._writer = WriterLock()
        self._looking = threading.Lock()

    # ---- looking

    def look(self) -> Snapshot:
        """The store as it is now. The same snapshot as before, if nothing changed."""
        with self._looking:
            view = self._picture.view()
            for _ in range(_TRIES):
                if self._picture.shows(view):
                    break
                again = self._picture.view()
                if again == view:
                    break
                view = again  # somebody is changing it: one view may hold half of a change
            return self._picture.snapshot(view)

    # ---- changing

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer. Raises `NotWritable` where a directory of the store cannot be opened."""
        directories = self._directories()
        for directory, mode in directories.items():
            with suppress(OSError):
                self._make_directory(directory, mode)
        try:
            with self._writer.held(directories):
                yield
        except OSError as error:
            raise _not_writable(Path(error.filename or "the store"), error) from error

    def _directories(self) -> dict[Path, int]:
        """The directories that hold the store's files, with the modes to make them with."""
        modes = {bundle.parent: 0o755 for bundle in self._layout.bundles.values()}
        modes |= {leaf.certificates: 0o755 for leaf in self._layout.leaves.values()}
        return modes | {leaf.keys: 0o700 for leaf in self._layout.leaves.values()}

    def apply(self, changes: Iterable[Change], now: datetime) -> None:
        """Make changes, all staged before the first is visible. Raises `NotWritable`; then nothing was changed."""
        changes = tuple(changes)
        staged: dict[int, _Staged] = {}
        done: list[_Staged] = []
        path = Path()
        try:
            for number, change in enumerate(changes):
                path = change.path
                if not isinstance(change, Remove):
                    staged[number] = self._stage(change, now)
            for number, change in enumerate(changes):
                path = change.path
                if isinstance(change, Remove):
                    self._remove(change)
                else:
                    self._reveal(staged[number])
                    done.append(staged.pop(number))
        except (OSError, ValueError) as error:
            self._take_back(staged.values(), done)
            raise _not_writable(path, error) from error

    def outdated(self, writes: Iterable[Write]) -> list[Write]:
        """Those files whose content is not what it should be."""
        found = []
        for write in writes:
            try:
                current = scan.read(write.path, MAX_FILE_BYTES)
            except (OSError, ValueError):
                current = None
            if current != write.content:
                found.append(write)
        return found

    def _stage(self, change: Write | Edit, now: datetime) -> _Staged:
        """Write a change's content aside, in the directory of the file that a link leads to."""
        target = Path(os.path.realpath(change.path))
        self._make_directory(target.parent, 0o700 if _is_secret(change) else 0o755)
        try:
            found = os.stat(target)
        except FileNotFoundError:
            found = None
        content = change.applied(scan.read(target, MAX_FILE_BYTES)) if isinstance(change, Edit) else change.content
        mode = change.mode if isinstance(change, Write) else 0o644
        owner = None
        if found is not None and not _is_secret(change):
            mode = found.st_mode & 0o7777
            owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
        try:
            self._files.write_new(temporary, content, mode, owner, now.timestamp())
        except OSError:
            self._drop(temporary)
            raise
        return _Staged(change, target, temporary, found is None)

    def _reveal(self, staged: _Staged) -> None:
        """Give a staged file its name. A bundle that is mounted by itself is added to in place."""
        try:
            self._files.replace(staged.temporary, staged.target)
        except OSError as error:
            appends = isinstance(staged.change, Edit) and not staged.change.cut
            if error.errno not in _CANNOT_REPLACE or not appends:
                raise
            before = scan.read(staged.target, MAX_FILE_BYTES)
            after = staged.change.applied(before)  # type: ignore[union-attr]  # an Edit, as `appends` says
            self._files.append(staged.target, after[len(before) :])
            self._drop(staged.temporary)
        self._files.sync_directory(staged.target.parent)

    def _remove(self, change: Remove) -> None:
        self._files.remove(change.path)
        self._files.sync_directory(change.path.parent)

    def _make_directory(self, path: Path, mode: int) -> None:
        """Make a directory with its parents, each forced to the disk; only the last has a mode of its own."""
        if path.is_dir():
            return
        if path.parent != path:
            self._make_directory(path.parent, 0o755)
        with suppress(FileExistsError):
            self._files.make_directory(path, mode)
            self._files.sync_directory(path.parent)

    def _take_back(self, staged: Iterable[_Staged], done: Iterable[_Staged]) -> None:
        """Undo what a failed list of changes left: files written aside, and files that were new."""
        for one in staged:
            self._drop(one.temporary)
        for one in done:
            if one.is_new:
                self._drop(one.target)
            else:
                log.error("%s was replaced before a later change failed", one.target)

    def _drop(self, path: Path) -> None:
        with suppress(OSError):
            self._files.remove(path)


def _is_secret(change: Change) -> bool:
    return isinstance(change, Write) and change.mode == SECRET_MODE


def _not_writable(path: Path, error: Exception) -> NotWritable:
    return NotWritable(str(path), (error.strerror if isinstance(error, OSError) else None) or str(error))

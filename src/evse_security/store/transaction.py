"""One list of changes on its way to the disk: all of it or nothing.

Changes are staged first (written aside and forced to the disk), then given their names one by one in the order of the
decision, each forced to the disk before the next: being killed between any two steps leaves a lawful store and at most
leftovers that a sweep removes. What is replaced or removed stays aside until all is done, so that a change that fails
is taken back; of a key that is removed, in memory.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from evse_security.errors import NotWritable
from evse_security.store.changes import PUBLIC_MODE, SECRET_MODE, Change, Edit, Link, Order, Remove, Write
from evse_security.store.files import Files, Recalled
from evse_security.store.layout import DER_DIRECTORY, DERIVED_DIRECTORIES, KEY_SUFFIXES, TEMPORARY_SUFFIX
from evse_security.store.reading import read_certificates

_CANNOT_REPLACE = frozenset({errno.EBUSY, errno.EXDEV})
"""What rename(2) answers for a file that is mounted by itself."""
_CANNOT_KEEP = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What link(2) answers where a file cannot have a second name, as on file systems without hard links."""


class Ground(Protocol):
    """What a transaction asks of the store that it changes."""

    @property
    def mark(self) -> str:
        """How temporary names begin."""

    def target(self, path: Path) -> Path:
        """The name that changes: of a bundle that is a link, the file that it leads to. Raises OSError."""

    def show_to_others(self) -> None:
        """Have seen what is visible by now, if anybody looks."""

    def leave_behind(self) -> None:
        """Have temporary names seen that may be left."""


class _Staged(NamedTuple):
    """A change that is ready: its content, if it has any, is on the disk under a temporary name."""

    change: Change
    target: Path
    temporary: Path


class _Done(NamedTuple):
    """A change that is visible. `old` is where that is kept which had the name before; None where nothing had it."""

    change: Change
    target: Path
    old: Path | None
    recalled: Recalled | None = None
    """What was kept aside, after it was let go."""


class Transaction:
    """Makes a list of changes: all of it or nothing."""

    def __init__(self, files: Files, ground: Ground) -> None:
        """Nothing is done yet. `files` are the steps of writing."""
        self._files, self._ground = files, ground
        self._staged: list[_Staged] = []
        self._done: list[_Done] = []

    def make(self, changes: Iterable[Change], now: datetime) -> None:
        """Make the changes, all staged before the first is visible. Raises `NotWritable`; then nothing was changed."""
        path = Path()
        try:
            for change in changes:
                path = change.path
                target = self._ground.target(path)
                self._staged.append(_Staged(change, target, self._aside(target)))
                self._stage(self._staged[-1], now)
            waited_for: dict[Path, None] = {}
            others: dict[Path, None] = {}
            for one in self._staged:
                path = one.change.path
                if one.change.order is Order.AFTER:
                    self._force(waited_for)
                self._make_visible(one)
                if not _can_wait(one.change):
                    (others if one.change.order is Order.FREE else waited_for)[one.target.parent] = None
            self._let_go(waited_for)
            self._force(waited_for | others)
            self._check_places()
        except (OSError, ValueError) as error:
            self._take_back()
            raise not_writable(path, error) from error

    # ---- staging

    def _stage(self, one: _Staged, now: datetime) -> None:
        """Write a change's content aside, in the directory where it will get its name."""
        change, target = one.change, one.target
        if isinstance(change, Remove):
            return
        self._files.make_directories(target.parent, 0o700 if _is_secret(change) else 0o755)
        if target.parent.name in DERIVED_DIRECTORIES and os.path.islink(target.parent):
            raise OSError(errno.ELOOP, "its directory is a link, which is not looked into")
        if isinstance(change, Link):
            self._files.make_link(one.temporary, change.leads_to)
            return
        content = change.content if isinstance(change, Write) else self._edited(change, target)
        mode, owner = self._rights(change, target)
        write = self._files.write_copy if _is_copy(target) else self._files.write_new
        write(one.temporary, content, mode, owner, now.timestamp())

    def _edited(self, change: Edit, target: Path) -> bytes:
        """The new content. Places to cut are those of what was seen: another content must not be cut there.

        What was swapped in for a bundle meanwhile is not followed: its content could be nobody's to read.
        """
        before = self._files.read(target, follow_links=bool(change.cut))
        if change.cut and (change.of is None or not change.of.same_as(read_certificates(change.of.location, before))):
            raise ValueError("it was changed by somebody else meanwhile")
        return change.applied(before)

    def _rights(self, change: Write | Edit, target: Path) -> tuple[int, tuple[int, int] | None]:
        """The mode and owner of a file to be: those that it has, where it is no secret."""
        mode = change.mode if isinstance(change, Write) else PUBLIC_MODE
        with suppress(FileNotFoundError):
            found = self._files.status(target)
            if stat.S_ISREG(found.st_mode) and not _is_secret(change):
                return found.st_mode & 0o777, (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        return mode, None

    # ---- making visible, and taking back

    def _make_visible(self, one: _Staged) -> None:
        """Give a staged change its name, or take a name away. What was there is kept aside."""
        old = self._aside(one.target)
        if isinstance(one.change, Remove):
            try:
                self._files.replace(one.target, old)
            except FileNotFoundError:  # somebody removed it already
                return
            self._done.append(_Done(one.change, one.target, old))
        else:
            kept = None if _is_copy(one.target) else self._keep(one.target, old)
            try:
                self._rename(one)
            except (OSError, ValueError):
                self._drop(old)
                raise
            self._done.append(_Done(one.change, one.target, kept))

    def _force(self, directories: dict[Path, None]) -> None:
        """Force the names in directories to the disk, and forget that it was to be done.

        That lasts, so where other threads look at the store they are shown the names before.
        """
        if directories:
            self._ground.show_to_others()
        for directory in directories:
            self._files.sync_directory(directory)
        directories.clear()

    def _let_go(self, waited_for: dict[Path, None]) -> None:
        """Remove what is kept aside of keys before the last forcing, so that it counts for that, too.

        What they held is kept here meanwhile: the forcing may fail, and then the change is taken back.
        """
        for number, one in enumerate(self._done):
            if one.old is None or one.change.order is Order.FREE or not _is_gone_for_good(one.change):
                continue
            recalled = self._files.recall(one.old)
            if recalled is not None:
                self._files.remove(one.old)
                self._done[number] = one._replace(recalled=recalled)
                waited_for[one.target.parent] = None

    def _check_places(self) -> None:
        """Refuse to have written into directories that were replaced meanwhile: nobody would find it there."""
        for directory in {one.target.parent for one in self._done}:
            if not self._files.is_where_it_was(directory):
                raise OSError(errno.ESTALE, "its directory was replaced meanwhile", str(directory))

    def _keep(self, target: Path, aside: Path) -> Path | None:
        """Keep what has a name, if anything has, and the file system knows how."""
        try:
            self._files.keep(target, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _CANNOT_KEEP and self._copied(target, aside):
                return aside
            if error.errno not in _CANNOT_KEEP | {errno.EXDEV}:  # a file that is mounted by itself
                raise
            return target  # which taking back leaves alone
        return aside

    def _copied(self, target: Path, aside: Path) -> bool:
        """Make a copy of what cannot have a second name; false for what is neither file nor link."""
        try:
            return self._files.copy(target, aside)
        except (OSError, ValueError):
            self._drop(aside)
            raise

    def _rename(self, one: _Staged) -> None:
        """Give a staged file its name. A bundle that is mounted by itself is added to in place."""
        try:
            self._files.replace(one.temporary, one.target)
        except OSError as error:
            if error.errno not in _CANNOT_REPLACE or not isinstance(one.change, Edit) or one.change.cut:
                raise
            before = self._files.read(one.target, follow_links=False)
            self._files.append(one.target, one.change.applied(before)[len(before) :])
            self._drop(one.temporary)

    def _take_back(self) -> None:
        """Undo what was done, the last first, and remove what was written aside."""
        for one in reversed(self._done):
            if one.recalled is not None and not self._is_made_anew(one):
                break  # a leaf must not come back without its key
            with suppress(OSError):
                if one.old is None:
                    self._files.remove(one.target)
                elif one.old != one.target:
                    self._files.replace(one.old, one.target)
                    self._drop(one.old)  # two names of one file stay two (rename(2))
                self._files.sync_directory(one.target.parent)
        for ready in self._staged:
            if not isinstance(ready.change, Remove):
                self._drop(ready.temporary)
        self._done.clear()  # whoever has the traceback needs no keys

    def _is_made_anew(self, one: _Done) -> bool:
        """Whether what was let go could be kept aside again, forced to the disk."""
        if one.old is None or one.recalled is None:
            return False
        try:
            self._files.write_new(one.old, *one.recalled)
        except OSError:
            self._drop(one.old)
            return False
        return True

    def finish(self) -> None:
        """Remove what was kept aside, and force that where it matters. The changes are made: no error undoes them."""
        directories: dict[Path, None] = {}
        for one in self._done:
            if one.old is not None and one.old != one.target and one.recalled is None:
                self._drop(one.old)
                if _is_gone_for_good(one.change):
                    directories[one.target.parent] = None
        for directory in directories:
            with suppress(OSError):
                self._files.sync_directory(directory)

    def _aside(self, target: Path) -> Path:
        """A new temporary name beside a file."""
        return target.with_name(f".{self._ground.mark}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")

    def _drop(self, path: Path) -> None:
        try:
            self._files.remove(path)
        except OSError:
            self._ground.leave_behind()


def _can_wait(change: Change) -> bool:
    """Whether a change need not be on the disk when it becomes visible.

    Copies are compared before they are handed out. What is removed in any order is forced when nothing is kept of it.
    """
    return change.order is Order.FREE if isinstance(change, Remove) else _is_copy(change.path)


def _is_gone_for_good(change: Change) -> bool:
    """Whether nothing of it may come back after a power cut, not even under the name that it was kept aside with."""
    if not isinstance(change, Remove):
        return False
    return change.order is Order.FREE or change.path.suffix in KEY_SUFFIXES or _is_copy(change.path)


def _is_copy(path: Path) -> bool:
    return path.parent.name == DER_DIRECTORY


def _is_secret(change: Change) -> bool:
    return isinstance(change, Write) and change.mode == SECRET_MODE


def not_writable(path: Path, error: Exception) -> NotWritable:
    """The refusal that tells what could not be written, and why."""
    return NotWritable(str(path), (error.strerror if isinstance(error, OSError) else None) or str(error))

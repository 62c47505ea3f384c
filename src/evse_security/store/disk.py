"""The directory of certificates: look at it, and change it.

Looking takes no lock and changes nothing. Changes are staged first (written aside and forced to the disk), then given
their names one by one in the order of the decision, each forced to the disk before the next: being killed between any
two steps leaves a lawful store and at most leftovers that a sweep removes. What is replaced or removed stays aside
until all is done, so that a change that fails is taken back; of a key that is removed, in memory.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from evse_security.errors import NotWritable
from evse_security.pki.pem import MAX_FILE_BYTES
from evse_security.store import scan
from evse_security.store.changes import PUBLIC_MODE, SECRET_MODE, Change, Edit, Link, Order, Remove, Write
from evse_security.store.files import Files, Recalled
from evse_security.store.kinds import DOMAINS
from evse_security.store.layout import DER_DIRECTORY, DERIVED_DIRECTORIES, KEY_SUFFIXES, TEMPORARY_SUFFIX, Layout
from evse_security.store.lock import PATIENCE, Missing, WriterLock, opened_directory
from evse_security.store.parts import EVERYTHING, Parts
from evse_security.store.picture import Picture, read_certificates
from evse_security.store.snapshot import Snapshot
from evse_security.store.view import View

log = logging.getLogger(__name__)

_TRIES = 5
"""Looks at a directory that others are changing, before the last one is taken."""
_LATELY = 1.0
"""Seconds for which it is expected of other threads that looked that they look again."""
_FEW = 32
"""Changed files that are read in one go, while no other thread runs; a command writes up to a dozen."""
_CANNOT_REPLACE = frozenset({errno.EBUSY, errno.EXDEV})
"""What rename(2) answers for a file that is mounted by itself."""
_CANNOT_KEEP = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What link(2) answers where a file cannot have a second name, as on file systems without hard links."""


class _Staged(NamedTuple):
    """A change that is ready: its content, if it has any, is on the disk under a temporary name."""

    change: Change
    target: Path
    """The name that changes: of a bundle that is a link, the file that it leads to."""
    temporary: Path


class _Done(NamedTuple):
    """A change that is visible. `old` is where that is kept which had the name before; None where nothing had it."""

    change: Change
    target: Path
    old: Path | None
    recalled: Recalled | None = None
    """What was kept aside, after it was let go."""


class Disk:
    """The files of one store."""

    def __init__(self, layout: Layout, picture: Picture, files: Files | None = None, view: View | None = None) -> None:
        """`picture` makes snapshots of what is seen; `files` are the steps of writing."""
        self._layout = layout
        self._picture = picture
        self._view = view or View(layout)
        self._files = files or Files()
        self._writer = WriterLock()
        self._looking = threading.Lock()
        self._sure: Snapshot | None = None
        """The last snapshot, where every file that it is made of could be read."""
        self._is_changed = False
        """Whether there was a change since the lock was taken."""
        self._last_writer: int | None = None
        """The thread that took the lock last."""
        self._others_looked = -_LATELY
        """When another thread did, by the clock that counts on."""
        self._bundles = tuple(dict.fromkeys(layout.bundles.values()))
        self._linked: dict[Path, Path] = {}
        """Where the bundles lead that were links when the lock was taken."""
        self._directories = {bundle.parent: 0o755 for bundle in self._bundles}
        self._directories |= {leaf.certificates: 0o755 for leaf in layout.leaves.values()}
        self._directories |= {leaf.keys: 0o700 for leaf in layout.leaves.values()}
        """The directories that hold the store's files, with the modes to make them with."""
        others = {path for leaf in layout.leaves.values() for path in (leaf.certificates, leaf.keys)}
        others |= {path.parent for ca_type, path in layout.bundles.items() if not DOMAINS[ca_type].is_optional}
        self._optional = {path: path.parent for path in self._bundles if path.parent not in others}
        """Bundles that a station may do without, with their directories, where nothing else needs those."""

    # ---- looking

    def look(self, parts: Parts = EVERYTHING) -> Snapshot:
        """The store as it is now, or some parts of it. The same snapshot as before, if nothing changed."""
        if self._last_writer not in (None, threading.get_ident()):
            self._others_looked = time.monotonic()
        with self._looking:
            try:
                return self._looked(parts)
            except BaseException:  # nobody tells again of what was told, and some of it may not be in the picture
                self._view.forget()
                self._picture.forget()
                raise

    def _looked(self, parts: Parts) -> Snapshot:
        for _ in range(_TRIES):  # somebody may be changing it: one look may see half of a change
            changed = self._view.refresh()
            briefly = self._view.is_watched and len(changed) <= _FEW
            doubtful = self._view.doubtful | self._picture.doubtful
            if changed or doubtful or not self._picture.shows(parts):
                self._picture.take(self._view.listing, changed | doubtful, parts, briefly=briefly)
            if not changed:
                break
        last = self._picture.last
        self._sure = None if self._picture.doubtful else last
        return last

    def is_still(self, snapshot: Snapshot) -> bool:
        """Whether a look would surely give this very snapshot again, told without looking."""
        with self._looking:
            return self._sure is snapshot and self._view.is_still

    @property
    def is_watched(self) -> bool:
        """Whether a look costs what changed only; else it is one at everything, each time."""
        return self._view.is_watched

    def show(self) -> None:
        """Look at what was changed just now, so that who reads next need not. What was done is done."""
        try:
            if self._view.is_watched:
                self.look()
        except Exception:
            log.exception("the store could not be looked at after it was changed")

    def close(self) -> None:
        """Watch nothing any more."""
        with self._looking:
            self._view.forget()

    def begin_in_fork(self) -> None:
        """Start anew in a process that was forked: threads that held the locks there are not in it."""
        self._looking, self._writer = threading.Lock(), WriterLock()
        self._view.forget()
        self._picture.forget()

    # ---- changing

    def make_directories(self) -> None:
        """Make the directories that hold the store's files, where that is possible."""
        for directory in self._used_directories():
            with suppress(OSError):
                self._make_directory(directory, self._directories[directory])

    def _used_directories(self) -> list[Path]:
        """All but those of domains that this station does without."""
        unused = {parent for bundle, parent in self._optional.items() if not os.path.lexists(bundle)}
        return [directory for directory in self._directories if directory not in unused]

    @contextmanager
    def writing(self, patience: float = PATIENCE, missing: Missing = Missing.MAKE) -> Iterator[bool]:
        """Be the only writer, after waiting `patience` seconds at most. True where every directory is locked.

        Where nothing is to be changed, what is there is forced to the disk: "it is installed already" must hold as long
        as any other answer, and who installed it may have been killed before that.
        Raises `NotWritable` where a directory of the store is locked by others, or its lock file cannot be opened.
        """
        try:
            self._linked = {bundle: Path(os.path.realpath(bundle)) for bundle in self._bundles if _is_link(bundle)}
            directories = (*self._used_directories(), *(real.parent for real in self._linked.values()))
            with self._writer.held(directories, patience, missing) as held, self._files.within(held.places):
                for bundle in self._bundles:
                    if os.path.isdir(bundle) and _is_ours(bundle):
                        self._files.enter(bundle, self._linked.get(bundle, bundle))
                self._is_changed, self._last_writer = False, threading.get_ident()
                yield held.complete
                if not self._is_changed:
                    self._force(dict.fromkeys(self._files.places))
        except OSError as error:
            raise _not_writable(Path(str(error.filename or "the store")), error) from error

    def apply(self, changes: Iterable[Change], now: datetime) -> None:
        """Make changes, all staged before the first is visible. Raises `NotWritable`; then nothing was changed."""
        try:
            self._forget(self._made(changes, now))
        except BaseException:
            self._leave_behind()
            raise

    def _made(self, changes: Iterable[Change], now: datetime) -> list[_Done]:
        """Make changes, and say what is kept aside of what was there."""
        staged: list[_Staged] = []
        done: list[_Done] = []
        path = Path()
        try:
            for change in changes:
                self._begin_to_use(change.path)
                self._is_changed = True
                path = change.path
                staged.append(_Staged(change, target := self._target(path), self._aside(target)))
                self._stage(staged[-1], now)
            waited_for: dict[Path, None] = {}
            others: dict[Path, None] = {}
            for one in staged:
                path = one.change.path
                if one.change.order is Order.AFTER:
                    self._force(waited_for)
                self._make_visible(one, done)
                if not _can_wait(one.change):
                    (others if one.change.order is Order.FREE else waited_for)[one.target.parent] = None
            self._let_go(done, waited_for)
            self._force(waited_for | others)
            self._check_places(done)
        except (OSError, ValueError) as error:
            self._take_back(staged, done)
            done.clear()  # whoever has the traceback needs no keys
            raise _not_writable(path, error) from error
        return done

    def outdated(self, writes: Iterable[Write]) -> list[Write]:
        """Those of the files that are not there, or whose content is not what it should be."""
        return [write for write in writes if not _holds(write.path, write.content)]

    # ---- staging

    def _begin_to_use(self, path: Path) -> None:
        """Hold on to what is above a directory that this station did without: it is made there and nowhere else.

        The locks of the others keep other writers away from it. Its own is made with the next change.
        """
        for bundle, parent in self._optional.items():
            if path.is_relative_to(bundle) and parent not in self._files.places:
                if not self._files.places:
                    raise OSError(errno.EACCES, "no directory of the store can be locked")
                above = next(one for one in (parent, *parent.parents) if os.path.isdir(one))
                self._files.hold(above, opened_directory(above))

    def _stage(self, one: _Staged, now: datetime) -> None:
        """Write a change's content aside, in the directory where it will get its name."""
        change, target = one.change, one.target
        if isinstance(change, Remove):
            return
        self._make_directory(target.parent, 0o700 if _is_secret(change) else 0o755)
        if target.parent.name in DERIVED_DIRECTORIES and _is_link(target.parent):
            raise OSError(errno.ELOOP, "its directory is a link, which is not looked into")
        if isinstance(change, Link):
            self._files.make_link(one.temporary, change.leads_to)
            return
        content = change.content if isinstance(change, Write) else self._edited(change, target)
        mode, owner = self._rights(change, target)
        write = self._files.write_copy if _is_copy(target) else self._files.write_new
        write(one.temporary, content, mode, owner, now.timestamp())

    def _target(self, path: Path) -> Path:
        """The name to change. Only the bundles of the configuration may be links; any other link is replaced.

        A link that another user made is refused: it could lead to a file that is none of ours.
        """
        real = self._linked.get(path)
        if real is None:
            return path
        if not _is_ours(path):
            raise PermissionError(errno.EPERM, "it is a link that another user made")
        if Path(os.path.realpath(path)) != real:
            raise OSError(errno.ESTALE, "it was led elsewhere meanwhile")
        return real

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

    def _make_directory(self, path: Path, mode: int) -> None:
        """Make a directory with its parents, each forced to the disk; only the last has a mode of its own."""
        if os.path.isdir(path):
            return
        if path.parent != path:
            self._make_directory(path.parent, 0o755)
        with suppress(FileExistsError):
            self._files.make_directory(path, mode)
            self._files.sync_directory(path.parent)

    # ---- making visible, and taking back

    def _make_visible(self, one: _Staged, done: list[_Done]) -> None:
        """Give a staged change its name, or take a name away. What was there is kept aside."""
        old = self._aside(one.target)
        if isinstance(one.change, Remove):
            try:
                self._files.replace(one.target, old)
            except FileNotFoundError:  # somebody removed it already
                return
            done.append(_Done(one.change, one.target, old))
        else:
            kept = None if _is_copy(one.target) else self._keep(one.target, old)
            try:
                self._rename(one)
            except (OSError, ValueError):
                self._drop(old)
                raise
            done.append(_Done(one.change, one.target, kept))

    def _force(self, directories: dict[Path, None]) -> None:
        """Force the names in directories to the disk, and forget that it was to be done.

        That lasts, so where other threads look at the store they are shown the names before.
        """
        if directories and time.monotonic() - self._others_looked < _LATELY:
            self.show()
        for directory in directories:
            self._files.sync_directory(directory)
        directories.clear()

    def _let_go(self, done: list[_Done], waited_for: dict[Path, None]) -> None:
        """Remove what is kept aside of keys before the last forcing, so that it counts for that, too.

        What they held is kept here meanwhile: the forcing may fail, and then the change is taken back.
        """
        for number, one in enumerate(done):
            if one.old is None or one.change.order is Order.FREE or not _is_gone_for_good(one.change):
                continue
            recalled = self._files.recall(one.old)
            if recalled is not None:
                self._files.remove(one.old)
                done[number] = one._replace(recalled=recalled)
                waited_for[one.target.parent] = None

    def _check_places(self, done: Iterable[_Done]) -> None:
        """Refuse to have written into directories that were replaced meanwhile: nobody would find it there."""
        for directory in {one.target.parent for one in done}:
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

    def _take_back(self, staged: Iterable[_Staged], done: list[_Done]) -> None:
        """Undo what a failed list of changes did, the last first, and remove what was written aside."""
        for one in reversed(done):
            if one.recalled is not None and not self._is_made_anew(one):
                break  # a leaf must not come back without its key
            with suppress(OSError):
                if one.old is None:
                    self._files.remove(one.target)
                elif one.old != one.target:
                    self._files.replace(one.old, one.target)
                    self._drop(one.old)  # two names of one file stay two (rename(2))
                self._files.sync_directory(one.target.parent)
        for ready in staged:
            if not isinstance(ready.change, Remove):
                self._drop(ready.temporary)

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

    def _forget(self, done: Iterable[_Done]) -> None:
        """Remove what was kept aside, and force that where it matters. The changes are made: no error undoes them."""
        directories: dict[Path, None] = {}
        for one in done:
            if one.old is not None and one.old != one.target and one.recalled is None:
                self._drop(one.old)
                if _is_gone_for_good(one.change):
                    directories[one.target.parent] = None
        for directory in directories:
            with suppress(OSError):
                self._files.sync_directory(directory)

    def _aside(self, target: Path) -> Path:
        """A new temporary name beside a file."""
        return target.with_name(f".{self._view.mark}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")

    def _drop(self, path: Path) -> None:
        try:
            self._files.remove(path)
        except OSError:
            self._leave_behind()

    def _leave_behind(self) -> None:
        """Have temporary names seen that may be left: nobody looks at them while we are writing."""
        with self._looking:
            self._view.forget()


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


def _is_link(path: Path) -> bool:
    return os.path.islink(path)


def _is_ours(path: Path) -> bool:
    """Whether a path is no link, or one that we or the administrator made."""
    return not _is_link(path) or os.lstat(path).st_uid in (0, os.geteuid())


def _holds(path: Path, content: bytes) -> bool:
    with suppress(OSError, ValueError):
        return scan.read(path, MAX_FILE_BYTES) == content
    return False


def _is_secret(change: Change) -> bool:
    return isinstance(change, Write) and change.mode == SECRET_MODE


def _not_writable(path: Path, error: Exception) -> NotWritable:
    return NotWritable(str(path), (error.strerror if isinstance(error, OSError) else None) or str(error))

"""The directory of certificates: look at it, and change it.

Looking takes no lock and changes nothing. Changes are made by one writer at a time, as `Transaction` says.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from evse_security.pki.pem import MAX_FILE_BYTES
from evse_security.store import scan
from evse_security.store.allocator import give_back
from evse_security.store.changes import Change, Write
from evse_security.store.files import Files
from evse_security.store.kinds import DOMAINS
from evse_security.store.layout import Layout
from evse_security.store.lock import PATIENCE, Missing, WriterLock, opened_directory
from evse_security.store.parts import EVERYTHING, Parts
from evse_security.store.picture import Picture
from evse_security.store.snapshot import Snapshot
from evse_security.store.transaction import Transaction, not_writable
from evse_security.store.view import View

log = logging.getLogger(__name__)

_TRIES = 5
"""Looks at a directory that others are changing, before the last one is taken."""
_LATELY = 1.0
"""Seconds for which it is expected of other threads that looked that they look again."""
_MANY = 500
"""Files that are read for one picture from which on the memory that this took is given back."""
_FEW = 32
"""Changed files that are read in one go, while no other thread runs; a command writes up to a dozen."""


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
        self._has_to_give_back = False
        """Whether many files were read for the last look: what that took for a while is free by the next one."""
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
        if self._has_to_give_back:
            self._has_to_give_back = False
            give_back()
        for _ in range(_TRIES):  # somebody may be changing it: one look may see half of a change
            changed = self._view.refresh()
            briefly = self._view.is_watched and len(changed) <= _FEW
            doubtful = self._view.doubtful | self._picture.doubtful
            if changed or doubtful or not self._picture.shows(parts):
                self._picture.take(self._view.listing, changed | doubtful, parts, briefly=briefly)
                self._has_to_give_back |= self._picture.files_read >= _MANY
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
                self._files.make_directories(directory, self._directories[directory])

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
                    for place in self._files.places:
                        self._files.sync_directory(place)
        except OSError as error:
            raise not_writable(Path(str(error.filename or "the store")), error) from error

    def apply(self, changes: Iterable[Change], now: datetime) -> None:
        """Make changes, all or none. Raises `NotWritable`."""
        transaction, wanted = Transaction(self._files, self), tuple(changes)
        self._is_changed = self._is_changed or bool(wanted)
        try:
            transaction.make(wanted, now)
            transaction.finish()
        except BaseException:
            self.leave_behind()
            raise

    def outdated(self, writes: Iterable[Write]) -> list[Write]:
        """Those of the files that are not there, or whose content is not what it should be."""
        return [write for write in writes if not _holds(write.path, write.content)]

    # ---- what changes lean on

    @property
    def mark(self) -> str:
        """How temporary names begin."""
        return self._view.mark

    def target(self, path: Path) -> Path:
        """The name to change. Only the bundles of the configuration may be links; any other link is replaced.

        A link that another user made is refused: it could lead to a file that is none of ours.
        """
        self._begin_to_use(path)
        real = self._linked.get(path)
        if real is None:
            return path
        if not _is_ours(path):
            raise PermissionError(errno.EPERM, "it is a link that another user made")
        if Path(os.path.realpath(path)) != real:
            raise OSError(errno.ESTALE, "it was led elsewhere meanwhile")
        return real

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

    def show_to_others(self) -> None:
        """Look at what is visible by now where other threads do. To be called before what lasts."""
        if time.monotonic() - self._others_looked < _LATELY:
            self.show()

    def leave_behind(self) -> None:
        """Have temporary names seen that may be left: nobody looks at them while we are writing."""
        with self._looking:
            self._view.forget()


def _is_link(path: Path) -> bool:
    return os.path.islink(path)


def _is_ours(path: Path) -> bool:
    """Whether a path is no link, or one that we or the administrator made."""
    return not _is_link(path) or os.lstat(path).st_uid in (0, os.geteuid())


def _holds(path: Path, content: bytes) -> bool:
    with suppress(OSError, ValueError):
        return scan.read(path, MAX_FILE_BYTES) == content
    return False

"""What happened to directories since they were last looked at, without looking at every file (inotify(7)).

The kernel queues an event inside the system call that makes a change, so a question asked after somebody's write was
answered sees it. What inotify cannot tell is asked for each time: whether the directories are still the same ones,
what links lead to, and whether anything was mounted or unmounted (proc(5)). Where it cannot be used (network file
systems and any that is not known, exhausted limits) the answer is always that anything may have happened, and the
caller looks at every file. Writing through mmap(2) is the one change by this machine that makes no event.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import weakref
from collections.abc import Callable

from evse_security.store import brief
from evse_security.store.inotify import OF_DIRECTORY, OF_FILE, ONLY_DIRECTORIES, Hub, Inbox, hub, is_local

log = logging.getLogger(__name__)

_MOST_REMEMBERED = 256
"""Paths that are looked at each time. More links than that and looking at every file is as good."""

Identity = tuple[int, ...] | None


class Watch:
    """Watches directories and some files, and remembers what else must be unchanged."""

    def __init__(self) -> None:
        """Nothing is watched yet, so the first answer is that anything may have happened."""
        self._armed = False
        self._hub: Hub | None = None
        self._inbox = Inbox()
        self._identities: dict[bytes, Identity] = {}
        """By path, as the kernel takes it."""
        self._devices: dict[int, bool] = {}
        """Whether only our kernel changes what is on a device."""
        self._drop: Callable[[], object] = lambda: None

    def news(self) -> set[str] | None:
        """The paths at which something happened since the last answer, or since `begin`; None: anywhere."""
        hub = self._hub
        if not self._armed or hub is None or hub.process != os.getpid():
            return None
        try:
            with hub.lock:
                hub.deliver()
                found, self._inbox.found = self._inbox.found, set()
                self._armed = self._inbox.certain
        except OSError:
            self._armed = False
        others = self._changed_identities() if self._armed else None
        self._armed = others is not None
        return None if others is None else found | others

    def is_still(self) -> bool:
        """Whether nothing happened since the last answer, for sure. What did is in the next answer as ever."""
        hub = self._hub
        if not self._armed or hub is None or hub.process != os.getpid():
            return False
        inbox = self._inbox
        try:
            with hub.lock:  # nobody is in the middle of telling
                if hub.is_told() or inbox.found or not inbox.certain:
                    return False
        except OSError:
            return False
        return all(_seen_again(path, before) == before for path, before in self._identities.items())

    def _changed_identities(self) -> set[str] | None:
        """Files that links lead to that are others now; None where a directory is."""
        found: set[str] = set()
        for path, before in self._identities.items():
            now = _seen_again(path, before)
            if now != before:
                if now is None or before is None or len(now) != len(before) or len(now) == _OF_A_DIRECTORY:
                    return None
                self._identities[path] = now
                found.add(os.fsdecode(path))
        return found

    def begin(self) -> None:
        """Start over, before looking: whatever happens from now on is in the next answer."""
        self.close()
        self._identities, self._inbox, self._devices = {}, Inbox(), {}
        try:
            self._hub = hub()
        except OSError as error:
            log.debug("nothing can be watched: %s", error)
            return
        self._armed = True
        finalizer = weakref.finalize(self, self._hub.drop, self._inbox)
        finalizer.atexit = False
        self._drop = finalizer

    def add_directory(self, path: str) -> None:
        """Watch a directory; called before it is listed. Where that cannot be, nothing is certain any more."""
        self._add(path, OF_DIRECTORY | ONLY_DIRECTORIES)

    def add_file(self, path: str, device: int | None = None) -> None:
        """Watch what a name leads to, where others may change it by another name; `device` is where that was seen."""
        self._add(path, OF_FILE, device)

    def _add(self, path: str, events: int, device: int | None = None) -> None:
        if not self._armed or self._hub is None:
            return
        try:
            if device is None:
                device = os.stat(path).st_dev
            if device not in self._devices:
                self._devices[device] = is_local(os.fsencode(path))
            if self._devices[device]:
                self._hub.add(self._inbox, path, events)
            else:
                self._armed = False
        except OSError as error:  # who gets in later changes its rights, which its parent tells
            self._armed = error.errno == errno.EACCES or not os.path.exists(path)
            log.debug("a path cannot be watched: %s", error.strerror)  # it may be anything: a link's, whatever is in it

    def remember(self, path: str) -> None:
        """Look at this path each time: a directory that may be made or replaced, or what a link leads to."""
        name = os.fsencode(path)
        self._identities[name] = _identity(name)
        if len(self._identities) > _MOST_REMEMBERED:
            self._armed = False

    def doubt(self) -> None:
        """Be certain of nothing until the next beginning."""
        self._armed = False

    def close(self) -> None:
        """Watch nothing any more."""
        self._drop()
        self._armed = False


_OF_A_DIRECTORY = 3
"""Numbers in the identity of a directory."""


def _identity(path: bytes, ask: Callable[[bytes], brief.Status] = os.stat) -> Identity:
    """What must stay the same: of a directory which one it is, of a file its content as its stamp shows it."""
    try:
        found = ask(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return found.st_dev, found.st_ino, found.st_mode
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_mode, found.st_size, *times


def _seen_again(path: bytes, before: Identity) -> Identity:
    """The identity now. Mostly it is the directory of before, which is told in half the time; all of it is local."""
    found = brief.directory(path)
    return found if found is not None and found == before else _identity(path, brief.status)

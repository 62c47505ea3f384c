"""What the directories of a store show: a listing that is kept up to date by what happens to them."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.store import brief, scan
from evse_security.store.brief import Status
from evse_security.store.castore import StoreForm
from evse_security.store.layout import BUNDLE_DIRECTORY, OCSP_DIRECTORY, TEMPORARY_SUFFIX, Layout
from evse_security.store.listing import NO_DIRECTORY, Listing
from evse_security.store.scan import Directory, Manner, Nanoseconds, Seen
from evse_security.store.stamp import Stamp, device_of, settled, stamp_of
from evse_security.store.watch import Watch

_CANNOT = "cannot be looked at"

FILES_WATCHED = 1000
"""Files of a store that are watched by themselves: only so a change by another name (hard links) is told."""
BELIEVED_SECONDS = 60.0
"""How long the kernel's silence is believed: what makes no event (mmap(2)) is seen after that time."""


class View:
    """The directories of a store. For one thread at a time."""

    def __init__(
        self,
        layout: Layout,
        watch: Watch | None = None,
        now: Nanoseconds = time.time_ns,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is looked at yet. `now` tells the file system's time; `elapsed` counts seconds from any moment on."""
        self._layout, self._watch, self._now, self._elapsed = layout, watch or Watch(), now, elapsed
        self._looked_at = elapsed()
        self._watched_files = 0
        self._bundles = {str(path) for path in layout.bundles.values()}
        self._inside: set[str] = set()
        """Directories all of whose files belong to the store."""
        self._beside: set[str] = set()
        """Directories beside bundles whose files do."""
        self._around: set[str] = set()
        """Directories with bundles that are files, and much else perhaps."""
        self._steps: set[str] = set()
        """Directories on the way to those, which may come, go or be replaced."""
        self._unsettled: set[str] = set()
        """Files that changed too recently for their stamps to show another change."""
        self._suspects: set[str] = set()
        """Those of the look before."""
        self.mark = secrets.token_hex(4)
        """How the temporary names of our own writer begin: nobody looks at them, as they are gone before it answers."""
        self.listing = Listing.of({}, {}, {}, {})
        self.is_watched = False
        """Whether every change since the last look is told, so that nothing needs to be read again to be sure."""

    def refresh(self) -> set[str]:
        """Look again. The paths that look different from before."""
        news = self._watch.news()
        if news is None or self._elapsed() - self._looked_at > BELIEVED_SECONDS:
            return self._look()
        self.is_watched = True
        if not news:
            return news
        changed = self._look_at(news)
        return self._look() if changed is None else changed

    @property
    def is_still(self) -> bool:
        """Whether nothing looks different from the last look, for sure; it is no look."""
        believed = self.is_watched and self._elapsed() - self._looked_at <= BELIEVED_SECONDS
        return believed and self._watch.is_still()

    @property
    def doubtful(self) -> set[str]:
        """Files that may have changed without showing it."""
        return set() if self.is_watched else self._unsettled | self._suspects

    def forget(self) -> None:
        """Watch nothing any more. The next look is at everything, what our own writer left behind included."""
        self.mark = secrets.token_hex(4)
        self._watch.close()

    # ---- everything

    def _look(self) -> set[str]:
        """Look at all directories, keys before certificates: a key is there before its leaf, and goes after it."""
        before, self._suspects = self.listing, self._unsettled
        self._watch.begin()
        self._looked_at, self._watched_files = self._elapsed(), 0
        self._inside, self._beside, self._around, self._unsettled, self._steps = set(), set(), set(), set(), set()
        top = self._top()
        files: dict[str, Stamp] = {}
        beside: dict[str, Stamp] = {}
        unseen: dict[str, str] = {}
        for leaf in self._layout.leaves.values():
            for directory in dict.fromkeys((str(leaf.keys), str(leaf.certificates))):
                self._follow(top, directory)
                self._walk(scan.walk(directory), self._inside, files, unseen)
            if not os.path.isdir(leaf.certificates):  # where Path.is_dir() may raise
                unseen[str(leaf.certificates)] = NO_DIRECTORY
        forms: dict[AnyCaType, StoreForm] = {}
        for ca_type, path in self._layout.bundles.items():
            self._follow(top, str(path))
            forms[ca_type] = self._bundle(path, files, beside, unseen)
        odd = tuple(dict.fromkeys(self._odd(forms, files)))
        now = Listing.of(forms, files, beside, unseen, odd)
        self.is_watched = False  # the next answer of the watch tells
        changed = before.differs(now) if before.forms else set(now.everything())
        changed |= {str(self._layout.bundles[ca]) for ca in forms if before.forms.get(ca) is not forms[ca]}
        self.listing = now if changed or not before.forms else before
        return changed

    def _walk(
        self, found: Iterable[Seen | Directory], places: set[str], files: dict[str, Stamp], unseen: dict[str, str]
    ) -> None:
        """Note what a walk finds, and the directories in which it does; each is watched before it is listed."""
        for one in found:
            if isinstance(one, Directory):
                places.add(one.location)
                self._watch.add_directory(one.location)
            else:
                self._note(one)
                if isinstance(one.found, bytes):
                    files[one.location] = one.found
                else:
                    unseen[one.location] = one.found

    def _note(self, one: Seen) -> None:
        """What must be looked at again, or watched by itself, to be sure of a file."""
        if one.passing:
            self._watch.doubt()
        if one.manner is Manner.LINK:
            self._watch.remember(one.location)
        if one.manner is not Manner.DIRECTLY or self._watched_files < FILES_WATCHED:
            device = None
            if isinstance(one.found, bytes) and one.manner is not Manner.LINK:
                device = device_of(one.found)
            self._watch.add_file(one.location, device)
            self._watched_files += 1
        if isinstance(one.found, bytes) and not settled(one.found, self._now()):
            self._unsettled.add(one.location)

    def _bundle(
        self, path: Path, files: dict[str, Stamp], beside: dict[str, Stamp], unseen: dict[str, str]
    ) -> StoreForm:
        location = str(path)
        form = _form(location)
        if form is StoreForm.DIRECTORY:
            self._walk(scan.walk(location), self._inside, files, unseen)
            return form
        parents = dict.fromkeys((str(path.parent), os.path.dirname(os.path.realpath(path))))
        for parent in parents:
            if len(parents) > 1:  # links lead there, and may lead elsewhere
                self._watch.remember(parent)
            self._watch.add_directory(parent)
            self._around.add(parent)
            self._walk(_leftovers(parent), set(), beside, unseen)
        for name in (OCSP_DIRECTORY, BUNDLE_DIRECTORY):
            self._walk(scan.walk(str(path.parent / name), scan.MAX_DEPTH), self._beside, beside, unseen)
        if form is StoreForm.FILE and (found := _bundle_file(location)) is not None:
            self._note(found)
            if isinstance(found.found, bytes):
                files[location] = found.found
        return form

    def _top(self) -> str | None:
        """The directory that all places of the store lie in; None where that is one that is much used by others."""
        places = [str(path) for path in self._layout.bundles.values()]
        places += [str(path) for leaf in self._layout.leaves.values() for path in (leaf.keys, leaf.certificates)]
        top = os.path.commonpath(places)
        return None if os.path.dirname(top) == "/" or top in places else top

    def _follow(self, top: str | None, place: str) -> None:
        """Notice whatever happens on the way to a place. Where links lead there, only looking each time tells."""
        way = [place]
        while top is not None and way[-1] != top:
            way.append(os.path.dirname(way[-1]))
        if top is None or any(map(os.path.islink, way)):
            self._watch.remember(place)
            return
        self._watch.remember(top)
        for directory in way[1:]:
            self._watch.add_directory(directory)
        self._steps.update(way[:-1])

    def _odd(self, forms: dict[AnyCaType, StoreForm], files: dict[str, Stamp]) -> Iterator[tuple[str, str]]:
        for ca_type, form in forms.items():
            location = str(self._layout.bundles[ca_type])
            if form is StoreForm.UNREADABLE:
                yield location, _CANNOT
            elif form is StoreForm.FILE and location not in files:
                yield location, "not a regular file"

    # ---- something

    def _look_at(self, news: Iterable[str]) -> set[str] | None:
        """Look at some paths; None where directories came or went, so that all must be looked at."""
        files: dict[str, Stamp | None] = {}
        beside: dict[str, Stamp | None] = {}
        unseen: dict[str, str | None] = {}
        for location in filter(self._matters, news):
            found = self._again(location)
            if isinstance(found, Directory):
                return None
            if found is None and not self.listing.knows(location):
                continue  # it came and went: the temporary name of a file, mostly
            if found is not None:
                self._note(found)
            what = found.found if found is not None else None
            is_inside = location in self._bundles or os.path.dirname(location) in self._inside
            (files if is_inside else beside)[location] = what if isinstance(what, bytes) else None
            unseen[location] = what if not isinstance(what, bytes) else None
        if not files and not beside:
            return set()
        self.listing = self.listing.changed(files, beside, unseen)
        return {*files, *beside}

    def _matters(self, location: str) -> bool:
        """Whether something at this path is the store's."""
        parent, _, name = location.rpartition("/")
        if name.startswith(f".{self.mark}") and not self.listing.knows(location):
            return False
        if parent in self._inside or parent in self._beside or location in self._bundles or location in self._steps:
            return True
        return parent in self._around and (_is_leftover(name) or name in (OCSP_DIRECTORY, BUNDLE_DIRECTORY))

    def _again(self, location: str) -> Seen | Directory | None:
        """Look at a path again. It is a directory, too, where one came, went, or is another one now."""
        parent, _, name = location.rpartition("/")
        if location in self._bundles:
            return self._same_bundle(location) or Directory(location)
        is_made = parent in self._around and name in (OCSP_DIRECTORY, BUNDLE_DIRECTORY)
        if is_made or location in self._steps or location in self._inside or location in self._beside:
            return Directory(location)
        return scan.look_at(location, brief.own_status, brief.status)

    def _same_bundle(self, location: str) -> Seen | None:
        """A bundle that is a file as before; None where it has another form, or links lead into another directory."""
        found = _bundle_file(location, brief.own_status, brief.status)
        is_direct = found is not None and found.manner is not Manner.LINK and location in self._steps
        is_near = is_direct or os.path.dirname(os.path.realpath(location)) in self._around
        return found if is_near and location in self.listing.files else None


def _is_leftover(name: str) -> bool:
    return name.endswith(TEMPORARY_SUFFIX)


def _form(location: str) -> StoreForm:
    try:
        found = os.stat(location)
    except (FileNotFoundError, NotADirectoryError):
        return StoreForm.MISSING
    except OSError:
        return StoreForm.UNREADABLE
    if not stat.S_ISDIR(found.st_mode):
        return StoreForm.FILE
    return StoreForm.DIRECTORY if _can_be_listed(location) else StoreForm.UNREADABLE


def _can_be_listed(location: str) -> bool:
    try:
        os.scandir(location).close()
    except OSError:
        return False
    return True


def _bundle_file(
    location: str, own: Callable[[str], Status] = os.lstat, led_to: Callable[[str], Status] = os.stat
) -> Seen | None:
    """The file of a bundle, whatever it is called; None where there is none. `own` and `led_to` ask the kernel."""
    try:
        found = own(location)
        is_link = stat.S_ISLNK(found.st_mode)
        if is_link:
            found = led_to(location)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    several = Manner.ONE_OF_SEVERAL if found.st_nlink > 1 else Manner.DIRECTLY
    return Seen(location, stamp_of(found), Manner.LINK if is_link else several)


def _leftovers(directory: str) -> Iterator[Seen]:
    """Temporary files beside a bundle, and beside the file that it is a link to."""
    try:
        names = [name for name in os.listdir(directory) if _is_leftover(name)]
    except OSError:
        return
    for name in names:
        found = scan.look_at(f"{directory}/{name}")
        if isinstance(found, Seen):
            yield found

"""`Files` that tell what happens to a disk: which names and contents change, in what order, and what is forced to it.

What changes is seen, not told: before each step, and before anything is forced, the directory is looked through. So it
is what happened, whatever the code that did it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import FrameType

from evse_security.store import files
from evse_security.store.layout import BUNDLE_DIRECTORY
from tests.laws.powercut_model import TOP, Changed, Event, Forced, Made, Named, Node, Tape, Version
from tests.laws.steps import Step, Watched

_SOURCES = Path(files.__file__).parent


class Peculiarity(Enum):
    """What is special about a file system."""

    NONE = "nothing"
    NO_SECOND_NAMES = "knows no hard links"
    MOUNTED_BUNDLES = "each bundle is mounted by itself"


class Recorder(Watched):
    """Records what happens below a directory.

    `fails` is asked before each step, and before each forcing, whose step is called "force": an error that it gives is
    raised.
    """

    def __init__(
        self,
        root: Path,
        fails: Callable[[Step], OSError | None] = lambda _: None,
        peculiarity: Peculiarity = Peculiarity.NONE,
    ) -> None:
        super().__init__(self._before)
        self._view = _View(root)
        self._fails, self._peculiarity = fails, peculiarity
        self.tape = Tape(list(self._view.changes()), [])

    def look(self) -> int:
        """Record what was changed, and tell how many events there are."""
        self.tape.events += self._view.changes()
        return len(self.tape.events)

    def _before(self, step: Step) -> None:
        self.look()
        error = self._fails(step)
        if error is not None:
            raise error

    def force(self, descriptor: int) -> None:
        self.step("force", Path(f"/proc/self/fd/{descriptor}"))
        self.tape.events += self._view.opened(descriptor)
        super().force(descriptor)
        self.tape.events.append(Forced(self._view.node_of(descriptor), _site(sys._getframe(1))))

    def replace(self, source: Path, target: Path) -> None:
        if self._peculiarity is Peculiarity.MOUNTED_BUNDLES and is_bundle(target) and target.exists():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))
        super().replace(source, target)

    def keep(self, path: Path, aside: Path) -> None:
        if self._peculiarity is Peculiarity.MOUNTED_BUNDLES and is_bundle(path) and path.exists():
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))
        if self._peculiarity is Peculiarity.NO_SECOND_NAMES and path.exists():
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        super().keep(path, aside)


def is_bundle(path: Path) -> bool:
    """Whether a file is one of all roots of a domain, by its name."""
    return path.name.endswith("_CA.pem") and path.parent.name != BUNDLE_DIRECTORY


def _site(frame: FrameType | None) -> str:
    """The place of the code that forces: the method of `Files`, who called that, and so on to what others call."""
    places: list[tuple[str, int]] = []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        place = f"{path.stem}.{frame.f_code.co_name}"
        if path.parent == _SOURCES and place not in (known for known, _ in places):
            places.append((place, frame.f_lineno))
            if path.stem != "files" and not frame.f_code.co_name.startswith("_"):
                break
        frame = frame.f_back
    return " < ".join(f"{place}:{line}" for place, line in places)


class _View:
    """A directory as it was when it was last looked through."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._nodes: dict[int, Node] = {root.stat().st_ino: TOP}
        self._names: dict[Node, dict[str, Node]] = {TOP: {}}
        self._marks: dict[Node, tuple[int, ...]] = {}
        self._versions: dict[Node, Version] = {}
        self._nameless: set[Node] = set()
        self._count = TOP

    def changes(self) -> Iterator[Event]:
        """What is other than it was."""
        met: set[Node] = {TOP}
        yield from list(self._changes_in(TOP, self._root, met))
        self._nameless -= met
        self._nodes = {number: node for number, node in self._nodes.items() if node in met or node in self._nameless}

    def opened(self, descriptor: int) -> Iterator[Event]:
        """A file that is open and has no name, or has none yet."""
        found = os.fstat(descriptor)
        if found.st_ino not in self._nodes:
            yield from self._changes_of(Path(f"/proc/self/fd/{descriptor}"), found)
            self._nameless.add(self._nodes[found.st_ino])

    def node_of(self, descriptor: int) -> Node:
        """What a descriptor is of."""
        return self._nodes[os.fstat(descriptor).st_ino]

    def _changes_in(self, directory: Node, path: Path, met: set[Node]) -> Iterator[Event]:
        names: dict[str, Node] = {}
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = entry.stat(follow_symlinks=False)
                yield from self._changes_of(Path(entry.path), found)
                names[entry.name] = node = self._nodes[found.st_ino]
                if stat.S_ISDIR(found.st_mode) and node not in met:
                    met.add(node)
                    yield from self._changes_in(node, Path(entry.path), met)
                met.add(node)
        before = self._names[directory]
        yield from _renamings(directory, before, names)
        self._names[directory] = names

    def _changes_of(self, path: Path, found: os.stat_result) -> Iterator[Event]:
        marks = (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        node = self._nodes.get(found.st_ino)
        if node is None:
            node = self._nodes[found.st_ino] = self._count = self._count + 1
            if stat.S_ISDIR(found.st_mode):
                self._names[node] = {}
                yield Made(node, found.st_mode & 0o7777)
            elif stat.S_ISLNK(found.st_mode):
                yield Made(node, os.readlink(path))
            else:
                self._versions[node] = version = _version(path, found)
                yield Made(node, version)
        elif stat.S_ISREG(found.st_mode) and self._marks[node] != marks:  # another name changes the marks, too
            version = _version(path, found)
            if version != self._versions[node]:
                self._versions[node] = version
                yield Changed(node, version)
        self._marks[node] = marks


def _version(path: Path, found: os.stat_result) -> Version:
    return Version(path.read_bytes(), found.st_mode & 0o7777, found.st_mtime_ns)


def _renamings(directory: Node, before: dict[str, Node], after: dict[str, Node]) -> Iterator[Named]:
    """What became of a directory's names. One that is gone and one that is new for the same node are a renaming."""
    gone = {node: name for name, node in before.items() if name not in after}
    for name, node in after.items():
        if before.get(name) == node:
            continue
        old = gone.pop(node, None)
        yield Named(directory, ((name, node),) if old is None else ((old, None), (name, node)))
    for name in gone.values():
        yield Named(directory, ((name, None),))

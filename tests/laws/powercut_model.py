"""A disk that forgets: what it holds for sure, what may have reached it, and what it may look like after a power cut.

POSIX promises of a file system only what was forced to the disk. Until its directory is forced, each change of a
directory's names may be there or not, whatever came before or after it; a renaming within a directory is one such
change, one from a directory to another is two. Until a file is forced, its content may be the old one, the new one, or
any piece of that with zeros where the rest should be; its mode is a matter of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from typing import NamedTuple

Node = int
"""The number of a file, directory or link, whatever its names are. The first is the directory at the top."""
TOP: Node = 0


class Version(NamedTuple):
    """What a file is at one time. `time` of its modification in nanoseconds."""

    content: bytes
    mode: int
    time: int


# ---- what happens


class Made(NamedTuple):
    """Something new, that has no name yet: a file as it is at first, a directory (its mode), or where a link leads."""

    node: Node
    what: Version | int | str


class Changed(NamedTuple):
    """A file has another content, mode or time now."""

    node: Node
    version: Version


class Named(NamedTuple):
    """Some names of a directory lead elsewhere now, all at once; to None: they are gone."""

    directory: Node
    names: tuple[tuple[str, Node | None], ...]


class Forced(NamedTuple):
    """A file's content or a directory's names were forced to the disk, by this place of the code."""

    node: Node
    site: str


Event = Made | Changed | Named | Forced


# ---- what may have become of it


class Tear(Enum):
    """What becomes of a content on its way to the disk."""

    LOST = "the old one"
    WHOLE = "the new one"
    CUT = "ends early"
    ZEROS = "ends in zeros"
    HOLE = "begins with zeros"


def torn(old: bytes, new: bytes, tear: Tear, share: float) -> bytes:
    """A content while it replaces another: of what is new, this share has arrived. What begins both stays."""
    if tear is Tear.LOST:
        return old
    kept = next(
        (n for n, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
    )
    arrived = kept + int(share * (len(new) - kept))
    rest = len(new) - arrived
    match tear:
        case Tear.CUT:
            return new[:arrived]
        case Tear.ZEROS:
            return new[:arrived] + bytes(rest)
        case Tear.HOLE:
            return new[:kept] + bytes(rest) + new[kept + rest :]
    return new


class Fate(NamedTuple):
    """What reaches the disk of what was not forced to it."""

    reaches: Callable[[Named], bool]
    becomes: Callable[[Version, tuple[Version, ...]], Version]


class State(NamedTuple):
    """What is on a disk: the names of each directory, and what each file is."""

    names: dict[Node, dict[str, Node]]
    files: dict[Node, Version]
    links: dict[Node, str]
    modes: dict[Node, int]

    def paths(self, directory: Node = TOP, under: str = "") -> Iterator[tuple[str, Node]]:
        """Every name that can be reached, directories before what is in them."""
        for name, node in sorted(self.names[directory].items()):
            yield f"{under}{name}", node
            if node in self.names:
                yield from self.paths(node, f"{under}{name}/")

    def tree(self) -> dict[str, bytes | str]:
        """Every name with its content; of a link where it leads, of a directory its mode."""
        return {
            path: self.files[node].content
            if node in self.files
            else f"-> {self.links[node]}"
            if node in self.links
            else f"directory {self.modes[node]:o}"
            for path, node in self.paths()
        }

    def key(self) -> int:
        """What tells it from others."""
        whole = [
            (path, node, self.files.get(node), self.links.get(node), self.modes.get(node))
            for path, node in self.paths()
        ]
        return hash(tuple(whole))

    def build(self, root: Path) -> None:
        """Make it, in a directory that does not exist. Several names of one file are that there, too."""
        root.mkdir()
        made: dict[Node, Path] = {}
        for name, node in self.paths():
            path = root / name
            if node in made:
                os.link(made[node], path, follow_symlinks=False)
            elif node in self.names:
                path.mkdir()
                path.chmod(self.modes[node])
            elif node in self.links:
                path.symlink_to(self.links[node])
            else:
                version = self.files[node]
                path.write_bytes(version.content)
                path.chmod(version.mode)
                os.utime(path, ns=(version.time, version.time))
            if node not in self.names:
                made[node] = path


class Disk:
    """What a disk holds for sure, and what is on the way to it."""

    def __init__(self) -> None:
        """Nothing is there but the directory at the top."""
        self._names: dict[Node, dict[str, Node]] = {TOP: {}}
        self._files: dict[Node, Version] = {}
        self._links: dict[Node, str] = {}
        self._modes: dict[Node, int] = {TOP: 0o755}
        self._renamings: list[Named] = []
        self._versions: dict[Node, list[Version]] = {}

    def take(self, events: Iterable[Event], *, but: str | None = None) -> None:
        """Do what happened; nothing is forced by the place `but`."""
        for event in events:
            match event:
                case Made(node, Version() as version):
                    self._files[node] = Version(b"", version.mode, version.time)
                    self._versions[node] = [version] if version.content else []
                case Made(node, str(leads_to)):
                    self._links[node] = leads_to
                case Made(node, int(mode)):
                    self._names[node], self._modes[node] = {}, mode
                case Changed(node, version):
                    self._versions[node].append(version)
                case Named():
                    self._renamings.append(event)
                case Forced(node, site) if site != but:
                    self._force(node)

    def _force(self, node: Node) -> None:
        if node in self._files:
            for version in self._versions[node][-1:]:
                self._files[node] = version
            self._versions[node] = []
            return
        for one in self._renamings:
            if one.directory == node:
                _rename(self._names, one)
        self._renamings = [one for one in self._renamings if one.directory != node]

    def settle(self) -> None:
        """All that is on the way arrives."""
        for node in (*self._files, *self._names):
            self._force(node)

    def left(self, fate: Fate) -> State:
        """What is there after a power cut."""
        names = {directory: dict(known) for directory, known in self._names.items()}
        for one in self._renamings:
            if fate.reaches(one):
                _rename(names, one)
        files = {
            node: fate.becomes(sure, tuple(self._versions[node])) if self._versions[node] else sure
            for node, sure in self._files.items()
        }
        return State(names, files, self._links, self._modes)

    def seen(self) -> State:
        """What everybody sees while there is power."""
        return self.left(Fate(_always, _tearing(Tear.WHOLE)))

    def plain_fates(self) -> Iterator[Fate]:
        """The likely ones and the extremes: all or nothing, only one, all but one; contents older, whole or torn."""
        on_the_way = list(self._renamings)
        for tear in Tear if any(self._versions.values()) else (Tear.WHOLE,):
            yield Fate(_always, _tearing(tear))
        for count in range(1, max(map(len, self._versions.values()), default=0)):
            yield Fate(_always, _older(count))
        if on_the_way:
            yield Fate(_never, _tearing(Tear.LOST))
        for one in on_the_way if len(on_the_way) > 1 else ():
            yield Fate(_only(one), _tearing(Tear.WHOLE))
            yield Fate(_all_but(one), _tearing(Tear.LOST))


def _always(_: Named) -> bool:
    return True


def _never(_: Named) -> bool:
    return False


def _only(one: Named) -> Callable[[Named], bool]:
    return lambda other: other is one


def _all_but(one: Named) -> Callable[[Named], bool]:
    return lambda other: other is not one


def chance(random: Random) -> Fate:
    """A fate by chance: of each renaming, and of the content and the mode of each file."""
    bias = random.random()

    def becomes(sure: Version, newer: tuple[Version, ...]) -> Version:
        versions = (sure, *newer)
        begun = random.randrange(len(newer))
        content = torn(versions[begun].content, versions[begun + 1].content, random.choice(list(Tear)), random.random())
        mode, time = random.choice(versions).mode, random.choice(versions).time
        return Version(content, mode, time)

    return Fate(lambda _: random.random() < bias, becomes)


def _tearing(tear: Tear) -> Callable[[Version, tuple[Version, ...]], Version]:
    return lambda sure, newer: newer[-1]._replace(content=torn(sure.content, newer[-1].content, tear, 0.5))


def _older(count: int) -> Callable[[Version, tuple[Version, ...]], Version]:
    return lambda _, newer: newer[max(len(newer) - count - 1, 0)]


def _rename(names: dict[Node, dict[str, Node]], one: Named) -> None:
    for name, node in one.names:
        if node is None:
            names[one.directory].pop(name, None)
        else:
            names[one.directory][name] = node


@dataclass
class Tape:
    """What happened to a disk, in order, and the disk as it was before."""

    before: list[Event]
    events: list[Event]

    def disk(self, count: int, *, but: str | None = None) -> Disk:
        """The disk after so many events."""
        disk = Disk()
        disk.take(self.before)
        disk.settle()
        disk.take(self.events[:count], but=but)
        return disk

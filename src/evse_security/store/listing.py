"""Which files the directories of a store hold, as they were seen at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeVar

from evse_security.additions import AnyCaType
from evse_security.clock import believable
from evse_security.store.castore import StoreForm
from evse_security.store.contents import moment_of
from evse_security.store.layout import (
    BUNDLE_DIRECTORY,
    DER_DIRECTORY,
    TEMPORARY_SUFFIX,
    is_generated,
)
from evse_security.store.stamp import Stamp, modified_ns, settled, size_of
from evse_security.tables import Table

Value = TypeVar("Value")

NO_DIRECTORY = "there is no such directory"

_REMEMBERED = 32
"""Newest files that are known by their times, so that a few may go before all are looked through again."""


class Recent(NamedTuple):
    """The files that we wrote last, but for those of clocks that cannot have been right."""

    files: tuple[tuple[int, str], ...] = ()
    """Their times (nanoseconds of the epoch) and paths, newest last."""
    are_all: bool = True

    @classmethod
    def of(cls, files: Iterable[tuple[str, Stamp]]) -> Recent:
        """Look through all files."""
        by_time = sorted(((modified_ns(stamp), location) for location, stamp in files), reverse=True)
        found = list(islice((one for one in by_time if _is_written_by_us(*one)), _REMEMBERED + 1))
        return cls(tuple(found[_REMEMBERED - 1 :: -1]), len(found) <= _REMEMBERED)

    def changed(self, changes: Mapping[str, Stamp | None]) -> Recent | None:
        """Those after some files changed; None where all must be looked through."""
        rest = [one for one in self.files if one[1] not in changes]
        came = [(modified_ns(stamp), location) for location, stamp in changes.items() if stamp is not None]
        new = [one for one in came if _is_written_by_us(*one) and (self.are_all or (rest and one >= rest[0]))]
        found = sorted((*rest, *new))[-_REMEMBERED:]
        if not found and not self.are_all:
            return None
        return Recent(tuple(found), self.are_all and len(rest) + len(new) <= _REMEMBERED)


def _is_written_by_us(written_ns: int, location: str) -> bool:
    name = location.rpartition("/")[2]
    return is_generated(name) and directory_name(location) != DER_DIRECTORY and believable(moment_of(written_ns))


def directory_name(location: str) -> str:
    """The name of the directory that a file lies in."""
    return location.rpartition("/")[0].rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Listing:
    """Files by path, and how each bundle's path looks. Never altered once made."""

    forms: Mapping[AnyCaType, StoreForm]
    files: Table[str, Stamp]
    """All regular files of the store."""
    beside: Table[str, Stamp]
    """Files beside bundles that belong to the store though their directory does not: OCSP responses, leftovers."""
    unseen: Mapping[str, str]
    """What could not be looked at, and why; and directories of leaves that are not there."""
    odd_bundles: tuple[tuple[str, str], ...]
    """Bundles that cannot be read, and why."""
    size: int
    """Bytes of all regular files."""
    entries: int
    """Files of whatever kind, DER copies excepted."""
    leftovers: frozenset[str]
    """Files with temporary names."""
    recent: Recent

    @classmethod
    def of(
        cls,
        forms: Mapping[AnyCaType, StoreForm],
        files: Mapping[str, Stamp],
        beside: Mapping[str, Stamp],
        unseen: Mapping[str, str],
        odd_bundles: Iterable[tuple[str, str]] = (),
    ) -> Listing:
        """Put together what was found."""
        return cls(
            forms,
            Table(files),
            Table(beside),
            unseen,
            tuple(odd_bundles),
            sum(map(size_of, files.values())),
            _counted(files),
            frozenset(location for one in (files, beside) for location in one if location.endswith(TEMPORARY_SUFFIX)),
            Recent.of(files.items()),
        )

    def changed(
        self, files: Mapping[str, Stamp | None], beside: Mapping[str, Stamp | None], unseen: Mapping[str, str | None]
    ) -> Listing:
        """The listing after some of it changed; None for what is gone."""
        was = {location: stamp for location in files if (stamp := self.files.get(location)) is not None}
        now = {location: stamp for location, stamp in files.items() if stamp is not None}
        all_files = self.files.changed(files)
        temporary = {location for location in (*files, *beside) if location.endswith(TEMPORARY_SUFFIX)}
        left = {location for location in temporary if (files.get(location) or beside.get(location)) is not None}
        return Listing(
            self.forms,
            all_files,
            self.beside.changed(beside),
            merged(self.unseen, unseen),
            self.odd_bundles,
            self.size + sum(map(size_of, now.values())) - sum(map(size_of, was.values())),
            self.entries + _counted(now) - _counted(was),
            (self.leftovers - temporary) | left if temporary else self.leftovers,
            self.recent.changed(files) or Recent.of(all_files.items()),
        )

    def differs(self, other: Listing) -> set[str]:
        """The paths that look different in another listing."""
        files = set(self.files.items()) ^ set(other.files.items()), set(self.beside.items()) ^ set(other.beside.items())
        others = self.unseen.items() ^ other.unseen.items(), set(self.odd_bundles) ^ set(other.odd_bundles)
        return {location for found in (*files, *others) for location, _ in found}

    def has(self, location: str) -> bool:
        """Whether there is such a file."""
        return location in self.files or location in self.beside

    def knows(self, location: str) -> bool:
        """Whether there is such a file, or something there that could not be looked at."""
        return self.has(location) or location in self.unseen

    def stamp(self, location: str) -> Stamp | None:
        """How a file was seen."""
        return self.files.get(location) or self.beside.get(location)

    def would_show(self, locations: Iterable[str], after_ns: int) -> bool:
        """Whether each of these files was seen, and none can have changed after that time and look as it did."""
        stamps = map(self.stamp, locations)
        return all(stamp is not None and settled(stamp, after_ns) for stamp in stamps)

    def everything(self) -> Iterator[str]:
        """All files, those beside bundles too, each once."""
        yield from self.files
        yield from (location for location in self.beside if location not in self.files)

    def derived(self) -> Iterator[str]:
        """Copies that were made for those who read the files differently."""
        return (one for one in self.everything() if directory_name(one) in (DER_DIRECTORY, BUNDLE_DIRECTORY))

    def problems(self) -> Iterator[tuple[str, str]]:
        """What could not be looked at."""
        yield from self.odd_bundles
        yield from ((location, why) for location, why in sorted(self.unseen.items()) if why != NO_DIRECTORY)

    @property
    def newest_written(self) -> datetime | None:
        """When the newest of our files was written, but for those of clocks that cannot have been right."""
        return moment_of(self.recent.files[-1][0]) if self.recent.files else None


def merged(table: Mapping[str, Value], changes: Mapping[str, Value | None]) -> Mapping[str, Value]:
    """A table after changes; None takes an entry out."""
    if not changes:
        return table
    found = dict(table)
    for key, value in changes.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def _counted(files: Iterable[str]) -> int:
    return sum(directory_name(location) != DER_DIRECTORY for location in files)

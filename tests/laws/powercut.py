"""Power cuts at any moment of any commands: what is acknowledged stays, and what is offered is whole.

    python -m tests.laws.powercut --seconds 600

lets stores live for ten minutes with commands and cuts by chance, and says how many there were and what was lost.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.laws import stores
from tests.laws.cases import COMMANDS
from tests.laws.powercut_laws import Cut, Lost, check
from tests.laws.powercut_model import Changed, Forced, Made, State, Version, chance
from tests.laws.powercut_record import Peculiarity, Recorder
from tests.laws.powercut_runs import KILLED, OPERATIONS, Failure, Life
from tests.laws.stores import Prepared

# ---- lives


class Scenario(NamedTuple):
    """A command on a store of its own, on a peculiar disk, with a step that fails; given again if that killed it."""

    command: str
    peculiarity: Peculiarity = Peculiarity.NONE
    failure: Failure | None = None

    def life(self, directory: Path) -> Life:
        """Do it, in a directory that is there."""
        row = COMMANDS[self.command]
        life = Life(row.make(directory / "store"), Random(0), self.peculiarity)
        if life.give(self.command, row.run, self.failure).killed:
            life.give(self.command, row.run)
        return life


COMMANDS_THAT_FAIL = (
    Scenario("install into a bundle", failure=Failure(0, errno.EIO, "sync_directory")),
    Scenario("delete a leaf", failure=Failure(4, errno.ENOSPC, "replace")),
    Scenario("delete a leaf", failure=Failure(2, errno.EIO, "sync_directory")),
    Scenario("delete a root with what it issued from a directory", failure=Failure(1, errno.EIO, "sync_directory")),
    Scenario("install into a bundle", Peculiarity.NO_SECOND_NAMES, Failure(0, errno.EIO, "sync_directory")),
    Scenario("install into a bundle", failure=Failure(0, KILLED, "sync_directory")),
    Scenario("install into a directory", failure=Failure(0, KILLED, "sync_directory")),
    Scenario("update a leaf", failure=Failure(1, KILLED, "sync_directory")),
    Scenario("install into a bundle", Peculiarity.MOUNTED_BUNDLES),
    Scenario("install into a bundle", Peculiarity.MOUNTED_BUNDLES, Failure(1, errno.ENOSPC, "force")),
)
"""What leads to places of the code where few commands come."""


def first_life(directory: Path) -> Life:
    """A station that is put into service: its directories are made for its first certificates."""
    (directory / "store").mkdir()
    life = Life(Prepared(directory / "store"), Random(0))
    for name in FIRST:
        assert life.live(name).acknowledged
    return life


FIRST = (
    "install V2GRoot for V2G",
    "install SubCA1 for V2G",
    "request for V2G",
    "update",
    "install CSMSRoot for CSMS",
    "cache for SubCA2",
    "ask for DER",
    "delete a leaf",
)
MAKERS: dict[str, Callable[[Path], Prepared]] = {
    "files": stores.file_store,
    "a link": stores.linked_store,
    "a directory": stores.directory_store,
    "a full directory": stores.crowded_store,
    "a hashed directory": stores.hashed_store,
    "nothing": Prepared,
}
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)


@cache
def _made(name: str) -> tuple[Prepared, State]:
    """A store as it is before its life, made once."""
    with tempfile.TemporaryDirectory(dir=place()) as directory:
        made = MAKERS[name](Path(directory) / "store")
        made.root.mkdir(exist_ok=True)
        return made, Recorder(made.root).tape.disk(0).seen()


def life_by_chance(random: Random, directory: Path) -> Life:
    """A store of some kind with one to five commands, of which one may fail."""
    made, state = _made(random.choice(list(MAKERS)))
    state.build(directory / "store")
    life = Life(replace(made, root=directory / "store"), random, random.choice(list(Peculiarity)))
    go_on(life, random)
    return life


def life_after(life: Life, random: Random, directory: Path) -> Life:
    """Life after a power cut: commands on what it left, with its leftovers."""
    moment = random.choice(list(moments(life)))
    life.tape.disk(moment.event).left(chance(random)).build(directory / "store")
    after = Life(replace(life.store, root=directory / "store"), random, life.peculiarity)
    after.context.chains += life.context.chains
    go_on(after, random)
    return after


def go_on(life: Life, random: Random) -> None:
    """Give one to five commands, of which one may fail."""
    names = [random.choice(list(OPERATIONS)) for _ in range(random.randint(1, 5))]
    failing = random.randrange(4 * len(names))
    for number, name in enumerate(names):
        failure = Failure(random.randrange(12), random.choice(ERRORS)) if number == failing else None
        life.live(name, failure)


# ---- what is looked at


class Loss(NamedTuple):
    """A law that is broken, and when."""

    law: str
    command: str
    event: int
    state: State


class Moment(NamedTuple):
    """So many events of a life, of which the last was of the command of this number."""

    number: int
    event: int


def moments(life: Life) -> Iterator[Moment]:
    """Every moment of a life; those right after the commands first, for then most must be there."""
    for number, episode in enumerate(life.episodes):
        yield Moment(number, episode.end)
    for number, episode in enumerate(life.episodes):
        for event in range(episode.begin, episode.end):
            yield Moment(number, event)


def cut_at(life: Life, moment: Moment) -> Cut:
    """What must hold of that moment."""
    earlier = life.episodes[: moment.number + 1]
    episode = earlier[-1]
    after = episode.after
    between = moment.event == episode.end and not episode.killed
    before = after if between else episode.before
    deleted = frozenset().union(*(one.before.keys for one in earlier)) - before.keys - after.keys - life.kept_keys
    if between:
        return Cut(
            after, after, life.tape.disk(moment.event).seen(), (*life.episodes, episode)[moment.number + 1], deleted
        )
    unsure = not episode.acknowledged or any(one.killed for one in earlier)
    return Cut(None if unsure else before, after, None, episode, deleted)


def whole_contents(life: Life) -> frozenset[bytes]:
    """What was ever in a file."""
    versions = (event[1] for event in (*life.tape.before, *life.tape.events) if isinstance(event, Changed | Made))
    return frozenset(version.content for version in versions if isinstance(version, Version))


class Examiner:
    """Makes what may be left on a disk, and looks at it: each state but once."""

    def __init__(self, life: Life, scratch: Path) -> None:
        self.life, self._scratch = life, scratch
        self._whole = whole_contents(life)
        self._met: set[tuple[int, bool, int]] = set()
        self.cuts = 0

    @property
    def states(self) -> int:
        return len(self._met)

    def plain(self) -> Iterator[Loss]:
        """All moments, with the likely fates and the extremes."""
        yield from self._plain(moments(self.life))

    def without(self, site: str) -> Iterator[Loss]:
        """The same, where this place of the code forces nothing."""
        forced = (
            n for n, event in enumerate(self.life.tape.events) if isinstance(event, Forced) and event.site == site
        )
        first = next(forced)
        yield from self._plain((moment for moment in moments(self.life) if moment.event > first), but=site)

    def _plain(self, moments: Iterable[Moment], but: str | None = None) -> Iterator[Loss]:
        for moment in moments:
            disk = self.life.tape.disk(moment.event, but=but)
            yield from self.examine(moment, (disk.left(fate) for fate in disk.plain_fates()))

    def by_chance(self, random: Random, *, cuts: int) -> Iterator[Loss]:
        """So many moments with fates by chance."""
        everywhere = list(moments(self.life))
        for _ in range(cuts):
            moment = random.choice(everywhere)
            yield from self.examine(moment, [self.life.tape.disk(moment.event).left(chance(random))])

    def examine(self, moment: Moment, states: Iterable[State]) -> Iterator[Loss]:
        """What is broken of what is left at a moment."""
        cut, episode = cut_at(self.life, moment), self.life.episodes[moment.number]
        self.cuts += 1
        for state in states:
            mark = (moment.number, moment.event == episode.end, state.key())
            if mark not in self._met:
                self._met.add(mark)
                try:
                    self._check(state, cut)
                except (Lost, ValueError, OSError) as error:
                    yield Loss(f"{type(error).__name__}: {error}", episode.name, moment.event, state)

    def _check(self, state: State, cut: Cut) -> None:
        root = self._scratch / f"state-{self.states}"
        state.build(root)
        try:
            check(replace(self.life.store, root=root), state, cut, self._whole, self.life.peculiarity)
        finally:
            shutil.rmtree(root)


# ---- for as long as one likes


def place() -> Path | None:
    """Where directories are made: in memory where there is one."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


MEMORY = Path("/dev/shm")  # noqa: S108  # the directories made in it have names of their own
CUTS = 12
"""Moments looked at in each life."""


def lives(seed: int, directory: Path) -> Iterator[Examiner]:
    """A life by chance, then one after a power cut in it, each to be looked at."""
    random = Random(seed)
    for name in ("first", "second"):
        (directory / name).mkdir()
    life = life_by_chance(random, directory / "first")
    yield Examiner(life, directory / "first")
    yield Examiner(life_after(life, random, directory / "second"), directory / "second")


def main() -> int:
    """Say how many cuts were made, and what was lost."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    arguments.add_argument("--seed", type=int, default=0, help="of the first lives (0)")
    options = arguments.parse_args()
    logging.disable()
    seed, end = options.seed, time.monotonic() + options.seconds
    commands = cuts = states = losses = 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(dir=place()) as directory:
            for examiner in lives(seed, Path(directory)):
                for loss in examiner.by_chance(Random(seed), cuts=CUTS):
                    losses += 1
                    print(f"seed {seed}: {loss.law} ({loss.command}, after {loss.event} events)", flush=True)
                commands += len(examiner.life.episodes)
                cuts, states = cuts + examiner.cuts, states + examiner.states
        seed += 1
    print(f"{seed - options.seed} stores, {commands} commands, {cuts} cuts, {states} states, {losses} losses")
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())

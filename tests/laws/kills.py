"""Processes killed at random moments of every command that changes the store, and what must be true afterwards.

    python -m tests.laws.kills --kills 2000

A child gives random commands and says through a pipe which one it begins and how it was answered; after a few random
milliseconds the kernel kills it. Then the store is opened anew: all that was acknowledged is there, all that was there
before is there, and of the command that was interrupted all or nothing, or a lawful part. Another process reads all the
time. The store is never restored: what a kill spoils would be found after any later one, too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

from evse_security import Station
from evse_security.store.layout import TEMPORARY_SUFFIX
from evse_security.store.snapshot import Snapshot
from tests.builders import NOW
from tests.laws import children
from tests.laws import kills_stores as big
from tests.laws.kills_commands import COMMANDS, Expected, chosen
from tests.laws.kills_judge import Lost, cas, demand, demand_keys, judged, leaves
from tests.laws.kills_reader import Nobody, Reader, listing
from tests.laws.stores import Prepared

MOST_COMMANDS = 4
"""Commands of which a child begins the last at most; in it or soon after it is killed."""
RARELY = 4
"""After so many kills one is followed by a sweep though nothing is left over, and by a look at what the reader sees."""
READY = b'["ready"]\n'
"""What a child says first."""
NEVER = b"\0"
"""What no child says."""


@dataclass
class Report:
    """What a campaign did."""

    kills: int = 0
    given: Counter[str] = field(default_factory=Counter)
    """Commands that were answered."""
    hit: Counter[str] = field(default_factory=Counter)
    """Commands that were killed."""
    seconds: float = 0.0

    def __str__(self) -> str:
        lines = [f"{name:34} {self.given[name]:7} {self.hit[name]:7}" for name in COMMANDS]
        rate = f"{self.kills} kills in {self.seconds:.1f} s, {self.kills / (self.seconds or 1):.1f} a second"
        inside = f"{self.hit.total()} of them inside a command, losses 0"
        return "\n".join([f"{'command':34} {'given':>7} {'killed':>7}", *lines, f"{rate}; {inside}"])


# ---- the child


def stream(station: Station, expected: Expected, random: Random, pipe: int) -> None:
    """Give commands until killed. Says what it begins and what was answered, each in a line of JSON."""
    say(pipe, "ready")
    while True:
        name, value = chosen(expected, random)
        say(pipe, "begin", name, value)
        began = time.monotonic()
        answer = COMMANDS[name].run(station, value)
        say(pipe, "end", answer, str(time.monotonic() - began))
        expected = expected.after(name, value, answer)


def say(pipe: int, *words: str) -> None:
    os.write(pipe, json.dumps(words).encode() + b"\n")


def heard_until(pipe: int, word: bytes, times: int) -> bytes:
    """What is said until a word was said so many times."""
    heard = b""
    while heard.count(word) < times and (piece := os.read(pipe, 1 << 16)):
        heard += piece
    return heard


def heard_for(pipe: int, seconds: float) -> bytes:
    """What is said within that time."""
    heard, deadline = b"", time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and select.select([pipe], [], [], left)[0]:
        heard += os.read(pipe, 1 << 16)
    return heard


# ---- one store


class Lane:
    """A store in which one process after the other is killed."""

    def __init__(
        self, directory: Path, layout: str, seed: int, reader: Callable[[Prepared], Reader | Nobody] = Reader
    ) -> None:
        """Make the store, and have somebody read it."""
        self.store = big.made(directory / layout, layout)
        self.expected = Expected()
        self.random = Random(seed)
        self.report = Report()
        self.usual = 0.02
        """Seconds that a command takes, lately."""
        self.reader = reader(self.store)
        self.station = self._fresh()
        self.station.overview()

    def close(self) -> None:
        """End the reader. Raises AssertionError where it was offered something broken."""
        self.reader.close()

    def _fresh(self) -> Station:
        return self.store.station(now=NOW + timedelta(minutes=self.expected.minute))

    def kill(self) -> None:
        """Have one process killed, and judge what it left behind. Raises `Lost`."""
        ended, pipe = os.pipe()
        station, random = self.station, Random(self.random.getrandbits(32))
        child = children.start(lambda: stream(station, self.expected, random, pipe))
        os.close(pipe)
        try:
            heard = heard_until(ended, b'["begin"', self.random.randint(1, MOST_COMMANDS))
            heard += heard_for(ended, self.random.random() * 1.2 * self.usual)
            os.kill(child, signal.SIGKILL)
            heard += heard_until(ended, NEVER, 1)
        finally:
            os.close(ended)
            if (status := children.wait(child)) != -signal.SIGKILL:
                raise Lost(f"the child ended by itself with {status}")
        self.judge(heard)
        self.report.kills += 1

    def judge(self, heard: bytes) -> None:
        """Judge the store after what a child said. Raises `Lost`."""
        lines = [json.loads(line) for line in heard.split(b"\n")[:-1]]
        before, pending = self._replayed(lines[1:])
        after = before
        if pending is not None:
            name, value = pending
            self.report.hit[name] += 1
            after = before.after(name, value, COMMANDS[name].due(before, value))
        before.minute += 1
        self.expected = before
        self.station = self._fresh()
        snapshot = self.station._core.look()[0]
        self.expected = judged(before, after, snapshot)
        if snapshot.leftovers or not self.report.kills % RARELY:
            self._sweep(snapshot)
        if not self.report.kills % RARELY:
            self.reader.compare(listing(self.station))

    def _replayed(self, lines: list[list[str]]) -> tuple[Expected, tuple[str, str] | None]:
        """What must be there after all that was answered; and the command that was not."""
        expected, begun = self.expected, None
        for word, *rest in lines:
            if word == "begin":
                begun = rest[0], rest[1]
                continue
            assert begun is not None
            name, value = begun
            due = COMMANDS[name].due(expected, value)
            if name != "request a certificate" and rest[0] != due:
                raise Lost(f"{name}: answered {rest[0]}, not {due}")
            self.report.given[name] += 1
            self.usual += (float(rest[1]) - self.usual) / 20
            expected, begun = expected.after(name, value, rest[0]), None
        return expected, begun

    def _sweep(self, snapshot: Snapshot) -> None:
        """What was left over goes, and nothing else does."""
        self.station.sweep()
        left = [name for _, _, names in os.walk(self.store.root) for name in names if name.endswith(TEMPORARY_SUFFIX)]
        demand("after a sweep", strange=left)
        swept = self.station._core.look()[0]
        demand("CAs after a sweep", missing=set(cas(snapshot)) ^ set(cas(swept)))
        demand("leaves after a sweep", missing=leaves(snapshot).keys() ^ leaves(swept).keys())
        self.expected = self.expected.after("sweep", "", "Accepted")
        demand_keys(self.expected, swept)


# ---- campaigns


def campaign(directory: Path, layout: str, kills: int, seed: int) -> Report:
    """Kill so many processes in a store of one layout. Raises `Lost` at the first loss."""
    lane = Lane(directory, layout, seed)
    begin = time.monotonic()
    try:
        for _ in range(kills):
            lane.kill()
        lane.report.seconds = time.monotonic() - begin
    finally:
        lane.close()
    return lane.report


def _in_parallel(directory: Path, kills: int, seed: int) -> int:
    """One lane for each layout, each in a process of its own."""

    def lane(layout: str, number: int) -> None:
        report = campaign(directory, layout, kills, seed + number)
        print(f"\n{layout}, seed {seed + number}\n{report}", flush=True)

    big.warm()
    started = [children.start(partial(lane, layout, number)) for number, layout in enumerate(big.LAYOUTS)]
    return max(abs(children.wait(child)) for child in started)


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.laws.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=2000, help="over both layouts")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--directory", type=Path, help="where to make the stores; /dev/shm unless told")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else Random().randrange(10**6)
    directory = Path(tempfile.mkdtemp(dir=arguments.directory or "/dev/shm"))  # noqa: S108
    logging.disable()
    begin = time.monotonic()
    status = _in_parallel(directory, arguments.kills // len(big.LAYOUTS), seed)
    print(f"\n{'lost, see above; the stores are in ' + str(directory) if status else 'nothing lost'}")
    print(f"seed {seed}, {time.monotonic() - begin:.0f} s")
    if not status:
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())

"""Many hands on one store: processes and threads that give random commands at the same time.

    python -m tests.laws.hands --commands 1000 --rounds 20

Everybody writes down when a command was given and answered, and what the answer was. From all of it together must
follow one order in which a store that answers one at a time would have given the same answers: nothing is lost, and
nothing stale.
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.laws import children
from tests.laws.hands_commands import (
    ROOTS,
    Announcements,
    Hand,
    Leaf,
    Record,
    answered,
    cached,
    everything,
    hash_data,
    leaf_hash_data,
    pki,
)
from tests.laws.hands_models import Leaves, histories, model
from tests.laws.history import Impossible, impossible
from tests.laws.stores import V2G_CA, Prepared, updated

LAYOUTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"files": {}, "directories": {"v2g_ca_bundle": "ca/v2g", "secc_leaf_key_directory": "client/keys"}}
)
SHAPES = ((4, 1), (1, 8), (2, 4), (4, 2))
"""How many processes there are, and how many threads in each."""
KNOWN = 24
"""Leaves whose requests are in the air at the beginning; everybody has the answers."""
SWITCH = 1e-4
"""Seconds until another thread of a process has its turn."""


class Played(NamedTuple):
    """What many hands did."""

    records: list[Record]
    initial: dict[Hashable, Hashable]
    """The objects before."""

    def flaws(self) -> list[tuple[Hashable, Impossible]]:
        """The objects whose history cannot have been."""
        found = [
            (about, impossible(operations, self.initial.get(about, "none"), model(about)))
            for about, operations in histories(self.records).items()
        ]
        return [(about, flaw) for about, flaw in found if flaw is not None]


def play(root: Path, layout: str, shape: tuple[int, int], commands: int, seed: int) -> Played:
    """Have many hands give so many commands in all on a new store."""
    store = Prepared(root, LAYOUTS[layout])
    known = _prepared(store)
    processes, threads = shape
    each = commands // (processes * threads)
    waiting, gate = os.pipe()

    def process(number: int) -> None:
        os.close(gate)
        names = [str(number * threads + thread + 1) for thread in range(threads)]
        hands = _hands(store, known, names, seed)
        os.read(waiting, 1)
        _all_at_once(hands, each)
        records = [record for hand in hands for record in hand.records]
        (root / f"records-{number}").write_bytes(pickle.dumps(records))

    begin = time.monotonic_ns()
    started = [children.start(partial(process, number)) for number in range(processes)]
    os.close(waiting)
    os.close(gate)
    assert [children.wait(child) for child in started] == [0] * processes
    records = [
        record
        for number in range(processes)
        for record in pickle.loads((root / f"records-{number}").read_bytes())  # noqa: S301
    ]
    first = [Record(begin, begin, "request", leaf.number, leaf, 0, "before") for leaf in known[1:]]
    return Played([*first, *records, _last(store)], _initial(known[0]))


def _prepared(store: Prepared) -> list[Leaf]:
    """A store with a leaf that stays, and the leaves that everybody knows: the first is the one that stays."""
    station = store.station()
    interface = station.interface()
    for ca_type in ROOTS:  # makes the directories, so that being the only writer is the same for all
        interface.install_ca_certificate(certificate=pki()[f"{ca_type} 0"].pem, certificate_type=ca_type)
        interface.delete_certificate(certificate_hash_data=hash_data(f"{ca_type} 0"))
    interface.install_ca_certificate(certificate=pki()["Home"].pem, certificate_type=V2G_CA)
    known = [answered(station, number) for number in range(KNOWN)]
    for leaf in known:
        leaf_hash_data(leaf)
    assert updated(station, known[0].chain) == "Accepted"
    assert cached(station, 0) == "Accepted"
    return known


def _initial(stays: Leaf) -> dict[Hashable, Hashable]:
    before: dict[Hashable, Hashable] = dict.fromkeys(ROOTS, frozenset())
    return before | {"leaves": Leaves(frozenset({stays.number}), frozenset()), "response": 0}


def _hands(store: Prepared, known: list[Leaf], names: list[str], seed: int) -> list[Hand]:
    station = store.station()
    told = Announcements(station)
    return [Hand(station, told, known[1:], Random(f"{seed} {name}"), name) for name in names]


def _all_at_once(hands: list[Hand], commands: int) -> None:
    """Each hand in a thread of its own."""
    barrier, failed = threading.Barrier(len(hands)), []

    def run(hand: Hand) -> None:
        barrier.wait()
        try:
            for _ in range(commands):
                hand.act()
        except BaseException as error:
            failed.append(error)
            raise

    sys.setswitchinterval(SWITCH)
    threads = [threading.Thread(target=run, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    announced = sum(hands[0].told.by_thread.values())
    assert announced == sum(record.told for hand in hands for record in hand.records), "announced after the answer"


def _last(store: Prepared) -> Record:
    """What is there in the end."""
    began = time.monotonic_ns()
    seen = everything(store.station())
    return Record(began, time.monotonic_ns(), "everything", None, seen, 0, "after")


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.laws.hands", description=__doc__)
    parser.add_argument("--commands", type=int, default=1000, help="in each round")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    logging.disable()
    seed = arguments.seed if arguments.seed is not None else Random().randrange(10**6)
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    begin, given, flawed = time.monotonic(), 0, 0
    for number in range(arguments.rounds):
        shape, layout = SHAPES[number % len(SHAPES)], list(LAYOUTS)[number // len(SHAPES) % len(LAYOUTS)]
        start = time.monotonic()
        played = play(directory / str(number), layout, shape, arguments.commands, seed + number)
        shutil.rmtree(directory / str(number))
        flaws = played.flaws()
        given, flawed = given + len(played.records), flawed + bool(flaws)
        print(f"{shape[0]} x {shape[1]} on {layout}: {_said(flaws)}, {time.monotonic() - start:.1f} s", flush=True)
    shutil.rmtree(directory)
    seconds = time.monotonic() - begin
    print(f"{arguments.rounds} histories of {given} commands, {flawed} impossible, {seconds:.0f} s, seed {seed}")
    return 1 if flawed else 0


def _said(flaws: Iterable[tuple[Hashable, Impossible]]) -> str:
    return "\n".join(f"{about}: {flaw}" for about, flaw in flaws) or "linearizable"


if __name__ == "__main__":
    sys.exit(main())

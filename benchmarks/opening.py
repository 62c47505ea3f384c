"""Opening a store for the first time, and answering after another process changed it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.children import parsed
from benchmarks.measure import MIN_ROUNDS, Bound, Row, Target, once, paired
from benchmarks.plan import Plan
from benchmarks.processes import Renamer, child, renamer
from benchmarks.reading import V2G, commands_of
from benchmarks.stores import SECC_DIRECTORY, SETTLE, Stores, config_under
from evse_security import EncodingFormat, Station

COLD, CHANGED = "cold open", "after a change by another process"
COLD_TARGET = Target(Bound.RATIO, 3)
CHANGED_TARGET = Target(Bound.MEASURED, 3e-3)
FIRST = {
    "key pair": "first get_key_pair",
    "everything": "every reading command once",
}


def cold_rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """Each round is a new process; in every other one the floor comes first."""
    with stores.store(plan.leaves[0]) as small:
        for size in plan.leaves:
            with stores.store(size) as large:
                rounds: list[dict[str, float]] = []
                end = time.perf_counter() + 4 * plan.seconds
                while len(rounds) < 2 or time.perf_counter() < end:
                    order = "floor" if len(rounds) % 2 else "ours"
                    rounds.append(child("cold_open", small, large, stores.pki_directory, order))
            for key, what in FIRST.items():
                yield paired(
                    (taken[key] for taken in rounds),
                    (taken["floor"] for taken in rounds),
                    group=COLD,
                    what=what,
                    size=f"{size} leaves",
                    floor_is="bare reading and parsing",
                    target=COLD_TARGET if size == plan.usual else None,
                )


def changed_rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """The first answer after a leaf appeared. It must be the new leaf: a stale answer stops the benchmark."""
    with renamer() as rename:
        for size in plan.leaves:
            ours, floor = _changes(size, plan.seconds, stores, rename)
            yield paired(
                ours,
                floor,
                group=CHANGED,
                what="first get_key_pair",
                size=f"{size} leaves",
                floor_is="reading and parsing the new leaf's files",
                target=CHANGED_TARGET if size == plan.usual else None,
            )


def _changes(size: int, seconds: float, stores: Stores, rename: Renamer) -> tuple[list[float], list[float]]:
    """Seconds of the first answer after each change, and of reading just the files that came."""
    ours: list[float] = []
    floor: list[float] = []
    with stores.store(size) as directory, stores.scratch() as aside, Station.open(config_under(directory)) as station:
        older = station.interface("2023-10")
        for call in commands_of(station, stores.pki).that_write_nothing():
            call()
        end = time.perf_counter() + 3 * seconds
        for number in count(size):
            stores.copy([number], aside)
            new = [aside / file.name for file in stores.leaf_files(number)]
            targets = [directory / SECC_DIRECTORY / file.name for file in new]
            time.sleep(SETTLE)  # the change before this one
            older.get_key_pair(certificate_type=V2G, encoding=EncodingFormat.PEM)
            rename(zip(new[::-1], targets[::-1], strict=True))  # the key first
            start = time.perf_counter()
            answer = older.get_key_pair(certificate_type=V2G, encoding=EncodingFormat.PEM)
            ours.append(time.perf_counter() - start)
            assert answer.key_pair is not None and Path(answer.key_pair.key) == targets[2], "a stale answer"
            floor.append(once(lambda targets=targets: [parsed(str(path)) for path in targets]))  # type: ignore[misc]
            if (len(ours) >= MIN_ROUNDS and time.perf_counter() > end) or len(ours) == 100:
                return ours, floor
    raise AssertionError  # the loop has no other end

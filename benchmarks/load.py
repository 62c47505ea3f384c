"""Four threads read while one writes: how long the slowest of a hundred answers takes, and what the writer pays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from enum import Enum
from itertools import count
from statistics import median, quantiles

from benchmarks.measure import Bound, Row, Target, once, paired
from benchmarks.plan import Plan
from benchmarks.stores import Stores, config_under
from benchmarks.writing import steps
from evse_security import EncodingFormat, LeafCertificateType, Station

GROUP = "reading under a writer"
TARGET = Target(Bound.RATIO, 5)
READERS = 4
ROUNDS = 20


class Pace(Enum):
    """How readers ask: seconds from an answer to the next question."""

    STEADY = 0.005
    """Some hundred questions a second each."""
    FULL = 0.0
    """As fast as the interpreter lets four threads take turns."""


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """The 99th percentile with a writer beside medians without one; phases with and without it take turns."""
    size = plan.usual
    with ExitStack() as stack:
        station = stack.enter_context(Station.open(config_under(stack.enter_context(stores.store(size)))))
        _write_once(station, stores, 0)  # makes directories, after which everything is looked at again, once
        alone: list[float] = []
        yield _after_a_change(station, stores, size, alone)
        for pace in Pace:
            under: list[float] = []
            written: list[float] = []
            idle: dict[int, list[float]] = {READERS: [], 1: []}
            for _ in range(3):
                for readers, found in idle.items():
                    found.append(median(_read(station, readers, pace.value, plan.seconds)))
                with _writer(station, stores, written):
                    under.append(quantiles(_read(station, READERS, pace.value, 3 * plan.seconds), n=100)[98])
            for readers, floor in idle.items():
                yield paired(
                    under,
                    floor,
                    group=GROUP,
                    what=f"get_key_pair, p99, {READERS} threads, {pace.name.lower()} pace, beside {readers} idle",
                    size=f"{size} leaves",
                    floor_is=f"median without writer, {readers} threads",
                    target=TARGET if readers == READERS else None,
                )
            yield paired(
                [median(written)],
                [median(alone)],
                group=GROUP,
                what=f"a writing command, {READERS} readers at {pace.name.lower()} pace",
                size=f"{size} leaves",
                floor_is="without readers",
            )


def _after_a_change(station: Station, stores: Stores, size: int, written: list[float]) -> Row:
    """What the first answer after a write takes one thread alone: looking at what changed, with nobody in the way.

    The seconds of the writes are added to `written`.
    """
    first: list[float] = []
    second: list[float] = []
    for number in range(1, 1 + ROUNDS):
        for _, call in steps(station, stores.pki, number):
            written.append(once(call))
            for found in (first, second):
                found.append(once(lambda: _ask(station)))
    return paired(
        first,
        second,
        group=GROUP,
        what="get_key_pair, first after a write, no threads",
        size=f"{size} leaves",
        floor_is="the second",
    )


def _ask(station: Station) -> None:
    answer = station.interface("2023-10").get_key_pair(
        certificate_type=LeafCertificateType.V2G, encoding=EncodingFormat.PEM
    )
    assert answer.key_pair is not None


def _write_once(station: Station, stores: Stores, number: int) -> list[float]:
    """Go through the writing commands; the seconds of each."""
    return [once(call) for _, call in steps(station, stores.pki, number)]


def _read(station: Station, readers: int, pause: float, seconds: float) -> list[float]:
    """The seconds of every answer that the readers got."""
    end = time.perf_counter() + seconds
    found: list[float] = []

    def reader() -> None:
        own: list[float] = []
        while len(own) < 3 or time.perf_counter() < end:
            own.append(once(lambda: _ask(station)))
            time.sleep(pause)
        found.extend(own)

    threads = [threading.Thread(target=reader) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) >= 3 * readers, "a reader failed"
    return found


class _writer:  # noqa: N801  # used as a context manager, like a function
    """A thread that goes through the writing commands, circle after circle, until the block ends.

    The seconds of each are added to `written`.
    """

    def __init__(self, station: Station, stores: Stores, written: list[float]) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(station, stores, written))

    def _write(self, station: Station, stores: Stores, written: list[float]) -> None:
        for number in count(1 + ROUNDS):
            written += _write_once(station, stores, number)
            if self._stop.is_set():
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

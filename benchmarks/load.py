"""Four threads read while one writes: how long the slowest of a hundred answers takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from enum import Enum
from itertools import count
from statistics import median, quantiles

from benchmarks.measure import Bound, Row, Target, paired
from benchmarks.plan import Plan
from benchmarks.stores import Stores, config_under
from benchmarks.writing import steps
from evse_security import EncodingFormat, LeafCertificateType, Station

GROUP = "reading under a writer"
TARGET = Target(Bound.RATIO, 5)
READERS = 4


class Pace(Enum):
    """How readers ask: seconds from an answer to the next question, and how many readers the floor is measured with."""

    STEADY = 0.005, 1
    """Some hundred questions a second each. The floor is one reader with the station to itself."""
    FULL = 0.0, READERS
    """As fast as the interpreter lets four threads take turns, which is most of what is measured then."""


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """The 99th percentile with a writer beside the median without one; phases with and without it take turns."""
    size = plan.usual
    with ExitStack() as stack:
        station = stack.enter_context(Station.open(config_under(stack.enter_context(stores.store(size)))))
        for pace in Pace:
            pause, alone = pace.value
            under: list[float] = []
            idle: list[float] = []
            for _ in range(3):
                idle.append(median(_read(station, alone, pause, plan.seconds)))
                with _writer(station, stores):
                    under.append(quantiles(_read(station, READERS, pause, 3 * plan.seconds), n=100)[98])
            yield paired(
                under,
                idle,
                group=GROUP,
                what=f"get_key_pair, p99, {READERS} threads, {pace.name.lower()} pace",
                size=f"{size} leaves",
                floor_is=f"median without writer, {alone} threads",
                target=TARGET,
            )


def _read(station: Station, readers: int, pause: float, seconds: float) -> list[float]:
    """The seconds of every answer that the readers got."""
    end = time.perf_counter() + seconds
    found: list[float] = []

    def reader() -> None:
        older = station.interface("2023-10")
        own: list[float] = []
        while len(own) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            answer = older.get_key_pair(certificate_type=LeafCertificateType.V2G, encoding=EncodingFormat.PEM)
            own.append(time.perf_counter() - start)
            assert answer.key_pair is not None
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
    """A thread that goes through the writing commands, circle after circle, until the block ends."""

    def __init__(self, station: Station, stores: Stores) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, args=(station, stores))

    def _write(self, station: Station, stores: Stores) -> None:
        for number in count(1):
            for _, call in steps(station, stores.pki, number):
                call()
            if self._stop.is_set():
                return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

"""Measuring: calls timed in turns, and rows that hold a median beside a floor of the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from statistics import median
from typing import Any

Call = Callable[[], object]

ROUND_SECONDS = 0.002
"""Calls that are shorter than this are timed many at once."""
MIN_ROUNDS, MAX_ROUNDS = 3, 400


class Bound(StrEnum):
    """What a target limits."""

    RATIO = "measured / floor"
    SPEED = "floor / measured, at least"
    MEASURED = "measured"
    ABOVE_FLOOR = "measured - floor"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit. It is met where at most the whole of what it allows is used."""

    bound: Bound
    limit: float

    def used(self, measured: float, floor: float, ratio: float) -> float:
        """The share of what is allowed: 1 is just met, 2 is twice too much."""
        match self.bound:
            case Bound.RATIO:
                return ratio / self.limit
            case Bound.SPEED:
                return ratio * self.limit
            case Bound.MEASURED:
                return measured / self.limit
            case Bound.ABOVE_FLOOR:
                return max(0.0, measured - floor) / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `measured` and `floor` are medians, `ratio` the median of the ratios pair by pair."""

    group: str
    what: str
    size: str
    measured: float
    floor: float
    floor_is: str
    ratio: float
    rounds: int
    unit: str = "s"
    """`s` or `B`."""
    target: Target | None = None

    @property
    def name(self) -> str:
        """What the row is known by in comparisons."""
        return f"{self.group} | {self.what} | {self.size}"

    @property
    def used(self) -> float | None:
        """The share of the target that is used; None without a target."""
        return None if self.target is None else self.target.used(self.measured, self.floor, self.ratio)

    def as_json(self) -> dict[str, Any]:
        """The row, with whether the target is met."""
        return {**asdict(self), "used": self.used, "met": None if self.used is None else self.used <= 1}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Row:
        """The row again."""
        known = {key: value for key, value in fields.items() if key not in ("used", "met")}
        target = known.pop("target")
        return cls(**known, target=target and Target(Bound(target["bound"]), target["limit"]))


def paired(
    measured: Iterable[float], floor: Iterable[float], *, target: Target | None = None, unit: str = "s", **names: str
) -> Row:
    """A row of samples that were taken in turns."""
    ours, theirs = list(measured), list(floor)
    ratio = median(one / max(other, 1e-9) for one, other in zip(ours, theirs, strict=True))
    return Row(
        group=names["group"],
        what=names["what"],
        size=names["size"],
        floor_is=names["floor_is"],
        measured=median(ours),
        floor=median(theirs),
        ratio=ratio,
        rounds=len(ours),
        unit=unit,
        target=target,
    )


def once(call: Call) -> float:
    """The seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(
    calls: Mapping[str, Call], *, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time each call once per round, round after round, so that a disturbance meets all of them alike.

    Seconds per call, by name; short calls are repeated within a round and averaged. Every call has run before.
    `clock` may be that of the processor, for what hops between threads, which a busy machine lets wait.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    for number in range(MAX_ROUNDS):
        for name, call in calls.items():
            start = clock()
            for _ in range(repeats[name]):
                call()
            samples[name].append((clock() - start) / repeats[name])
        if number + 1 >= MIN_ROUNDS and time.perf_counter() > end:
            break
    return samples


def _repeats(call: Call) -> int:
    """How many calls make a round; found by running it, twice if it is short, since the first time may be slow."""
    taken = once(call)
    if taken < 10 * ROUND_SECONDS:
        taken = once(call)
    return max(1, min(2000, int(ROUND_SECONDS / max(taken, 1e-7))))

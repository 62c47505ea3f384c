"""How much is measured, and what the groups of benchmarks work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.measure import Row
from benchmarks.stores import Stores

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes, and seconds for each row."""

    leaves: tuple[int, ...]
    """SECC leaves of the stores, ascending."""
    roots: tuple[int, ...]
    """Roots of the V2G bundle, ascending."""
    writes: tuple[int, ...]
    """SECC leaves of the stores that are written to."""
    seconds: float
    file_bytes: int

    @property
    def usual(self) -> int:
        """The size at which what does not grow is measured: 2,000 leaves, or the most there are."""
        return min(2000, self.leaves[-1])


FULL = Plan(
    leaves=(20, 200, 2000, 10_000),
    roots=(1, 10, 140, 1000),
    writes=(20, 2000, 10_000),
    seconds=1.0,
    file_bytes=256 * MIB,
)
QUICK = Plan(leaves=(20, 200), roots=(1, 140), writes=(20, 200), seconds=0.15, file_bytes=32 * MIB)

Group = Callable[[Plan, Stores], Iterator[Row]]
"""Measures, and gives each row when it is done."""

"""Trying inputs: those that chance makes, and those that came far, altered.

An input is a row of octets from which hypothesis makes the choices that an input consists of; so whatever becomes of
the octets, what comes of them is a certificate, a call or a store with something wrong in it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import InMemoryExampleDatabase

from fuzz.coverage import Coverage
from tests.hostile.target import Target

LONGEST = 8192
"""Octets of an input."""
SLOW = 10.0
"""Seconds of the processor after which an input has taken too long, however busy the machine is."""


class TooSlow(AssertionError):
    """An input that takes longer than any should."""


@dataclass
class Attempts:
    """One target, and how far its inputs came."""

    name: str
    target: Target
    random: random.Random
    coverage: Coverage
    tried: int = 0
    slowest: float = 0.0
    corpus: list[bytes] = field(default_factory=list)
    _came_further: bool = False

    def __post_init__(self) -> None:
        limits = settings(
            database=InMemoryExampleDatabase(),
            deadline=None,
            derandomize=False,
            phases=(Phase.reuse, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        self.run: Callable[[], None] = limits(given(self.target.inputs)(self._once))
        self.one_input: Callable[[bytes], bytes | None] = self.run.hypothesis.fuzz_one_input  # type: ignore[attr-defined]

    def _once(self, value: Any) -> None:
        begin = time.process_time()
        self._came_further = self.coverage.traced(lambda: self.target.check(value))
        taken = time.process_time() - begin
        self.slowest = max(self.slowest, taken)
        if taken > SLOW:
            raise TooSlow(f"{taken:.1f} s")

    def go_on(self, seconds: float) -> None:
        """Try inputs for a while. Raises what a check raises, for the shortest input that is found to make it so."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.attempt(self._next())

    def attempt(self, octets: bytes) -> None:
        """Try one."""
        self.tried += 1
        self._came_further = False
        try:
            made = self.one_input(octets)
        except BaseException:
            self.run()  # what failed is remembered: try it again, and shorter
            raise
        if made is not None and self._came_further:
            self.corpus.append(made)

    def _next(self) -> bytes:
        """New octets, or some that came far with a piece cut, replaced, or taken from another."""
        if not self.corpus or not self.random.randrange(4):
            return self.random.randbytes(self.random.choice((64, 512, LONGEST)))
        octets = self.random.choice(self.corpus[-64:] if self.random.randrange(2) else self.corpus)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            octets = self._altered(octets)
        return (octets + self.random.randbytes(64))[:LONGEST]

    def _altered(self, octets: bytes) -> bytes:
        begin = self.random.randrange(len(octets) + 1)
        end = min(len(octets), begin + self.random.choice((0, 1, 2, 8, 32)))
        other = self.random.choice(self.corpus)
        at = self.random.randrange(len(other) + 1)
        between = self.random.choice(
            (b"", self.random.randbytes(end - begin), self.random.randbytes(2), bytes(8), other[at : at + 64])
        )
        return octets[:begin] + between + octets[end:]

"""A clock that leaps ahead: whether it is waited until it is set back, or has stayed there."""

from __future__ import annotations

import time
from collections.abc import Callable

from evse_security.agents.renewal.rules import HOLD, LEAP
from evse_security.clock import Moment


def since_boot() -> float:
    """Seconds since the machine was started, suspended or not, whatever its clock is set to."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leaps:
    """Compares the clock with one that nobody sets, each time that it is looked at."""

    def __init__(self, elapsed: Callable[[], float] = since_boot) -> None:
        """`elapsed` counts seconds, from whenever."""
        self._elapsed = elapsed
        self._seen: tuple[Moment, float] | None = None
        self._until: float | None = None

    def held(self, moment: Moment) -> float:
        """For how many more seconds nothing should be dated; 0: the clock is where it was expected, or has stayed."""
        elapsed, seen = self._elapsed(), self._seen
        self._seen = moment, elapsed
        if seen is not None:
            step = (moment.now - seen[0].now).total_seconds() - (elapsed - seen[1])
            if step >= LEAP and seen[0].doubt is None:
                self._until = elapsed + HOLD
            elif step <= -LEAP:
                self._until = None
        return 0.0 if self._until is None else max(self._until - elapsed, 0.0)

"""Warnings of messages that are dropped: anybody can send any number of those, and a log is not endless."""

from __future__ import annotations

import json
from collections.abc import Callable

PERIOD = 60.0
"""Seconds of which the first warnings are given."""
MOST = 10
"""Warnings in that time; of the others only the number is told."""
LONGEST = 200
"""Characters of a topic that are told."""


class Dropped:
    """Warns of so many in a period, and then says how many there were besides. Times are of any clock, in seconds."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        """With who is to be told."""
        self._warn = warn
        self._since = float("-inf")
        self._count = 0

    def __call__(self, topic: str, why: object, now: float) -> None:
        """Tell that a message on this topic was dropped, and why. What it held is not repeated."""
        if now - self._since >= PERIOD:
            if self._count > MOST:
                self._warn(f"{self._count - MOST} more messages were dropped")
            self._since, self._count = now, 0
        self._count += 1
        if self._count <= MOST:
            self._warn(f"a message on {json.dumps(topic[:LONGEST])} was dropped: {why}")

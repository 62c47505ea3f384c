"""Warnings of messages that are dropped: anybody can send any number of those, and a log is not endless."""

from __future__ import annotations

import json
from collections.abc import Callable

from evse_security.service.spate import Spate

LONGEST = 200
"""Characters of a topic that are told."""


class Dropped:
    """Warns of so many in a period, and then says how many there were besides. Times are of any clock, in seconds."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        """With who is to be told."""
        self._warn = warn
        self._spate = Spate(lambda count: warn(f"{count} more messages were dropped"))

    def __call__(self, topic: str, why: object, now: float) -> None:
        """Tell that a message on this topic was dropped, and why. What it held is not repeated."""
        if self._spate.takes(now):
            self._warn(f"a message on {json.dumps(topic[:LONGEST])} was dropped: {why}")

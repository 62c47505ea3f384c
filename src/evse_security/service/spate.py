"""Lines of the log of which others can cause any number: so many in a minute, and then how many there were besides."""

from __future__ import annotations

import threading
from collections.abc import Callable

PERIOD = 60.0
"""Seconds of which the first are told."""
MOST = 10
"""That are told in that time; of the others only the number is."""


class Spate:
    """Says which of many are to be told. Times are of any clock, in seconds; for any thread."""

    def __init__(self, more: Callable[[int], object]) -> None:
        """`more` is told how many were left out, once the next one comes after their time."""
        self._more = more
        self._since = float("-inf")
        self._count = 0
        self._lock = threading.Lock()

    def takes(self, now: float) -> bool:
        """Whether another one is to be told."""
        with self._lock:
            left_out = 0
            if now - self._since >= PERIOD:
                left_out = self._count - MOST
                self._since, self._count = now, 0
            self._count += 1
            is_told = self._count <= MOST
        if left_out > 0:
            self._more(left_out)
        return is_told

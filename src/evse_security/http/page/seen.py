"""What the page has seen of the station, kept for a moment: drawing a store of thousands of leaves takes a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 20
"""An answer is kept so many times as long as it took: drawing takes at most a twentieth of the time there is."""
LONGEST = 60.0
"""Seconds that it is kept at most, as files change and certificates expire without an event."""


class Kept(Generic[T]):
    """An answer for all who ask within a moment; those who ask at once wait for one. `forget` is for any thread."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is asked yet."""
        self._ask, self._clock = ask, clock
        self._alone = asyncio.Lock()
        self._answer: tuple[T, float, int] | None = None
        self._forgotten = 0

    async def get(self) -> T:
        """The answer. Raises what asking raises."""
        async with self._alone:
            if self._answer is not None:
                answer, until, forgotten = self._answer
                if forgotten == self._forgotten and self._clock() < until:
                    return answer
            forgotten, begun = self._forgotten, self._clock()
            answer = await self._ask()
            now = self._clock()
            self._answer = (answer, now + min(SHARE * (now - begun), LONGEST), forgotten)
            return answer

    def forget(self) -> None:
        """Ask anew next time, and whatever is being asked now."""
        self._forgotten += 1

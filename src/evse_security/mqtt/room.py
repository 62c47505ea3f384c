"""Room for messages that are worked on at once: so many, and of those that may take much memory one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LARGE = 1 << 14
"""Bytes of a message from which on it is a large one. The values of JSON take up to 25 times as much as its text."""


class Room:
    """Whoever has room gives it back. Those who want some get it in their turn, and wait before they read anything."""

    def __init__(self, most: int) -> None:
        """For so many messages, of which one is large."""
        self._any, self._large = asyncio.Semaphore(most), asyncio.Semaphore()

    async def take(self, size: int) -> Callable[[object], None]:
        """Wait for room for a message of so many bytes; returns how to give it back."""
        taken = (self._any, self._large) if size > LARGE else (self._any,)
        for each in taken:
            await each.acquire()

        def give_back(_: object) -> None:
            for each in taken:
                each.release()

        return give_back

"""Room for requests that are worked on at once: so many, and of those that may take much memory one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LARGE = 1 << 14
"""Bytes of a request from which on it is a large one. The values of JSON take up to 25 times as much as its text."""


class Room:
    """Whoever has room gives it back. Those who want some get it in their turn, and wait before they parse anything."""

    def __init__(self, most: int) -> None:
        """For so many requests, of which one is large."""
        self._any, self._large = asyncio.Semaphore(most), asyncio.Semaphore()

    async def take(self, size: int) -> Callable[..., None]:
        """Wait for room for a request of so many bytes; returns how to give it back."""
        taken: list[asyncio.Semaphore] = []

        def give_back(_: object = None) -> None:
            for each in taken:
                each.release()

        try:
            for each in (self._large, self._any) if size > LARGE else (self._any,):  # small ones wait for no large one
                await each.acquire()
                taken.append(each)
        except BaseException:
            give_back()
            raise
        return give_back

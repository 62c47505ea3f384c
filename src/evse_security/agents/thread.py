"""Work that waits for a network, in a thread that holds up nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], abort: Callable[[], None], seconds: float) -> T:
    """Do blocking work in a thread that nobody waits for at the end, and abort it when it takes too long."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, problem: Exception | None) -> None:
        if future.done():
            return
        if problem is not None:
            future.set_exception(problem)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            outcome: tuple[T | None, Exception | None] = work(), None
        except Exception as problem:  # it is raised where the answer is awaited
            outcome = None, problem
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(deliver, *outcome)

    threading.Thread(target=run, name="evse-security-agent", daemon=True).start()
    try:
        async with asyncio.timeout(seconds):
            return await future
    finally:
        abort()

"""What runs beside each other in the service, each of which may fail and begin again without the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from evse_security.errors import InvalidConfiguration
from evse_security.service.eventdata import Problem
from evse_security.service.events import EventKind, Events

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before a part that failed begins again, doubled each time."""
STEADY = 60.0
"""Seconds after which a part that begins again is taken to be well."""


class Part(Protocol):
    """A transport or an agent."""

    @property
    def name(self) -> str:
        """What it is called in the log: `http`, `mqtt`, `renewal`."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Work until it is cancelled; call `ready` once what others can see of it is there.

        Raises `InvalidConfiguration` for what no second try can mend: the service does not start then.
        """


async def run_parts(parts: Sequence[Part], events: Events, ready: Callable[[], Awaitable[None] | None]) -> None:
    """Run all until cancelled; call `ready` when every one of them was ready once.

    Raises `InvalidConfiguration` if one does that was never ready; what was usable once may be so again.
    """
    waiting = {part.name for part in parts}
    if len(waiting) != len(parts):
        raise ValueError("two parts have one name")
    all_ready = asyncio.Event()

    def is_ready(name: str) -> None:
        waiting.discard(name)
        if not waiting:
            all_ready.set()

    async def tell() -> None:
        await all_ready.wait()
        told = ready()
        if told is not None:
            await told

    if not waiting:
        all_ready.set()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(tell())
            for part in parts:
                group.create_task(_keep_running(part, events, is_ready), name=part.name)
    except* InvalidConfiguration as refused:
        raise _first(refused) from None


def _first(group: ExceptionGroup[InvalidConfiguration]) -> InvalidConfiguration:
    first = group.exceptions[0]
    return first if isinstance(first, InvalidConfiguration) else _first(first)


async def _keep_running(part: Part, events: Events, is_ready: Callable[[str], None]) -> None:
    """Run a part, and again when it fails, ever less often."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    wait, was_ready = FIRST_WAIT, False

    def ready() -> None:
        nonlocal was_ready
        was_ready = True
        is_ready(part.name)

    while True:
        begun = loop.time()
        try:
            await part.run(ready)
            return
        except (Exception, asyncio.CancelledError) as problem:  # one part must not take the others with it
            if isinstance(problem, InvalidConfiguration) and not was_ready:
                raise
            if isinstance(problem, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise  # else something that it waited for was cancelled
            log.exception("%s failed and begins again in %g s", part.name, wait)
            data: Problem = {"part": part.name, "text": f"{part.name} failed: {type(problem).__name__}"}
            events.publish(EventKind.warning, data)
        if loop.time() - begun > STEADY:
            wait = FIRST_WAIT
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)

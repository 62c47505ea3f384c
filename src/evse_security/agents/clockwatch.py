"""Watches the clock: unset at boot, set later, stepped forwards or backwards."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from evse_security.agents.patience import ask
from evse_security.service.eventdata import ClockNews
from evse_security.service.events import EventKind
from evse_security.service.service import Service

log = logging.getLogger(__name__)

PERIOD = 5.0
"""Seconds between looks."""
STEP = 5.0
"""Seconds by which the clock must differ from what passed to have been stepped. NTP slews by 500 ppm at most."""


class Look(NamedTuple):
    """What the clock showed at one moment."""

    now: datetime
    doubt: str | None
    """Why it is not believed; None: it is."""
    elapsed: float
    """Seconds on a clock that nobody sets."""


def news(before: Look | None, look: Look) -> ClockNews | None:
    """What is new about the clock, as data of an event; None: nothing. At the start, that it is not believed."""
    step = 0.0 if before is None else (look.now - before.now).total_seconds() - (look.elapsed - before.elapsed)
    stepped = abs(step) >= STEP
    is_set = look.doubt is None
    was_set = True if before is None else before.doubt is None
    if not stepped and is_set == was_set:
        return None
    return {
        "state": "set" if is_set else "unset",
        "step": round(step, 1) if stepped else None,
        "text": _text(look, step if stepped else None, changed=is_set != was_set),
    }


def _text(look: Look, step: float | None, *, changed: bool) -> str:
    said = [] if step is None else [f"stepped {'forwards' if step > 0 else 'backwards'} by {abs(step):.0f} s"]
    if look.doubt is not None:
        said.append(f"not believed: {look.doubt}")
    elif changed:
        said.append("believed from now on")
    return f"the clock: {'; '.join(said)}"


def since_boot() -> float:
    """Seconds since the machine was started, sleep included, which no step of the clock changes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockWatch:
    """Publishes an event whenever the clock is set, lost or stepped."""

    name = "clock"

    def __init__(self, service: Service, elapsed: Callable[[], float] = since_boot, period: float = PERIOD) -> None:
        """`elapsed` counts seconds that nobody sets; looks every `period` seconds."""
        self._service, self._elapsed, self._period = service, elapsed, period
        self._last: Look | None = None

    @property
    def doubt(self) -> str | None:
        """Why the clock is not believed, as of the last look; None: it is, or nobody has looked yet."""
        return None if self._last is None else self._last.doubt

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        while True:
            await self.look()
            ready()
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Look once."""
        moment, elapsed = await ask(self._service, lambda station: (station.time(), self._elapsed()), caller=self.name)
        look = Look(moment.now, moment.doubt, elapsed)
        found, self._last = news(self._last, look), look
        if found is not None:
            log.log(logging.INFO if look.doubt is None else logging.WARNING, "%s", found["text"])
            self._service.events.publish(EventKind.clock, found)

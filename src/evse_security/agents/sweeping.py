"""Collects garbage from time to time, by the store's own rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from evse_security.agents.patience import ask, wait
from evse_security.errors import NotWritable
from evse_security.service.eventdata import Problem, Swept, SweptFile
from evse_security.service.events import Event, EventKind
from evse_security.service.service import Service
from evse_security.station import SweepReport

log = logging.getLogger(__name__)

AFTER_START = 300.0
"""Seconds before the first sweep: a station has other things to do when it starts."""
MOST_TOLD = 50
"""Files that one event names."""


class SweepAgent:
    """Sweeps every `sweep_interval` seconds, and when a clock that was not believed is set."""

    name = "sweep"

    def __init__(self, service: Service, first: float = AFTER_START) -> None:
        """The first sweep comes `first` seconds after the start, or after the interval if that is shorter."""
        self._service, self._interval = service, float(service.config.sweep_interval)
        self._first = min(first, self._interval)
        self._clock_was_set = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()

        def hear(event: Event) -> None:
            if event.kind is EventKind.clock:
                loop.call_soon_threadsafe(self._clock_was_set.set)

        stop = self._service.events.hear(hear)
        try:
            ready()
            await asyncio.sleep(self._first)
            while True:
                self._clock_was_set.clear()
                if await self.sweep():
                    await asyncio.sleep(self._interval)
                else:
                    await wait(self._clock_was_set, self._interval)
        finally:
            stop()

    async def sweep(self) -> bool:
        """Sweep once, and tell what went. Whether the clock was believed, without which nothing goes."""
        try:
            report = await ask(self._service, lambda station: station.sweep(), caller=self.name)
        except NotWritable as refusal:
            log.warning("nothing could be swept: %s", refusal)
            text = f"garbage cannot be collected: {refusal}"
            warning: Problem = {"part": self.name, "text": text}
            self._service.events.publish(EventKind.warning, warning)
            return True
        if report.kept_because is not None:
            log.warning("%s", report)
        self._tell(report)
        return report.kept_because is None

    def _tell(self, report: SweepReport) -> None:
        if not report.removed:
            return
        log.info("swept %d files", len(report.removed))
        told: list[SweptFile] = [{"path": str(file.path), "reason": file.reason} for file in report.removed[:MOST_TOLD]]
        data: Swept = {"files": len(report.removed), "removed": told}
        self._service.events.publish(EventKind.swept, data)

"""Keeps what was exported for PyPI `iso15118` (Josev) as the store is.

Where nothing can be exported (the leaf expired, was revoked or deleted), what was exported stays, and that is told:
without files Josev would go on in plain text with any car, while a car refuses a chain that has expired, and one that
is revoked if it asks for OCSP. Nothing is written as long as the files are what they should be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from evse_security.adapters.iso15118.files import Exported, NothingToExport, export
from evse_security.agents.patience import look, wait
from evse_security.chains import Edition
from evse_security.errors import EvseSecurityError
from evse_security.service.eventdata import Problem
from evse_security.service.events import Event, EventKind
from evse_security.service.service import Service
from evse_security.station import Station
from evse_security.visible import printable

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds between looks: that a leaf expires, or the file of OEM roots changes, makes no event."""
SETTLED = 0.5
"""Seconds that are waited after a change: a chain comes in several files, and many changes together."""
REMINDED = 86_400.0
"""Seconds after which what is still wrong is told again."""
EDITIONS = {"2": Edition.ISO15118_2, "20": Edition.ISO15118_20}
_MATTERS = frozenset({EventKind.certificate_store_update, EventKind.clock, EventKind.ocsp})


class ExportPart:
    """Exports at the start and after each change, where the configuration names a directory for it."""

    name = "iso15118_export"

    def __init__(self, service: Service, directory: Path, period: float = PERIOD) -> None:
        """Keeps a directory outside the store, and looks every `period` seconds, too."""
        self._service, self._directory, self._period = service, directory, period
        self._edition = EDITIONS[service.config.iso15118_export_edition]
        self._oem_roots = service.config.iso15118_oem_roots
        self._told: tuple[str, float] | None = None
        """What is wrong, and when that was told."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Export until cancelled."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def hear(event: Event) -> None:
            if event.kind in _MATTERS:
                loop.call_soon_threadsafe(changed.set)

        stop = self._service.events.hear(hear)
        try:
            while True:
                changed.clear()
                await self.export(loop.time())
                ready()
                await wait(changed, self._period)
                if changed.is_set():
                    await asyncio.sleep(SETTLED)
        finally:
            stop()

    async def export(self, elapsed: float) -> None:
        """Export once; tell what is wrong, and when it no longer is."""
        try:
            done = await look(self._service, self._export, caller=self.name)
        except (EvseSecurityError, OSError, ValueError) as problem:
            self._tell(self._in_words(problem), elapsed)
            return
        if done.is_new or (self._told is not None and done.oem_problem is None):
            log.info("exported for PyPI iso15118 to %s: %s", done.directory, printable(str(done.chain)))
            for domain in done.more_roots:
                log.warning("there is room for one %s root, and more are installed: the first is copied", domain)
        if done.oem_problem is None:
            self._told = None
        else:
            self._tell(printable(f"the export to {self._directory} has no OEM root: {done.oem_problem}"), elapsed)

    def _export(self, station: Station) -> Exported:
        return export(station, self._directory, self._edition, self._oem_roots)

    def _in_words(self, problem: Exception) -> str:
        text = f"{problem.filename}: {problem.strerror}" if isinstance(problem, OSError) else str(problem)
        if isinstance(problem, NothingToExport):
            text += "; what was exported before stays, if anything was: without it Josev would go on in plain text"
        return printable(f"the export to {self._directory} is not as the store is: {text}")

    def _tell(self, text: str, elapsed: float) -> None:
        if self._told is not None and self._told[0] == text and elapsed - self._told[1] < REMINDED:
            return
        self._told = text, elapsed
        log.error("%s", text)
        warning: Problem = {"part": self.name, "text": text}
        self._service.events.publish(EventKind.warning, warning)

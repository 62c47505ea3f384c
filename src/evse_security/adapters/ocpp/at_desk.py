"""What the parts of `Certificates` have in common: the desk, and the thread in which that is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.editions import Edition
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.policy import CertificatePolicy

T = TypeVar("T")


class AtDesk:
    """Asks the desk of a station from an event loop, which waits for neither store nor disk."""

    def __init__(self, desk: Desk, worker: Executor) -> None:
        """`worker` does one thing after another."""
        self._desk, self._worker = desk, worker
        self._wake = asyncio.Event()
        """There may be something to send."""

    async def _ask(self, question: Callable[[], T]) -> T:
        """Ask in the thread in which store and disk are worked on."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, question)

    @property
    def policy(self) -> CertificatePolicy:
        """The rules as they are now: those that were given, with what the CSMS has set since."""
        return self._desk.renewals.policy

    @property
    def edition(self) -> Edition:
        """The edition that is spoken."""
        return self._desk.edition

    async def happened(self, event: SecurityEvent, info: str = "") -> None:
        """Queue a security event for the CSMS (A04)."""
        await self._ask(lambda: self._desk.happened(event, info))
        self._wake.set()

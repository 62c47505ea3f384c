"""The service from its start to its end: configured, served, configured anew by SIGHUP, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

from evse_security.config import StationConfig
from evse_security.daemon.notify import Notifier
from evse_security.errors import EvseSecurityError, InvalidConfiguration
from evse_security.service.config import ServiceConfig
from evse_security.service.eventdata import Problem
from evse_security.service.events import EventKind, Events
from evse_security.service.parts import Part, run_parts
from evse_security.service.service import Service
from evse_security.station import Station

log = logging.getLogger(__name__)

LONGEST_END = 10.0
"""Seconds in which parts end that were told to."""
STUCK = 1
"""The exit status where the worker could not be waited for."""
WATCHED = "watchdog"


class Configuration(NamedTuple):
    """What is served, and how."""

    station: StationConfig
    service: ServiceConfig


class Told(Enum):
    """What the service is told from outside."""

    END = "end"
    RELOAD = "reload"


class Signals:
    """What was told and is not done yet. Many reloads are one, and none is done before an end."""

    def __init__(self) -> None:
        """Nothing was told."""
        self._told = set[Told]()
        self._arrived = asyncio.Event()

    def tell(self, what: Told) -> None:
        """Note it; an end holds for good."""
        self._told.add(what)
        self._arrived.set()

    async def next(self) -> Told:
        """Wait for what is to be done next."""
        await self._arrived.wait()
        if Told.END in self._told:
            return Told.END
        self._told.clear()
        self._arrived.clear()
        return Told.RELOAD


Read = Callable[[], Configuration]
"""Reads the configuration. Raises `InvalidConfiguration`."""
Assemble = Callable[[Service, Callable[[], bool]], Sequence[Part]]
"""Which parts run; they can ask whether all are ready. Raises `InvalidConfiguration`."""


async def live(read: Read, assemble: Assemble, notifier: Notifier) -> None:
    """Serve until SIGTERM or SIGINT. On SIGHUP, read the configuration and begin anew with it.

    Raises `InvalidConfiguration` for one with which the service cannot begin. A new one with which it cannot go on is
    said, and the one before it kept.
    """
    told = _signals()
    current = read()
    events = Events(current.station.clock)
    proven: Configuration | None = None
    while True:
        life = _Life(current, events, notifier)
        try:
            following = await life.run(assemble, read, told)
        except InvalidConfiguration as refused:
            if proven is None or current is proven:
                raise
            _keep(events, refused)
            current = proven
            continue
        if following is None:
            return
        proven, current = current, following


def _signals() -> Signals:
    told = Signals()
    loop = asyncio.get_running_loop()
    for number, what in ((signal.SIGTERM, Told.END), (signal.SIGINT, Told.END), (signal.SIGHUP, Told.RELOAD)):
        loop.add_signal_handler(number, told.tell, what)
    return told


def _keep(events: Events, refused: EvseSecurityError) -> None:
    log.error("the configuration is kept as it was: %s", refused)
    data: Problem = {"text": f"the configuration is kept as it was: {refused}"}
    events.publish(EventKind.warning, data)


class _Life:
    """The service with one configuration."""

    def __init__(self, configuration: Configuration, events: Events, notifier: Notifier) -> None:
        self._configuration = configuration
        self._events = events
        self._notifier = notifier

    async def run(self, assemble: Assemble, read: Read, told: Signals) -> Configuration | None:
        """Serve until something is told: the configuration to go on with, or None at the end."""
        with Station.open(self._configuration.station) as station:
            service = Service(station, self._configuration.service, self._events)
            parts = asyncio.create_task(self._serve(assemble, service))
            ends = False
            try:
                while await self._next(parts, told) is Told.RELOAD:
                    self._notifier.reloading()
                    try:
                        following = read()
                    except InvalidConfiguration as refused:
                        _keep(self._events, refused)
                        self._notifier.ready("serving; the new configuration was refused")
                        continue
                    log.info("the configuration is read anew")
                    return following
                self._notifier.stopping()
                log.info("ending")
                ends = True
                return None
            finally:
                parts.cancel()
                await asyncio.wait([parts], timeout=LONGEST_END)
                await self._close(service, LONGEST_END if ends else None)

    @staticmethod
    async def _close(service: Service, seconds: float | None) -> None:
        """Let the worker end what it does. At the end not for ever: it may wait for a disk that does not answer."""
        closing = asyncio.create_task(asyncio.to_thread(service.close))
        if not (await asyncio.wait([closing], timeout=seconds))[0]:
            log.error("the store has not answered for %g s: ending without it", seconds)
            os._exit(STUCK)  # Python would wait for the worker once more; a change may be cut off anywhere
        closing.result()

    @staticmethod
    async def _next(parts: asyncio.Task[None], told: Signals) -> Told:
        """What is told next. Raises what ended the parts before that: they end for no other reason."""
        waiting = asyncio.create_task(told.next())
        try:
            await asyncio.wait([parts, waiting], return_when=asyncio.FIRST_COMPLETED)
            if parts.done():
                parts.result()
            return waiting.result()
        finally:
            waiting.cancel()

    async def _serve(self, assemble: Assemble, service: Service) -> None:
        all_ready = asyncio.Event()
        parts = list(assemble(service, all_ready.is_set))
        if self._notifier.watchdog is not None:
            parts.append(Watchdog(service, self._notifier, self._notifier.watchdog))
        names = ", ".join(part.name for part in parts)

        def ready() -> None:
            all_ready.set()
            log.info("ready: %s", names or "nothing runs")
            self._notifier.ready(f"serving: {names}")

        await run_parts(parts, self._events, ready)
        await asyncio.Event().wait()  # who has nothing to do waits to be told


class Watchdog:
    """Tells the service manager that the worker answers; where it does not, that one ends us and begins anew."""

    name = WATCHED

    def __init__(self, service: Service, notifier: Notifier, seconds: float) -> None:
        self._service, self._notifier, self._seconds = service, notifier, seconds

    async def run(self, ready: Callable[[], None]) -> None:
        """Tell so twice in the time that the service manager waits."""
        ready()
        while True:
            try:
                await asyncio.wait_for(self._service.ask(lambda station: None, caller=self.name), self._seconds)
                self._notifier.alive()
            except (TimeoutError, EvseSecurityError):
                log.error("the store has not answered for %g s", self._seconds)
            await asyncio.sleep(self._seconds / 2)

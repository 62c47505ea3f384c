"""The process that EVerest's manager starts: `main` is all that the module's `module.py` calls."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from evse_security.clock import system_clock
from evse_security.errors import InvalidConfiguration
from evse_security.everest.configuration import configured
from evse_security.everest.protocol import EverestProtocol
from evse_security.everest.surroundings import FRAMEWORK, Surroundings
from evse_security.mqtt.broker import Broker
from evse_security.mqtt.client import MqttPart
from evse_security.service.eventdata import Problem
from evse_security.service.events import EventKind, Events
from evse_security.service.parts import Part, run_parts
from evse_security.service.service import Service
from evse_security.station import Station

log = logging.getLogger(__name__)

Parts = Callable[[Service], Sequence[Part]]
"""What runs beside the module in its process, by the module's configuration. A part that cannot be says so
when it runs."""

DONE, MISCONFIGURED = 0, 2


def main(environment: Mapping[str, str] | None = None, parts: Parts = lambda _: ()) -> int:
    """Be the module until EVerest or a signal ends it; 2 where the environment or the configuration is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    environment = os.environ if environment is None else environment
    try:
        through = environment.get(FRAMEWORK) or "mqtt"
        if through == "everestpy":
            from evse_security.everest.framework import serve_through_everestpy

            asyncio.run(until_signalled(serve_through_everestpy(Surroundings.of(environment), parts)))
        elif through == "mqtt":
            asyncio.run(until_signalled(serve(Surroundings.of(environment), parts)))
        else:
            raise InvalidConfiguration(FRAMEWORK, "must be mqtt or everestpy")
    except InvalidConfiguration as refusal:
        log.error("%s", refusal)
        return MISCONFIGURED
    return DONE


async def serve(surroundings: Surroundings, parts: Parts) -> None:
    """Be the module over MQTT, until EVerest says that it shall end."""
    async with Opened(surroundings, parts) as opened:
        protocol = EverestProtocol(surroundings, opened.begin)
        everest = MqttPart("everest", Broker(surroundings.broker), protocol.speak)
        await opened.beside(run_parts([everest], Events(system_clock), lambda: None))


async def until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Do something until it ends, or until SIGTERM or SIGINT ends it in order."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work)
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


class Opened:
    """The store, once it is known where it is, and what runs beside the module; closed in the end."""

    def __init__(self, surroundings: Surroundings, parts: Parts) -> None:
        self._certs = surroundings.certs
        self._parts = parts
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Service] | None = None
        self._begun: asyncio.Future[Service] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Opened:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def begin(self, values: Mapping[str, Any]) -> Service:
        """Open the store of a module's configuration. Raises `InvalidConfiguration`."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(self._open(values))
        return await asyncio.shield(self._opening)  # a connection that is lost meanwhile must not open it twice

    async def _open(self, values: Mapping[str, Any]) -> Service:
        found = configured(values, self._certs)
        logging.getLogger("evse_security").setLevel(found.service.log_level.upper())
        station = await asyncio.to_thread(Station.open, found.station)
        self._stack.push_async_callback(asyncio.to_thread, station.close)
        service = Service(station, found.service)
        self._stack.push_async_callback(asyncio.to_thread, service.close)
        self._begun.set_result(service)
        return service

    async def beside(self, module: Awaitable[None]) -> None:
        """Run the module, and the parts as soon as there is a store; with the module all ends."""
        others = asyncio.create_task(self._run_parts())
        try:
            await module
        finally:
            others.cancel()
            await asyncio.gather(others, return_exceptions=True)

    async def _run_parts(self) -> None:
        """Run the parts, each by itself: one that cannot start must end neither the others nor the module."""
        service = await self._begun
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts(service):
                    group.create_task(_run_alone(part, service.events))
        except Exception:
            log.exception("the module goes on alone, as something beside it failed")


async def _run_alone(part: Part, events: Events) -> None:
    try:
        await run_parts([part], events, lambda: None)
    except InvalidConfiguration as refusal:
        log.error("the module goes on without %s, which is configured wrongly: %s", part.name, refusal)
        data: Problem = {"part": part.name, "text": str(refusal)}
        events.publish(EventKind.warning, data)

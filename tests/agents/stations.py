"""A station with a service and one of its agents, whose events are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from evse_security import Station, StationConfig
from evse_security.clock import Clock
from evse_security.service.config import ServiceConfig
from evse_security.service.events import Event, EventKind
from evse_security.service.parts import Part
from evse_security.service.service import Service
from tests.builders import NOW, World
from tests.service.declared import check

PATIENCE = 30.0
"""Seconds after which a test is given up."""


class Watched:
    """A service whose agents run, and what they published."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.events: list[Event] = []
        self._came = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hear(event: Event) -> None:
            check(event)
            self.events.append(event)
            loop.call_soon_threadsafe(self._came.set)

        service.events.hear(hear)

    async def until(self, met: Callable[[list[Event]], object]) -> None:
        """Wait until the events are so."""
        async with asyncio.timeout(PATIENCE):
            while not met(self.events):
                self._came.clear()
                await self._came.wait()

    def said(self, kind: EventKind, **members: Any) -> list[dict[str, Any]]:
        """The data of the events of a kind that have these members."""
        found = [dict(event.data) for event in self.events if event.kind is kind]
        return [data for data in found if all(data.get(key) == value for key, value in members.items())]

    async def until_said(self, kind: EventKind, times: int = 1, **members: Any) -> list[dict[str, Any]]:
        await self.until(lambda _: len(self.said(kind, **members)) >= times)
        return self.said(kind, **members)

    async def call(self, command: str, **arguments: Any) -> Any:
        return await self.service.call(command, arguments, caller="test")


def watched(
    certs: Path,
    work: Callable[[Watched], Awaitable[None]],
    *parts: Callable[[Service], Part],
    clock: Clock | datetime = NOW,
    station: dict[str, Any] | None = None,
    **config: Any,
) -> None:
    """Run agents on a station, and do some work beside them."""
    fixed = clock if callable(clock) else lambda: clock
    configuration = StationConfig.under(certs, clock=fixed, **(station or {}))

    async def run() -> None:
        with Station.open(configuration) as opened:
            service = Service(opened, ServiceConfig(**config))
            try:
                seen = Watched(service)
                running = [asyncio.create_task(make(service).run(lambda: None)) for make in parts]
                try:
                    await work(seen)
                    assert not any(task.done() for task in running), [task for task in running if task.done()]
                finally:
                    for task in running:
                        task.cancel()
                    for task in running:
                        with suppress(asyncio.CancelledError):
                            await task
            finally:
                service.close()

    asyncio.run(run())


def put(certs: Path, place: str, content: str | bytes) -> Path:
    """A file placed by hand, at once."""
    path = certs / place
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(content.encode() if isinstance(content, str) else content)
    aside.rename(path)
    return path


def stock(certs: Path, made: World, *chain: str, root: str = "Root") -> None:
    """A station with a root and a SECC leaf with its chain and key."""
    put(certs, "ca/v2g/V2G_ROOT_CA.pem", made[root].pem)
    put(certs, "client/cso/SECC_LEAF.pem", made[chain[0]].pem)
    put(certs, "client/cso/CPO_CERT_SECC_LEAF_CHAIN.pem", made.pem(*chain))
    put(certs, "client/cso/SECC_LEAF.key", made[chain[0]].key_pem())

"""Stations that keep themselves connected to a CSMS, as users' programs do: connector, mix-in, BootNotification."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from evse_security.adapters.ocpp import Certificates, Edition
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.adapters.ocpp.handlers import message
from tests.adapters.ocpp.csms import MIXINS, PATIENCE, Csms, boot_payload, charge_point
from tests.adapters.ocpp.kit import Bench, policy


def endpoint(csms: Csms, name: str = "CS1", **changes: Any) -> Endpoint:
    """Where a CSMS is, for a station that has no patience."""
    named: dict[str, Any] = {"profile": 2, "identity": name, "password": "secret", "first_wait": 0.02}
    url = f"wss://localhost:{csms.port}/{name}"
    return Endpoint(url=url, **{**named, "longest_wait": 0.05, **changes})


def station_class(edition: Edition) -> Any:
    """A user's station."""
    return type("MyStation", (MIXINS[edition], charge_point(edition)), {})


async def keep_connected(
    target: Endpoint, certificates: Certificates, *, chance: Callable[[], float] = random.random
) -> None:
    """Stay connected until cancelled."""
    mine = station_class(certificates.edition)

    async def speak(connection: Any) -> None:
        station = mine(target.identity, connection, response_timeout=PATIENCE, certificates=certificates)
        listening = asyncio.ensure_future(station.start())
        booting = asyncio.ensure_future(station.call(message("BootNotification", boot_payload(certificates.edition))))
        try:
            await asyncio.wait({listening})
        finally:
            for one in (listening, booting):
                one.cancel()
            await asyncio.gather(listening, booting, return_exceptions=True)

    await Connector(target, certificates, speak, chance=chance).run()


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they are gone."""
    for one in tasks:
        one.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def kept_connected(csms: Csms, bench: Bench, **changes: Any) -> AsyncIterator[Certificates]:
    """One station that keeps itself connected, whatever the CSMS does."""
    certificates = Certificates(bench.station, policy=policy(csms.edition, **changes), directory=bench.state)
    running = asyncio.create_task(keep_connected(endpoint(csms), certificates, chance=lambda: 0.0))
    try:
        async with asyncio.timeout(4 * PATIENCE):
            yield certificates
    finally:
        await ended(running)
        with contextlib.suppress(RuntimeError):
            certificates.close()

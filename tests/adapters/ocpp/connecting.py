"""A user's station that keeps itself connected, as `Connector` has it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from evse_security.adapters.ocpp import Certificates, Edition
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.adapters.ocpp.handlers import message
from tests.adapters.ocpp.csms import (
    MIXINS,
    PATIENCE,
    Csms,
    Stage,
    boot_payload,
    charge_point,
    real_bench,
    server_context,
    serving,
)
from tests.adapters.ocpp.kit import Bench, policy
from tests.builders import DAY


def enrolled(bench: Bench, authority: str = "CsmsSub", **changes: Any) -> str:
    """Give a station a client certificate, without a CSMS. Returns its fingerprint."""
    wanted = "SignChargePointCertificate" if bench.edition is Edition.V16 else "SignChargingStationCertificate"
    chain = bench.chain(bench.trigger(wanted), authority, **changes)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    found = bench.desk.renewals.client_certificate()
    assert found is not None
    return found.fingerprint


def with_certificate(tmp_path: Path, edition: Edition) -> tuple[Bench, str]:
    """A station that has a client certificate, and its fingerprint."""
    charge_point(edition)
    bench = real_bench(tmp_path, edition)
    return bench, enrolled(bench)


def play_connected(
    bench: Bench,
    scene: Callable[[Stage, Certificates], Awaitable[object]],
    *,
    profile: int = 3,
    version: ssl.TLSVersion | None = None,
) -> None:
    """Play a scene between a CSMS and a station that keeps itself connected, from its BootNotification on."""

    async def run() -> None:
        csms = Csms(bench.edition)
        context = server_context(bench, bench.certs.parent / "tls", profile=profile, version=version)
        async with serving(csms, context), connecting(csms, bench, profile=profile) as certificates:
            await csms.until_said("BootNotification")
            await scene(Stage(csms, bench, None), certificates)

    asyncio.run(run())


async def renewed(stage: Stage, **changes: Any) -> None:
    """Have the client certificate renewed: the new one ends later."""
    answer = await stage.enrol(not_after=stage.bench.time.now + 90 * DAY, **changes)
    assert answer == {"status": "Accepted"}


@asynccontextmanager
async def connecting(
    csms: Csms, bench: Bench, *, profile: int, extra: type | None = None, **changes: Any
) -> AsyncIterator[Certificates]:
    """A station that keeps itself connected. Its class has `extra` among its bases, and knows its connector."""
    certificates = Certificates(bench.station, policy=policy(csms.edition, **changes), directory=bench.state)
    bases = (MIXINS[csms.edition], *([extra] if extra else []), charge_point(csms.edition))

    async def serve(connection: Any) -> None:
        station_class: Any = type("MyStation", bases, {"connector": connector})
        station = station_class("CS1", connection, response_timeout=PATIENCE, certificates=certificates)
        listening = asyncio.ensure_future(station.start())
        try:
            await station.call(message("BootNotification", boot_payload(csms.edition)))
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    connector = Connector(endpoint_of(csms, profile=profile), certificates, serve, chance=lambda: 0.0)
    csms.connector = connector
    running = asyncio.create_task(connector.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield certificates
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        certificates.close()


def endpoint_of(csms: Csms, **changes: Any) -> Endpoint:
    """Where a CSMS is."""
    named: dict[str, Any] = {"identity": "CS1", "password": "secret", "first_wait": 0.02, "longest_wait": 0.05}
    return Endpoint(url=f"wss://localhost:{csms.port}/CS1", **{**named, **changes})

"""A CSMS on the package `ocpp`, over websockets with TLS on loopback; and a station of a user that connects to it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition
from evse_security.adapters.ocpp.handlers import (
    CertificateHandlers,
    CertificateHandlers16,
    CertificateHandlers21,
    CertificateHandlers201,
    message,
)
from tests.adapters.ocpp.kit import Bench, Time, hash_data, policy, root_of

PATIENCE = 20.0
PROTOCOLS = {Edition.V16: "ocpp1.6", Edition.V201: "ocpp2.0.1", Edition.V201_2025: "ocpp2.0.1", Edition.V21: "ocpp2.1"}
MIXINS: dict[Edition, type[CertificateHandlers]] = {
    Edition.V16: CertificateHandlers16,
    Edition.V201: CertificateHandlers201,
    Edition.V201_2025: CertificateHandlers201,
    Edition.V21: CertificateHandlers21,
}
SIGN = "SignChargingStationCertificate"
BOOT: dict[str, Any] = {"status": "Accepted", "currentTime": "2030-01-01T00:00:00Z", "interval": 300}


def charge_point(edition: Edition) -> Any:
    """The ChargePoint class of the package for an edition."""
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    pytest.importorskip("websockets", reason="the package websockets is not installed")
    module = {Edition.V16: "v16", Edition.V21: "v21"}.get(edition, "v201")
    return importlib.import_module(f"ocpp.{module}").ChargePoint


Responder = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass
class Csms:
    """What a CSMS heard, what it answers, and whom it speaks to."""

    edition: Edition
    port: int = 0
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Responder] = field(default_factory=dict)
    peers: list[Any] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    """Common name of each client certificate."""
    signed: dict[str, str] = field(default_factory=dict)
    """Whose certificate of each type it has signed last."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    connector: Any = None
    """That of the station, if it has one."""
    speaker: Any = None
    """The connection whose message is being answered."""

    async def until(self, met: Callable[[], Any]) -> Any:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not (found := met()):
                self.came.clear()
                await self.came.wait()
        return found

    def said(self, action: str) -> list[dict[str, Any]]:
        """The payloads of a message; those of Plug & Charge in 1.6 without their wrapping."""
        found = [payload for name, payload in self.heard if name == action]
        inside = [payload for name, payload in self.heard if name == "DataTransfer"]
        return found + [json.loads(one["data"]) for one in inside if one["messageId"] == action]

    async def until_said(self, action: str, times: int = 1) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.said(action)) >= times)
        return self.said(action)

    async def ask(self, action: str, **payload: Any) -> dict[str, Any]:
        """Ask the station that connected last; both sides validate against the schemas."""
        from ocpp.charge_point import remove_nones, snake_to_camel_case

        await self.until(lambda: self.peers)
        answer = await self.peers[-1].call(message(action, payload), suppress=False)
        return dict(snake_to_camel_case(remove_nones(asdict(answer))))

    async def ask_pnc(self, action: str, **payload: Any) -> dict[str, Any]:
        """The same, in 1.6 through DataTransfer."""
        if self.edition is not Edition.V16:
            return await self.ask(action, **payload)
        vendor = "org.openchargealliance.iso15118pnc"
        answer = await self.ask("DataTransfer", vendorId=vendor, messageId=action, data=json.dumps(payload))
        assert answer["status"] == "Accepted", answer
        return dict(json.loads(answer["data"]))

    async def trigger(self, wanted: str) -> dict[str, Any]:
        """Have the station send a signing request."""
        if self.edition is not Edition.V16:
            return await self.ask("TriggerMessage", requestedMessage=wanted)
        if wanted == "SignV2GCertificate":
            return await self.ask_pnc("TriggerMessage", requestedMessage=wanted)
        return await self.ask("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")


ANSWERS: dict[str, dict[str, Any]] = {
    "BootNotification": BOOT,
    "SignCertificate": {"status": "Accepted"},
    "SecurityEventNotification": {},
    "GetCertificateStatus": {"status": "Failed"},
    "Authorize": {"idTokenInfo": {"status": "Accepted"}},
    "FirmwareStatusNotification": {},
    "SignedFirmwareStatusNotification": {},
}
STATION_MESSAGES = (*ANSWERS, "Get15118EVCertificate", "GetCertificateChainStatus", "DataTransfer", "NotifyReport")


def _peer(csms: Csms, connection: Any) -> Any:
    """The CSMS's end of one connection."""
    from ocpp.charge_point import snake_to_camel_case

    peer = charge_point(csms.edition)("station", connection, response_timeout=PATIENCE)

    def answered(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        responder = csms.answers.get(action)
        return responder(payload) if responder else dict(ANSWERS[action])

    def on(action: str) -> Callable[..., Any]:
        def handle(**named: Any) -> Any:
            payload = snake_to_camel_case(named)
            csms.heard.append((action, payload))
            csms.came.set()
            csms.speaker = peer
            if action != "DataTransfer":
                return message(action, answered(action, payload))
            inside = answered(payload["messageId"], json.loads(payload["data"]))
            return message(action, {"status": "Accepted", "data": json.dumps(inside)})

        return handle

    for action in STATION_MESSAGES:
        peer.route_map[action] = {"_on_action": on(action), "_skip_schema_validation": False}
    return peer


def server_context(
    bench: Bench, folder: Path, *, profile: int = 2, version: ssl.TLSVersion | None = None, server: str = "Server"
) -> ssl.SSLContext:
    """TLS as a CSMS has it: security profile 3 demands a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    folder.mkdir(exist_ok=True)
    shows(context, bench, folder, server)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if profile == 3:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=bench.made["CsmsRoot"].pem)
    return context


def shows(context: ssl.SSLContext, bench: Bench, folder: Path, server: str) -> None:
    """Have a CSMS show this certificate from the next handshake on."""
    (folder / "server.pem").write_text(bench.made[server].pem + bench.made[server].chain_pem())
    (folder / "server.key").write_text(bench.made[server].key_pem())
    context.load_cert_chain(folder / "server.pem", folder / "server.key")


@asynccontextmanager
async def serving(csms: Csms, context: ssl.SSLContext | None) -> AsyncIterator[Csms]:
    """A CSMS that listens."""
    charge_point(csms.edition)
    from websockets.asyncio.server import serve

    async def handle(connection: Any) -> None:
        certificate = connection.transport.get_extra_info("peercert") or {}
        names = [value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"]
        csms.connections.append(names[0] if names else "")
        peer = _peer(csms, connection)
        csms.peers.append(peer)
        csms.came.set()
        with contextlib.suppress(Exception):
            await peer.start()
        csms.peers.remove(peer)

    async with serve(
        handle, "127.0.0.1", csms.port, ssl=context, subprotocols=[PROTOCOLS[csms.edition]], close_timeout=1
    ) as server:
        csms.port = server.sockets[0].getsockname()[1]
        yield csms


@asynccontextmanager
async def connected(csms: Csms, bench: Bench, *, extra: type | None = None, **changes: Any) -> AsyncIterator[Any]:
    """A user's station, connected and booted: certificates made known by one mix-in."""
    from websockets.asyncio.client import connect

    base = charge_point(csms.edition)
    mixin = MIXINS[csms.edition]
    bases = (mixin, extra, base) if extra else (mixin, base)
    station_class: Any = type("MyStation", bases, {})
    certificates = Certificates(bench.station, policy=policy(csms.edition, **changes), directory=bench.state)
    context = ssl.create_default_context(cadata=(await certificates.csms_trust()).pem)
    url = f"wss://localhost:{csms.port}/CS1"
    try:
        async with connect(url, ssl=context, subprotocols=[PROTOCOLS[csms.edition]], close_timeout=1) as connection:
            station = station_class("CS1", connection, response_timeout=PATIENCE, certificates=certificates)
            listening = asyncio.create_task(station.start())
            try:
                await station.call(message("BootNotification", boot_payload(csms.edition)))
                yield station
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await listening
    finally:
        certificates.close()


def boot_payload(edition: Edition) -> dict[str, Any]:
    """BootNotification of a version."""
    if edition is Edition.V16:
        return {"chargePointModel": "M", "chargePointVendor": "V"}
    return {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}


def real_bench(tmp_path: Path, edition: Edition, **changes: Any) -> Bench:
    """A station whose clock is the machine's, as that of TLS is."""
    return Bench(tmp_path / "certs", edition, time=Time(datetime.now(UTC)), **changes)


@dataclass
class Stage:
    """A CSMS and a station that is connected to it."""

    csms: Csms
    bench: Bench
    station: Any

    async def event(self, kind: str) -> dict[str, Any]:
        """Wait for a security event."""
        events = await self.csms.until(
            lambda: [one for one in self.csms.said("SecurityEventNotification") if one["type"] == kind]
        )
        return dict(events[-1])

    async def enrol(self, wanted: str = SIGN, authority: str = "CsmsSub", **changes: Any) -> dict[str, Any]:
        """Trigger a request and answer it. Returns the station's answer."""
        times = len(self.csms.said("SignCertificate")) + 1
        assert await self.csms.trigger(wanted) == {"status": "Accepted"}
        request = (await self.csms.until_said("SignCertificate", times))[-1]
        self._check_root(request)
        payload: dict[str, Any] = {"certificateChain": self.bench.chain(request["csr"], authority, **changes)}
        if "certificateType" in request:
            payload["certificateType"] = request["certificateType"]
        if "requestId" in request:
            payload["requestId"] = request["requestId"]
        is_pnc = wanted == "SignV2GCertificate"
        answer = await (self.csms.ask_pnc if is_pnc else self.csms.ask)("CertificateSigned", **payload)
        if answer["status"] == "Accepted":
            self.csms.signed[request.get("certificateType", "")] = authority
        return answer

    def _check_root(self, request: Mapping[str, Any]) -> None:
        """2.1: a renewal of an SECC leaf names the root of that leaf, and nothing else does (A03)."""
        kind = request.get("certificateType", "")
        signer = self.csms.signed.get(kind) if kind != "ChargingStationCertificate" else None
        expected = None
        if signer is not None and self.csms.edition.has_request_ids:
            expected = hash_data(root_of(self.bench.made[signer]))
        assert request.get("hashRootCertificate") == expected, kind


def play(
    tmp_path: Path,
    edition: Edition,
    scene: Callable[[Stage], Awaitable[object]],
    *,
    bench: Bench | None = None,
    answers: Mapping[str, Responder] | None = None,
    extra: type | None = None,
    **changes: Any,
) -> None:
    """Play one scene between a CSMS and a station."""
    charge_point(edition)
    with_station = bench or real_bench(tmp_path, edition)

    async def run() -> None:
        csms = Csms(edition, answers=dict(answers or {}))
        context = server_context(with_station, tmp_path / "tls")
        async with serving(csms, context), connected(csms, with_station, extra=extra, **changes) as station:
            async with asyncio.timeout(PATIENCE):
                await scene(Stage(csms, with_station, station))

    asyncio.run(run())

"""The page of a station: behind what is done around it for each request, or served as it will be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from evse_security import Station, StationConfig
from evse_security.http.page import routes
from evse_security.http.scopes import Caller, Scope
from evse_security.http.server import HttpPart
from evse_security.service.config import ServiceConfig
from evse_security.service.service import Service
from tests.builders import NOW, World
from tests.http.kit import Told

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
CALLER = Caller("http:local", Scope.install)


@dataclass
class Around:
    """Sets the caller, and the policy that forbids whatever is not a file of ours."""

    app: ASGIApp
    caller: Caller = CALLER

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["content-security-policy"] = POLICY
            await send(message)

        connection.setdefault("state", {})["caller"] = self.caller
        await self.app(connection, receive, answer)


@dataclass
class Site:
    """A station with its page."""

    app: Around
    service: Service
    certs: Path
    renewals: Told

    def may(self, scope: Scope) -> None:
        """From now on the caller has this scope."""
        self.app.caller = replace(self.app.caller, scope=scope)


@contextmanager
def page(certs: Path, **config: Any) -> Iterator[Site]:
    """The page of the station in that directory, not served."""
    settings = StationConfig.under(certs, **{"clock": lambda: NOW, **config})
    with Station.open(settings) as station:
        service = Service(station, ServiceConfig(csr_organization="Operator", csr_country="DE"))
        renewals = Told()
        try:
            yield Site(Around(Starlette(routes=routes(service, renewals))), service, certs, renewals)
        finally:
            service.close()


class Client:
    """Asks the page without a socket. It follows no redirection."""

    def __init__(self, site: Site) -> None:
        self._app = site.app

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://station") as client:
                return await client.request(method, path, **given)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)


@contextmanager
def served(certs: Path, **config: Any) -> Iterator[str]:
    """The page on a free port, behind the real guard and beside the API: its address."""
    settings = StationConfig.under(certs, **{"clock": lambda: NOW, **config})
    listening: Future[HttpPart] = Future()
    stop = threading.Event()

    async def run(station: Station) -> None:
        options = ServiceConfig(http_listen=("127.0.0.1:0",), csr_organization="Operator", csr_country="DE")
        service = Service(station, options)
        part = HttpPart(service, pages=routes(service, Told()))
        serving = asyncio.ensure_future(part.run(lambda: listening.set_result(part)))
        await asyncio.to_thread(stop.wait)
        serving.cancel()
        await asyncio.wait([serving])
        service.close()

    with Station.open(settings) as station:
        thread = threading.Thread(target=lambda: asyncio.run(run(station)))
        thread.start()
        try:
            yield f"http://{listening.result(10).listening[0]}"
        finally:
            stop.set()
            thread.join(10)


def put(certs: Path, path: str, content: str, mode: int = 0o644) -> None:
    """A file of the station."""
    file = certs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    file.chmod(mode)


def put_leaf(certs: Path, w: World, *chain: str, kind: str = "SECC", number: int = 1) -> None:
    """A leaf with its sub-CAs and its key."""
    place = {"SECC": "client/cso", "CSMS": "client/csms"}[kind]
    put(certs, f"{place}/{kind}_LEAF_{number}.pem", w.pem(chain[0]))
    put(certs, f"{place}/CPO_CERT_{kind}_LEAF_CHAIN_{number}.pem", w.pem(*chain))
    put(certs, f"{place}/{kind}_LEAF_{number}.key", w[chain[0]].key_pem(), 0o600)


def furnish(certs: Path, w: World) -> None:
    """A station that is in use, with `worlds.station_pki`."""
    put(certs, "ca/v2g/V2G_ROOT_CA.pem", w.pem("V2GRoot", "OldRoot"))
    put(certs, "ca/csms/CSMS_ROOT_CA.pem", w.pem("CSMSRoot"))
    put(certs, "ca/mo/MO_ROOT_CA.pem", w.pem("MORoot", "MOSub"))
    put_leaf(certs, w, "SECC", "SubCA2", "SubCA1")
    put_leaf(certs, w, "Older", "SubCA2", "SubCA1", number=2)
    put_leaf(certs, w, "Expired", "SubCA2", "SubCA1", number=3)
    put(certs, "client/cso/SECC_LEAF_4.pem", w.pem("Keyless"))
    put_leaf(certs, w, "CSMSLeaf", "CSMSSub", kind="CSMS")
    put(certs, "client/cso/SECC_LEAF_waiting.key", w["Waiting"].key_pem(), 0o600)

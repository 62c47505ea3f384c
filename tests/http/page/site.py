"""The page alone, on a free port of loopback: behind its routes what the application around it does per request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from evse_security import Station, StationConfig
from evse_security.http.page import routes
from evse_security.http.scopes import Caller, Scope
from evse_security.service.config import ServiceConfig
from evse_security.service.service import Service
from tests.builders import NOW, World

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
    address: str = ""

    def may(self, scope: Scope) -> None:
        """From now on the caller has this scope."""
        self.app.caller = replace(self.app.caller, scope=scope)


@contextmanager
def page(certs: Path, **config: Any) -> Iterator[Site]:
    """The page of the station in that directory, not served."""
    settings = StationConfig.under(certs, **{"clock": lambda: NOW, **config})
    with Station.open(settings) as station:
        service = Service(station, ServiceConfig(csr_organization="Operator", csr_country="DE"))
        try:
            yield Site(Around(Starlette(routes=routes(service))), service, certs)
        finally:
            service.close()


@contextmanager
def served(certs: Path, **config: Any) -> Iterator[Site]:
    """The page on a free port."""
    with page(certs, **config) as site:
        options = uvicorn.Config(site.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none")
        server = uvicorn.Server(options)
        begun = threading.Event()

        async def run() -> None:
            serving = asyncio.ensure_future(server.serve())
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            begun.set()
            await serving

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        begun.wait(10)
        try:
            site.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            yield site
        finally:
            server.should_exit = True
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
    """A station that is in use: see `pki`."""
    put(certs, "ca/v2g/V2G_ROOT_CA.pem", w.pem("V2GRoot", "OldRoot"))
    put(certs, "ca/csms/CSMS_ROOT_CA.pem", w.pem("CSMSRoot"))
    put(certs, "ca/mo/MO_ROOT_CA.pem", w.pem("MORoot", "MOSub"))
    put_leaf(certs, w, "SECC", "SubCA2", "SubCA1")
    put_leaf(certs, w, "Older", "SubCA2", "SubCA1", number=2)
    put_leaf(certs, w, "Expired", "SubCA2", "SubCA1", number=3)
    put(certs, "client/cso/SECC_LEAF_4.pem", w.pem("Keyless"))
    put_leaf(certs, w, "CSMSLeaf", "CSMSSub", kind="CSMS")
    put(certs, "client/cso/SECC_LEAF_waiting.key", w["Waiting"].key_pem(), 0o600)

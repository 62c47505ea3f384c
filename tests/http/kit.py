"""A service that really listens, for the length of a test."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from evse_security import Station, StationConfig
from evse_security.http.addresses import Address
from evse_security.http.scopes import Caller, Scope
from evse_security.http.server import HttpPart
from evse_security.http.tokens import TokenFile
from evse_security.service.config import ServiceConfig
from evse_security.service.renewals import Renewals, RenewalState, RenewalStatus, Renewed, Triggered
from evse_security.service.service import Service
from evse_security.vocabulary import LeafCertificateType
from tests.builders import NOW

ANYWHERE = "0.0.0.0:0"
"""An address that others reach, too."""


async def whoami(request: Request) -> Response:
    caller: Caller = request.state.caller
    return PlainTextResponse(f"{caller.name} {caller.scope}")


PAGES = [Route("/", whoami), Route("/who", whoami)]
"""Pages that say who asks for them."""


@dataclass
class Running:
    """A service and the address at which it listens first."""

    service: Service
    part: HttpPart

    @property
    def address(self) -> Address:
        return self.part.listening[0]

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client of it, without the proxies of the environment."""
        return httpx.AsyncClient(**{"base_url": self.url, "trust_env": False, "timeout": 30, **options})

    async def raw(self, *lines: str, body: bytes = b"") -> bytes:
        """All that comes back for a request in so many lines, until the other side ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1") + body)
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()
            await writer.wait_closed()


class Told:
    """Renewals that stand as they are told, and remember who triggered them. CSMS leaves are renewed by others."""

    def __init__(self, state: RenewalState = RenewalState.fresh, triggered: Triggered = Triggered.accepted) -> None:
        self.state, self.triggered = state, triggered
        self.triggers: list[tuple[str, str]] = []
        self.editions: list[str] = []

    def status(self) -> tuple[RenewalStatus, ...]:
        v2g = RenewalStatus(Renewed.V2G, self.state, NOW, NOW, 2, "<no answer>")
        off = RenewalStatus(Renewed.CSMS, RenewalState.off, NOW, None, 0, "others do")
        return v2g, off

    async def trigger(self, kind: LeafCertificateType, *, caller: str, edition: str = "") -> Triggered:
        if kind is LeafCertificateType.CSMS:
            return Triggered.off
        self.triggers.append((kind.value, caller))
        self.editions.append(edition)
        return self.triggered


@asynccontextmanager
async def serving(
    certs: Path,
    config: ServiceConfig,
    *,
    pages: Sequence[BaseRoute] = (),
    parts_ready: Callable[[], bool] = lambda: True,
    renewals: Renewals | None = None,
    **station_options: Any,
) -> AsyncIterator[Running]:
    """Run the HTTP part on a station; what it raises before it is ready is raised here.

    What falls on the floor of the event loop fails the test.
    """
    dropped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: dropped.append(context))
    options = {"clock": lambda: NOW, **station_options}
    with Station.open(StationConfig.under(certs, **options)) as station:
        service = Service(station, config)
        part = HttpPart(service, pages=pages, parts_ready=parts_ready, renewals=renewals)
        ready = asyncio.Event()
        task = asyncio.create_task(part.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            yield Running(service, part)
        finally:
            waiting.cancel()
            task.cancel()
            await asyncio.wait({task, waiting})
            service.close()
    assert not dropped


def loopback(**keys: Any) -> ServiceConfig:
    """A configuration that listens at a free port of loopback."""
    return ServiceConfig(**{"http_listen": ("127.0.0.1:0",), **keys})


def served(certs: Path, work: Callable[[Running], Awaitable[None]], **options: Any) -> None:
    """Do something with a service on loopback."""

    async def run() -> None:
        config = options.pop("config", None) or loopback()
        async with serving(certs, config, **options) as running:
            await work(running)

    asyncio.run(run())


def tokens(directory: Path) -> tuple[Path, dict[Scope, str]]:
    """A file of tokens with one of each scope."""
    path = directory / "tokens" / "tokens.json"
    file = TokenFile(path)
    return path, {scope: file.add(scope.value, scope, NOW, None) for scope in Scope}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def trusting(*certificates: Path) -> ssl.SSLContext:
    """The TLS of a client that trusts these roots."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for certificate in certificates:
        context.load_verify_locations(certificate)
    return context


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as made:
            made.bind(("::1", 0))
    except OSError:
        return False
    return True

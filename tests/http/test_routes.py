"""Every route, as it is really served, with every method, for whoever asks: none is forgotten when one is added."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from evse_security import Station, StationConfig
from evse_security.http.addresses import Reach
from evse_security.http.app import Behind, create_app
from evse_security.http.auth import Access
from evse_security.http.guard import Hosts
from evse_security.http.looking import Looking
from evse_security.http.metrics import Metrics
from evse_security.http.page import routes
from evse_security.http.scopes import Scope
from evse_security.http.stream import Streams
from evse_security.http.tokens import TokenFile
from evse_security.interface import EVERYTHING
from evse_security.serve.command import commands
from evse_security.service.config import ServiceConfig
from evse_security.service.renewals import NoRenewals
from evse_security.service.service import Service
from tests.builders import NOW
from tests.http.kit import bearer, tokens

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
NOBODY = "nobody"

OPEN = {"/login", "/login.css"}
"""For who is not known, too."""
READ = {
    "/", "/domain/{domain}", "/certificate/{fingerprint}", "/findings", "/happenings", "/happenings/list", "/verify",
    "/api/events", "/api/renewal", "/openapi.json", "/metrics", "/healthz", "/readyz", "/logout", "/static",
}  # fmt: skip
"""For all who are known."""
INSTALL = {
    "/install", "/install/confirm", "/request", "/certificate/{fingerprint}/delete", "/renew",
    "/api/renewal/{leaf_certificate_type}",
}  # fmt: skip
"""For who may change the store."""

for _revision in EVERYTHING:
    for _command in commands(_revision).values():
        (INSTALL if _command.changes_the_store else READ).add(f"/api/{_revision}/{_command.name}")


class Served:
    """The application as it is reached from elsewhere."""

    def __init__(self, service: Service, tokens: Path) -> None:
        access, looking = Access(lambda: NOW, lambda: 0.0, TokenFile(tokens)), Looking(service)
        streams = Streams(service.events)
        streams.close()  # or there would be no end of them
        renewals = NoRenewals()
        behind = Behind(access, Hosts(), looking, Metrics(service, looking, renewals), streams, renewals)
        self.app: Starlette = create_app(service, behind, pages=routes(service, renewals))

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        connection.update(server=("127.0.0.1", 80), state={"reach": Reach.network, "client_name": None})
        await self.app(connection, receive, send)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Served, dict[str, str]]]:
    path, given = tokens(tmp_path)
    with Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)) as station:
        service = Service(station, ServiceConfig())
        try:
            yield Served(service, path), {scope.value: token for scope, token in given.items()}
        finally:
            service.close()


def path_of(route: BaseRoute) -> str:
    assert isinstance(route, Route | Mount)
    return route.path


def test_every_route_is_for_somebody(served: tuple[Served, dict[str, str]]) -> None:
    found = [path_of(route) for route in served[0].app.routes]
    assert len(found) == len(set(found))
    assert set(found) == OPEN | READ | INSTALL


def test_nobody_gets_further_than_their_scope(served: tuple[Served, dict[str, str]]) -> None:
    app, given = served

    async def ask() -> dict[tuple[str, str, str], int]:
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
        found = {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for path in OPEN | READ | INSTALL:
                url = (
                    path.replace("{domain}", "V2G")
                    .replace("{fingerprint}", "0" * 64)
                    .replace("{leaf_certificate_type}", "V2G")
                )
                for who in (NOBODY, *Scope):
                    headers = {} if who == NOBODY else bearer(given[who])
                    for method in METHODS:
                        answer = await client.request(method, url, headers=headers)
                        found[path, who, method] = answer.status_code
        return found

    for (path, who, method), status in asyncio.run(ask()).items():
        asked = path, who, method, status
        assert status != 500, asked
        assert (status == 401) is (who == NOBODY and path not in OPEN) or (path, method) == ("/login", "POST"), asked
        if status != 405:
            assert (status == 403) is (who == Scope.read and path in INSTALL), asked

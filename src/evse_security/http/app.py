"""The routes behind the guard."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from evse_security import __version__
from evse_security.http import api, health, login, renewal
from evse_security.http.auth import Access
from evse_security.http.guard import Guard, Hosts
from evse_security.http.looking import Looking
from evse_security.http.metrics import MEDIA_TYPE, Metrics
from evse_security.http.replies import Json, on_http_exception
from evse_security.http.stream import Streams
from evse_security.serve.openapi import openapi
from evse_security.service.renewals import Renewals
from evse_security.service.service import Service


@dataclass(frozen=True, slots=True)
class Behind:
    """What lives longer than a request."""

    access: Access
    hosts: Hosts
    looking: Looking
    metrics: Metrics
    streams: Streams
    renewals: Renewals


def create_app(
    service: Service,
    behind: Behind,
    *,
    parts_ready: Callable[[], bool] = lambda: True,
    pages: Sequence[BaseRoute] = (),
) -> Starlette:
    """The whole application. It trusts its server for `request.state.reach` and `request.state.client_name`."""

    @functools.cache
    def rendered() -> bytes:
        return bytes(Json(openapi(__version__)).body)

    async def document(_: Request) -> Response:
        return Response(rendered(), media_type=Json.media_type)

    async def metrics(_: Request) -> Response:
        return Response(await behind.metrics.text(), media_type=MEDIA_TYPE)

    return Starlette(
        routes=[
            *api.routes(service),
            *renewal.routes(behind.renewals),
            Route("/api/events", behind.streams.answer),
            Route("/openapi.json", document),
            Route("/metrics", metrics),
            *health.routes(behind.looking, parts_ready, service.links),
            *login.routes(behind.access),
            *pages,
        ],
        middleware=[Middleware(Guard, hosts=behind.hosts, access=behind.access, clock=service.clock)],
        exception_handlers={HTTPException: on_http_exception},
    )

"""What all pages share: asking the station in its turn, drawing, and saying why there is no page."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from evse_security.cars import ShownToCars
from evse_security.errors import EvseSecurityError, ServiceBusy
from evse_security.http.page.drawing import drawn
from evse_security.http.page.rows import Clock
from evse_security.http.page.seen import Kept
from evse_security.http.scopes import Caller, Scope
from evse_security.service.events import EventKind
from evse_security.service.renewals import Renewals
from evse_security.service.service import Service
from evse_security.station import Diagnosis, Overview, Station

T = TypeVar("T")

FOR_ITSELF = "http:page"
"""Who asks what all who look at the page see."""
SAID = {
    "installed": "Installed.",
    "deleted": "Deleted, with everything in the list.",
    "renewing": "The renewal begins. What comes of it is told here and by events.",
}
"""What is said after a redirection, by its word in the address."""


class Desk:
    """What all pages of one service share: asking the station, and drawing."""

    def __init__(self, service: Service, renewals: Renewals) -> None:
        """Nothing is asked yet."""
        self.service, self.renewals = service, renewals
        self.overview: Kept[Overview] = Kept(lambda: self.ask(Station.overview))
        self.diagnosis: Kept[Diagnosis] = Kept(
            lambda: self.ask(lambda station: station.diagnose(service.config.expiry_warning_days))
        )
        self.cars: Kept[ShownToCars] = Kept(lambda: self.ask(Station.shown_to_cars))
        for kept in (self.overview, self.diagnosis, self.cars):
            service.hear(functools.partial(_forget, kept))

    async def ask(self, question: Callable[[Station], T]) -> T:
        """What a question that changes nothing is answered with. Raises `ServiceBusy`."""
        return await self.service.look(question, caller=FOR_ITSELF)

    def clock(self, doubt: str | None) -> Clock:
        """The time now, and why it is not believed."""
        return Clock(self.service.clock(), timedelta(days=self.service.config.expiry_warning_days), doubt)

    async def draw(
        self, request: Request, template: str, status: int = 200, *, clock: Clock | None = None, **given: Any
    ) -> Response:
        """A page with what all have: who looks, and the clock, unless it is known already."""
        clock = clock or self.clock((await self.overview.get()).clock)
        return await self._drawn(request, template, status, clock=clock, **given)

    async def message(self, request: Request, status: int, text: str) -> Response:
        """A page that says why there is no other."""
        title = {403: "Not allowed", 404: "Not found", 503: "Busy"}.get(status, "That did not work")
        return await self._drawn(request, "message.html", status, clock=None, title=title, text=text)

    @staticmethod
    async def _drawn(request: Request, template: str, status: int, **given: Any) -> Response:
        """Not in the event loop's thread: a long page takes its time."""
        caller = caller_of(request)
        said = SAID.get(request.query_params.get("said", ""), "")
        common = {"caller": caller, "may_install": caller.may(Scope.install), "said": said, "kinds": tuple(EventKind)}
        return HTMLResponse(await asyncio.to_thread(drawn, template, **common, **given), status)


def _forget(kept: Kept[Any], _: object) -> None:
    kept.forget()


Answer = Callable[[Desk, Request], Awaitable[Response]]


def answering(answer: Answer) -> Answer:
    """What a page answers where something is in the way: no exception leaves it."""

    @functools.wraps(answer)
    async def answered(desk: Desk, request: Request) -> Response:
        try:
            return await answer(desk, request)
        except ServiceBusy:
            return await desk.message(request, 503, "The station is busy. Try again in a moment.")
        except EvseSecurityError as refusal:
            return await desk.message(request, 400, str(refusal))
        except HTTPException as refused:
            return await desk.message(request, refused.status_code, refused.detail)

    return answered


def needing(scope: Scope) -> Callable[[Answer], Answer]:
    """Only callers with this scope get an answer."""

    def checked(answer: Answer) -> Answer:
        @functools.wraps(answer)
        async def answered(desk: Desk, request: Request) -> Response:
            if not caller_of(request).may(scope):
                return await desk.message(request, 403, f"That needs the scope {scope}.")
            return await answer(desk, request)

        return answered

    return checked


def caller_of(request: Request) -> Caller:
    """Who is behind a request."""
    caller: Caller = request.state.caller
    return caller

"""How the renewal of leaves stands, and renewing one now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evse_security.http.replies import Json, error
from evse_security.http.scopes import Caller, Scope
from evse_security.service.renewals import RENEWED, Renewals


def routes(renewals: Renewals) -> list[Route]:
    """`GET /api/renewal` tells how each kind stands; `POST /api/renewal/KIND` renews that leaf now."""

    async def status(_: Request) -> Response:
        return Json([each.to_json() for each in renewals.status()])

    async def trigger(request: Request) -> Response:
        caller: Caller = request.state.caller
        if not caller.may(Scope.install):
            return error(
                403, "NotAllowed", f"renewing needs the scope {Scope.install}; {caller.name} has {caller.scope}"
            )
        kind = next((each for each in RENEWED if each.value == request.path_params["leaf_certificate_type"]), None)
        if kind is None:
            return error(404, "NotFound", f"leaves that are renewed are {' and '.join(RENEWED)}")
        return Json(renewals.trigger(kind, caller=caller.name).value)

    return [
        Route("/api/renewal", status, methods=["GET"]),
        Route("/api/renewal/{leaf_certificate_type}", trigger, methods=["POST"]),
    ]

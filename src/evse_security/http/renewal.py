"""How the renewal of leaves stands, and renewing one now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evse_security.http.replies import Json, error
from evse_security.http.scopes import Caller, Scope
from evse_security.service.renewals import RENEWED, UNSAVED, Renewals, Renewed, Triggered


def routes(renewals: Renewals) -> list[Route]:
    """`GET /api/renewal` tells how each leaf stands; `POST /api/renewal/KIND` renews those of that kind now.

    With `?edition=2` or `20` it is the V2G leaf for that edition of ISO 15118 alone.
    """

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
        edition = request.query_params.get("edition", "")
        if edition not in {leaf.edition for leaf in Renewed if leaf.kind is kind} | {""}:
            return error(400, "MalformedRequest", "edition must be 2 or 20, and is for V2G leaves alone")
        triggered = await renewals.trigger(kind, caller=caller.name, edition=edition)
        if triggered is Triggered.unsaved:
            return error(503, "NotRemembered", UNSAVED, {"retry-after": "1"})
        return Json(triggered.value)

    return [
        Route("/api/renewal", status, methods=["GET"]),
        Route("/api/renewal/{leaf_certificate_type}", trigger, methods=["POST"]),
    ]

"""Whether the service is alive, and whether the station can be worked with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evse_security.errors import EvseSecurityError
from evse_security.http.looking import Looking
from evse_security.http.replies import Json

log = logging.getLogger(__name__)


def routes(looking: Looking, parts_ready: Callable[[], bool], links: Mapping[str, str | None]) -> list[Route]:
    """`/healthz`: the worker answers in time. `/readyz`: store usable, clock believable, all parts ready and connected.

    Without its broker nobody can work with the station over MQTT; who starts after this service does not wait for it.
    """

    async def healthz(_: Request) -> Response:
        try:
            await looking.alive()
        except (EvseSecurityError, TimeoutError) as problem:
            return _told([str(problem) or "no answer in time"], "alive")
        return _told([], "alive")

    async def readyz(_: Request) -> Response:
        problems = [] if parts_ready() else ["not all parts of the service are ready yet"]
        problems += [problem for problem in links.values() if problem is not None]
        try:
            sight = await looking.sight()
        except Exception as problem:
            log.warning("http: the store cannot be looked at: %s", type(problem).__name__)
            return _told([*problems, f"the store cannot be looked at: {type(problem).__name__}"], "ready")
        problems += sight.obstacles
        if sight.overview.clock is not None:
            problems.append(sight.overview.clock)
        return _told(problems, "ready")

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _told(problems: list[str], well: str) -> Response:
    return Json({"status": f"not {well}" if problems else well, "problems": problems}, 503 if problems else 200)

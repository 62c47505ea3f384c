"""A page for the person who commissions a station: what is installed and why, and what may be done about it.

Rendered here, without a build step; works without a network and without scripts. `trees`, `rows`, `preview`, `renewing`
and `happenings` shape what the templates draw and are pure; `looking` and `acting` ask the station and answer requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from evse_security.http.page import acting, looking
from evse_security.http.page.desk import Answer, Desk
from evse_security.service.renewals import Renewals
from evse_security.service.service import Service

STATIC = Path(__file__).parent / "static"


def routes(service: Service, renewals: Renewals) -> Sequence[BaseRoute]:
    """The page's routes. Each request must have its `request.state.caller`."""
    desk = Desk(service, renewals)
    read: dict[str, Answer] = {
        "/": looking.overview,
        "/domain/{domain}": looking.domain,
        "/certificate/{fingerprint}": looking.certificate,
        "/findings": looking.findings,
        "/happenings": looking.happenings,
        "/happenings/list": looking.happenings_list,
    }
    asked_first: dict[str, Answer] = {
        "/install": acting.install,
        "/request": acting.signing_request,
        "/verify": acting.verify,
        "/certificate/{fingerprint}/delete": acting.delete,
    }
    return [
        *(Route(path, partial(answer, desk), methods=["GET"]) for path, answer in read.items()),
        *(Route(path, partial(answer, desk), methods=["GET", "POST"]) for path, answer in asked_first.items()),
        Route("/install/confirm", partial(acting.install_confirmed, desk), methods=["POST"]),
        Route("/renew", partial(acting.renew, desk), methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]

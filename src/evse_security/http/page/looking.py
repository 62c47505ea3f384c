"""Pages that only look."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections import deque

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from evse_security.additions import ca_type_named
from evse_security.errors import AuditLogUnusable
from evse_security.http.page import happenings as told
from evse_security.http.page.desk import Desk, answering
from evse_security.http.page.drawing import drawn
from evse_security.http.page.preview import tried
from evse_security.http.page.renewing import renewals_view
from evse_security.http.page.rows import Row
from evse_security.http.page.trees import overview_view, places, siblings
from evse_security.station import Station

MOST_FINDINGS = 100
AUDITED = 30
MANY_FILES = 600
"""Looking for findings among more takes long: then they are on their own page only."""
FEW = 6
"""Events on the first page."""
_NOT_BEGUN = os.strerror(errno.ENOENT)
_REQUEST = ("/request", "Make a signing request here")
_INSTALL = ("/install", "Install it here")
MENDED_HERE = {
    **dict.fromkeys(("NoLeaf", "NoUsableLeaf", "LeafExpiring"), _REQUEST),
    **dict.fromkeys(("NoRoot", "NoValidRoot", "RootMissing", "IssuerMissing", "OrphanSubCa", "CaExpiring"), _INSTALL),
}
"""Findings that pages of ours mend, by their code: the page and what it does."""


@answering
async def overview(desk: Desk, request: Request) -> Response:
    """What is installed, what expires, what happened."""
    overview = await desk.overview.get()
    findings = (await desk.diagnosis.get()).findings if overview.files <= MANY_FILES else None
    return await desk.draw(
        request,
        "overview.html",
        view=overview_view(overview, desk.clock(overview.clock)),
        findings=findings,
        renewals=renewals_view(desk.renewals.status()),
        happenings=told.happenings(desk.service.events.recent(), FEW),
    )


@answering
async def domain(desk: Desk, request: Request) -> Response:
    """The certificates below one, page by page."""
    overview = await desk.overview.get()
    below, first = request.query_params.get("below"), request.query_params.get("from", "0")
    start = int(first) if first.isascii() and first.isdigit() and len(first) < 9 else 0
    clock = desk.clock(overview.clock)
    found = siblings(overview, request.path_params["domain"], below, start, clock)
    if found is None:
        return await desk.message(request, 404, "There is no such certificate here any more.")
    return await desk.draw(request, "domain.html", siblings=found)


async def rows_of(desk: Desk, request: Request) -> tuple[Row, ...]:
    """Where the certificate is that the address names."""
    overview, fingerprint = await desk.overview.get(), request.path_params["fingerprint"]
    found = places(overview, fingerprint, desk.clock(overview.clock))
    if not found:
        raise HTTPException(404, "No installed certificate has this fingerprint: it may have been deleted.")
    return found


@answering
async def certificate(desk: Desk, request: Request) -> Response:
    """One certificate: what it is, why it is used or not, and what was tried."""
    rows = await rows_of(desk, request)
    fingerprint = rows[0].node.fingerprint
    explained = []
    for row in rows:
        domain = ca_type_named(row.domain)
        if domain is None:
            continue
        found = await desk.ask(functools.partial(Station.explain, domain=domain, fingerprint=fingerprint))
        leaf = found.leaves[0] if found.leaves else None
        explained.append((row, leaf, () if leaf is None else tried(leaf.paths)))
    return await desk.draw(request, "certificate.html", explained=explained, node=rows[0].node, first=rows[0])


@answering
async def findings(desk: Desk, request: Request) -> Response:
    """What is wrong, what it means, and what mends it."""
    found = (await desk.diagnosis.get()).findings
    shown, more = found[:MOST_FINDINGS], max(len(found) - MOST_FINDINGS, 0)
    return await desk.draw(request, "findings.html", findings=shown, more=more, mended_here=MENDED_HERE)


@answering
async def happenings(desk: Desk, request: Request) -> Response:
    """Events since the service began, and the end of the audit log."""
    problem = ""
    entries: tuple[told.Entry, ...] = ()
    try:
        bodies = await desk.ask(lambda station: deque(station.audit_entries(), maxlen=AUDITED))
        entries = told.entries(reversed(bodies))
    except AuditLogUnusable as unusable:
        problem = "" if unusable.problem == _NOT_BEGUN else str(unusable)
    events = told.happenings(desk.service.events.recent())
    return await desk.draw(request, "happenings.html", happenings=events, entries=entries, problem=problem)


@answering
async def happenings_list(desk: Desk, request: Request) -> Response:
    """The events alone, for a page that is open."""
    most = FEW if request.query_params.get("few") else told.SHOWN
    events = told.happenings(desk.service.events.recent(), most)
    return HTMLResponse(await asyncio.to_thread(drawn, "_happenings.html", happenings=events))

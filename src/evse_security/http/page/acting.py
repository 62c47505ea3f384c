"""Pages that install, request and delete, each after it has told what that does; and one that verifies."""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evse_security.additions import CA_TYPES
from evse_security.http.page.desk import Desk, answering, caller_of, needing
from evse_security.http.page.forms import Unusable, carried, certificates, each, field, form_of
from evse_security.http.page.looking import rows_of
from evse_security.http.page.preview import INSTALL, UPDATE, deletion_view, preview, verdict
from evse_security.http.scopes import Scope
from evse_security.interface import NEWEST, WITH_OEM
from evse_security.serve.codec import encode
from evse_security.service.renewals import RENEWED, UNSAVED, Renewed, Triggered
from evse_security.station import Refused
from evse_security.vocabulary import CertificateHashData, LeafCertificateType

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_TARGETS = frozenset({f"{INSTALL}:{kind.value}" for kind in CA_TYPES} | {f"{UPDATE}:{kind.value}" for kind in RENEWED})
_SUBJECT = ("certificate_type", "country", "organization", "common")


async def _call(desk: Desk, request: Request, command: str, arguments: dict[str, Any]) -> tuple[Any, Refused | None]:
    """What a command answers, and why it was refused, if it was."""
    heard: list[Refused] = []
    revision = WITH_OEM if command == INSTALL else NEWEST
    caller = caller_of(request).name
    answer = await desk.service.call(command, arguments, caller=caller, revision=revision, hear=heard.append)
    return answer, heard[0] if heard else None


# ---- installing


@answering
@needing(Scope.install)
async def install(desk: Desk, request: Request) -> Response:
    """Ask for certificates; then tell what installing them would do."""
    if request.method != "POST":
        return await desk.draw(request, "install.html", problem="")
    try:
        async with form_of(request) as form:
            text = await certificates(form)
    except Unusable as problem:
        return await desk.draw(request, "install.html", 400, problem=str(problem))
    return await _preview(desk, request, text)


async def _preview(desk: Desk, request: Request, text: str, refused: Refused | None = None) -> Response:
    explained = await desk.ask(lambda station: station.explain_text(text))
    clock = desk.clock(explained.clock)
    view = preview(explained, clock)
    if not view.certificates:
        problem = f"That cannot be read: {view.refused[0].text}."
        return await desk.draw(request, "install.html", 400, clock=clock, problem=problem)
    alone = []
    if not view.choices and len(view.certificates) > 1:
        pairs = zip(view.certificates, each(text), strict=False)
        alone = [(given, carried(one)) for given, one in pairs if given.role != "leaf"]
    return await desk.draw(
        request,
        "preview.html",
        409 if refused else 200,
        clock=clock,
        view=view,
        fingerprint=explained.certificates[0].fingerprint,
        carried=carried(text),
        alone=alone,
        refused=refused,
    )


@answering
@needing(Scope.install)
async def install_confirmed(desk: Desk, request: Request) -> Response:
    """Install the very certificates that were previewed."""
    try:
        async with form_of(request) as form:
            if not field(form, "certificates"):
                raise Unusable("What was previewed did not arrive. Start again.")
            text, target = await certificates(form), field(form, "as")
            fingerprint = field(form, "fingerprint")
    except Unusable as problem:
        return await desk.draw(request, "install.html", 400, problem=str(problem))
    if target not in _TARGETS:
        raise HTTPException(400, "Say what the certificates are to be installed as.")
    command, _, kind = target.partition(":")
    argument = "certificate" if command == INSTALL else "certificate_chain"
    answer, refused = await _call(desk, request, command, {argument: text, "certificate_type": kind})
    if answer != "Accepted":
        return await _preview(desk, request, text, refused)
    desk.overview.forget()
    place = f"/certificate/{fingerprint}" if _FINGERPRINT.fullmatch(fingerprint) else "/"
    return RedirectResponse(f"{place}?said=installed", 303)


# ---- requesting, deleting, verifying


@answering
@needing(Scope.install)
async def signing_request(desk: Desk, request: Request) -> Response:
    """Make a key and a signing request, to be downloaded."""
    config = desk.service.config
    if request.method != "POST":
        given = {"country": config.csr_country, "organization": config.csr_organization, "common": ""}
        given["certificate_type"] = request.query_params.get("type", "")
        return await desk.draw(request, "request.html", given=given, refused=None, types=RENEWED)
    async with form_of(request) as form:
        given = {name: field(form, name).strip() for name in _SUBJECT}
    command = "generate_certificate_signing_request"
    answer, refused = await _call(desk, request, command, {**given, "use_tpm": False})
    if answer["status"] != "Accepted":
        return await desk.draw(request, "request.html", 409, given=given, refused=refused, types=RENEWED)
    desk.overview.forget()
    name = f"{given['certificate_type']}-{desk.service.clock():%Y%m%d-%H%M%S}.csr"
    return await desk.draw(request, "requested.html", csr=answer["csr"], name=name, given=given)


@answering
@needing(Scope.install)
async def renew(desk: Desk, request: Request) -> Response:
    """Renew a leaf now, whatever the time is."""
    async with form_of(request) as form:
        leaf = next((each for each in Renewed if each.value == field(form, "leaf")), None)
    if leaf is None:
        raise HTTPException(400, "Say which leaf is to be renewed.")
    triggered = await desk.renewals.trigger(leaf.kind, caller=caller_of(request).name, edition=leaf.edition)
    if triggered is Triggered.off:
        return await desk.message(request, 409, f"Others renew the {leaf.words}, as the configuration has it.")
    if triggered is Triggered.unsaved:
        return await desk.message(request, 503, UNSAVED)
    return RedirectResponse("/?said=renewing#renewal", 303)


@answering
@needing(Scope.install)
async def delete(desk: Desk, request: Request) -> Response:
    """List what goes; then delete that, and nothing else."""
    rows = await rows_of(desk, request)
    node = rows[0].node
    data = next((row.node.hash_data for row in rows if row.node.hash_data is not None), None)
    if data is None:
        text = "It can be named only together with its issuer, which is not installed: install that first."
        return await desk.message(request, 409, text)
    found = await desk.ask(lambda station: station.deletion(data))
    view = deletion_view(found, await desk.overview.get())
    shown: dict[str, Any] = {"view": view, "node": node, "first": rows[0]}
    if request.method != "POST":
        return await desk.draw(request, "delete.html", **shown, changed=False, refused=None)
    async with form_of(request) as form:
        confirmed = field(form, "digest")
    refused: Refused | None = None
    if confirmed == view.digest and not view.refusal:
        arguments = {"certificate_hash_data": encode(CertificateHashData, data)}
        answer, refused = await _call(desk, request, "delete_certificate", arguments)
        if answer == "Accepted":
            return RedirectResponse("/?said=deleted", 303)
    changed = confirmed != view.digest
    return await desk.draw(request, "delete.html", 409, **shown, changed=changed, refused=refused)


@answering
async def verify(desk: Desk, request: Request) -> Response:
    """Verify a chain, and say why it is valid or not."""
    common: dict[str, Any] = {"types": LeafCertificateType, "view": None, "problem": ""}
    if request.method != "POST":
        return await desk.draw(request, "verify.html", **common, asked=())
    asked: list[LeafCertificateType] = []
    try:
        async with form_of(request) as form:
            asked = [kind for kind in LeafCertificateType if kind.value in form.getlist("type")]
            text = await certificates(form)
        if not asked:
            raise Unusable("Say what the leaf is for.")
    except Unusable as problem:
        return await desk.draw(request, "verify.html", 400, **common | {"problem": str(problem)}, asked=asked)
    report, explained = await desk.ask(lambda s: (s.check(text, asked), s.explain_text(text)))
    clock = desk.clock(explained.clock)
    view = verdict(report, explained, asked, clock)
    return await desk.draw(request, "verify.html", clock=clock, **common | {"view": view}, asked=asked)

"""Events and entries of the audit log in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from evse_security.http.page.words import Badge, Tone, minute
from evse_security.service.events import Event, EventKind

LONGEST = 240
"""Characters of one event: signing requests are told whole elsewhere."""
SHOWN = 50

_TITLES: dict[EventKind, Badge] = {
    EventKind.certificate_store_update: Badge("Store changed", Tone.GOOD),
    EventKind.oem_store_update: Badge("Store changed", Tone.GOOD),
    EventKind.leaf_certificate_expiring: Badge("Leaf expires", Tone.SOON),
    EventKind.certificate_signing_request: Badge("Signing request", Tone.IDLE),
    EventKind.renewal: Badge("Renewal", Tone.IDLE),
    EventKind.ocsp_request_data: Badge("OCSP wanted", Tone.IDLE),
    EventKind.ocsp: Badge("OCSP", Tone.IDLE),
    EventKind.clock: Badge("Clock", Tone.SOON),
    EventKind.swept: Badge("Swept", Tone.IDLE),
    EventKind.warning: Badge("Warning", Tone.BAD),
}


_TOLD: dict[EventKind, tuple[str, ...]] = {
    EventKind.certificate_signing_request: ("leaf_certificate_type", "edition", "number", "attempt"),
    EventKind.renewal: ("leaf_certificate_type", "edition", "state", "reason", "next_attempt"),
    EventKind.ocsp: ("certificate", "state", "status", "next_update", "failures"),
    EventKind.swept: ("files",),
}
"""The members that are told of events without a text; the others are for programs."""


class Happening(NamedTuple):
    """One event."""

    time: str
    kind: Badge
    text: str
    csr: str
    """The signing request (PEM) that somebody has to bring to a CA; empty where there is none."""


class Entry(NamedTuple):
    """One entry of the audit log."""

    time: str
    command: str
    actor: str
    result: Badge
    text: str


def happenings(events: Sequence[Event], most: int = SHOWN) -> tuple[Happening, ...]:
    """The last events, the newest first."""
    newest = events[-most:][::-1]
    return tuple(Happening(minute(one.time), _TITLES[one.kind], _words(one), _csr(one)) for one in newest)


def _csr(event: Event) -> str:
    csr = event.data.get("csr", "") if event.kind is EventKind.certificate_signing_request else ""
    return csr if isinstance(csr, str) else ""


def _words(event: Event) -> str:
    data = event.data
    if event.kind in (EventKind.certificate_store_update, EventKind.oem_store_update):
        what = data.get("leaf_certificate_type"), data.get("ca_certificate_type")
        kind = f"{what[0]} leaf" if what[0] else f"CA certificate of {what[1]}"
        return bounded(f"{kind}: {data.get('operation', '')}")
    if isinstance(data.get("text"), str):
        return bounded(data["text"])
    members = ((name, data.get(name)) for name in _TOLD.get(event.kind, tuple(data)))
    return bounded(
        "; ".join(f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in members if value is not None)
    )


def _plain(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)[:LONGEST]
    if isinstance(value, Sequence) and all(isinstance(one, Mapping) and "text" in one for one in value):
        return ", ".join(f"{one.get('responder', '')}: {one['text']}" for one in value)  # each failure of a question
    return f"{len(value)} of them" if isinstance(value, Sequence | Mapping) else ""


def bounded(text: str) -> str:
    """A text on one line, cut off where it is too long."""
    line = " ".join(text[: 2 * LONGEST].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


_RESULTS = {"done": Tone.GOOD, "refused": Tone.SOON, "failed": Tone.BAD}


def entries(bodies: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Entries of the audit log, as they come."""
    return tuple(map(_entry, bodies))


def _entry(body: Mapping[str, Any]) -> Entry:
    result = str(body.get("result", ""))
    about = str(body.get("about", ""))
    given = [str(one.get("name", "")) for one in body.get("given", ()) if isinstance(one, Mapping)]
    text = "; ".join(filter(None, [about, *given[:1], str(body.get("why", ""))]))
    return Entry(
        time=_time(body.get("time")),
        command=str(body.get("command", "")),
        actor=str(body.get("actor", "")),
        result=Badge(result, _RESULTS.get(result, Tone.IDLE)),
        text=bounded(text),
    )


def _time(value: object) -> str:
    try:
        return minute(datetime.fromisoformat(str(value)))
    except ValueError:
        return str(value)[:30]

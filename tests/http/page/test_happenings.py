"""Events and the audit log in words."""

from typing import Any

import pytest

from evse_security.http.page.drawing import drawn
from evse_security.http.page.happenings import LONGEST, SHOWN, entries, happenings
from evse_security.service.events import Event, EventKind
from tests.builders import NOW


def event(kind: EventKind = EventKind.warning, number: int = 1, **data: Any) -> Event:
    return Event(number, NOW, kind, data)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            event(EventKind.certificate_store_update, operation="Installed", ca_certificate_type="V2G"),
            "CA certificate of V2G: Installed",
        ),
        (
            event(EventKind.certificate_store_update, operation="Deleted", leaf_certificate_type="V2G"),
            "V2G leaf: Deleted",
        ),
        (event(text="mqtt failed", part="mqtt"), "mqtt failed"),
        (
            event(
                EventKind.renewal,
                leaf_certificate_type="V2G",
                state="waiting",
                since="2030-01-01T00:00:00Z",
                reason="no answer",
                number=1,
            ),
            "leaf certificate type: V2G; state: waiting; reason: no answer",
        ),
        (
            event(EventKind.certificate_signing_request, leaf_certificate_type="CSMS", csr="-", attempt=1),
            "leaf certificate type: CSMS; attempt: 1",
        ),
        (event(EventKind.ocsp, certificate="CN=x", serial="1", state="failed"), "certificate: CN=x; state: failed"),
        (
            event(EventKind.ocsp, state="failed", failures=[{"responder": "http://o", "reason": "R", "text": "gone"}]),
            "state: failed; failures: http://o: gone",
        ),
        (event(EventKind.swept, files=3, removed=["a"]), "files: 3"),
        (event(EventKind.ocsp_request_data, ocsp_request_data_list=[{}, {}]), "ocsp request data list: 2 of them"),
        (event(EventKind.clock, believed=False, after=60, why=None), "believed: False; after: 60"),
        (event(EventKind.swept), ""),
    ],
)
def test_events_in_words(given: Event, said: str) -> None:
    [happening] = happenings([given])
    assert happening.text == said


def test_the_newest_come_first_and_long_ones_are_cut() -> None:
    events = [event(number=n, text=str(n)) for n in range(300)]
    assert [one.text for one in happenings(events)][:2] == ["299", "298"]
    assert len(happenings(events)) == SHOWN
    [long] = happenings([event(EventKind.clock, csr="x\n" * 100_000)])
    assert len(long.text) == LONGEST


def test_a_request_of_the_service_itself_can_be_downloaded() -> None:
    asked, other = event(EventKind.certificate_signing_request, csr="-----BEGIN"), event(csr="x")
    assert [one.csr for one in happenings([asked, other])] == ["", "-----BEGIN"]
    shown = drawn("_happenings.html", happenings=happenings([asked]))
    assert 'href="data:application/pkcs10;base64,LS0tLS1CRUdJTg==" download' in shown


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_a_title(kind: EventKind) -> None:
    assert happenings([event(kind)])[0].kind.text


def test_entries_of_the_audit_log() -> None:
    refused = {
        "time": "2030-01-01T00:00:00.000Z",
        "actor": "http:local",
        "command": "install_ca_certificate",
        "about": "V2G",
        "given": [{"sha256": "00", "name": "CN=Root"}],
        "result": "refused",
        "why": "it expired",
    }
    first, second = entries([refused, {"event": "missed", "given": ["?"]}])
    assert (first.time, first.command, first.actor) == ("2030-01-01 00:00 UTC", "install_ca_certificate", "http:local")
    assert (first.result.text, first.text) == ("refused", "V2G; CN=Root; it expired")
    assert second.command == ""

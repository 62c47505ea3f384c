"""The queue of security events: what is dropped when it is full, what a damaged file does, how editions name them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Edition, SecurityEvent
from evse_security.adapters.ocpp.events import MOST_WAITING, Waiting, from_json, queued, to_json
from evse_security.adapters.ocpp.memory import EVENTS, RENEWALS, Memory
from tests.adapters.ocpp.kit import Bench
from tests.builders import NOW


def event(info: str, *, critical: bool) -> Waiting:
    return Waiting("x", "2030-01-01T00:00:00Z", info, critical)


def test_a_full_queue_drops_the_oldest_that_is_not_critical() -> None:
    waiting = tuple(event(str(number), critical=number != 7) for number in range(MOST_WAITING))
    after = queued(waiting, event("new", critical=True))
    assert len(after) == MOST_WAITING
    assert [one.tech_info for one in after if one.tech_info in ("6", "7", "8", "new")] == ["6", "8", "new"]


def test_the_queue_survives_being_written_down() -> None:
    waiting = (event("a", critical=True), event("", critical=False))
    assert from_json(to_json(waiting)) == waiting


def test_no_names_in_certificates_make_a_full_queue_too_large_to_be_read_again(tmp_path: Path) -> None:
    """What a CSMS has in its certificates is told of: in JSON one such character takes twelve octets."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    said = Waiting.of(SecurityEvent.DISCARDED_RENEWED_CERTIFICATE, Edition.V21, "\U0001f600" * 300, NOW)
    bench.desk.memory.queue((said,) * MOST_WAITING)
    assert Memory(bench.state).waiting == (said,) * MOST_WAITING


@pytest.mark.parametrize("written", [7, [7], [{}], [{"type": "x", "timestamp": 1, "techInfo": ""}]])
def test_what_is_no_queue_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(written)


@pytest.mark.parametrize(
    "written",
    [
        {"leaves": ["CSMS"]},
        {"accepted": "CSMS"},
        {"settings": ["wait"]},
        {"trial": {"new": "a", "old": "b", "begins": "0001-01-01T00:00:00+14:00"}},
    ],
)
def test_what_is_no_memory_is_set_aside_and_the_station_goes_on(tmp_path: Path, written: dict[str, object]) -> None:
    (tmp_path / RENEWALS).write_text(json.dumps({"version": 1, **written}))
    assert Memory(tmp_path).records == {}
    assert (tmp_path / f"{RENEWALS}.damaged").exists()


def test_a_damaged_file_is_set_aside_and_the_station_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    bench.desk.happened(SecurityEvent.STARTUP)
    (bench.state / EVENTS).write_text("{")
    memory = Memory(bench.state)
    assert memory.waiting == ()
    assert (bench.state / f"{EVENTS}.damaged").exists()


@pytest.mark.parametrize(
    ("event", "v16", "v201"),
    [
        (
            SecurityEvent.INVALID_STATION_CERTIFICATE,
            "InvalidChargePointCertificate",
            "InvalidChargingStationCertificate",
        ),
        (SecurityEvent.INVALID_CSMS_CERTIFICATE, "InvalidCentralSystemCertificate", "InvalidCsmsCertificate"),
    ],
)
def test_editions_have_their_own_names_and_their_own_critical_ones(event: SecurityEvent, v16: str, v201: str) -> None:
    assert (event.name_in(Edition.V16), event.name_in(Edition.V201)) == (v16, v201)
    assert (event.is_critical(Edition.V16), event.is_critical(Edition.V201)) == (False, True)


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("event", SecurityEvent)
def test_every_event_fits_its_message(event: SecurityEvent, edition: Edition) -> None:
    payload = Waiting.of(event, edition, "x" * 1000, NOW).payload
    assert len(payload["type"]) <= 50
    assert len(payload["techInfo"]) == 255

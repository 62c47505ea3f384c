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


def event(info: str, *, critical: bool, kind: str = "x") -> Waiting:
    return Waiting(kind, "2030-01-01T00:00:00Z", info, critical)


def full(kind: str = "x", *, critical: bool = True) -> tuple[Waiting, ...]:
    return tuple(event(str(number), critical=critical, kind=kind) for number in range(MOST_WAITING))


def infos(waiting: tuple[Waiting, ...]) -> list[str]:
    return [one.tech_info for one in waiting if one.dropped is None]


def test_a_full_queue_drops_the_oldest_that_is_not_critical() -> None:
    waiting = tuple(event(str(number), critical=number not in (7, 9)) for number in range(MOST_WAITING))
    after = queued(waiting, event("new", critical=True))
    assert infos(after) == [str(number) for number in range(MOST_WAITING) if number != 7] + ["new"]


def test_for_one_that_is_not_critical_no_critical_one_goes() -> None:
    assert infos(queued(full(), event("new", critical=False))) == infos(full())


def test_whoever_floods_the_queue_displaces_neither_another_kind_nor_how_it_began() -> None:
    """Of critical ones alone: the first, another kind that comes later, and the last of those that flood it."""
    waiting = full("flood")
    for number in range(1000):
        waiting = queued(waiting, event(f"late {number}", critical=True, kind="flood"))
    waiting = queued(waiting, event("tampered", critical=True, kind="TamperDetectionActivated"))
    waiting = queued(waiting, event("last", critical=True, kind="flood"))
    began = [str(number) for number in range(MOST_WAITING - 2)]
    assert infos(waiting) == [*began, "tampered", "last"]
    [telling] = [one for one in waiting if one.dropped]
    assert telling.dropped is not None and telling.dropped.number == 1002


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("critical", [False, True])
def test_what_is_dropped_is_told_once_with_its_number_and_its_times(edition: Edition, *, critical: bool) -> None:
    waiting: tuple[Waiting, ...] = ()
    for second in range(MOST_WAITING + 3):
        time = f"2030-01-01T00:{second // 60:02}:{second % 60:02}.000Z"
        waiting = queued(waiting, Waiting("x", time, "", critical))
    [telling] = [one for one in from_json(to_json(waiting)) if one.dropped]
    assert waiting[-1] == telling
    assert telling.critical
    assert telling.payload["type"] == SecurityEvent.MEMORY_EXHAUSTION.name_in(edition)
    assert telling.payload["timestamp"] == "2030-01-01T00:06:42.000Z"
    times = ("00:06:39", "00:06:41") if critical else ("00:00:00", "00:00:02")
    first, last = (f"2030-01-01T{one}.000Z" for one in times)
    assert telling.payload["techInfo"].startswith(f"3 events were dropped, of {first} to {last}: ")
    assert len(queued(waiting[10:], event("room", critical=True))) == MOST_WAITING - 8


def test_what_is_dropped_is_told_to_the_csms_over_restarts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    for number in range(MOST_WAITING + 1):
        bench.desk.happened(SecurityEvent.INVALID_STATION_CERTIFICATE, str(number))
    bench.restarted()
    bench.desk.happened(SecurityEvent.TAMPER_DETECTION)
    bench.restarted()
    assert bench.events[-2:] == ["TamperDetectionActivated", "MemoryExhaustion"]
    assert bench.desk.memory.waiting[-1].tech_info.startswith("2 events were dropped, ")
    assert caplog.text.count("no room for more security events") == 1


def test_the_queue_survives_being_written_down() -> None:
    waiting = (event("a", critical=True), event("", critical=False))
    assert from_json(to_json(waiting)) == waiting


def test_no_names_in_certificates_make_a_full_queue_too_large_to_be_read_again(tmp_path: Path) -> None:
    """What a CSMS has in its certificates is told of: in JSON one such character takes twelve octets."""
    bench = Bench(tmp_path / "certs", Edition.V21)
    said = Waiting.of(SecurityEvent.DISCARDED_RENEWED_CERTIFICATE, Edition.V21, "\U0001f600" * 300, NOW)
    bench.desk.memory.queue((said,) * MOST_WAITING)
    assert Memory(bench.state).waiting == (said,) * MOST_WAITING


@pytest.mark.parametrize(
    "written",
    [
        7,
        [7],
        [{}],
        [{"type": "x", "timestamp": 1, "techInfo": ""}],
        [{"type": "x", "timestamp": "", "techInfo": "", "dropped": 7}],
        [{"type": "x", "timestamp": "", "techInfo": "", "dropped": {"number": True, "first": "", "last": ""}}],
        [{"type": "x", "timestamp": "", "techInfo": "", "dropped": {"number": 1, "first": 1, "last": ""}}],
    ],
)
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

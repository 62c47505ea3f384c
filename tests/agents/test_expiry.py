"""What expires soon is told, at most once a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evse_security.agents.expiry import DAY as DAY_SECONDS
from evse_security.agents.expiry import ExpiryWatch
from evse_security.agents.watching import watching
from evse_security.lab.keys import KeyKind
from evse_security.service.events import EventKind
from tests.agents.stations import Watched, put, stock, watched
from tests.builders import DAY, NOW, World, world

LEAF, WARNING = EventKind.leaf_certificate_expiring, EventKind.warning


def pki(**days: float) -> World:
    """Root > Sub > SECC, that end in so many days."""
    times = {name: {"not_before": NOW - 9 * DAY, "not_after": NOW + left * DAY} for name, left in days.items()}
    return world("Root > Sub > SECC", **times)


def told(tmp_path: Path, made: World, *, now: datetime = NOW, **config: Any) -> list[tuple[EventKind, dict[str, Any]]]:
    found: list[tuple[EventKind, dict[str, Any]]] = []
    stock(tmp_path, made, "SECC", "Sub")
    put(tmp_path, "ca/v2g/V2G_ROOT_CA.pem", made.pem("Root", "Sub"))

    async def work(seen: Watched) -> None:
        await ExpiryWatch(seen.service).look(0.0)
        found.extend((event.kind, dict(event.data)) for event in seen.events)

    watched(tmp_path, work, clock=now, **config)
    return found


def test_a_leaf_that_expires_within_the_days_is_told_with_what_it_is(tmp_path: Path) -> None:
    made = pki(SECC=29.5)
    [(kind, data)] = told(tmp_path, made)
    assert kind is LEAF
    assert data == {
        "leaf_certificate_type": "V2G",
        "edition": "2",
        "certificate": "CN=SECC, O=Test",
        "serial": f"{made['SECC'].certificate.serial_number:x}",
        "fingerprint": data["fingerprint"],
        "not_after": "2030-01-30T12:00:00Z",
        "days": 29,
        "path": str(tmp_path / "client/cso/CPO_CERT_SECC_LEAF_CHAIN.pem"),
        "text": "the V2G leaf CN=SECC, O=Test expires in 29 days",
    }


def test_an_oem_root_that_expires_is_told(tmp_path: Path) -> None:
    put(tmp_path, "ca/oem/OEM_ROOT_CA.pem", world("Oem >", Oem={"not_after": NOW + 3 * DAY})["Oem"].pem)
    [(kind, data)] = told(tmp_path, pki(SECC=40))
    assert (kind, data["ca_certificate_type"]) == (WARNING, "OEM")
    assert data["text"] == "the OEM root CN=Oem, O=Test expires in 3 days"


def test_the_days_are_configured(tmp_path: Path) -> None:
    assert told(tmp_path, pki(SECC=40)) == []
    assert len(told(tmp_path, pki(SECC=40), expiry_warning_days=40)) == 1
    assert told(tmp_path, pki(SECC=3), expiry_warning_days=2) == []


def test_a_leaf_that_has_expired_is_told_unless_another_is_in_use(tmp_path: Path) -> None:
    made = pki(SECC=-2)
    [(_, data)] = told(tmp_path, made)
    assert (data["days"], data["text"]) == (-2, "the V2G leaf CN=SECC, O=Test has expired")
    newer = world("Root > New")
    put(tmp_path, "client/cso/new.pem", newer["New"].pem)
    put(tmp_path, "client/cso/new.key", newer["New"].key_pem())
    assert told(tmp_path, made) == []


@pytest.mark.parametrize("key", [KeyKind.SECP521R1, KeyKind.ED448])
@pytest.mark.parametrize(
    ("old", "new", "days"),
    [(20, 300, [20]), (300, 20, [20]), (20, 10, [10, 20]), (300, 300, []), (-5, 300, [-5]), (-40, 300, [])],
)
def test_of_secc_leaves_the_first_of_each_edition_is_told(
    tmp_path: Path, key: KeyKind, old: int, new: int, days: list[int]
) -> None:
    """Of an edition that the station has done with no more is told after a while."""
    begin = {"not_before": NOW - 90 * DAY}
    made = world(
        "Root > Sub > SECC",
        "Root > Sub > SECC20",
        SECC={**begin, "not_after": NOW + old * DAY},
        SECC20={**begin, "not_after": NOW + new * DAY, "key": key},
    )
    put(tmp_path, "client/cso/SECC20.pem", made.pem("SECC20", "Sub"))
    put(tmp_path, "client/cso/SECC20.key", made["SECC20"].key_pem())
    assert sorted(data["days"] for kind, data in told(tmp_path, made) if kind is LEAF) == days


def test_cas_that_are_trusted_are_warned_of(tmp_path: Path) -> None:
    found = told(tmp_path, pki(Root=20, Sub=10, SECC=60))
    assert [(kind, data["certificate"], data["days"]) for kind, data in found] == [
        (WARNING, "CN=Root, O=Test", 20),
        (WARNING, "CN=Sub, O=Test", 10),
    ]
    assert found[0][1]["text"] == "the V2G root CN=Root, O=Test expires in 20 days"


def test_nothing_while_the_clock_is_not_believed(tmp_path: Path) -> None:
    assert told(tmp_path, pki(SECC=3), now=datetime(1970, 1, 1, tzinfo=UTC)) == []


def test_each_is_told_once_a_day(tmp_path: Path) -> None:
    hands = [NOW]
    stock(tmp_path, pki(SECC=20), "SECC", "Sub")

    async def work(seen: Watched) -> None:
        watch = ExpiryWatch(seen.service)
        for elapsed in (0.0, 1.0, DAY_SECONDS / 2, DAY_SECONDS, DAY_SECONDS + 1, 2 * DAY_SECONDS):
            hands[0] = NOW + timedelta(seconds=elapsed)
            await watch.look(elapsed)
        assert [data["days"] for data in seen.said(LEAF)] == [20, 19, 18]

    watched(tmp_path, work, clock=lambda: hands[0])


def test_it_looks_by_itself_and_all_parts_run_beside_each_other(tmp_path: Path) -> None:
    stock(tmp_path, pki(SECC=20), "SECC", "Sub")

    async def work(seen: Watched) -> None:
        await seen.until_said(LEAF)

    def part(number: int) -> Any:
        return lambda service: watching(service)[number]

    watched(tmp_path, work, *map(part, range(5)))


def test_which_parts_there_are(tmp_path: Path) -> None:
    names: dict[str, list[str]] = {}

    def listed(mode: str) -> Any:
        async def work(seen: Watched) -> None:
            names[mode] = [part.name for part in watching(seen.service)]

        return work

    for mode in ("fetch", "csms", "off"):
        watched(tmp_path, listed(mode), ocsp=mode)
    assert names["off"] == ["clock", "placed", "expiry", "sweep"]
    assert names["fetch"] == names["csms"] == [*names["off"], "ocsp"]

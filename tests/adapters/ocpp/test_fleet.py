"""A fleet that was installed on one day does not ask its CSMS on one day, nor at one time, nor after an outage at once.

Some stations here; 200 with a real clock: `python -m tests.adapters.ocpp.fleet --stations 200`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from evse_security.adapters.ocpp.connector import Endpoint, pause
from evse_security.agents.renewal import rules
from evse_security.renewalfacts import LeafFacts, LeafUse
from tests.adapters.ocpp.csms import charge_point
from tests.adapters.ocpp.fleet import EDITION, Fleet, connected, renewed_after_an_outage, renewed_over_time
from tests.builders import DAY, NOW

STATIONS, THREADS = 12, 2


def leaf(common: str) -> LeafFacts:
    return LeafFacts(
        use=LeafUse.in_use,
        name=common,
        serial="1",
        fingerprint=common,
        country="DE",
        organization="Operator",
        common=common,
        not_before=NOW,
        not_after=NOW + 365 * DAY,
    )


def test_a_fleet_of_200_does_not_ask_at_one_time() -> None:
    begins = sorted(rules.due(leaf(f"CS-{number:04}"), 30) for number in range(200))
    assert begins[0] >= NOW + (365 - 30 - 8) * DAY
    assert begins[-1] <= NOW + (365 - 30) * DAY  # a month before, at the latest
    assert begins[-1] - begins[0] > 7 * DAY
    in_an_hour = Counter((begin - begins[0]) // timedelta(hours=1) for begin in begins)
    assert max(in_an_hour.values()) <= 8


def back_after(outage: float, endpoint: Endpoint, station: int) -> float:
    """When a station is connected again, in seconds after the CSMS went away for so long."""
    chance, moment, failures = random.Random(station), 0.0, 1
    while True:
        moment += pause(endpoint, failures, chance.random())
        if moment >= outage:
            return moment
        failures += 1


def test_after_an_outage_200_stations_do_not_come_back_at_once() -> None:
    endpoint = Endpoint(url="wss://csms.example/CS")
    moments = [back_after(600.0, endpoint, station) for station in range(200)]
    in_a_second = Counter(int(moment) for moment in moments)
    assert max(in_a_second.values()) <= 10
    assert max(moments) <= 600.0 + endpoint.longest_wait
    assert max(moments) - min(moments) > endpoint.longest_wait / 2


def test_stations_of_one_process_renew_when_they_are_due_and_after_an_outage_all(tmp_path: Path) -> None:
    charge_point(EDITION)

    async def run() -> None:
        fleet = Fleet(tmp_path, STATIONS)
        with ThreadPoolExecutor(THREADS, thread_name_prefix="stations") as executor:
            async with connected(fleet, executor, first_wait=0.05, longest_wait=0.4):
                await renewed_over_time(fleet)
                counts = fleet.counts
                assert len(counts.asked_at) == STATIONS
                assert max(counts.asked_in.values()) <= 3 and counts.busiest <= 3
                assert (max(counts.asked_in) - min(counts.asked_in)) > 4 * DAY
                await renewed_after_an_outage(fleet, 0.0)
                assert len(fleet.counts.asked_at) == STATIONS  # each once, though all were overdue
                assert fleet.counts.refused == []
                names = [one.name.partition("_")[0] for one in threading.enumerate()]
                assert names.count("stations") == THREADS
                assert "evse-security-ocpp" not in names
        assert {one.name for one in fleet.members} == set(fleet.csms.connections)

    asyncio.run(run())

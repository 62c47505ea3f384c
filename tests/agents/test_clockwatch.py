"""The clock: unset at boot, set, lost, stepped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from evse_security.agents.clockwatch import ClockWatch, Look, news, since_boot
from evse_security.service.events import EventKind
from tests.agents.stations import Watched, watched
from tests.builders import DAY, NOW

BOOT = datetime(1970, 1, 1, tzinfo=UTC)
LOST = "the clock shows 1970-01-01"


def second(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("before", "look", "found"),
    [
        (None, Look(NOW, None, 0), None),
        (None, Look(BOOT, LOST, 0), ("unset", None)),
        (Look(NOW, None, 0), Look(NOW + second(5), None, 5), None),
        (Look(NOW, None, 0), Look(NOW + second(9.9), None, 5), None),  # a leap second, a slow look
        (Look(NOW, None, 0), Look(NOW + second(65), None, 5), ("set", 60.0)),
        (Look(NOW, None, 0), Look(NOW - second(55), None, 5), ("set", -60.0)),
        (Look(NOW, None, 0), Look(NOW + DAY, None, 86_400), None),  # asleep
        (Look(BOOT, LOST, 0), Look(BOOT + second(5), LOST, 5), None),
        (Look(BOOT, LOST, 0), Look(BOOT + DAY, LOST, 5), ("unset", 86_395.0)),
        (Look(BOOT, LOST, 0), Look(NOW, None, 5), ("set", (NOW - BOOT).total_seconds() - 5)),
        (Look(NOW, None, 0), Look(BOOT, LOST, 5), ("unset", -(NOW - BOOT).total_seconds() - 5)),
        (Look(NOW, "before a file", 0), Look(NOW + second(5), None, 5), ("set", None)),  # the file is gone
    ],
)
def test_what_is_new(before: Look | None, look: Look, found: Any) -> None:
    data = news(before, look)
    assert (None if data is None else (data["state"], data["step"])) == found
    assert data is None or data["text"].startswith("the clock: ")


def test_it_is_said_which_way_and_why() -> None:
    texts = [
        news(Look(BOOT, LOST, 0), Look(NOW, None, 5)),
        news(Look(NOW, None, 0), Look(NOW - DAY, "before a file", 0)),
        news(Look(NOW, None, 0), Look(NOW + second(60), None, 0)),
    ]
    assert [one and one["text"] for one in texts] == [
        "the clock: stepped forwards by 1893455995 s; believed from now on",
        "the clock: stepped backwards by 86400 s; not believed: before a file",
        "the clock: stepped forwards by 60 s",
    ]


def test_a_station_that_boots_in_1970_and_is_set_then(tmp_path: Path) -> None:
    hands, elapsed = [BOOT], [100.0]

    async def work(seen: Watched) -> None:
        watch = ClockWatch(seen.service, lambda: elapsed[0])
        await watch.look()
        assert "1970" in (watch.doubt or "")
        for now, seconds in ((NOW, 105), (NOW + second(5), 110), (NOW - DAY, 115), (NOW + DAY, 120)):
            hands[0], elapsed[0] = now, seconds
            await watch.look()
        assert watch.doubt is None
        clock = [(each["state"], each["step"]) for each in seen.said(EventKind.clock)]
        assert clock == [
            ("unset", None),
            ("set", (NOW - BOOT).total_seconds() - 5),
            ("set", -86_410.0),
            ("set", 2 * 86_400.0 - 5),
        ]

    watched(tmp_path, work, clock=lambda: hands[0])


def test_it_looks_by_itself(tmp_path: Path) -> None:
    hands = [NOW]

    async def work(seen: Watched) -> None:
        await asyncio.sleep(0.05)
        hands[0] = NOW + DAY
        await seen.until_said(EventKind.clock, state="set")

    watched(tmp_path, work, lambda service: ClockWatch(service, since_boot, 0.01), clock=lambda: hands[0])

"""Garbage is collected from time to time, never in doubt."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evse_security.agents.sweeping import SweepAgent
from evse_security.errors import NotWritable
from evse_security.service.events import EventKind
from evse_security.station import Station
from tests.agents.stations import Watched, put, stock, watched
from tests.builders import NOW, world

W = world("Root > Sub > SECC", "Root > Other")


def garbage(certs: Path) -> Path:
    """The key of a request that nobody answered."""
    stock(certs, W, "SECC", "Sub")
    (certs / "client/csms").mkdir()  # else nobody knows what is needed there
    key = put(certs, "client/cso/SECC_LEAF_M01_D01_Y2029_H00_M00_S00_i1_r1.key", W["Other"].key_pem())
    old = (NOW - timedelta(hours=2)).timestamp()
    for path in certs.rglob("*.*"):
        os.utime(path, (old, old))
    return key


def test_what_nobody_needs_goes_and_is_told(tmp_path: Path) -> None:
    key = garbage(tmp_path)

    async def work(seen: Watched) -> None:
        [swept] = await seen.until_said(EventKind.swept)
        assert swept["files"] == 1
        assert [(each["path"], bool(each["reason"])) for each in swept["removed"]] == [(str(key), True)]
        entries = await seen.service.ask(lambda station: list(station.audit_entries()), caller="test")
        assert [(one["command"], one["actor"]) for one in entries] == [("sweep", "sweep")]

    watched(tmp_path, work, lambda service: SweepAgent(service, 0.0))
    assert not key.exists()
    assert (tmp_path / "client/cso/SECC_LEAF.key").exists()


def test_where_nothing_goes_nothing_is_told(tmp_path: Path) -> None:
    stock(tmp_path, W, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        assert await SweepAgent(seen.service).sweep()
        assert not seen.events

    watched(tmp_path, work)


def test_never_while_the_clock_is_not_believed_and_as_soon_as_it_is(tmp_path: Path) -> None:
    key, hands = garbage(tmp_path), [datetime(2066, 1, 1, tzinfo=UTC)]

    async def work(seen: Watched) -> None:
        for _ in range(20):
            await seen.service.ask(lambda station: None, caller="test")
            await asyncio.sleep(0.01)
        assert key.exists() and not seen.events
        hands[0] = NOW
        seen.service.events.publish(EventKind.clock, {"state": "set", "step": None, "text": "set"})
        await seen.until_said(EventKind.swept)

    watched(tmp_path, work, lambda service: SweepAgent(service, 0.0), clock=lambda: hands[0])


def test_what_cannot_be_swept_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses, which root cannot make here."""

    def refuse(station: Station, *, dry_run: bool = False) -> None:
        raise NotWritable("/certs", "Read-only file system")

    async def work(seen: Watched) -> None:
        monkeypatch.setattr(Station, "sweep", refuse)
        await SweepAgent(seen.service).sweep()
        [warning] = seen.said(EventKind.warning)
        assert "Read-only file system" in warning["text"]

    watched(tmp_path, work)


def test_the_first_one_waits_a_little(tmp_path: Path) -> None:
    key = garbage(tmp_path)

    async def work(seen: Watched) -> None:
        await asyncio.sleep(0.1)
        assert key.exists()

    watched(tmp_path, work, SweepAgent)

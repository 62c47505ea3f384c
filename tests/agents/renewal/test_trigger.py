"""A trigger that was accepted is not lost, and one that might be is not accepted."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from evse_security.agents.renewal.agent import RenewalAgent
from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Record
from evse_security.agents.renewal.records import Records
from evse_security.service.renewals import Renewed, Triggered
from tests.agents.renewal.stage import NAMED, V2G, Stage, staged
from tests.builders import NOW


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_it_outlives_a_power_cut_right_after_it_was_accepted(tmp_path: Path) -> None:
    async def before(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") is Triggered.accepted
        assert Memory(tmp_path / "state").load()[Renewed.V2G].trigger == "ocpp"
        assert stage.requests() == []

    async def after(stage: Stage) -> None:
        await stage.at(NOW)
        assert len(stage.requests()) == 1
        await stage.at(NOW)
        assert len(stage.requests()) == 1

    staged(tmp_path, before)
    staged(tmp_path, after)


@pytest.mark.parametrize("is_looked_at", [False, True])
def test_it_outlives_that_what_is_remembered_cannot_be_read_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_looked_at: bool
) -> None:
    """A look at a leaf that is fresh does not forget it."""
    load = Memory.load
    fails = [True]

    def unreadable_at_first(memory: Memory) -> Mapping[Renewed, Record]:
        if fails[0]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return load(memory)

    async def before(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") is Triggered.accepted

    async def after(stage: Stage) -> None:
        if is_looked_at:
            await stage.at(stage.now[0])
        fails[0] = False
        await stage.at(stage.now[0])
        await stage.at(stage.now[0])
        assert len(stage.requests()) == 1

    staged(tmp_path, before)
    monkeypatch.setattr(Memory, "load", unreadable_at_first)
    staged(tmp_path, after)


def test_one_that_cannot_be_written_down_is_refused_and_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        await stage.at(NOW)
        with monkeypatch.context() as full:
            full.setattr(Memory, "save", no_room)
            assert await stage.agent.trigger(V2G, caller="ocpp\n") is Triggered.unsaved
        assert "ocpp\\n asks for a new V2G leaf, and is refused: [Errno 28] No space left on device" in caplog.text
        await stage.at(NOW)
        assert (stage.requests(), stage.status().state) == ([], "fresh")
        assert await stage.agent.trigger(V2G, caller="ocpp") is Triggered.accepted
        await stage.at(NOW)
        assert len(stage.requests()) == 1

    staged(tmp_path, work)


def test_before_what_is_remembered_was_read_it_is_refused(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        before = (tmp_path / "state" / "renewal.json").read_bytes()
        assert await RenewalAgent.of(stage.service).trigger(V2G, caller="ocpp") is Triggered.unsaved
        assert (tmp_path / "state" / "renewal.json").read_bytes() == before

    staged(tmp_path, work, **NAMED)


def test_where_nothing_is_to_be_remembered_it_is_accepted(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.at(NOW)
        assert await stage.agent.trigger(V2G, caller="ocpp") is Triggered.accepted
        await stage.at(NOW)
        assert len(stage.requests()) == 2

    staged(tmp_path, work, state_directory=None, **NAMED)


def test_what_changes_while_it_is_written_is_kept(tmp_path: Path) -> None:
    class Slow(Memory):
        begun, go = threading.Event(), threading.Semaphore(0)

        def save(self, records: object) -> None:
            self.begun.set()
            assert self.go.acquire(timeout=10)
            super().save(records)  # type: ignore[arg-type]

    async def work() -> None:
        memory = Slow(tmp_path)
        records = Records(memory, pytest.fail)
        triggered = asyncio.create_task(records.trigger([Renewed.V2G], "ocpp"))
        await asyncio.to_thread(memory.begun.wait)
        put = asyncio.create_task(records.put(Renewed.V2G, Record(number=7)))
        memory.go.release(2)
        await asyncio.gather(triggered, put)
        assert records[Renewed.V2G] == Record(number=7, trigger="ocpp") == Memory(tmp_path).load()[Renewed.V2G]

    asyncio.run(work())

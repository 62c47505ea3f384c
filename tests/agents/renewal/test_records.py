"""Records on a disk that is slow, full, or both, and those who do not wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from evse_security.agents.renewal.memory import Memory
from evse_security.agents.renewal.record import Cause, Record
from evse_security.agents.renewal.records import Records
from evse_security.service.renewals import RenewalState, Renewed

V2G = Renewed.V2G
Saved = Mapping[Renewed, Record]


class Slow(Memory):
    """A disk whose writes last until they are let go, and may be refused."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.at_once, self.most_at_once = 0, 0
        self.full = False

    def save(self, records: Saved) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        assert self.go.acquire(timeout=10)
        self.at_once -= 1
        if self.full:
            raise OSError(28, "No space left on device")
        super().save(records)


def test_who_is_cancelled_leaves_no_write_behind_that_overtakes_the_next(tmp_path: Path) -> None:
    """A trigger, or SIGHUP, while the disk takes its time."""
    memory = Slow(tmp_path)

    async def run() -> None:
        records = Records(memory, pytest.fail)
        first = asyncio.create_task(records.put(V2G, Record(number=1)))
        await asyncio.to_thread(memory.begun.acquire)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.create_task(records.put(V2G, Record(number=2)))
        await asyncio.sleep(0.05)
        assert memory.most_at_once == 1
        settled = asyncio.create_task(records.settled())
        memory.go.release(2)
        await second
        await settled

    asyncio.run(run())
    assert Memory(tmp_path).load() == {V2G: Record(number=2)}


def test_an_end_waits_for_what_is_being_written(tmp_path: Path) -> None:
    memory = Slow(tmp_path)

    async def run() -> None:
        records = Records(memory, pytest.fail)
        put = asyncio.create_task(records.put(V2G, Record(number=1)))
        await asyncio.to_thread(memory.begun.acquire)
        put.cancel()
        settled = asyncio.create_task(records.settled())
        await asyncio.sleep(0.05)
        assert not settled.done()
        memory.go.release()
        await settled
        assert Memory(tmp_path).load() == {V2G: Record(number=1)}

    asyncio.run(run())


def test_in_a_directory_of_others_nothing_is_remembered_nor_believed(tmp_path: Path) -> None:
    """Whoever may write there could keep leaves from being renewed."""
    told = list[str]()

    async def run() -> None:
        Memory(tmp_path).save({V2G: Record(number=1)})
        tmp_path.chmod(0o777)
        records = Records(Memory(tmp_path), told.append)
        await records.load()
        assert records[V2G] == Record()
        await records.put(V2G, Record(number=2))
        assert records[V2G] == Record(number=2)
        with pytest.raises(PermissionError):
            await records.trigger([V2G], "somebody")
        assert records[V2G] == Record(number=2)
        tmp_path.chmod(0o755)
        assert Memory(tmp_path).load() == {V2G: Record(number=1)}

    asyncio.run(run())
    assert len(told) == 2
    assert all("is writable by everybody (mode 0777): chmod go-w it" in text for text in told)


def test_what_cannot_be_read_at_first_is_not_written_over(tmp_path: Path) -> None:
    """A request that waits for its answer is in there."""
    waiting, told = Record(number=7, csr="a request"), list[str]()
    Memory(tmp_path).save({V2G: waiting})

    class Failing(Memory):
        fails = True

        def load(self) -> Saved:
            if self.fails:
                raise OSError(5, "Input/output error")
            return super().load()

    async def run() -> None:
        records = Records(memory := Failing(tmp_path), told.append)
        await records.load()
        await records.put(Renewed.CSMS, Record(number=1))
        with pytest.raises(OSError, match="Input/output"):
            await records.trigger([Renewed.CSMS], "somebody")
        assert Memory(tmp_path).load() == {V2G: waiting}
        memory.fails = False
        await records.put(Renewed.CSMS, Record(number=2))
        assert records[V2G] == waiting

    asyncio.run(run())
    assert Memory(tmp_path).load() == {V2G: waiting, Renewed.CSMS: Record(number=2)}
    assert "stays as it is" in told[0]
    assert len(told) == 2


def test_a_renewal_that_began_before_it_could_be_read_goes_on_and_a_trigger_is_not_lost(tmp_path: Path) -> None:
    Memory(tmp_path).save({V2G: Record(number=7, trigger="ocpp"), Renewed.CSMS: Record(number=3, trigger="ocpp")})
    fails = [True]

    class Failing(Memory):
        def load(self) -> Saved:
            if fails[0]:
                raise OSError(5, "Input/output error")
            return super().load()

    async def run() -> None:
        records = Records(Failing(tmp_path), list[str]().append)
        await records.load()
        await records.put(V2G, begun := Record(number=1, cause=Cause.window, csr="a request"))
        fails[0] = False
        await records.put(Renewed.CSMS, Record(state=RenewalState.fresh))
        assert records[V2G] == replace(begun, trigger="ocpp")
        assert records[Renewed.CSMS] == Record(number=3, trigger="ocpp")

    asyncio.run(run())


def test_what_a_full_disk_did_not_take_is_written_when_it_has_room_again(tmp_path: Path) -> None:
    memory, told = Slow(tmp_path), list[str]()

    async def run() -> None:
        records = Records(memory, told.append)
        memory.go.release(10)
        memory.full = True
        await records.put(V2G, Record(number=1))
        await records.put(V2G, Record(number=1))
        memory.full = False
        await records.put(V2G, Record(number=1))
        assert Memory(tmp_path).load() == {V2G: Record(number=1)}

    asyncio.run(run())
    [text] = told
    assert text.startswith(f"renewals are not remembered across restarts: {tmp_path}")
    assert "No space left on device" in text

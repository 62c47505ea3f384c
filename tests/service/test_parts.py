"""Parts beside each other: one that fails begins again, one that is misconfigured ends all."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.service import parts as module
from evse_security.service.events import EventKind, Events
from evse_security.service.parts import run_parts


class Fails:
    """Fails so often, then is ready and stays."""

    def __init__(self, name: str, times: int, problem: Exception) -> None:
        self.name, self.times, self.problem = name, times, problem
        self.begun = 0

    async def run(self, ready: Callable[[], None]) -> None:
        self.begun += 1
        if self.begun <= self.times:
            raise self.problem
        ready()
        await asyncio.Event().wait()


def events() -> Events:
    return Events(lambda: datetime(2030, 1, 1, tzinfo=UTC))


def test_a_part_that_fails_begins_again_and_then_all_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    hub = events()
    parts = [Fails("well", 0, OSError()), Fails("ill", 3, OSError("no secret"))]

    async def run() -> None:
        done = asyncio.Event()
        task = asyncio.create_task(run_parts(parts, hub, done.set))
        await asyncio.wait_for(done.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert [part.begun for part in parts] == [1, 4]
    assert [(event.kind, event.data["text"]) for event in hub.recent()] == [
        (EventKind.warning, "ill failed: OSError")
    ] * 3


def test_what_is_misconfigured_ends_all() -> None:
    parts = [Fails("well", 0, OSError()), Fails("wrong", 1, InvalidConfiguration("http_listen", "in use"))]
    with pytest.raises(InvalidConfiguration, match="http_listen: in use"):
        asyncio.run(asyncio.wait_for(run_parts(parts, events(), lambda: None), 10))


@pytest.mark.parametrize("problem", [InvalidConfiguration("http_listen", "in use"), asyncio.CancelledError()])
def test_what_was_ready_once_begins_again_whatever_it_fails_with(
    monkeypatch: pytest.MonkeyPatch, problem: BaseException
) -> None:
    """A file that is being replaced just then; a future that somebody else cancelled."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.001)
    hub, begun = events(), asyncio.Event()

    class Breaks:
        name, runs = "breaks", 0

        async def run(self, ready: Callable[[], None]) -> None:
            ready()
            self.runs += 1
            if self.runs < 3:
                raise problem
            begun.set()
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(run_parts([Breaks()], hub, lambda: None))
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(hub.recent()) == 2


def test_no_parts_are_ready_at_once() -> None:
    told: list[bool] = []
    asyncio.run(run_parts([], events(), lambda: told.append(True)))
    assert told == [True]

"""The stream of events: order, threads, slow listeners, and those who come later."""

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from evse_security.service.events import KEPT, WAITING, EventKind, Events
from tests.service.declared import schema_of

AT = datetime(2030, 1, 1, tzinfo=UTC)


def events() -> Events:
    return Events(lambda: AT)


def test_an_event_as_json() -> None:
    event = events().publish(EventKind.warning, {"text": "look"})
    assert event.to_json() == {
        "number": 1, "time": "2030-01-01T00:00:00.000Z", "kind": "warning", "data": {"text": "look"},
    }  # fmt: skip


def test_listeners_hear_what_any_thread_publishes_in_one_order() -> None:
    async def run() -> None:
        hub = events()
        heard: list[list[int]] = [[], []]
        listening = [asyncio.Event(), asyncio.Event()]

        async def listen(which: int) -> None:
            stream = hub.listen()
            first = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            listening[which].set()
            heard[which].append((await first).number)
            async for event in stream:
                heard[which].append(event.number)
                if event.number == 100:
                    return

        tasks = [asyncio.create_task(listen(0)), asyncio.create_task(listen(1))]
        for one in listening:
            await one.wait()
        threads = [
            threading.Thread(target=lambda: [hub.publish(EventKind.ocsp, {}) for _ in range(25)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        await asyncio.gather(*tasks)
        for thread in threads:
            thread.join()
        assert heard[0] == heard[1] == list(range(1, 101))

    asyncio.run(run())


def test_who_comes_later_gets_what_is_remembered_first() -> None:
    async def run() -> list[int]:
        hub = events()
        for _ in range(KEPT + 5):
            hub.publish(EventKind.clock, {})
        assert [event.number for event in hub.recent()] == list(range(6, KEPT + 6))
        stream = hub.listen(after=KEPT + 3)
        return [(await anext(stream)).number for _ in range(2)]

    assert asyncio.run(run()) == [KEPT + 4, KEPT + 5]


def test_a_slow_listener_loses_the_oldest_and_sees_the_gap() -> None:
    async def run() -> list[int]:
        hub = events()
        stream = hub.listen()
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        for _ in range(WAITING + 10):
            hub.publish(EventKind.clock, {})
        numbers = [(await first).number]
        numbers += [(await anext(stream)).number for _ in range(WAITING - 1)]
        return numbers

    numbers = asyncio.run(run())
    assert numbers == list(range(11, WAITING + 11))


def test_nobody_listens_any_more_once_the_stream_is_closed() -> None:
    async def run() -> None:
        hub = events()
        stream = hub.listen()
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        hub.publish(EventKind.clock, {})
        await first
        await stream.aclose()
        assert hub._listeners == []

    asyncio.run(run())


def test_a_listener_that_fails_or_asks_holds_up_nobody() -> None:
    hub = events()
    heard: list[int] = []

    def fail(event: object) -> None:
        raise RuntimeError("the loop is closed")

    def look(event: object) -> None:
        heard.append(len(hub.recent()))

    stop = hub.hear(fail)
    hub.hear(look)
    hub.publish(EventKind.warning, {})
    stop()
    hub.publish(EventKind.warning, {})
    assert heard == [1, 2]


@pytest.mark.parametrize("kind", EventKind)
def test_what_is_declared_of_every_kind_is_documented(kind: EventKind, pytestconfig: pytest.Config) -> None:
    members = {name for declared in schema_of(kind)["$defs"].values() for name in declared.get("properties", ())}
    pages = [pytestconfig.rootpath / "docs" / page for page in ("watching.md", "renewal.md", "reference/commands.md")]
    documented = "".join(page.read_text() for page in pages)
    assert [name for name in members if f"`{name}`" not in documented] == []

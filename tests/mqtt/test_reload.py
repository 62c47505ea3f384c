"""What was published is not published again after a reload: the stream of events is the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from evse_security import Station, StationConfig
from evse_security.mqtt.api import Api
from evse_security.mqtt.connection import Message
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind, Events
from evse_security.service.service import Service
from tests.builders import NOW


class Recorded:
    """A broker that takes everything, and from which nothing comes."""

    def __init__(self) -> None:
        self.published: list[str] = []

    async def publish(self, topic: str, payload: bytes, *, qos: int = 2, retain: bool = False) -> None:
        if topic.endswith("/warning"):
            self.published.append(payload.decode())

    async def subscribe(self, *filters: str, qos: int = 2) -> None:
        pass

    async def messages(self) -> AsyncIterator[Message]:
        await asyncio.Event().wait()
        yield Message("", b"")


async def published(directory: Path, events: Events, text: str) -> list[str]:
    """What one configuration of the service publishes until this warning."""
    connection = Recorded()
    config = ServiceConfig(mqtt_heartbeat=0, mqtt_communication_check=0)
    with Station.open(StationConfig.under(directory)) as station:
        service = Service(station, config, events)
        api = Api(service)
        speaking = asyncio.create_task(api.speak(connection, lambda: None))
        events.publish(EventKind.warning, {"text": text})
        async with asyncio.timeout(10):
            while not connection.published or text not in connection.published[-1]:
                await asyncio.sleep(0.01)
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        api.close()
        service.close()
    return connection.published


def test_a_reload_publishes_nothing_again_and_loses_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        events = Events(lambda: NOW)
        assert len(await published(tmp_path, events, "first")) == 1
        events.publish(EventKind.warning, {"text": "between"})
        again = await published(tmp_path, events, "second")
        assert [text in each for text, each in zip(("between", "second"), again, strict=True)] == [True, True]

    asyncio.run(run())

"""A client that is none of ours: mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evse_security.mqtt.broker import BrokerAddress


class Heard(NamedTuple):
    """What mosquitto_sub heard."""

    topic: str
    payload: str
    qos: int
    retain: bool


@dataclass
class Foreign:
    """Hears all below a prefix, in order."""

    address: BrokerAddress
    prefix: str
    heard: list[Heard] = field(default_factory=list)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def publish(self, topic: str, payload: bytes | str, *options: str) -> None:
        """Say something on a topic below the prefix."""
        command = ["mosquitto_pub", *self.at, "-t", self.prefix + topic, "-s" if payload else "-n", *options]
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        await process.communicate(payload.encode() if isinstance(payload, str) else payload)
        assert process.returncode == 0

    async def ask(self, topic: str, payload: Any = ..., **headers: Any) -> str:
        """Ask something and wait for the first answer; without payload, there is none in the request."""
        reply = f"reply/{next(self._numbers)}"
        body = {"headers": {"replyTo": self.prefix + reply, **headers}}
        await self.publish(topic, json.dumps(body if payload is ... else {**body, "payload": payload}))
        return await self.on(reply)

    async def on(self, topic: str, number: int = 1) -> str:
        """Wait for the first, second, … message on a topic below the prefix."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.all_on(topic)) >= number)
        return self.all_on(topic)[number - 1]

    def all_on(self, topic: str) -> list[str]:
        """What was heard on a topic below the prefix."""
        return [heard.payload for heard in self.heard if heard.topic == self.prefix + topic]

    @property
    def at(self) -> list[str]:
        """Options of mosquitto's programs: where the broker is."""
        return ["-h", self.address.host, "-p", str(self.address.port)]

    async def _hear(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            told = json.loads(line.decode(errors="replace"))
            heard = Heard(told["topic"], told["payload"] or "", told["qos"], bool(told["retain"]))
            async with self._arrived:
                self.heard.append(heard)
                self._arrived.notify_all()

    async def _is_heard(self) -> None:
        """Speak until it is heard: mosquitto_sub does not tell when it has subscribed."""
        while not self.all_on("probe"):
            await self.publish("probe", "x")
            await asyncio.sleep(0)


@asynccontextmanager
async def foreign(address: BrokerAddress, prefix: str) -> AsyncIterator[Foreign]:
    """Such a client, which has subscribed to everything below the prefix."""
    client = Foreign(address, prefix)
    command = ["mosquitto_sub", *client.at, "-q", "2", "-F", "%j", "-t", f"{prefix}#"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 24)
    assert process.stdout is not None
    hearing = asyncio.create_task(client._hear(process.stdout))
    try:
        await client._is_heard()
        yield client
    finally:
        process.terminate()
        await process.wait()
        await hearing

"""The part of the service that is connected to an MQTT broker, and again when the connection is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, cast

import aiomqtt
from aiomqtt import MqttError, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from evse_security.errors import InvalidConfiguration
from evse_security.mqtt.broker import Broker, Transport
from evse_security.mqtt.connection import Message, Speak, is_topic
from evse_security.service.eventdata import Problem
from evse_security.service.events import EventKind, Events

log = logging.getLogger(__name__)
_wire = logging.getLogger(f"{__name__}.wire")
_wire.setLevel(logging.ERROR)  # what it warns of is told here, once

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before another try to connect, doubled each time; the real ones are up to half of it shorter."""
STEADY = 30.0
"""Seconds after which a connection is taken to have been a good one."""
ANSWER = 10.0
"""Seconds in which the broker must acknowledge something; else the connection is taken for lost."""
KEEP_ALIVE = 20
"""Seconds after which the broker is asked whether it is still there (as EVerest does)."""
MOST_MESSAGES, MOST_BYTES = 1000, 16 << 20
"""Messages that came and wait, and what they hold together; what comes then is dropped with a warning."""
LARGEST_PACKET = 4 << 20
"""Bytes of a message that an MQTT 5 broker may send us: two of the largest texts that we would read."""
MOST_UNACKNOWLEDGED = 20
"""Messages on their way to the broker, as many as paho sends at once; who has more to say waits.

Of more, paho 2.1 keeps some for ever."""

_UNSUPPORTED_VERSION = 132
_REFUSED = 128
"""Reason codes from here on say no (MQTT 5 §2.4; 3.1.1 has this one for subscriptions)."""


def back_off(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row; `chance` is from 0 to 1, so that not all come back at once."""
    wait: float = min(FIRST_WAIT * 2.0 ** min(failures - 1, 16), LONGEST_WAIT)
    return wait * (0.5 + chance / 2)


class MqttPart:
    """Connects to a broker, speaks a protocol, and does both anew when the connection is lost, ever less often.

    A broker that is not there is waited for and told of once; nobody else has to wait for it. A protocol that returns
    ends the part.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        speak: Speak,
        events: Events | None = None,
        links: dict[str, str | None] | None = None,
    ) -> None:
        """`events` are told, too, when the broker is not there, and `links` hold whether it is (`Service.links`)."""
        self.name = name
        self._broker = broker
        self._speak = speak
        self._events = events
        self._links = {} if links is None else links
        self._version = ProtocolVersion.V5
        self._told = False
        self._was_connected = False
        if broker.user is not None and not broker.address.is_private:
            log.warning("%s: the password goes to %s in plain: use mqtts", name, broker.address)

    async def run(self, ready: Callable[[], None]) -> None:
        """Speak until the protocol ends or this is cancelled.

        Raises `InvalidConfiguration` for files that cannot be used at the start, and what the protocol raises.
        """
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            begun = loop.time()
            try:
                await self._once(ready)
                return
            except (ConnectionError, ExceptionGroup) as problem:
                lost = _lost(problem)
                if lost is None:
                    raise
            finally:
                self._links[self.name] = f"{self.name}: not connected to {self._broker.address}"
            failures = 1 if loop.time() - begun > STEADY else failures + 1
            self._tell(lost)
            ready()  # the rest of the service must not wait for a broker
            await asyncio.sleep(back_off(failures, random.random()))  # noqa: S311 - nothing secret about it

    async def _once(self, ready: Callable[[], None]) -> None:
        """One connection, from its beginning to its end."""

        def is_ready() -> None:
            self._links[self.name] = None
            ready()

        inbox = _Inbox()
        client = await self._connect(inbox)
        log.info("%s: connected to %s", self.name, self._broker.address)
        self._told, self._was_connected = False, True
        speaking = asyncio.create_task(self._speak(_Connection(client, inbox), is_ready), name=self.name)
        watching = asyncio.create_task(_until_lost(client, inbox))
        try:
            await asyncio.wait((speaking, watching), return_when=asyncio.FIRST_COMPLETED)
            await (speaking if speaking.done() else watching)
        finally:
            speaking.cancel()
            watching.cancel()
            await asyncio.gather(speaking, watching, return_exceptions=True)
            await _leave(client)

    async def _connect(self, inbox: _Inbox) -> aiomqtt.Client:
        client = await self._client(inbox)
        entering = asyncio.ensure_future(client.__aenter__())
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError:
            with suppress(MqttError):  # a thread is at it: what it opens must be closed
                await entering
            await _leave(client)
            raise
        except MqttError as refused:
            await _leave(client)
            # Some brokers say that they are too old for MQTT 5, others say nothing.
            code = _number(getattr(refused, "rc", None))
            if self._version is ProtocolVersion.V5 and code == _UNSUPPORTED_VERSION:
                self._version = ProtocolVersion.V311
                return await self._connect(inbox)
            if str(refused) == "Operation timed out":
                self._version = ProtocolVersion.V311 if self._version is ProtocolVersion.V5 else ProtocolVersion.V5
            raise ConnectionError(str(refused)) from None

    async def _client(self, inbox: _Inbox) -> aiomqtt.Client:
        broker = self._broker
        try:
            password, tls = await asyncio.to_thread(lambda: (broker.password(), broker.tls()))
        except InvalidConfiguration as unusable:
            if not self._was_connected:
                raise
            raise ConnectionError(str(unusable)) from None  # what was usable once may be so again
        over_ip = broker.address.transport is not Transport.unix
        client = aiomqtt.Client(
            broker.address.host,
            broker.address.port or 1,  # of no meaning for a unix socket
            username=broker.user,
            password=password,
            tls_context=tls,
            transport="tcp" if over_ip else "unix",
            protocol=self._version,
            properties=_properties() if self._version is ProtocolVersion.V5 else None,
            keepalive=KEEP_ALIVE,
            timeout=ANSWER,
            logger=_wire,
            queue_type=cast(Any, lambda maxsize: _Sluice(inbox)),
            max_concurrent_outgoing_calls=MOST_UNACKNOWLEDGED,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),) if over_ip else (),
        )
        client.pending_calls_threshold = MOST_UNACKNOWLEDGED
        return client

    def _tell(self, problem: BaseException) -> None:
        """Warn, unless that was done since the last connection."""
        text = f"{self.name}: no connection to {self._broker.address}, trying again: {problem}"
        self._links[self.name] = text
        if self._told:
            log.debug("%s", text)
            return
        self._told = True
        log.warning("%s", text)
        if self._events is not None:
            data: Problem = {"part": self.name, "text": text}
            self._events.publish(EventKind.warning, data)


def _lost(problem: Exception) -> Exception | None:
    """The loss of the connection, if a problem is nothing else; tasks in a group may each have met it."""
    if not isinstance(problem, ExceptionGroup):
        return problem
    losses, others = problem.split(ConnectionError)
    return losses.exceptions[0] if losses is not None and others is None else None


def _number(code: object) -> int:
    """A reason code, which paho hands out in several shapes."""
    number = getattr(code, "value", code)
    return number if isinstance(number, int) else 0


def _properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = LARGEST_PACKET
    return properties


async def _until_lost(client: aiomqtt.Client, inbox: _Inbox) -> None:
    """Wait for the end of a connection. Raises `ConnectionError`."""
    try:
        await anext(client.messages)  # none comes this way: they are in the inbox
    except MqttError as lost:
        inbox.close()
        cause = lost.__cause__ or lost
        # paho has but this for a broker that hangs up
        raise ConnectionError("it was closed" if "Unspecified error" in str(cause) else str(cause)) from None


async def _leave(client: aiomqtt.Client) -> None:
    """Say good-bye to the broker where it can hear it, and close the connection in any case."""
    client.timeout = 0.2
    with suppress(MqttError):
        await client.__aexit__(None, None, None)
    # A connection that was never acknowledged, or broke while it was read, is left open by aiomqtt.
    left = client._client.socket()
    if left is not None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(left)
        loop.remove_writer(left)
        left.close()


class _Inbox(AsyncIterator[Message]):
    """What came and waits to be read, within bounds."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._closed = False
        self._dropping = False

    def put(self, message: Message) -> None:
        size = len(message.payload) + len(message.topic)
        if len(self._waiting) >= MOST_MESSAGES or self._bytes + size > MOST_BYTES:
            if not self._dropping:
                log.warning(
                    "more messages come than can be answered: some are dropped, this on %r", message.topic[:200]
                )
            self._dropping = True
            return
        self._waiting.append(message)
        self._bytes += size
        self._arrived.set()

    def close(self) -> None:
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            self._dropping = False
            if self._closed:
                raise ConnectionError("lost")
            self._arrived.clear()
            await self._arrived.wait()
        message = self._waiting.popleft()
        self._bytes -= len(message.payload) + len(message.topic)
        return message


class _Sluice(asyncio.Queue[aiomqtt.Message]):
    """Stands where aiomqtt puts messages and lets them pass, so that reading them takes no task for each."""

    def __init__(self, inbox: _Inbox) -> None:
        super().__init__()
        self._inbox = inbox

    def put_nowait(self, message: aiomqtt.Message) -> None:
        payload = message.payload
        if isinstance(payload, bytes | bytearray):
            self._inbox.put(Message(message.topic.value, bytes(payload), bool(message.retain)))


class _Connection:
    """An aiomqtt client, as protocols see it."""

    def __init__(self, client: aiomqtt.Client, inbox: _Inbox) -> None:
        self._client = client
        self._inbox = inbox

    async def publish(self, topic: str, payload: bytes, *, qos: int = 2, retain: bool = False) -> None:
        if not is_topic(topic):
            raise ValueError("no topic that can be published to")
        try:
            await self._client.publish(topic, payload, qos=qos, retain=retain)
        except MqttError as problem:
            raise ConnectionError(str(problem)) from None

    async def subscribe(self, *filters: str, qos: int = 2) -> None:
        try:
            granted = await self._client.subscribe([(each, qos) for each in filters])
        except MqttError as problem:
            raise ConnectionError(str(problem)) from None
        for each, code in zip(filters, granted, strict=True):
            if _number(code) >= _REFUSED:
                raise ConnectionRefusedError(f"the broker refuses the subscription of {each}")

    def messages(self) -> AsyncIterator[Message]:
        return self._inbox

"""EVerest API v1 over MQTT: every command, variable and event of the service, with nothing else running.

What a message means is decided in `serve.everest_api`; here messages come and go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial

from evse_security.errors import EvseSecurityError, InvalidConfiguration, MalformedRequest
from evse_security.mqtt.broker import Broker
from evse_security.mqtt.client import MqttPart
from evse_security.mqtt.communication import Change, CommunicationCheck
from evse_security.mqtt.connection import Connection, Message, is_topic
from evse_security.mqtt.dropped import Dropped
from evse_security.serve import everest_api
from evse_security.serve.command import Command, commands
from evse_security.serve.everest_api import EDITION, LEAF_TYPE, REPLY_TO, REVISION, SETTLED, Request, Topics, written
from evse_security.service.config import ServiceConfig
from evse_security.service.events import Event, EventKind
from evse_security.service.room import Room
from evse_security.service.service import Service
from evse_security.service.spate import Spate

log = logging.getLogger(__name__)

CALLER = "mqtt:everest_api"
"""On whose behalf commands are done: MQTT does not tell who sent a message."""
MOST_AT_ONCE = 64
"""Requests that are worked on; what comes then waits, and leaves room for the service's other callers."""

_INTERNAL_ERROR = {"error": {"code": "InternalError", "message": "the request failed; the log of the service says why"}}

Answer = Callable[[Request], Awaitable[bytes]]


class ApiPart:
    """The API on the broker of the configuration, as a part of the service."""

    name = "mqtt"

    def __init__(self, service: Service, broker: Broker) -> None:
        """On that broker."""
        self._service, self._broker = service, broker

    async def run(self, ready: Callable[[], None]) -> None:
        """Speak the API, anew when the connection was lost. Raises `InvalidConfiguration`."""
        api = Api(self._service)
        try:
            await MqttPart(self.name, self._broker, api.speak, self._service.events, self._service.links).run(ready)
        finally:
            api.close()


class Api:
    """The API of one service. What it remembers outlives connections."""

    def __init__(self, service: Service) -> None:
        """Raises `InvalidConfiguration` for what cannot stand in a topic."""
        config = service.config
        _check_names(config)
        self.topics = Topics(config.mqtt_prefix, config.mqtt_module_id)
        self._service = service
        self._latest: dict[tuple[EventKind, str | None, str | None], Event] = {}
        self._heard = 0
        self._progress = asyncio.Condition()
        self._heartbeats = 0
        self._check = CommunicationCheck(config.mqtt_communication_check)
        self._checked = asyncio.Event()
        self._dropped = Dropped(log.warning)
        self._failed = Spate(partial(log.error, "%d more requests failed"))
        self.answers = self._all_answers()
        """Every topic on which requests are answered, and how."""
        self._silent = frozenset(map(self.topics.command, SETTLED))
        self._stop_hearing = service.events.hear(self._remember)
        for event in service.events.recent():
            self._remember(event)

    def close(self) -> None:
        """Let go of the service."""
        self._stop_hearing()

    async def speak(self, connection: Connection, ready: Callable[[], None]) -> None:
        """Answer and publish until the connection is lost. For `MqttPart`."""
        # As EVerest's module does: what is sent to it may be lost, what it sends is not.
        await connection.subscribe(*self.topics.subscriptions, qos=0)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_events(connection))
            group.create_task(self._beat(connection))
            group.create_task(self._watch())
            await connection.publish(self.topics.ready_beacon, written({}))
            ready()
            await self._serve(connection, group)

    # ---- requests

    async def _serve(self, connection: Connection, group: asyncio.TaskGroup) -> None:
        """Take one message after another; each is answered in a task of its own, and no more than so many at once."""
        room = Room(MOST_AT_ONCE)
        async for message in connection.messages():
            if message.retain:
                self._drop(message, "it lay at the broker; requests must not be retained")
            elif message.topic == self.topics.communication_check:
                self._hear(message)
            else:
                give_back = await room.take(len(message.payload))
                group.create_task(self._respond(connection, message)).add_done_callback(give_back)

    async def _respond(self, connection: Connection, message: Message) -> None:
        """Do what a message asks for, and tell who asked. Raises nothing but `ConnectionError`."""
        try:
            request = everest_api.read_request(message.payload)
            if request.reply_to and not is_topic(request.reply_to):
                raise MalformedRequest(f"headers.{REPLY_TO}", "nothing can be published to it")
        except MalformedRequest as refusal:
            self._drop(message, refusal)
            return
        answer = await self._answer(message, request)
        if answer is not None and request.reply_to:
            await self._until_told()
            await connection.publish(request.reply_to, answer)

    async def _answer(self, message: Message, request: Request) -> bytes | None:
        """The answer to a request, be it an error; None where an error is not to be answered."""
        told = True
        try:
            told = request.wants_errors(unless_said=message.topic not in self._silent)
            return await self.answers.get(message.topic, self._no_command)(request)
        except EvseSecurityError as error:
            if told and request.reply_to:
                return everest_api.error_answer(error)
            self._drop(message, error)
        except Exception:
            if self._failed.takes(asyncio.get_running_loop().time()):
                log.exception("a request on %s failed", message.topic)
            if told:
                return written(_INTERNAL_ERROR)
        return None

    def _all_answers(self) -> dict[str, Answer]:
        """What is answered on which topic: a loop over what is declared."""
        topics = self.topics
        asked: dict[str, Answer] = {
            topics.command(command.name): partial(self._command, command) for command in commands(REVISION).values()
        }
        asked |= {topics.latest(kind): partial(self._latest_value, kind) for kind in EventKind}
        return asked | dict.fromkeys(topics.discovery, self._discover)

    async def _command(self, command: Command, request: Request) -> bytes:
        arguments = everest_api.arguments(command, request)
        try:
            result = await self._service.call(command.name, arguments, caller=CALLER, revision=REVISION)
        except MalformedRequest as refusal:
            raise everest_api.in_request(command, refusal) from None
        return everest_api.answer(command, result)

    async def _latest_value(self, kind: EventKind, request: Request) -> bytes:
        event = self._latest.get((kind, *everest_api.wanted_leaf(request)))
        return written(None if event is None else event.data)

    async def _discover(self, request: Request) -> bytes:
        config = self._service.config
        found = everest_api.discovered(
            config.mqtt_module_id,
            heartbeat=config.mqtt_heartbeat,
            communication_check=config.mqtt_communication_check,
        )
        return written(found)

    async def _no_command(self, request: Request) -> bytes:
        raise MalformedRequest("topic", "no command or variable is asked for there")

    def _drop(self, message: Message, why: object) -> None:
        self._dropped(message.topic, why, asyncio.get_running_loop().time())

    # ---- events and signs of life

    def _remember(self, event: Event) -> None:
        """In whatever thread it was published."""
        kind, leaf, edition = event.kind, event.data.get(LEAF_TYPE), event.data.get(EDITION)
        self._latest[kind, None, None] = self._latest[kind, leaf, None] = self._latest[kind, leaf, edition] = event
        self._heard = max(self._heard, event.number)

    async def _publish_events(self, connection: Connection) -> None:
        """Publish events as variables, first those that came while there was no connection."""
        async with aclosing(self._service.events.listen(after=self._told())) as events:
            async for event in events:
                try:
                    value = written(event.data)
                except (TypeError, ValueError):
                    log.exception("the event %d cannot be published", event.number)
                else:
                    await connection.publish(self.topics.variable(event.kind), value)
                async with self._progress:
                    self._service.events.told[ApiPart.name] = event.number
                    self._progress.notify_all()

    def _told(self) -> int:
        """The number of the last event that was published, if by who spoke here before a reload."""
        return self._service.events.told.get(ApiPart.name, 0)

    async def _until_told(self) -> None:
        """Wait until all that has happened is published: `certificate_store_update` comes before the answer."""
        happened = self._heard
        async with self._progress:
            await self._progress.wait_for(lambda: self._told() >= happened)

    async def _beat(self, connection: Connection) -> None:
        """Say that the module is there, each time with the next number."""
        if not self._service.config.mqtt_heartbeat:
            return
        while True:
            number, self._heartbeats = self._heartbeats, self._heartbeats + 1
            await connection.publish(self.topics.heartbeat, written(number))
            await asyncio.sleep(self._service.config.mqtt_heartbeat / 1000)

    def _hear(self, message: Message) -> None:
        """A client says that it is there, or that it does not want to be watched."""
        try:
            alive = everest_api.read(message.payload)
            if not isinstance(alive, bool):
                raise MalformedRequest("message", "expected true or false")
        except MalformedRequest as refusal:
            self._drop(message, refusal)
            return
        self._warn(self._check.hear(asyncio.get_running_loop().time(), alive=alive))
        self._checked.set()

    async def _watch(self) -> None:
        """Warn when no client says in time that it is there."""
        self._warn(self._check.begin())
        while True:
            self._checked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._check.until):
                    await self._checked.wait()
            self._warn(self._check.look(asyncio.get_running_loop().time()))

    def _warn(self, change: Change | None) -> None:
        if change is not None:
            log.log(logging.WARNING if change.active else logging.INFO, "%s", change.to_json()["text"])
            self._service.events.publish(EventKind.warning, change.to_json())


def _check_names(config: ServiceConfig) -> None:
    """Refuse a prefix or a module id that cannot stand in a topic."""
    names = {"mqtt_prefix": config.mqtt_prefix, "mqtt_module_id": config.mqtt_module_id}
    for key, name in names.items():
        if not is_topic(f"{name}/x") or (key == "mqtt_module_id" and (not name or "/" in name)):
            raise InvalidConfiguration(key, "cannot stand in a topic of MQTT")

"""The life of a module of EVerest: asked for its configuration, ready, called, and told to end."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any

from evse_security.errors import CommandRefused, EvseSecurityError, MalformedRequest
from evse_security.everest.configuration import is_valid
from evse_security.everest.revisions import every_command, revision_of
from evse_security.everest.surroundings import GENERATION, Surroundings
from evse_security.everest.wire import (
    Call,
    Failure,
    Generation,
    NotUnderstood,
    Outgoing,
    Setting,
    Topics,
    configuration,
    defined_commands,
    generation_shown,
    is_shutdown,
    setting,
)
from evse_security.interface import NEWEST
from evse_security.mqtt.connection import Connection, Message
from evse_security.mqtt.dropped import Dropped
from evse_security.serve.codec import shown
from evse_security.serve.command import commands, variables
from evse_security.service.eventdata import Problem
from evse_security.service.events import EventKind
from evse_security.service.room import Room
from evse_security.service.service import Service
from evse_security.service.spate import Spate

log = logging.getLogger(__name__)

Begin = Callable[[Mapping[str, Any]], Awaitable[Service]]
"""Opens the store that a module's configuration describes. Raises `InvalidConfiguration`."""

PATIENCE = 5.0
"""Seconds for an answer of the manager's before it is asked again (as EVerest's own modules do)."""
MOST_AT_ONCE = 64
"""Calls that are being answered; more wait their turn where messages wait."""


class EverestProtocol:
    """One module of EVerest. `speak` is what a `MqttPart` speaks, on one connection after another.

    The store is opened once, on the first connection; what is learned of EVerest is kept for the next.
    """

    def __init__(self, surroundings: Surroundings, begin: Begin) -> None:
        self._surroundings = surroundings
        self._topics = Topics(surroundings.topics, surroundings.module)
        self._begin = begin
        self._service: Service | None = None
        self._generation = surroundings.generation
        self._definition: Mapping[str, Any] = {}
        self._revisions: dict[str, str] = {}
        self._all_ready = False
        self._dropped = Dropped(log.warning)
        self.failures = Spate(partial(log.warning, "%d more calls failed"))
        self.refusals = Spate(partial(log.warning, "%d more calls were refused"))
        self.told = 0
        """The number of the last event that EVerest knows of."""

    async def speak(self, connection: Connection, ready: Callable[[], None]) -> None:
        """Be a module until EVerest says that it shall end; `ready` is called when EVerest is told so."""
        topics = self._topics
        # In this order: what lies at the broker comes in it, and the signs are what is waited for.
        await connection.subscribe(topics.definition, *topics.configuration, *topics.signs)
        if self._generation is None:
            self._generation = await self._see_generation(connection)
        if self._service is None:
            self._service = await self._begin(await self._ask_configuration(connection, self._generation))
        # At least once is enough, and takes one exchange with the broker less than EVerest's own exactly once: nothing
        # is delivered twice where no session outlives its connection.
        names = topics.commands(self._generation, every_command())
        await connection.subscribe(topics.ready, topics.shutdown, topics.set_request, *names, qos=1)
        if not self._all_ready:
            for message in topics.readiness(self._generation):
                await connection.publish(*message)
        ready()
        log.info("module %s is ready (generation %s of EVerest's protocol)", topics.module, self._generation)
        await _Conversation(self, connection, self._service, self._generation).go_on()

    async def _see_generation(self, connection: Connection) -> Generation:
        """By what the manager keeps at the broker while modules start; else by what is installed; else wait for it."""
        told = False
        while True:
            message = await _next(connection, PATIENCE)
            if message is not None:
                shown = generation_shown(message.payload) if message.topic in self._topics.signs else None
                if shown is not None:
                    return shown
                self.learn(message)
                continue
            installed = await asyncio.to_thread(self._surroundings.generation_installed)
            if installed is not None:
                log.warning("EVerest's manager says nothing; by its library it speaks generation %s", installed)
                return installed
            if not told:
                told = True
                log.warning("waiting for EVerest's manager; if it runs already, say %s=A, B or C", GENERATION)

    async def _ask_configuration(self, connection: Connection, generation: Generation) -> Mapping[str, Any]:
        """Ask until the manager answers: a module that ends takes EVerest with it."""
        loop = asyncio.get_running_loop()
        for attempt in itertools.count(1):
            for request in self._topics.configuration_requests(generation):
                await connection.publish(*request)
            deadline = loop.time() + PATIENCE
            while (message := await _next(connection, deadline - loop.time())) is not None:
                if message.topic not in self._topics.configuration or message.retain:
                    self.learn(message)
                    continue
                try:
                    return configuration(generation, message.payload, self._topics.module)
                except NotUnderstood as problem:
                    self.complain(message, problem)
            if attempt == 1:
                log.warning("EVerest's manager does not give the configuration; asking again until it does")
        raise AssertionError  # it is counted without end

    def learn(self, message: Message) -> None:
        """Take note of what the manager says of our interface, which it does only while modules start."""
        if message.topic != self._topics.definition or not message.payload:
            return
        try:
            self._definition = defined_commands(message.payload)
        except NotUnderstood as problem:
            self.complain(message, problem)
            return
        self._revisions.clear()
        unknown = sorted(set(self._definition) - set(every_command()))
        if unknown:
            log.warning("EVerest's interface has commands that are not known here: %s", ", ".join(unknown)[:200])

    def revision_of(self, command: str) -> str:
        """The revision of the interface in which a command is called."""
        known = self._revisions.get(command)
        if known is None:
            known = revision_of(command, self._definition)
            if command in every_command():  # and nothing else is remembered that somebody may ask for
                self._revisions[command] = known
        return known

    def complain(self, message: Message, problem: object) -> None:
        """Warn of a message of no use, but not of each where there are many."""
        self._dropped(message.topic, problem, asyncio.get_running_loop().time())

    def hear_ready(self) -> None:
        """All modules are ready: EVerest is not told again that we are."""
        if not self._all_ready:
            log.info("all modules of EVerest are ready")
        self._all_ready = True

    @property
    def topics(self) -> Topics:
        """The topics of this module."""
        return self._topics

    @property
    def certs(self) -> Path:
        """Where relative paths of the configuration begin."""
        return self._surroundings.certs


class _Conversation:
    """What is said on one connection once the module is ready."""

    def __init__(
        self, module: EverestProtocol, connection: Connection, service: Service, generation: Generation
    ) -> None:
        self._module = module
        self._topics = module.topics
        self._connection = connection
        self._service = service
        self._generation = generation
        self._commands = frozenset(self._topics.commands(generation, every_command()))
        self._room = Room(MOST_AT_ONCE)

    async def go_on(self) -> None:
        """Answer and publish until EVerest says that we shall end; what was asked before that is answered."""
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(self._publish_variables())
            async for message in self._connection.messages():
                if message.topic in self._commands:
                    await self._take(message, group)
                elif message.topic == self._topics.set_request:
                    await self._set(message)
                elif message.topic == self._topics.ready:
                    self._module.hear_ready()
                elif message.topic == self._topics.shutdown and self._is_the_end(message):
                    publishing.cancel()
                    return

    def _is_the_end(self, message: Message) -> bool:
        """Whether this is the manager's word, said now: one that lay at the broker would end every start."""
        if message.retain or not is_shutdown(message.payload):
            self._module.complain(message, "not true, or retained")
            return False
        log.info("EVerest says that modules shall end")
        return True

    async def _take(self, message: Message, group: asyncio.TaskGroup) -> None:
        """Have a call answered as soon as there is room."""
        give_back = await self._room.take(len(message.payload))
        call = self._read(message)
        if call is None:
            give_back(message)
        else:
            group.create_task(self._answer(call)).add_done_callback(give_back)

    def _read(self, message: Message) -> Call | None:
        """A call, if it is one: what lay at the broker was called by nobody who still waits."""
        try:
            if message.retain:
                raise NotUnderstood("a call that was retained")
            return self._topics.call(self._generation, message.topic, message.payload)
        except NotUnderstood as problem:
            self._module.complain(message, problem)
            return None

    async def _answer(self, call: Call) -> None:
        await self._connection.publish(*await self._reply(call))

    async def _reply(self, call: Call) -> Outgoing:
        """Every call is answered, whatever happens: its caller would wait for minutes, and then may fail."""
        try:
            if call.problem is not None:
                return self._failure(call, Failure.message, call.problem)
            revision = self._module.revision_of(call.command)
            caller = f"everest:{call.origin}" if call.origin else "everest"
            answer = await self._service.call(call.command, call.arguments, caller=caller, revision=revision)
            return self._topics.result(self._generation, call, answer)
        except MalformedRequest as problem:
            return self._failure(call, Failure.schema, str(problem))
        except CommandRefused as refusal:
            return self._refused(call, refusal)
        except EvseSecurityError as problem:
            return self._failure(call, Failure.handler, f"{problem.code}: {problem}")
        except Exception as problem:
            why = f"{type(problem).__name__}: see the log"
            return self._failure(call, Failure.handler, why, problem)

    def _refused(self, call: Call, refusal: CommandRefused) -> Outgoing:
        """What answers nothing cannot say no, and an error would end EVerest's OCPP modules: only the log says it."""
        if commands(self._module.revision_of(call.command))[call.command].result is not NoneType:
            return self._failure(call, Failure.handler, f"{refusal.reason.code}: {refusal.reason}")
        if self._module.refusals.takes(asyncio.get_running_loop().time()):
            log.warning("%s (asked by %s)", refusal, shown(call.origin or ""))
            data: Problem = {"part": "everest", "text": str(refusal)}
            self._service.events.publish(EventKind.warning, data)
        return self._topics.result(self._generation, call, None)

    def _failure(self, call: Call, failure: Failure, text: str, fault: Exception | None = None) -> Outgoing:
        """The answer to a call that failed. Whoever calls again and again does not fill the log."""
        if self._module.failures.takes(asyncio.get_running_loop().time()):
            who, level = shown(call.origin or ""), logging.WARNING if fault is None else logging.ERROR
            log.log(level, "call of %s by %s: %s: %s", shown(call.command), who, failure, text, exc_info=fault)
        return self._topics.failure(self._generation, call, failure, text)

    async def _set(self, message: Message) -> None:
        """Answer a change of the configuration: all but the level of the log needs a new start."""
        try:
            if message.retain:
                raise NotUnderstood("a change that was retained")
            wanted = setting(self._generation, message.payload)
        except NotUnderstood as problem:
            self._module.complain(message, problem)
            answer = "Rejected", str(problem)
        else:
            answer = await asyncio.to_thread(self._judge, wanted)
        await self._connection.publish(*self._topics.set_response(self._generation, *answer))

    def _judge(self, wanted: Setting) -> tuple[str, str]:
        if wanted.implementation is not None or not is_valid(wanted.key, wanted.value, self._module.certs):
            return "Rejected", "no such parameter, or none of its values"
        if wanted.key == "log_level":
            logging.getLogger("evse_security").setLevel(wanted.value.upper())
            return "Accepted", ""
        return "RebootRequired", ""

    async def _publish_variables(self) -> None:
        """Publish what happens, and first what happened while there was no connection."""
        published = variables(NEWEST)
        async with aclosing(self._service.events.listen(after=self._module.told)) as events:
            async for event in events:
                if event.kind.value in published:
                    variable = self._topics.variable(self._generation, event.kind.value, dict(event.data))
                    await self._connection.publish(*variable)
                self._module.told = event.number


async def _next(connection: Connection, seconds: float) -> Message | None:
    """The next message; None if none comes in time."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            return await anext(connection.messages())
    except TimeoutError:
        return None

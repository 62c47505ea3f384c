"""A stand-in for EVerest's manager, which cannot run here: it says what the real one was seen to say on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import aiomqtt

from evse_security.everest.wire import Generation
from evse_security.mqtt.broker import BrokerAddress, Transport

RESPONSE = {"A": None, "B": "GetConfigResponse", "C": "ConfigurationResponse"}
REQUEST = {"A": None, "B": "GetConfig", "C": "ConfigurationRequest"}


class Manager:
    """The manager and, beside it, a user of the module."""

    def __init__(
        self,
        address: BrokerAddress,
        prefix: str,
        generation: Generation,
        values: Mapping[str, Any],
        *,
        definition: Mapping[str, Any] | None = None,
        older: bool = False,
    ) -> None:
        """`older`: the first generation's way of configuration before framework 0.22."""
        self._address, self.prefix, self.generation, self._values = address, prefix, generation, values
        self._definition, self._older = definition, older
        self.module = f"{prefix}modules/evse_security"
        self.heard: list[tuple[str, Any]] = []
        self.changed = asyncio.Condition()
        self.ignored_requests = 0
        self._stack = AsyncExitStack()
        self._calls = 0

    async def __aenter__(self) -> Self:
        unix = self._address.transport is Transport.unix
        self.client = await self._stack.enter_async_context(
            aiomqtt.Client(
                self._address.host,
                self._address.port or 1,
                transport="unix" if unix else "tcp",
                max_concurrent_outgoing_calls=20,  # paho 2.1 forgets some of more
            )
        )
        await self.client.subscribe([(f"{self.prefix}#", 2)])
        self._task = asyncio.create_task(self._run())
        self._stack.push_async_callback(self._stop)
        await self.keep()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._stack.aclose()

    async def _stop(self) -> None:
        await self.keep(gone=True)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def enveloped(self, names: Mapping[str, str | None], data: Any) -> Any:
        kind = names[self.generation]
        return data if kind is None else {"msg_type": kind, "data": data}

    async def keep(self, *, gone: bool = False) -> None:
        """What the manager keeps at the broker while modules start; or take it away."""
        kept: dict[str, Any] = {
            "settings": {"prefix": "/usr", "validate_schema": False},
            "module_names": {"evse_security": "EvseSecurity", "user": "SecurityUser"},
            "interfaces": ["empty", "evse_security"],
        }
        if self._definition is not None:
            kept["interface_definitions/evse_security"] = {"cmds": self._definition, "vars": {}, "errors": {}}
        for topic, data in kept.items():
            await self.say(topic, b"" if gone else self.enveloped(RESPONSE, data), retain=True)

    async def say(self, topic: str, message: Any, *, retain: bool = False) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":")).encode()
        await self.client.publish(f"{self.prefix}{topic}", payload, 2, retain=retain)

    async def _run(self) -> None:
        async for message in self.client.messages:
            if message.retain:
                continue
            payload = message.payload
            assert isinstance(payload, bytes)
            try:
                said = json.loads(payload) if payload else None
            except (ValueError, RecursionError):
                said = payload
            async with self.changed:
                self.heard.append((message.topic.value.removeprefix(self.prefix), said))
                self.changed.notify_all()
            await self._react(message.topic.value, said)

    async def _react(self, topic: str, said: Any) -> None:
        if topic == f"{self.prefix}config/request" and not self._older:
            assert said == self.enveloped(
                REQUEST, {"type": "Get", "origin": "evse_security", "request": {"type": "Module"}}
            )
            if self.ignored_requests:
                self.ignored_requests -= 1
                return
            await self.say("modules/evse_security/response", self.enveloped(RESPONSE, self.configuration()))
        elif topic == f"{self.module}/get_config" and self._older:
            assert said == {"type": "full"}
            maps = {"!module": dict(self._values), "main": {}}
            await self.say(
                "modules/evse_security/config",
                {"module_config": {"evse_security": {"module": "EvseSecurity", "config_maps": maps}}},
            )
        elif topic == f"{self.module}/ready":
            bare = self.generation is Generation.A
            assert said == (True if bare else {"msg_type": "ModuleReady", "data": True})
            await self.keep(gone=True)
            await self.say("ready", True if bare else {"msg_type": "GlobalReady", "data": True})

    def configuration(self) -> dict[str, Any]:
        characteristics = {"datatype": "string", "mutability": "ReadOnly"}
        parameters = [
            {"name": name, "value": value, "characteristics": characteristics} for name, value in self._values.items()
        ]
        config = {
            "access": None, "connections": {}, "mapping": None, "module_id": "evse_security",
            "module_name": "EvseSecurity", "standalone": False, "telemetry_enabled": False,
            "configuration_parameters": {"!module": parameters, "main": []},
        }  # fmt: skip
        data = {"mappings": {"evse_security": None}, "module_config": config}
        return {"status": "Ok", "status_info": "", "type": "Get", "response": {"type": "Module", "data": data}}

    async def wait_for(self, fits: Callable[[str, Any], bool], since: int = 0) -> Any:
        async with asyncio.timeout(15), self.changed:
            while True:
                for topic, said in self.heard[since:]:
                    if fits(topic, said):
                        return said
                await self.changed.wait()

    async def wait_for_topic(self, topic: str, since: int = 0) -> Any:
        return await self.wait_for(lambda at, said: at == topic and said is not None, since)

    async def ready(self) -> None:
        await self.wait_for_topic("ready")

    async def call(self, command: str, arguments: Any, origin: str = "user") -> dict[str, Any]:
        """What is answered to a command: the innermost object, with `retval` or `error`."""
        self._calls += 1
        since = len(self.heard)
        number = f"0e3c053c-24e9-4f1e-88e6-{self._calls:012}"
        data = {"id": number, "args": arguments, "origin": origin}
        implementation = "modules/evse_security/impl/main"
        if self.generation is Generation.A:
            await self.say(f"{implementation}/cmd", {"name": command, "type": "call", "data": data})
        else:
            await self.say(f"{implementation}/cmd/{command}", {"msg_type": "Cmd", "data": data})
        return await self.answer(command, number, origin, since)

    async def answer(self, command: str, number: str, origin: str = "user", since: int = 0) -> dict[str, Any]:
        def fits(topic: str, said: Any) -> bool:
            return self._answered(topic, said, command, origin).get("id") == number

        said = await self.wait_for(fits, since)
        return self._answered(None, said, command, origin)

    def _answered(self, topic: str | None, said: Any, command: str, origin: str) -> dict[str, Any]:
        implementation = "modules/evse_security/impl/main"
        if not isinstance(said, dict):
            return {}
        if self.generation is Generation.A:
            expected = f"{implementation}/cmd"
            data = said["data"] if said.get("type") == "result" and said.get("name") == command else {}
        else:
            expected = f"{implementation}/cmd/{command}/response/{origin}"
            data = said["data"]["data"] if said.get("msg_type") == "CmdResult" else {}
        if topic not in (None, expected) or data.get("origin") != "evse_security":
            return {}
        found: dict[str, Any] = data
        return found

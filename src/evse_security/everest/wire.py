"""The messages of EVerest's framework between modules, in each generation of its protocol: topics and JSON, no I/O.

Reading never raises anything but `NotUnderstood`; nothing is written that a peer of the generation does not know, as
EVerest's C++ modules end when they meet an unknown `msg_type`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Self

from evse_security.errors import MalformedRequest
from evse_security.serve.text import parse

MODULE, IMPLEMENTATION, INTERFACE = "EvseSecurity", "main", "evse_security"
"""The module's name, its one implementation and what that implements."""
LONGEST_ID = 1024
"""Characters of the id of a call and of its caller's name; they are UUIDs and module ids."""


class Generation(StrEnum):
    """A generation of the protocol, as its changes broke what was before."""

    A = "A"
    """Bare JSON: framework 0.19 to 0.24, EVerest 2024.11 to 2025.10."""
    B = "B"
    """Envelopes with a type, GetConfig: framework 0.25.0, EVerest 2025.12 to 2026.02."""
    C = "C"
    """As B, but ConfigurationRequest: EVerest since 2026-08."""

    @classmethod
    def named_in(cls, library: bytes) -> Self:
        """The generation of a framework whose library holds these bytes, by the names of messages in it."""
        named = (each for each, words in _WORDS.items() if words is not None and words.response.encode() in library)
        return cls(next(named, Generation.A))


class _Words(NamedTuple):
    """What a generation calls its messages about configuration."""

    request: str
    response: str


_WORDS: Mapping[Generation, _Words | None] = {
    Generation.A: None,
    Generation.B: _Words("GetConfig", "GetConfigResponse"),
    Generation.C: _Words("ConfigurationRequest", "ConfigurationResponse"),
}
"""None: no envelopes."""


class Failure(StrEnum):
    """Why a call has no result, in the framework's words."""

    message = "MessageParsingError"
    """The call itself could not be read."""
    schema = "SchemaValidationError"
    """Its arguments are not what the interface says."""
    handler = "HandlerException"
    """It could not be done."""


class NotUnderstood(ValueError):
    """A message that is not what belongs on its topic; the text says why, and never repeats what was there."""


class Outgoing(NamedTuple):
    """A message to publish."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A command that somebody called."""

    command: str
    id: str
    origin: str | None
    """Who called; where answers have a topic of their own, they go there."""
    arguments: object
    problem: str | None = None
    """Why it cannot be done, though it can be answered."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A change of the configuration that the manager asks for."""

    implementation: str | None
    key: str
    value: str


# ---- topics


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one module. `prefix` ends with a slash, where it is not empty."""

    prefix: str
    module: str

    @property
    def _module(self) -> str:
        return f"{self.prefix}modules/{self.module}"

    @property
    def _implementation(self) -> str:
        return f"{self._module}/impl/{IMPLEMENTATION}"

    @property
    def definition(self) -> str:
        """Where the manager keeps the definition of our interface while modules start."""
        return f"{self.prefix}interface_definitions/{INTERFACE}"

    @property
    def signs(self) -> tuple[str, str]:
        """What the manager keeps there, too, and by which its generation is known."""
        return f"{self.prefix}settings", f"{self.prefix}module_names"

    @property
    def configuration(self) -> tuple[str, str]:
        """Where our configuration comes: since framework 0.22, and before."""
        return f"{self._module}/response", f"{self._module}/config"

    @property
    def ready(self) -> str:
        """Where the manager says that all modules are ready."""
        return f"{self.prefix}ready"

    @property
    def shutdown(self) -> str:
        """Where the manager says that modules shall end."""
        return f"{self.prefix}shutdown"

    @property
    def set_request(self) -> str:
        """Where the manager asks for changes of the configuration while we run."""
        return f"{self._module}/config/set_request"

    def commands(self, generation: Generation, names: Iterable[str]) -> tuple[str, ...]:
        """Where commands are called."""
        if _WORDS[generation] is None:
            return (f"{self._implementation}/cmd",)
        return tuple(f"{self._implementation}/cmd/{name}" for name in names)

    # ---- what we say

    def configuration_requests(self, generation: Generation) -> tuple[Outgoing, ...]:
        """How to ask for our configuration. In the first generation both ways at once: nobody hears the wrong one."""
        request = {"type": "Get", "origin": self.module, "request": {"type": "Module"}}
        asked = Outgoing(f"{self.prefix}config/request", _dump(_enveloped(generation, "request", request)))
        if _WORDS[generation] is None:
            return asked, Outgoing(f"{self._module}/get_config", _dump({"type": "full"}))
        return (asked,)

    def readiness(self, generation: Generation) -> tuple[Outgoing, Outgoing]:
        """What we are, and that we are ready."""
        metadata = {"module": MODULE, "provides": {IMPLEMENTATION: {"interface": INTERFACE}}}
        ready: object = True if _WORDS[generation] is None else {"msg_type": "ModuleReady", "data": True}
        return (
            Outgoing(f"{self._module}/metadata", _dump(_enveloped(generation, "response", metadata))),
            Outgoing(f"{self._module}/ready", _dump(ready)),
        )

    def result(self, generation: Generation, call: Call, value: object) -> Outgoing:
        """The answer to a call."""
        return self._answer(generation, call, {"retval": value})

    def failure(self, generation: Generation, call: Call, failure: Failure, text: str) -> Outgoing:
        """The answer to a call that has no result."""
        error = {"__everest__error_type": failure.value, "__everest__error_msg": text}
        # Callers of the first generation look for the result first, and before framework 0.22 for nothing else.
        nothing = {"retval": None} if _WORDS[generation] is None else {}
        return self._answer(generation, call, {**nothing, "error": error})

    def _answer(self, generation: Generation, call: Call, content: Mapping[str, object]) -> Outgoing:
        data = {"id": call.id, "origin": self.module, **content}
        if _WORDS[generation] is None:
            answer = {"name": call.command, "type": "result", "data": data}
            return Outgoing(f"{self._implementation}/cmd", _dump(answer))
        result = {"msg_type": "CmdResult", "data": {"type": "result", "data": data}}
        return Outgoing(f"{self._implementation}/cmd/{call.command}/response/{call.origin}", _dump(result))

    def variable(self, generation: Generation, name: str, value: object) -> Outgoing:
        """A value that we publish."""
        if _WORDS[generation] is None:
            return Outgoing(f"{self._implementation}/var", _dump({"name": name, "data": value}))
        return Outgoing(f"{self._implementation}/var/{name}", _dump({"msg_type": "Var", "data": {"data": value}}))

    def set_response(self, generation: Generation, status: str, info: str) -> Outgoing:
        """The answer to a change of the configuration: `Accepted`, `RebootRequired` or `Rejected`."""
        response = {
            "status": "Ok",
            "status_info": "",
            "type": "Set",
            "response": {"status": status, "status_info": info},
        }
        topic = f"{self._module}/config/set_response"
        return Outgoing(topic, _dump(_enveloped(generation, "response", response)))

    # ---- what we hear

    def call(self, generation: Generation, topic: str, payload: bytes) -> Call | None:
        """Read a call; None for what goes to somebody else. Raises `NotUnderstood` where nobody can be answered."""
        message = _object(_load(payload), "the message")
        if _WORDS[generation] is None:
            if message.get("type") == "result":
                return None
            if message.get("type") != "call":
                raise NotUnderstood("neither a call nor a result")
            return _call(message.get("name"), message, needs_origin=False)
        if message.get("msg_type") != "Cmd":
            raise NotUnderstood("no Cmd")
        return _call(topic.rpartition("/")[2], message, needs_origin=True)


def _call(command: object, message: Mapping[str, Any], *, needs_origin: bool) -> Call:
    data = _object(message.get("data"), "data")
    identity, origin = data.get("id"), data.get("origin")
    if not isinstance(identity, str) or not 0 < len(identity) <= LONGEST_ID:
        raise NotUnderstood("a call without an id")
    if not _is_name(origin):
        if needs_origin:
            raise NotUnderstood("a call without the name of who calls")
        origin = None
    if not isinstance(command, str):
        return Call("", identity, origin, None, "name is missing")
    if not isinstance(data.get("args"), dict):
        return Call(command, identity, origin, None, "args is missing or no object")
    return Call(command, identity, origin, data["args"])


def _is_name(origin: object) -> bool:
    """Whether a name can be one level of a topic."""
    if not isinstance(origin, str) or not 0 < len(origin) <= LONGEST_ID:
        return False
    return origin.isprintable() and not set(origin) & set("/+#")


def generation_shown(payload: bytes) -> Generation | None:
    """The generation of a manager that keeps such a message; None: not to be seen from it."""
    if not payload:  # what is there no more
        return None
    try:
        message = _object(_load(payload), "the message")
    except NotUnderstood:
        return None
    kind = message.get("msg_type")
    if kind is None:
        return Generation.A
    return next((each for each, words in _WORDS.items() if words is not None and kind == words.response), None)


def defined_commands(payload: bytes) -> Mapping[str, Any]:
    """The commands of an interface's definition. Raises `NotUnderstood`."""
    message = _object(_load(payload), "the message")
    definition = _object(message.get("data"), "data") if "msg_type" in message else message
    return _object(definition.get("cmds"), "cmds")


def configuration(generation: Generation, payload: bytes, module: str) -> Mapping[str, Any]:
    """The module's configuration by key, out of the manager's answer. Raises `NotUnderstood`.

    Since framework 0.22 it is a list of names and values, before it was an object.
    """
    message = _open(generation, "response", payload)
    if "status" in message and message["status"] != "Ok":
        raise NotUnderstood(f"the manager does not give it: {str(message.get('status_info'))[:200]!r}")
    answer = message.get("response", message)
    if isinstance(answer, dict) and "data" in answer:
        answer = answer["data"]
    modules = _object(_object(answer, "response").get("module_config"), "module_config")
    own = _object(modules.get(module, modules), "module_config")
    for key in ("configuration_parameters", "config_maps"):
        if key in own:
            return _values(_object(own[key], key).get("!module", []))
    return _values(own.get("config_module", {}))


def _values(parameters: object) -> Mapping[str, Any]:
    if isinstance(parameters, dict):
        return parameters
    if not isinstance(parameters, list):
        raise NotUnderstood("the configuration is no list")
    values = {}
    for each in parameters:
        parameter = _object(each, "a parameter")
        name = parameter.get("name")
        if not isinstance(name, str) or "value" not in parameter:
            raise NotUnderstood("a parameter without name or value")
        values[name] = parameter["value"]
    return values


def setting(generation: Generation, payload: bytes) -> Setting:
    """What the manager wants to change. Raises `NotUnderstood`."""
    data = _open(generation, "request", payload)
    identifier = _object(data.get("identifier"), "identifier")
    key, value = identifier.get("configuration_parameter_name"), data.get("value")
    implementation = identifier.get("module_implementation_id")
    if not isinstance(key, str) or not isinstance(value, str) or not isinstance(implementation, str | None):
        raise NotUnderstood("no name or value")
    return Setting(None if implementation == "!module" else implementation, key, value)


def is_shutdown(payload: bytes) -> bool:
    """Whether this is the manager's word to end: bare JSON in every generation that has it."""
    return payload.strip() == b"true"


# ---- JSON and envelopes


def _open(generation: Generation, kind: str, payload: bytes) -> Mapping[str, Any]:
    """What is in the envelope of a message about configuration."""
    message = _object(_load(payload), "the message")
    words = _WORDS[generation]
    if words is None:
        return message
    if message.get("msg_type") != getattr(words, kind):
        raise NotUnderstood(f"no {getattr(words, kind)}")
    return _object(message.get("data"), "data")


def _enveloped(generation: Generation, kind: str, data: object) -> object:
    words = _WORDS[generation]
    return data if words is None else {"msg_type": getattr(words, kind), "data": data}


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise NotUnderstood(f"{what} is no object")
    return value


def _load(payload: bytes) -> object:
    try:
        return parse(payload, "message")
    except MalformedRequest as malformed:
        raise NotUnderstood(str(malformed)) from None


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

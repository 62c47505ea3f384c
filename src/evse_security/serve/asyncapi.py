"""An AsyncAPI 3 document of EVerest API v1, read off the declaration, in the style of EVerest's own.

It is written from the client's side, as EVerest's are: clients send requests, and receive replies and variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evse_security.serve.command import Command, commands, variables
from evse_security.serve.everest_api import (
    API_TYPE,
    API_VERSION,
    EDITION,
    EDITIONS,
    LEAF_TYPE,
    RAW_TEXT,
    REPLY_ERRORS,
    REPLY_TO,
    REVISION,
    SETTLED,
    Topics,
)
from evse_security.serve.schema import Schema, data_schema, type_schema
from evse_security.vocabulary import LeafCertificateType

ASYNCAPI = "3.0.0"
"""The version of the format."""

_SCHEMAS = "#/components/schemas/"
_TOPICS = Topics("{prefix}", "{module_id}")
_PATHS = {"module": _TOPICS.module, "entrypoint": _TOPICS.entrypoint}
"""The servers of the document: one broker, but topics of the module, and topics common to all modules."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What a client sends or receives: a channel, an operation and a message of one name, as EVerest has them."""

    name: str
    about: str
    payload: Schema
    topic: str | None = None
    """None: the topic that the request says."""
    reply: str | None = None
    """The name of the part that answers it."""
    content: str = "application/json"

    def channel(self) -> Schema:
        if self.topic is None:
            return {"address": None, "messages": _messages(self.name, _ERROR.name)}
        server = "module" if self.topic.startswith(_TOPICS.module) else "entrypoint"
        return {
            "address": self.topic.removeprefix(_PATHS[server] + "/"),
            "servers": [{"$ref": f"#/servers/{server}"}],
            "messages": _messages(self.name),
        }

    def operation(self) -> Schema:
        told: Schema = {
            "title": self.about,
            "action": self.name.partition("_")[0],
            "channel": {"$ref": f"#/channels/{self.name}"},
        }
        if self.reply is not None:
            told["reply"] = {
                "address": {"location": f"$message.header#/{REPLY_TO}"},
                "channel": {"$ref": f"#/channels/{self.reply}"},
            }
        return told

    def message(self) -> Schema:
        return {"name": self.name, "title": self.about, "contentType": self.content, "payload": self.payload}


def asyncapi(events: Mapping[str, tuple[str, Any]]) -> Schema:
    """The document.

    `events` are published besides the variables of the interface: by name, what each is about and the type of its data.
    """
    definitions = dict(_OWN_SCHEMAS)
    parts = [
        *(part for command in commands(REVISION).values() for part in _command(command, definitions)),
        *_variables(events, definitions),
        *_signs_of_life(),
        *_discovery(),
    ]
    return {
        "asyncapi": ASYNCAPI,
        "id": f"urn:evse-security:{API_TYPE}",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": {name: _server(name) for name in _PATHS},
        "channels": {part.name: part.channel() for part in parts},
        "operations": {part.name: part.operation() for part in parts},
        "components": {
            "messages": {part.name: part.message() for part in [*parts, _ERROR]},
            "schemas": {name: definitions[name] for name in sorted(definitions)},
        },
    }


# ---- what there is


def _command(command: Command, definitions: dict[str, Schema]) -> Iterator[_Part]:
    request = _request(_arguments(command, definitions), required=True)
    result = type_schema(command.result, definitions, _SCHEMAS)
    yield from _asked(command.name, _TOPICS.command(command.name), command.summary, request, result)


def _arguments(command: Command, definitions: dict[str, Schema]) -> Schema | None:
    """The schema of a payload: of the one argument, or of an object of several."""
    schemas = {each.name: type_schema(each.hint, definitions, _SCHEMAS) for each in command.arguments}
    if len(schemas) < 2:
        return next(iter(schemas.values()), None)
    name = "".join(word.capitalize() for word in command.name.split("_")) + "Request"
    definitions[name] = {
        "description": f"The arguments of {command.name}",
        "type": "object",
        "properties": schemas,
        "required": [each.name for each in command.arguments if each.required],
        "additionalProperties": command.name in SETTLED,
    }
    return {"$ref": _SCHEMAS + name}


def _variables(events: Mapping[str, tuple[str, Any]], definitions: dict[str, Schema]) -> Iterator[_Part]:
    declared = {
        name: (variable.summary, type_schema(variable.hint, definitions, _SCHEMAS))
        for name, variable in variables(REVISION).items()
    }
    others = {
        name: (about, data_schema(hint, definitions, _SCHEMAS))
        for name, (about, hint) in events.items()
        if name not in declared
    }
    leaf = type_schema(LeafCertificateType, definitions, _SCHEMAS)
    both: Schema = {
        "type": "object",
        "properties": {LEAF_TYPE: leaf, EDITION: {"type": "string", "enum": [*EDITIONS]}},
        "required": [LEAF_TYPE, EDITION],
        "additionalProperties": False,
    }
    request = _request({"oneOf": [leaf, both]}, required=False)
    for name, (about, value) in {**declared, **others}.items():
        yield _Part(name=f"receive_{name}", about=about, payload=value, topic=_TOPICS.variable(name))
        latest = {"oneOf": [value, {"type": "null"}]}
        asked = f"The latest {name}, of any leaf, or of those of one type, or edition of ISO 15118; null: none"
        yield from _asked(f"{name}_get", _TOPICS.latest(name), asked, request, latest)


def _signs_of_life() -> Iterator[_Part]:
    yield _Part(
        name="receive_heartbeat",
        about="The module is there; each number is one more than that before it",
        payload={"type": "integer", "minimum": 0},
        topic=_TOPICS.heartbeat,
    )
    yield _Part(
        name="send_communication_check",
        about="true: the client is there, and will say so again in time. false: it is not to be watched",
        payload={"type": "boolean"},
        topic=_TOPICS.communication_check,
    )


def _discovery() -> Iterator[_Part]:
    found = {"$ref": f"{_SCHEMAS}ApiDiscoverResponse"}
    everybody, of_type = _TOPICS.discovery
    request = _request(None, required=False)
    yield from _asked("discover", everybody, "Every module tells which APIs it serves", request, found)
    yield from _asked("query_module", of_type, f"Every module of type {API_TYPE} tells of itself", request, found)
    yield _Part(
        name="receive_ready_beacon",
        about="From now on the module can be discovered",
        payload={"type": "object"},
        topic=_TOPICS.ready_beacon,
    )


def _asked(name: str, topic: str, about: str, request: Schema, answer: Schema) -> Iterator[_Part]:
    """A request and the reply to it."""
    reply = f"receive_reply_{name}"
    yield _Part(name=f"send_request_{name}", about=about, payload=request, topic=topic, reply=reply)
    content = "text/plain" if name in RAW_TEXT else "application/json"
    yield _Part(name=reply, about=f"The answer of {name}", payload=answer, content=content)


# ---- what it is made of


def _request(payload: Schema | None, *, required: bool) -> Schema:
    """The schema of a request with this payload."""
    members: dict[str, Schema] = {"headers": {"$ref": f"{_SCHEMAS}Headers"}}
    if payload is None:
        return {"type": "object", "properties": members}
    needed = {"required": ["payload"]} if required else {}
    return {"type": "object", "properties": {**members, "payload": payload}, **needed}


def _messages(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _server(name: str) -> Schema:
    needed = [each for each in _SERVER_VARIABLES if f"{{{each}}}" in _PATHS[name]]
    return {
        "host": "localhost:1883",
        "pathname": _PATHS[name],
        "protocol": "mqtt",
        "description": "The broker that mqtt_broker names; the path is what topics begin with",
        "variables": {each: _SERVER_VARIABLES[each] for each in needed},
    }


_SERVER_VARIABLES: Mapping[str, Schema] = {
    "prefix": {"description": "mqtt_prefix of the configuration", "default": ""},
    "module_id": {"description": "mqtt_module_id of the configuration", "default": "evse_security"},
}

_INFO: Schema = {
    "title": "EVerest API of evse-security",
    "version": f"{API_VERSION}.0.0",
    "description": (
        "The commands, variables and events of a station's security module over MQTT: EVerest API v1 of type"
        f" {API_TYPE}, of which EVerest's own module has {', '.join(sorted(SETTLED))}."
        f" These answer an error only to requests with `{REPLY_ERRORS}` true in their headers, all others"
        " unless that is false."
    ),
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}

_OWN_SCHEMAS: Mapping[str, Schema] = {
    "Headers": {
        "type": "object",
        "properties": {
            REPLY_TO: {
                "description": "The topic to answer on, no wildcards. Without it, what is asked for is done in silence",
                "type": "string",
            },
            REPLY_ERRORS: {"description": "Whether an error is answered with an Error", "type": "boolean"},
        },
    },
    "Error": {
        "description": "Why there is no answer",
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"description": "The reason in one word", "type": "string"},
                    "message": {"description": "The reason in words", "type": "string"},
                    "path": {
                        "description": "Of a MalformedRequest: the field, such as payload.certificate_type",
                        "type": "string",
                    },
                    "reason": {"description": "Of a CommandRefused: the code of its cause", "type": "string"},
                },
                "required": ["code", "message"],
            }
        },
        "required": ["error"],
    },
    "ApiDiscoverResponse": {
        "description": "The APIs of one module",
        "type": "object",
        "properties": {"apis": {"type": "array", "items": {"$ref": f"{_SCHEMAS}ApiParameter"}}},
        "required": ["apis"],
    },
    "ApiParameter": {
        "description": "One API, and how both sides see that the other one is there (periods of 0: not at all)",
        "type": "object",
        "properties": {
            "module_id": {"type": "string"},
            "type": {"type": "string"},
            "version": {"type": "integer"},
            "communication_monitoring": {
                "type": "object",
                "properties": {
                    "communication_check_period_s": {"type": "integer"},
                    "heartbeat_period_ms": {"type": "integer"},
                },
            },
        },
        "required": ["type", "module_id", "version"],
    },
}

_ERROR = _Part(name="receive_error", about="An error instead of an answer", payload={"$ref": f"{_SCHEMAS}Error"})

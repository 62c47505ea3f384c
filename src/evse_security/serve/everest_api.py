"""EVerest API v1 as data: its topics, and what stands in the messages on them.

EVerest's own module `evse_security_consumer` serves three commands of it; here it has all those of the newest revision,
in the same style. `mqtt.api` answers it, `asyncapi` describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from evse_security.errors import EvseSecurityError, MalformedRequest
from evse_security.interface import NEWEST
from evse_security.serve.codec import decode, shown, type_names
from evse_security.serve.command import Command
from evse_security.serve.dispatch import error_reply
from evse_security.serve.text import MAX_TEXT, parse
from evse_security.vocabulary import LeafCertificateType

REVISION = NEWEST
"""The revision of the interface whose commands and variables the API has."""
API_TYPE = "evse_security_consumer"
API_VERSION = 1

SETTLED = frozenset({"is_ca_certificate_installed", "get_leaf_certificate_info", "get_verify_location"})
"""The commands that EVerest's module serves, and whose clients are there already.

What it accepts is accepted: unknown members of the payload are passed over. It answers no errors, so these are told
only to who asks for them.
"""
RAW_TEXT = frozenset({"get_verify_location"})
"""Commands whose answer is sent as it is, not as JSON: EVerest's module does so, whatever its description says."""

REPLY_TO, REPLY_ERRORS = "replyTo", "replyErrors"
"""The headers: where to send the answer, and whether an error is one."""
LEAF_TYPE = "leaf_certificate_type"
"""The member of variables that are about leaves of one type; the latest for one type can be asked for."""
EDITION, EDITIONS = "edition", ("2", "20")
"""The member that says for cars of which edition of ISO 15118 a V2G leaf is."""
INDENT = 4
"""Spaces by which EVerest indents the JSON that it sends; members are sorted."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a module, with what is put before all of them.

    `m2e` is on the way into the module, `e2m` out of it.
    """

    prefix: str
    module_id: str

    def command(self, name: str) -> str:
        """Where a command is asked for."""
        return f"{self.module}/m2e/{name}"

    def variable(self, name: str) -> str:
        """Where a variable is published."""
        return f"{self.module}/e2m/{name}"

    def latest(self, name: str) -> str:
        """Where the latest value of a variable is asked for."""
        return self.command(f"{name}/get")

    @property
    def entrypoint(self) -> str:
        """What the topics common to all modules begin with."""
        return f"{self.prefix}everest_api"

    @property
    def module(self) -> str:
        """What the topics of this module begin with."""
        return f"{self.entrypoint}/{API_VERSION}/{API_TYPE}/{self.module_id}"

    @property
    def communication_check(self) -> str:
        """Where clients say that they are there."""
        return self.command("communication_check")

    @property
    def heartbeat(self) -> str:
        """Where the module says that it is there."""
        return self.variable("heartbeat")

    @property
    def discovery(self) -> tuple[str, str]:
        """Where clients ask who is there: all modules, and those of our type."""
        return f"{self.entrypoint}/discover", f"{self.entrypoint}/query-modules/{API_TYPE}"

    @property
    def ready_beacon(self) -> str:
        """Where it is told that discovery will be answered."""
        return f"{self.entrypoint}/ready_beacon"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Filters for all that is answered, and for what somebody only believes to be."""
        return *self.discovery, self.command("#")


@dataclass(frozen=True, slots=True)
class Request:
    """A message that asks for something: `{"headers": {"replyTo": TOPIC}, "payload": ARGUMENTS}`."""

    body: Mapping[str, Any]
    headers: Mapping[str, Any]

    @property
    def reply_to(self) -> str:
        """Where to send the answer; empty: nowhere."""
        return str(self.headers.get(REPLY_TO, ""))

    def wants_errors(self, *, unless_said: bool) -> bool:
        """Whether an error is to be answered. Raises `MalformedRequest` for a header that says neither yes nor no."""
        said = self.headers.get(REPLY_ERRORS, unless_said)
        if not isinstance(said, bool):
            raise MalformedRequest(f"headers.{REPLY_ERRORS}", _not("a boolean", said))
        return said


def read_request(message: bytes) -> Request:
    """The request that a message is. Raises `MalformedRequest` where it does not even say whom to answer."""
    body = read(message)
    if not isinstance(body, dict):
        raise MalformedRequest("message", _not("an object", body))
    headers = body.get("headers", {})
    if not isinstance(headers, dict):
        raise MalformedRequest("headers", _not("an object", headers))
    reply_to = headers.get(REPLY_TO, "")
    if not isinstance(reply_to, str):
        raise MalformedRequest(f"headers.{REPLY_TO}", _not("a string", reply_to))
    return Request(body, headers)


def read(message: bytes) -> object:
    """The JSON value of a message. Raises `MalformedRequest`."""
    if len(message) > MAX_TEXT:
        raise MalformedRequest("message", f"has {len(message)} bytes, at most {MAX_TEXT} are allowed")
    try:
        text = message.decode()
    except UnicodeDecodeError as problem:
        raise MalformedRequest("message", f"not UTF-8 at byte {problem.start}") from None
    return parse(text, "message")


def arguments(command: Command, request: Request) -> dict[str, Any]:
    """A command's arguments by name: one is the payload itself, several are its members, for none it is absent.

    Raises `MalformedRequest`; what is in the arguments is checked by who decodes them.
    """
    if not command.arguments:
        if request.body.get("payload") not in (None, {}):
            raise MalformedRequest("payload", "must be absent: this command has no arguments")
        return {}
    if "payload" not in request.body:
        raise MalformedRequest("payload", "is required")
    payload = request.body["payload"]
    if len(command.arguments) == 1:
        return {command.arguments[0].name: payload}
    if not isinstance(payload, dict):
        raise MalformedRequest("payload", _not("an object with the command's arguments by name", payload))
    if command.name in SETTLED:
        known = {argument.name for argument in command.arguments}
        return {name: value for name, value in payload.items() if name in known}
    return payload


def wanted_leaf(request: Request) -> tuple[LeafCertificateType | None, str | None]:
    """The type of leaf, and of V2G leaves the edition, whose latest value of a variable is asked; None: of any.

    The payload is the type, or an object with both. Raises `MalformedRequest`.
    """
    payload, edition = request.body.get("payload"), None
    if payload is None:
        return None, None
    path = "payload"
    if isinstance(payload, dict):
        if set(payload) != {LEAF_TYPE, EDITION}:
            raise MalformedRequest(path, f"expected {LEAF_TYPE} and {EDITION}, or the type alone")
        payload, edition, path = payload[LEAF_TYPE], payload[EDITION], f"{path}.{LEAF_TYPE}"
        if edition not in EDITIONS:
            raise MalformedRequest(f"payload.{EDITION}", f"expected one of {', '.join(EDITIONS)}")
    return cast(LeafCertificateType, decode(LeafCertificateType, payload, path)), edition


def in_request(command: Command, refusal: MalformedRequest) -> MalformedRequest:
    """The refusal of an argument, with the path at which it stands in the request."""
    if len(command.arguments) == 1:
        return MalformedRequest("payload" + refusal.path.removeprefix(command.arguments[0].name), refusal.problem)
    return MalformedRequest(f"payload.{refusal.path}", refusal.problem)


def answer(command: Command, result: Any) -> bytes:
    """What is sent as a command's answer."""
    if command.name in RAW_TEXT:
        return str(result).encode(errors="surrogateescape")  # a path that is not UTF-8 stays what it is
    return written(result)


def error_answer(error: EvseSecurityError) -> bytes:
    """What is sent instead of an answer."""
    return written(error_reply(error))


def written(value: Any) -> bytes:
    """JSON as EVerest writes it. Raises `ValueError` or `TypeError` for what JSON has no word for."""
    text = json.dumps(value, indent=INDENT, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace")  # half a surrogate pair, of a path, as JSON can say it


def discovered(module_id: str, *, heartbeat: int, communication_check: int) -> dict[str, Any]:
    """What is answered to who asks for modules. The periods are of milliseconds and of seconds."""
    monitoring = {"communication_check_period_s": communication_check, "heartbeat_period_ms": heartbeat}
    api = {
        "communication_monitoring": monitoring,
        "module_id": module_id,
        "type": API_TYPE,
        "version": API_VERSION,
    }
    return {"apis": [api]}


def _not(what: str, value: object) -> str:
    return f"expected {what}, got {type_names.get(type(value)) or shown(value)}"

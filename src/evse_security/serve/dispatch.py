"""The server without a socket: (name of a command, JSON arguments) -> JSON answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from evse_security.errors import CommandRefused, EvseSecurityError, MalformedRequest
from evse_security.serve.codec import Encoder, encoder, object_decoder, shown
from evse_security.serve.command import Command, commands


def dispatch(implementation: object, name: object, arguments: object, *, revision: str) -> Any:
    """The JSON answer of an implementation of the interface to one call.

    `arguments` is a JSON object (a `dict`). Raises `MalformedRequest` with the field's path (`command`, `arguments`,
    `certificate_hash_data.serial_number`), before the implementation sees anything; what that raises passes through.
    """
    plans = _plans(revision)
    if not isinstance(name, str) or name not in plans:
        raise MalformedRequest("command", f"expected a command of revision {revision}, got {shown(name)}")
    if not isinstance(arguments, dict):
        raise MalformedRequest("arguments", "expected an object with the command's arguments by name")
    decode_arguments, encode_result = plans[name]
    return encode_result(getattr(implementation, name)(**decode_arguments(arguments)))


def error_reply(error: EvseSecurityError) -> dict[str, dict[str, str]]:
    """What a caller is told instead of an answer: `{"error": {"code", "message"}}`.

    A malformed request adds the `path` of the field, a refused command the `reason`: the code of its cause.
    """
    told = {"code": error.code, "message": str(error)}
    if isinstance(error, MalformedRequest):
        told["path"] = error.path
    if isinstance(error, CommandRefused):
        told["reason"] = error.reason.code
    return {"error": told}


_Plan = tuple[Callable[[object], dict[str, Any]], Encoder]


@functools.cache
def _plans(revision: str) -> Mapping[str, _Plan]:
    return {name: _plan(command) for name, command in commands(revision).items()}


def _plan(command: Command) -> _Plan:
    hints = {argument.name: argument.hint for argument in command.arguments}
    required = frozenset(argument.name for argument in command.arguments if argument.required)
    return object_decoder(hints, required), encoder(command.result)

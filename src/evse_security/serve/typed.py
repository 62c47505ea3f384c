"""The commands for callers in Python: arguments checked against the declaration, as `dispatch` does for JSON.

Type checkers see the declared `Interface`; those who use none may write members of enumerations as plain strings and
sequences of any kind, and are told with the path of the argument what is not of its form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from evse_security.errors import MalformedRequest
from evse_security.serve.codec import below, decoder, members, type_names
from evse_security.serve.command import Command, commands

Check = Callable[[Any], Any]


class Typed:
    """The commands of one revision as methods. Each raises `MalformedRequest` before anything is looked at."""

    def __init__(self, implementation: object, revision: str) -> None:
        """Check for this implementation."""
        self._revision = revision
        for name, command in commands(revision).items():
            setattr(self, name, _checked(getattr(implementation, name), command))

    def __repr__(self) -> str:
        return f"<the commands of revision {self._revision}>"


def _checked(method: Callable[..., Any], command: Command) -> Callable[..., Any]:
    checks = {argument.name: _check(argument.hint) for argument in command.arguments}

    @functools.wraps(method)
    def call(**arguments: Any) -> Any:
        for name in arguments.keys() & checks.keys():
            try:
                arguments[name] = checks[name](arguments[name])
            except MalformedRequest as refusal:
                raise below(name, refusal) from None
        return method(**arguments)

    return call


@functools.cache
def _check(hint: Any) -> Check:
    """How arguments of a type are checked. Lengths are left to the commands, which have words for them."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _check(get_args(hint)[0])
    if origin is tuple:
        return _sequence(_check(get_args(hint)[0]))
    if origin is Literal or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        return decoder(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    return lambda value: _instance(value, hint)


def _instance(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise MalformedRequest("", f"expected {type_names.get(kind, kind.__name__)}, got {_kind(value)}")
    return value


def _sequence(check: Check) -> Check:
    def check_sequence(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise MalformedRequest("", f"expected a sequence, got {_kind(value)}")
        return members(value, check)

    return check_sequence


def _record(record: type) -> Check:
    checks = {name: _check(hint) for name, hint in get_type_hints(record, include_extras=True).items()}

    def check_record(value: Any) -> Any:
        _instance(value, record)
        checked = {}
        for each in fields(record):
            try:
                checked[each.name] = checks[each.name](getattr(value, each.name))
            except MalformedRequest as refusal:
                raise below(each.name, refusal) from None
        return replace(value, **checked)

    return check_record


def _kind(value: object) -> str:
    return type_names.get(type(value), type(value).__name__)

"""Which revision of the interface an EVerest has, command by command, as its interface's definition says."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from evse_security.interface import REVISIONS
from evse_security.serve.command import commands, newest_revision_with
from evse_security.serve.schema import schema


@functools.cache
def every_command() -> tuple[str, ...]:
    """The names of the commands of all revisions: all of them are answered, whatever the definition lists."""
    return tuple(dict.fromkeys(name for revision in reversed(REVISIONS) for name in commands(revision)))


def revision_of(command: str, definition: Mapping[str, Any]) -> str:
    """The revision in which a command is called: the newest that has it with the arguments and result it has there.

    EVerest's interface grew between the revisions, so that one of its releases may have commands of both. Commands
    that the definition does not list are those of the newest revision that has them.
    """
    defined = definition.get(command)
    having = [revision for revision in reversed(REVISIONS) if command in commands(revision)]
    if not isinstance(defined, dict) or not having:
        return newest_revision_with(command)
    return max(having, key=lambda revision: _likeness(command, revision, defined))


def _likeness(command: str, revision: str, defined: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the arguments are the same, and whether the result is: the arguments count more."""
    arguments = defined.get("arguments")
    names = {argument.name for argument in commands(revision)[command].arguments}
    return names == set(arguments if isinstance(arguments, dict) else ()), _result(defined) == _declared(
        command, revision
    )


def _result(defined: Mapping[str, Any]) -> str:
    """What a definition says of a result: the type's name, or that of JSON."""
    result = defined.get("result")
    if not isinstance(result, dict):
        return "null"
    return str(result.get("$ref", result.get("type"))).rpartition("/")[2]


def _declared(command: str, revision: str) -> str:
    result = schema(revision)["properties"]["commands"]["properties"][command]["properties"]["result"]
    return str(result.get("$ref", result.get("type"))).rpartition("/")[2]

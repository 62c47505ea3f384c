"""JSON Schema (draft 2020-12) of a revision of the interface, read off its declaration.

It states what the interface states. The limits that `codec` puts on strings and arrays of undeclared length are our own
and are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from evse_security.serve.codec import required_fields, without_none
from evse_security.serve.command import Command, commands, variables
from evse_security.vocabulary import MaxLength

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}


def schema(revision: str) -> Schema:
    """The schema of a whole revision.

    `#/properties/commands/properties/NAME/properties/arguments` (and `…/result`) is the schema of a command's arguments
    object and of its answer, `#/properties/variables/properties/NAME` that of a variable, `#/$defs/NAME` that of a
    record or enumeration. Raises `MalformedRequest` for a revision that does not exist.
    """
    definitions: dict[str, Schema] = {}
    members = {name: _command(command, definitions) for name, command in commands(revision).items()}
    published = {
        name: {"description": variable.summary, **type_schema(variable.hint, definitions)}
        for name, variable in variables(revision).items()
    }
    return {
        "$schema": DIALECT,
        "title": f"evse_security {revision}",
        "type": "object",
        "properties": {"commands": _object(members, []), "variables": _object(published, [])},
        "additionalProperties": False,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def type_schema(hint: Any, definitions: dict[str, Schema], prefix: str = "#/$defs/") -> Schema:
    """The schema of a type. Records and enumerations are added to `definitions` and referred to below `prefix`."""
    hint, _ = without_none(hint)
    origin = get_origin(hint)
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    if origin is Annotated:
        length = next(each.characters for each in hint.__metadata__ if isinstance(each, MaxLength))
        return {"type": "string", "maxLength": length}
    if origin is tuple:
        return {"type": "array", "items": type_schema(get_args(hint)[0], definitions, prefix)}
    name = type_name(hint)
    if name not in definitions:
        definitions[name] = {}  # stops a record that holds itself
        definitions[name].update(_definition(hint, definitions, prefix))
    return {"$ref": prefix + name}


def data_schema(hint: Any, definitions: dict[str, Schema], prefix: str = "#/$defs/") -> Schema:
    """The schema of JSON that is declared as it is written: by TypedDicts, lists, and None for null.

    Types of the interface within are as `type_schema` has them. Members that are not declared are allowed: later ones
    must not break who checks.
    """
    if get_origin(hint) in (Union, UnionType):
        return {"anyOf": [data_schema(each, definitions, prefix) for each in get_args(hint)]}
    if get_origin(hint) is list:
        return {"type": "array", "items": data_schema(get_args(hint)[0], definitions, prefix)}
    if get_origin(hint) is Literal and all(type(each) is str for each in get_args(hint)):
        return {"type": "string", "enum": list(get_args(hint))}
    if not is_typeddict(hint):
        return type_schema(hint, definitions, prefix)
    if hint.__name__ not in definitions:
        members = get_type_hints(hint, include_extras=True)
        definitions[hint.__name__] = {
            "description": _summary(hint),
            "type": "object",
            "properties": {name: data_schema(_bare(each), definitions, prefix) for name, each in members.items()},
            "required": [name for name, each in members.items() if get_origin(each) is not NotRequired],
        }
    return {"$ref": prefix + hint.__name__}


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint


def type_name(hint: Any) -> str:
    """The interface's name of a record or enumeration; a restricted or extended one keeps the name of the whole one."""
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0]).__name__
    return str(hint.__name__)


def _definition(hint: Any, definitions: dict[str, Schema], prefix: str) -> Schema:
    if get_origin(hint) is Literal:
        members = get_args(hint)
        return {"description": _summary(type(members[0])), "type": "string", "enum": [each.value for each in members]}
    if issubclass(hint, StrEnum):
        return {"description": _summary(hint), "type": "string", "enum": [each.value for each in hint]}
    if not is_dataclass(hint):
        raise TypeError(f"the interface has no values of type {hint!r}")
    hints = get_type_hints(hint, include_extras=True)
    required = required_fields(hint)
    properties = {name: type_schema(each, definitions, prefix) for name, each in hints.items()}
    return {"description": _summary(hint)} | _object(properties, [name for name in hints if name in required])


def _command(command: Command, definitions: dict[str, Schema]) -> Schema:
    arguments = {each.name: type_schema(each.hint, definitions) for each in command.arguments}
    required = [each.name for each in command.arguments if each.required]
    parts = {"arguments": _object(arguments, required), "result": type_schema(command.result, definitions)}
    return {"description": command.summary} | _object(parts, [])


def _object(properties: Mapping[str, Schema], required: list[str]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _summary(documented: Any) -> str:
    return (getdoc(documented) or "").partition("\n")[0]

"""The commands and variables of a revision of the interface, read off its declaration."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any, get_type_hints

from evse_security.errors import MalformedRequest
from evse_security.interface import EVERYTHING, NEWEST, REVISIONS


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a command: its name, its type hint, and whether every call must have it."""

    name: str
    hint: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what goes in, what comes out (type hints), what it does, and whether it may change the store."""

    name: str
    arguments: tuple[Argument, ...]
    result: Any
    summary: str
    changes_the_store: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """One value that the module publishes by itself."""

    name: str
    hint: Any
    summary: str


@functools.cache
def commands(revision: str) -> Mapping[str, Command]:
    """The commands of a revision by name, in the order of the declaration.

    Raises `MalformedRequest` (a `ValueError`) for a revision that does not exist.
    """
    interface = _declaration(revision).Interface
    methods = (member for name, member in vars(interface).items() if inspect.isfunction(member) and name[0] != "_")
    return MappingProxyType({method.__name__: _command(method) for method in methods})


@functools.cache
def variables(revision: str) -> Mapping[str, Variable]:
    """The variables of a revision by name, in the order of the declaration. Raises as `commands`."""
    hints = get_type_hints(_declaration(revision).Variables, include_extras=True)
    return MappingProxyType({name: Variable(name, hint, _first_line(hint)) for name, hint in hints.items()})


@functools.cache
def newest_revision_with(command: str) -> str:
    """The newest revision that has a command of this name; the newest of all if none has."""
    return next((revision for revision in reversed(REVISIONS) if command in commands(revision)), NEWEST)


def _declaration(revision: str) -> ModuleType:
    module = EVERYTHING.get(revision)
    if module is None:
        raise MalformedRequest("revision", f"no such revision of the interface; there are {', '.join(EVERYTHING)}")
    return importlib.import_module(module)


def _command(method: Any) -> Command:
    hints = get_type_hints(method, include_extras=True)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    return Command(
        name=method.__name__,
        arguments=tuple(Argument(each.name, hints[each.name], each.default is each.empty) for each in parameters),
        result=hints["return"],
        summary=_first_line(method),
        changes_the_store=getattr(method, "changes_the_store", False),
    )


def _first_line(documented: Any) -> str:
    return (inspect.getdoc(documented) or "").partition("\n")[0]

"""The keys of the configuration, and the kinds of their values: read off the declarations of station and service."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from evse_security.config import StationConfig
    from evse_security.service.config import ServiceConfig

CERTS = "certs"
PASSWORD = "private_key_password"  # noqa: S105 - the name of a key
PASSWORD_FILE = "private_key_password_file"  # noqa: S105 - the name of a key


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a key has: in words, as an option's placeholder, and how text and TOML are read (or ValueError)."""

    words: str
    placeholder: str
    of_text: Callable[[str, Path], Any]
    of_toml: Callable[[object, Path], Any]
    choices: tuple[str, ...] = ()


def option_of(key: str) -> str:
    """The option of the command line for a key."""
    return "--" + key.replace("_", "-")


@functools.cache
def declarations() -> tuple[type[StationConfig], type[ServiceConfig]]:
    """Where the keys are declared."""
    from evse_security.config import StationConfig
    from evse_security.service.config import ServiceConfig

    return StationConfig, ServiceConfig


@functools.cache
def keys(*declared: type) -> Mapping[str, Kind]:
    """The keys whose values can be written down, in the order of their declarations (all of them); not the password."""
    kinds = {
        each.name: _kind_of(get_type_hints(declaration)[each.name])
        for declaration in declared or declarations()
        for each in fields(declaration)
        if each.name != PASSWORD
    }
    return {key: kind for key, kind in kinds.items() if kind is not None}


@functools.cache
def required_keys() -> tuple[str, ...]:
    """The keys that have no default but one below `certs`."""
    from evse_security.config import StationConfig

    return tuple(each.name for each in fields(StationConfig) if each.default is each.default_factory is MISSING)


@functools.cache
def descriptions() -> Mapping[str, str]:
    """What the keys mean, where it is said: the texts after the declared fields, if their source is there."""
    import ast
    import inspect

    try:
        bodies = [ast.parse(inspect.getsource(declaration)).body[0] for declaration in declarations()]
    except OSError:
        return {}
    found = {}
    pairs = (itertools.pairwise(getattr(body, "body", ())) for body in bodies)
    for declared, said in itertools.chain.from_iterable(pairs):
        match declared, said:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                found[key] = inspect.cleandoc(text)
    return found


def all_keys() -> Mapping[str, Kind]:
    """Every key that a layer may set."""
    return {CERTS: PATH, **keys(), PASSWORD_FILE: PATH}


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return base / value


def _of(kind: type) -> Callable[[object, Path], Any]:
    def of_toml(value: object, _: Path) -> Any:
        if type(value) is not kind:
            raise ValueError
        return value

    return of_toml


def _strings(value: object, _: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError
    return tuple(value)


def _path_or_none(value: object, base: Path) -> Path | None:
    return None if value == "none" else _path(value, base)


PATH = Kind("a path", "PATH", _path, _path)
PATH_OR_NONE = Kind("a path, or none", "PATH", _path_or_none, _path_or_none)
TEXT = Kind("a string", "TEXT", lambda text, _: text, _of(str))
NUMBER = Kind("a whole number", "N", lambda text, _: int(text), _of(int))
FLAG = Kind("true or false", "", lambda text, _: {"true": True, "false": False}[text], _of(bool), ("true", "false"))
LIST = Kind(
    "a list of strings", "A,B,…", lambda text, _: tuple(each.strip() for each in text.split(",") if each), _strings
)

_KINDS: Mapping[Any, Kind] = {
    Path: PATH,
    Path | None: PATH_OR_NONE,
    str: TEXT,
    int: NUMBER,
    bool: FLAG,
    tuple[str, ...]: LIST,
}


def _kind_of(hint: Any) -> Kind | None:
    """The kind of a field; None for one that text cannot express (a clock)."""
    if hint in _KINDS:
        return _KINDS[hint]
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return Kind(f"one of {', '.join(choices)}", "|".join(choices), TEXT.of_text, TEXT.of_toml, choices)
    return _KINDS.get(hint)

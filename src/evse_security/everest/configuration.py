"""The configuration that EVerest gives its module: which keys there are, and what they mean to a station."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from evse_security.config import DEFAULT_PATHS, StationConfig
from evse_security.configkeys import FLAG, LIST, NUMBER, PASSWORD, Kind, descriptions, keys
from evse_security.errors import InvalidConfiguration
from evse_security.service.config import STATE_DIRECTORY, ServiceConfig

Value = str | int | bool | float

_QUIET: Mapping[str, Value] = {"http_listen": "", "renewal_v2g": "off", "renewal_csms": "off", "ocsp": "off"}
"""Defaults inside EVerest: its OCPP modules renew and ask responders, and no port is opened unasked."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the module's configuration, as its manifest declares it."""

    name: str
    type: str
    """`string`, `integer` or `boolean`."""
    default: Value
    description: str


class Configured(NamedTuple):
    """What the module's configuration means."""

    station: StationConfig
    service: ServiceConfig


def everest_keys() -> tuple[Key, ...]:
    """EVerest's nine keys with its defaults, then ours: none of them has to be given."""
    said = descriptions()
    theirs = [Key(name, "string", default, said.get(name, name)) for name, default in DEFAULT_PATHS.items()]
    theirs.append(Key(PASSWORD, "string", "", "Password of all private keys; empty: they are not encrypted."))
    return (*theirs, *(_key(name, kind, said.get(name, name)) for name, kind in _our_keys().items()))


def configured(values: Mapping[str, Any], certs: Path) -> Configured:
    """Read the module's configuration; relative paths start at `certs`. Raises `InvalidConfiguration` naming the key.

    What is empty, or 0 where that makes no sense, is the default. Keys that are not ours are left alone: they may be
    those of a later version.
    """
    theirs: dict[str, Any] = {}
    for name in (*DEFAULT_PATHS, PASSWORD):
        value = values.get(name)
        if value is not None:
            theirs[name] = _text(name, value)
    paths = {name: theirs[name] or default for name, default in DEFAULT_PATHS.items() if name in theirs}
    ours: dict[str, Any] = {}
    for name, kind in _our_keys().items():
        value = values.get(name, _QUIET.get(name))
        if not _stands_for_the_default(name, kind, value):
            ours[name] = _read(name, kind, value, certs)
    station = {name: value for name, value in ours.items() if name in _names(StationConfig)}
    service = {name: value for name, value in ours.items() if name in _names(ServiceConfig)}
    service.setdefault("state_directory", certs / STATE_DIRECTORY)
    password = theirs.get(PASSWORD) or None
    return Configured(
        StationConfig.under(certs, **paths, **station, private_key_password=password), ServiceConfig(**service)
    )


def is_valid(name: str, value: str, certs: Path) -> bool:
    """Whether a value, as text, can be one of a key's."""
    if name in DEFAULT_PATHS or name == PASSWORD:
        return "\0" not in value
    kind = _our_keys().get(name)
    if kind is None:
        return False
    try:
        read = kind.of_text(value, certs) if value else None
        if read is not None:
            _declaring(name, read, certs)
    except (ValueError, KeyError, InvalidConfiguration):
        return False
    return True


def _declaring(name: str, value: Any, certs: Path) -> None:
    """Have the declaration judge a value."""
    if name in _names(ServiceConfig):
        ServiceConfig(**{name: value})
    else:
        StationConfig.under(certs, **{name: value})


def _our_keys() -> Mapping[str, Kind]:
    return {name: kind for name, kind in keys().items() if name not in DEFAULT_PATHS}


def _names(declaration: type) -> frozenset[str]:
    return frozenset(one.name for one in fields(declaration))


def _key(name: str, kind: Kind, description: str) -> Key:
    default = _QUIET.get(name, _default(name))
    if kind is FLAG:
        return Key(name, "boolean", bool(default), description)
    if kind is NUMBER:
        return Key(name, "integer", default or 0, description)
    return Key(name, "string", default or "", description)


def _default(name: str) -> Any:
    declared = next(one for each in (StationConfig, ServiceConfig) for one in fields(each) if one.name == name)
    default = None if declared.default is MISSING else declared.default
    return ",".join(default) if isinstance(default, tuple) else default


def _stands_for_the_default(name: str, kind: Kind, value: object) -> bool:
    if kind is NUMBER:
        return value is None or (value == 0 and _default(name) is None)
    return value is None or (value == "" and kind is not LIST)


def _read(name: str, kind: Kind, value: object, certs: Path) -> Any:
    """A value as the declarations have it."""
    try:
        return kind.of_toml(value, certs) if kind in (FLAG, NUMBER) else kind.of_text(_text(name, value), certs)
    except (ValueError, KeyError):
        raise InvalidConfiguration(name, f"expected {kind.words}") from None


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidConfiguration(name, "must be text")
    return value

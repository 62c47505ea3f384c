"""The configuration that takes effect, and where each value came from.

Layers, each over the one before: defaults < a TOML file < `EVSE_SECURITY_*` environment < options of the command line.
The keys are the fields of `StationConfig` and `ServiceConfig`, and `certs`, the directory below which EVerest's default
paths lie. Values as text (environment, options): paths, whole numbers (durations: of seconds), `true` or `false`, lists
separated by commas. Relative paths start at the TOML file's directory, and for text at the working directory.

The password of private keys is never an option and never in the TOML file. It comes from a file that
`private_key_password_file` names, from the environment, or from a systemd credential, and is never shown.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from evse_security.errors import InvalidConfiguration

if TYPE_CHECKING:
    from evse_security.config import StationConfig
    from evse_security.service.config import ServiceConfig

CONFIG = "config"
CERTS = "certs"
PREFIX = "EVSE_SECURITY_"
PASSWORD = "private_key_password"  # noqa: S105 - the name of a key
PASSWORD_FILE = "private_key_password_file"  # noqa: S105 - the name of a key
CREDENTIAL = "evse-security.private-key-password"
"""Name of the systemd credential (`LoadCredential=` of systemd.exec(5))."""

LONGEST_FILE = 1 << 16
"""Bytes of a TOML or password file: far more than either needs."""
MOST_DOTS = 200
"""Dots in one line of TOML. Tables in tables take memory by the square of their depth: 23 GiB in a file of 1 MiB."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from: `default`, `certs`, a file, a variable of the environment, or an option."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What was configured, by key. Keys that nobody set are absent."""

    given: Mapping[str, Setting]
    password: str | None = field(default=None, repr=False)
    password_source: str = "default"  # noqa: S105 - where it came from

    def station_config(self) -> StationConfig:
        """The station's configuration. Raises `InvalidConfiguration` with the key and where its value came from."""
        from evse_security.config import StationConfig

        values = self._values_of(StationConfig)
        values[PASSWORD] = self.password
        missing = [key for key in required_keys() if key not in self.given]
        if CERTS not in self.given and missing:
            raise InvalidConfiguration(
                CERTS,
                f"no directory of certificates is given: say --certs DIR, {PREFIX}CERTS=DIR, or certs in the"
                f" configuration file (or each of its parts: {missing[0]} is not given)",
            )
        try:
            certs = self.given.get(CERTS)
            return StationConfig(**values) if certs is None else StationConfig.under(certs.value, **values)
        except InvalidConfiguration as refusal:
            raise self._with_source(refusal) from None

    def service_config(self) -> ServiceConfig:
        """The service's configuration. Raises as `station_config`."""
        from evse_security.service.config import STATE_DIRECTORY, ServiceConfig

        certs = self.given.get(CERTS)
        beside = {} if certs is None else {"state_directory": certs.value / STATE_DIRECTORY}
        try:
            return ServiceConfig(**{**beside, **self._values_of(ServiceConfig)})
        except InvalidConfiguration as refusal:
            raise self._with_source(refusal) from None

    def effective(self) -> Iterator[Setting]:
        """Every key with the value that takes effect and its source; of the password only whether there is one."""
        from evse_security.config import OPTIONAL_PATHS

        config = {**vars(self.station_config()), **vars(self.service_config())}
        beside = (*required_keys(), *OPTIONAL_PATHS, "state_directory")
        if CERTS in self.given:
            yield self.given[CERTS]
        for key in keys():
            source = CERTS if key in beside and CERTS in self.given else "default"
            yield self.given.get(key) or Setting(key, config[key], source)
        yield Setting(PASSWORD, "(set)" if self.password else None, self.password_source)

    def _values_of(self, declaration: type) -> dict[str, Any]:
        """What was given for the fields of one declaration."""
        return {one.name: self.given[one.name].value for one in fields(declaration) if one.name in self.given}

    def _with_source(self, refusal: InvalidConfiguration) -> InvalidConfiguration:
        setting = self.given.get(refusal.key)
        return InvalidConfiguration(refusal.key, f"{refusal.problem} ({setting.source})") if setting else refusal


def settings(*, options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Lay the layers over each other. `options` are values by key, and `config`, the TOML file.

    Raises `InvalidConfiguration` for a file that cannot be read, unknown keys, and values that are not of their key's
    kind. Unknown variables are left alone: Kubernetes makes some, `EVSE_SECURITY_PORT` and others, for a service.
    """
    file = options.get(CONFIG) or environment.get(f"{PREFIX}CONFIG")
    layers = (_from_file(Path(file).absolute()) if file else {}, _from_environment(environment), _from_options(options))
    password, source = _password(layers, environment)
    given = {key: setting for layer in layers for key, setting in layer.items() if key != PASSWORD_FILE}
    return Settings(given, password, source)


# ---- keys and the kinds of their values


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


# ---- the layers

_Layer = dict[str, Setting]


def _from_file(path: Path) -> _Layer:
    import tomllib

    text = _read(path, CONFIG)
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS:
            raise InvalidConfiguration(CONFIG, f"{path} has more than {MOST_DOTS} dots in line {number}")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as problem:  # numbers of 4,301 digits, and what is nested too deeply
        raise InvalidConfiguration(CONFIG, f"{path} is not TOML: {problem}") from None
    known = all_keys()
    for key in table:
        if key == PASSWORD:
            raise InvalidConfiguration(key, f"must not be in {path}; put it in a file, and its path in {PASSWORD_FILE}")
        if key not in known:
            raise InvalidConfiguration(json.dumps(key[:40]), f"no such key ({path}); there are {', '.join(known)}")
    return {key: _setting(key, known[key].of_toml, value, path.parent, str(path)) for key, value in table.items()}


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    # Empty means not set: that is how units and containers take a variable back.
    return {
        key: _setting(key, kind.of_text, text, Path.cwd(), variable)
        for key, kind in all_keys().items()
        if (text := environment.get(variable := PREFIX + key.upper()))
    }


def _from_options(options: Mapping[str, str]) -> _Layer:
    known = all_keys()
    return {
        key: _setting(key, known[key].of_text, text, Path.cwd(), option_of(key))
        for key, text in options.items()
        if key != CONFIG
    }


def _setting(key: str, read: Callable[[Any, Path], Any], value: object, base: Path, source: str) -> Setting:
    try:
        return Setting(key, read(value, base), source)
    except (ValueError, KeyError):
        raise InvalidConfiguration(key, f"expected {all_keys()[key].words} ({source})") from None


def _password(layers: tuple[_Layer, ...], environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The password and its source: a file that an option names < … is asked first, a file that TOML names last."""
    of_file, of_environment, of_options = (layer.get(PASSWORD_FILE) for layer in layers)
    if of_options:
        return _password_in(of_options.value)
    if given := environment.get(PREFIX + PASSWORD.upper()):
        return given, PREFIX + PASSWORD.upper()
    if of_environment:
        return _password_in(of_environment.value)
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        credential = Path(directory) / CREDENTIAL
        if credential.exists():
            return _password_in(credential)
    return _password_in(of_file.value) if of_file else (None, "default")


def _password_in(path: Path) -> tuple[str, str]:
    # Editors and echo end the last line; a password does not end so.
    password = _read(path, PASSWORD_FILE).removesuffix("\n").removesuffix("\r")
    if not password:
        raise InvalidConfiguration(PASSWORD_FILE, f"{path} is empty")
    return password, str(path)


def at_once(path: str, flags: int) -> int:
    """Open a file without waiting for somebody to write into it, if it is a pipe that nobody has open."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(descriptor, True)
    return descriptor


def _read(path: Path, key: str) -> str:
    try:
        with open(path, "rb", opener=at_once) as file:
            content = file.read(LONGEST_FILE + 1)
            is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
    except OSError as problem:
        raise InvalidConfiguration(key, f"{path} cannot be read: {problem.strerror}") from None
    except ValueError:
        raise InvalidConfiguration(key, "is no path: it holds a NUL character") from None
    if is_pipe and not content:
        raise InvalidConfiguration(key, f"{path} is a pipe into which nobody writes")
    if len(content) > LONGEST_FILE:
        raise InvalidConfiguration(key, f"{path} has more than {LONGEST_FILE} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidConfiguration(key, f"{path} is not UTF-8 text") from None

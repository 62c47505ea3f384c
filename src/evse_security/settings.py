"""The configuration that takes effect, and where each value came from.

Layers, each over the one before: defaults < a TOML file < `EVSE_SECURITY_*` environment < options of the command line.
The keys are the fields of `StationConfig` and `ServiceConfig`, and `certs`, the directory below which EVerest's default
paths lie. Values as text (environment, options): paths, whole numbers (durations: of seconds), `true` or `false`, lists
separated by commas. Relative paths start at the TOML file's directory, and for text at the working directory.

The password of private keys is never an option and never in the TOML file. It comes from a file that
`private_key_password_file` names, from the environment, or from a systemd credential, and is never shown.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evse_security.configkeys import CERTS, PASSWORD, PASSWORD_FILE, all_keys, keys, option_of, required_keys
from evse_security.errors import InvalidConfiguration

if TYPE_CHECKING:
    from evse_security.config import StationConfig
    from evse_security.service.config import ServiceConfig

CONFIG = "config"
PREFIX = "EVSE_SECURITY_"
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

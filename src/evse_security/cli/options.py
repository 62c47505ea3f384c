"""Options that several subcommands share: the configuration, one option per key, and the station it describes."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evse_security.cli.voice import complain

if TYPE_CHECKING:
    from evse_security.additions import AnyCaType
    from evse_security.cars import ShownToCars
    from evse_security.chains import Installed
    from evse_security.config import StationConfig
    from evse_security.configkeys import Kind
    from evse_security.interface.r2026_04 import Interface
    from evse_security.settings import Settings
    from evse_security.station import (
        BackupReport,
        CheckReport,
        Diagnosis,
        Explanation,
        FileExplanation,
        MendReport,
        Others,
        Overview,
        RestoreReport,
        SweepReport,
        Verdict,
    )
    from evse_security.vocabulary import LeafCertificateType

_DEST = "configuration:"


class OpenStation(Protocol):
    """What the command line asks of a station; `evse_security.Station` is one."""

    def dispatch(self, command: str, arguments: object, /, *, revision: str) -> Any: ...
    def interface(self) -> Interface: ...
    def chains(self, certificate_type: LeafCertificateType, /) -> Installed: ...
    def sweep(self, *, dry_run: bool = ...) -> SweepReport: ...
    def check(self, certificate_chain: str, types: Sequence[LeafCertificateType], /) -> CheckReport: ...
    def overview(self) -> Overview: ...
    def shown_to_cars(self) -> ShownToCars: ...
    def diagnose(self, warn_days: int = ..., /) -> Diagnosis: ...
    def mend(self, aside: Path | None = ..., /, *, dry_run: bool = ...) -> MendReport: ...
    def backup(self, path: Path, /, *, passphrase: str | None) -> BackupReport: ...
    def restore(
        self,
        path: Path,
        /,
        *,
        passphrase: str | None,
        others: Others = ...,
        dry_run: bool = ...,
        keep: Path | None = ...,
    ) -> RestoreReport: ...
    def verify_audit_log(self, noted: tuple[int, str] | None = ..., /) -> Verdict: ...
    def audit_entries(self) -> Iterator[Mapping[str, Any]]: ...
    def explain(self, domain: AnyCaType, /) -> Explanation: ...
    def explain_text(self, certificates: str, /) -> FileExplanation: ...


def common_place(config: StationConfig) -> str:
    """The directory that holds all of a station: `certs`, where nothing was moved."""
    return os.path.commonpath(list(_places(config)))


Opener = Callable[["StationConfig"], AbstractContextManager[OpenStation]]


@contextmanager
def open_station(
    arguments: argparse.Namespace, *, say: int = logging.WARNING, only_reads: bool = False
) -> Iterator[OpenStation]:
    """The station that the options, the environment and the configuration file describe.

    What it logs is said on stderr in the end, from the level `say` on: its warnings are why an answer is no. Where a
    problem is raised instead, that says why, and only errors are said beside it. That a command that `only_reads`
    finds no directory is said, too: the path may be mistyped.
    """
    opener: Opener = arguments.opener or _station
    if arguments.is_the_program:  # else the process is another's
        from evse_security.daemon.shield import shield

        shield()
    heard = _Heard()
    log = logging.getLogger("evse_security")
    log.addHandler(heard)
    try:
        config = settings_of(arguments).station_config()
        common = common_place(config)
        if only_reads and not os.path.isdir(common):
            complain(f"nothing is installed: there is no directory {common}")
        with opener(config) as station:
            yield station
    except BaseException:
        say = logging.ERROR
        raise
    finally:
        log.removeHandler(heard)
        for record in heard.records:
            if record.levelno >= say:
                complain(record.getMessage())


def _places(config: StationConfig) -> Iterator[str]:
    """The directories in which a station's files lie."""
    for key, value in vars(config).items():
        if key.endswith("_ca_bundle") and value is not None:
            yield os.path.dirname(value)
        elif key.endswith("_directory"):
            yield os.fspath(value)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that take effect."""
    from evse_security.settings import settings

    return settings(options=configuration_of(arguments), environment=arguments.environment)


def configuration_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The options of the configuration that were given, by key."""
    return {name.removeprefix(_DEST): text for name, text in vars(arguments).items() if name.startswith(_DEST)}


def given_options(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The options of the configuration that were given, as they are typed in whatever directory."""
    from evse_security.configkeys import FLAG, PATH, PATH_OR_NONE, all_keys, option_of

    kinds, typed = {"config": PATH, **all_keys()}, list[str]()
    for key, text in configuration_of(arguments).items():
        option = option_of(key)
        is_path = kinds[key] is PATH or (kinds[key] is PATH_OR_NONE and text != "none")
        if kinds[key] is FLAG:
            typed.append(option if text == "true" else f"--no-{option[2:]}")
        else:
            typed += [option, os.path.abspath(text) if is_path else text]
    return tuple(typed)


def formatter(prog: str) -> argparse.HelpFormatter:
    """Help of at most 100 columns."""
    return _Formatter(prog)


def add_places(parser: argparse.ArgumentParser, note: str | None = None) -> Any:
    """Add the two options that most need: the configuration file and the directory of certificates."""
    group = parser.add_argument_group("configuration", note)
    for option, placeholder, text in (
        ("config", "FILE", "TOML file with keys of the configuration"),
        ("certs", "DIR", "EVerest's directory of certificates, with its default layout"),
    ):
        dest = _DEST + option
        group.add_argument(f"--{option}", dest=dest, metavar=placeholder, default=argparse.SUPPRESS, help=text)
    return group


def add_configuration(parser: argparse.ArgumentParser, *, briefly: bool = True) -> None:
    """Add an option for every key of the configuration; `briefly`, the help shows two of them."""
    from evse_security.configkeys import CERTS, PASSWORD_FILE, all_keys, descriptions
    from evse_security.settings import PREFIX

    if briefly:
        note = "Each key of the configuration is an option: see evse-security config --help."
        texts = dict.fromkeys(all_keys(), argparse.SUPPRESS)
    else:
        note = f"Each is also a key of the TOML file, and a variable of the environment after {PREFIX}."
        said = {key: text.replace("`", "").replace("%", "%%") for key, text in descriptions().items()}
        texts = {**said, PASSWORD_FILE: "File with the password of the private keys."}
    group = add_places(parser, note)
    for key, kind in all_keys().items():
        if key != CERTS:
            _add_key(group, key, kind, texts.get(key))


def _add_key(group: Any, key: str, kind: Kind, text: str | None) -> None:
    from evse_security.configkeys import FLAG, option_of

    option = option_of(key)
    known = {"dest": _DEST + key, "default": argparse.SUPPRESS}
    if kind is FLAG:
        opposite = argparse.SUPPRESS if text == argparse.SUPPRESS else "The opposite."
        group.add_argument(option, action="store_const", const="true", help=text, **known)
        group.add_argument(f"--no-{option[2:]}", action="store_const", const="false", help=opposite, **known)
    else:
        group.add_argument(option, metavar=kind.placeholder, choices=kind.choices or None, help=text, **known)


def _station(config: StationConfig) -> AbstractContextManager[OpenStation]:
    from evse_security import Station

    return Station.open(config)


class _Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions, and the two dozen options of the configuration out of the usage."""

    def __init__(self, prog: str) -> None:
        from shutil import get_terminal_size

        super().__init__(prog, max_help_position=34, width=min(get_terminal_size((100, 24)).columns, 100))

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        shown = [each for each in actions if not each.dest.startswith(_DEST)]
        super().add_usage(usage, shown, groups, prefix)

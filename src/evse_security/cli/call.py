"""Call a command of the interface and print its answer as JSON.

The arguments are options named after the command's own:

  evse-security call get_leaf_certificate_info --certificate-type V2G --encoding PEM --no-include-ocsp
  evse-security call install_ca_certificate --certificate @V2G_ROOT_CA.pem --certificate-type V2G
  evse-security call delete_certificate --certificate-hash-data.hash-algorithm SHA256 …
  evse-security call get_installed_certificates --json '{"certificate_types": ["V2GRootCertificate"]}'

A string that begins with @ is read from that file (@- from stdin); write @@ for one that really begins with @.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from evse_security.cli.options import add_configuration, formatter, open_station
from evse_security.cli.voice import Unusable, answer, answer_json, text_of
from evse_security.interface import ADDITIONS, EVERYTHING, REVISIONS
from evse_security.serve.codec import without_none
from evse_security.serve.command import Command, commands, newest_revision_with
from evse_security.serve.text import parse

YES = frozenset({"Accepted", "Valid"})
"""The words of results and statuses that mean that it was done."""

_ARGUMENT = "argument:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what comes before the command; what follows it has a parser of its own."""
    parser.usage = "evse-security call [--revision R] COMMAND [--NAME VALUE … | --json JSON|-|@FILE]"
    parser.add_argument("command", metavar="COMMAND", help="one of those that --list lists")
    parser.add_argument("--list", action=_List, nargs=0, help="list the commands of all revisions and exit")
    _add_revision(parser)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False


def run(arguments: argparse.Namespace) -> int:
    """Call the command; 1 if its answer is no."""
    name, rest = arguments.command, arguments.rest
    revision = _revision(name, rest, getattr(arguments, "revision", None))
    command = commands(revision)[name]
    arguments = command_parser(command, revision).parse_args(rest, arguments)
    values = _values(command, arguments)
    with open_station(arguments) as station:
        reply = station.dispatch(name, values, revision=revision)
    answer_json(reply)
    return 0 if is_yes(command, reply) else 1


def is_yes(command: Command, reply: Any) -> bool:
    """Whether an answer says that it was done or is so: true, Accepted, Valid, or a text that is not empty."""
    if isinstance(reply, dict):
        return reply.get("status", "Accepted") in YES
    if isinstance(reply, str):
        return reply in YES if command.result is not str else bool(reply)
    return reply is not False


def command_parser(command: Command, revision: str) -> argparse.ArgumentParser:
    """The parser of one command's options, read off its declaration."""
    parser = argparse.ArgumentParser(
        prog=f"evse-security call {command.name}",
        description=f"{command.summary} (revision {revision})",
        formatter_class=formatter,
        allow_abbrev=False,
    )
    group = parser.add_argument_group("arguments")
    for path, hint in _options(command):
        group.add_argument(_option(path), dest=_ARGUMENT + path, default=argparse.SUPPRESS, **_action(hint))
    group.add_argument("--json", metavar="JSON|-|@FILE", help="all arguments as one JSON object")
    _add_revision(parser)
    add_configuration(parser)
    return parser


# ---- options


def _add_revision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--revision",
        choices=EVERYTHING,
        default=argparse.SUPPRESS,
        help="revision of the interface, or one of ours; the newest that has the command unless told otherwise",
    )


def _revision(name: str, rest: list[str], before: str | None) -> str:
    """The revision that was asked for, before or after the command; else the newest that has the command.

    What is ours takes everything that the revision beside it takes, so it comes first.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    _add_revision(early)
    try:
        after = getattr(early.parse_known_args(rest)[0], "revision", before)
    except argparse.ArgumentError as problem:
        raise Unusable(str(problem)) from None
    ours = next((each for each in ADDITIONS if name in commands(each)), None)
    revision: str = after or ours or newest_revision_with(name)
    if name not in commands(revision):
        raise Unusable(f"revision {revision} has no command {name[:40]}; {_instead(name)}")
    return revision


def _instead(name: str) -> str:
    """What may have been meant by a command that a revision has not."""
    having = [revision for revision in REVISIONS if name in commands(revision)]
    if having:
        return f"revision {having[-1]} has it"
    near = difflib.get_close_matches(name, [each for revision in REVISIONS for each in commands(revision)], n=1)
    return f"did you mean {near[0]}?" if near else "evse-security call --list lists them"


def _options(command: Command) -> Iterator[tuple[str, Any]]:
    """The options of a command: its arguments, and the fields of those that are records."""
    for argument in command.arguments:
        yield argument.name, argument.hint
        if is_dataclass(argument.hint):
            for name, hint in get_type_hints(argument.hint, include_extras=True).items():
                yield f"{argument.name}.{name}", hint


def _option(path: str) -> str:
    return "--" + path.replace("_", "-")


def _action(hint: Any) -> dict[str, Any]:
    """How argparse takes a value of a type."""
    hint, _ = without_none(hint)
    if get_origin(hint) is tuple:
        return {**_action(get_args(hint)[0]), "action": "append"}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        choices = [str(each) for each in (get_args(hint) if get_origin(hint) is Literal else hint)]
        return {"choices": choices, "metavar": "|".join(choices)}
    if hint is int:
        return {"type": int, "metavar": "N"}
    return {"metavar": "JSON|@FILE" if is_dataclass(hint) else "TEXT|@FILE"}


# ---- values


def _values(command: Command, arguments: argparse.Namespace) -> object:
    """The command's arguments as JSON. Types and sizes are the codec's to check."""
    given = {
        name.removeprefix(_ARGUMENT): value for name, value in vars(arguments).items() if name.startswith(_ARGUMENT)
    }
    if arguments.json is not None:
        if given:
            raise Unusable(f"--json and {_option(next(iter(given)))}: give all arguments in one way")
        source = arguments.json
        return parse(text_of("-") if source == "-" else _text(source), "arguments")
    values: dict[str, Any] = {}
    for path, hint in _options(command):
        if path in given:
            _put(values, path, _json(hint, given[path], path))
    return values


def _put(values: dict[str, Any], path: str, value: object) -> None:
    name, _, inner = path.partition(".")
    if not inner:
        values[name] = value
    elif isinstance(record := values.setdefault(name, {}), dict):
        if inner in record:
            raise Unusable(f"{_option(path)} and {_option(name)}: give the record in one way")
        record[inner] = value
    else:
        raise Unusable(f"{_option(name)} is not an object, so it has no {inner}")


def _json(hint: Any, given: Any, path: str) -> object:
    """One option's value as JSON."""
    hint, _ = without_none(hint)
    if isinstance(given, list):
        return [_json(get_args(hint)[0], each, f"{path}[{index}]") for index, each in enumerate(given)]
    if not isinstance(given, str):
        return given
    return parse(_text(given), path) if is_dataclass(hint) else _text(given)


def _text(given: str) -> str:
    if given.startswith("@@"):
        return given[1:]
    return text_of(given[1:]) if given.startswith("@") else given


# ---- the list of commands


class _List(argparse.Action):
    """Print the commands and exit, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        for line in listing():
            answer(line)
        parser.exit()


def listing() -> Iterator[str]:
    """Every command with the revisions that have it and what it does."""
    summaries: Mapping[str, str] = {
        name: command.summary for revision in REVISIONS for name, command in commands(revision).items()
    }
    width = max(map(len, summaries))
    for name, summary in summaries.items():
        having = " ".join(revision if name in commands(revision) else " " * len(revision) for revision in EVERYTHING)
        yield f"{name:{width}}  {having}  {summary}"

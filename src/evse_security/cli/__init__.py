"""The command line `evse-security`: one module per subcommand, imported when it is called for.

The rules of its voice:

- The answer, and nothing else, goes to stdout; JSON where it was asked for, else one fact a line. Nothing is coloured.
- Everything else goes to stderr, each line after `evse-security: `, in the words of the errors: what, where, why.
- 0: done; the answer is true, Accepted, Valid, or simply there.
- 1: the answer is no: false, any other word of a result or status, an empty string, or a command that was refused.
- 2: not asked rightly: usage, a malformed request, a configuration or a file that cannot be used. Nothing was done.
- 3: from `doctor` only: errors were found; its 1 is for warnings.
- 74: done, but the answer could not be written, as to a disk that is full.
- 130: interrupted. 141: whoever read the answer has stopped reading. What else may happen is a fault of ours and
  leaves a traceback.
- Passwords are neither taken as options nor shown; only the answer of a command whose result has one contains it.
- What certificates and files say is shown with control characters escaped: a name must not steer a terminal.

A subcommand's module has `add_arguments(parser)` and `run(arguments) -> int`, which returns 0 or 1 and raises the rest.
Help imports neither OpenSSL nor what it does not print: it must be there at once, on slow machines too.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from evse_security.cli.options import add_configuration, add_places, configuration_of, formatter
from evse_security.cli.voice import Unusable, Unwritten, complain, flush

if TYPE_CHECKING:
    from evse_security.cli.options import Opener

DONE, NO, MISUSED, NOT_WRITTEN, INTERRUPTED, NOT_READ = 0, 1, 2, 74, 130, 141


class Subcommand(NamedTuple):
    """Where a subcommand is, what it does, and whether it takes the configuration of a station."""

    module: str
    summary: str
    configured: bool = True


SUBCOMMANDS = {
    "call": Subcommand("evse_security.cli.call", "call a command of the interface"),
    "show": Subcommand("evse_security.cli.show", "show what is installed, as a tree"),
    "check": Subcommand("evse_security.cli.check", "verify a certificate chain, with the reason in words"),
    "doctor": Subcommand("evse_security.cli.doctor", "say everything that is wrong, and what mends it"),
    "explain": Subcommand("evse_security.cli.explain", "say why each certificate is or is not used"),
    "backup": Subcommand("evse_security.cli.backup", "write everything to one file"),
    "restore": Subcommand("evse_security.cli.restore", "put back what a backup holds"),
    "export": Subcommand("evse_security.cli.export", "copy chain, key and roots for another program's layout"),
    "audit": Subcommand("evse_security.cli.audit", "show the audit log, or check that it is whole"),
    "serve": Subcommand("evse_security.cli.serve", "serve the interface and watch over the station"),
    "sweep": Subcommand("evse_security.cli.sweep", "collect garbage"),
    "token": Subcommand("evse_security.cli.token", "make, list and revoke tokens for the HTTP API"),
    "config": Subcommand("evse_security.cli.config", "print the configuration and where each value came from"),
    "everest": Subcommand("evse_security.cli.everest", "put this module into an EVerest", configured=False),
    "demo": Subcommand("evse_security.cli.demo", "play the life of a charging station", configured=False),
    "pki": Subcommand("evse_security.cli.pki", "make a throw-away ISO 15118 PKI", configured=False),
}


def main(
    argv: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    opener: Opener | None = None,
) -> int:
    """Run the command line and return its exit code.

    `argv` and `environment` are this process's unless given; `opener` opens the station that a configuration describes.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale without umlauts is no reason to say nothing
    world = argparse.Namespace(
        environment=os.environ if environment is None else environment, opener=opener, is_the_program=argv is None
    )
    try:
        try:
            code = _run(sys.argv[1:] if argv is None else argv, world)
        except SystemExit as ended:  # argparse has printed help, or what is wrong with the usage
            code = ended.code if isinstance(ended.code, int) else DONE
        flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _drop_the_answer()
        return NOT_READ
    except Unwritten as problem:
        _drop_the_answer()
        complain(str(problem))
        return NOT_WRITTEN
    except Exception as problem:
        return _told(problem)


def top_parser(*, with_keys: bool = False) -> argparse.ArgumentParser:
    """The parser of what comes before the subcommand's own arguments; `with_keys`, any key of the configuration."""
    width = max(map(len, SUBCOMMANDS))
    lines = [f"  {name:{width}}  {subcommand.summary}" for name, subcommand in SUBCOMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="evse-security",
        usage="evse-security [--config FILE] [--certs DIR] SUBCOMMAND [ARGUMENTS …]",
        description="The security module of an EV charging station, on a directory of certificates.",
        epilog="\n".join(["subcommands:", *lines, "", "Each has its own --help."]),
        formatter_class=formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version(), help="show the version and exit")
    if with_keys:
        add_configuration(parser, briefly=True)
    else:
        add_places(parser)
    parser.add_argument("subcommand", metavar="SUBCOMMAND", choices=SUBCOMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False
    return parser


def _run(argv: Sequence[str], world: argparse.Namespace) -> int:
    # Reading the configuration's keys costs more than all of help; most calls begin with the subcommand.
    top = top_parser(with_keys=bool(argv) and argv[0] not in {*SUBCOMMANDS, "-h", "--help", "--version"})
    arguments = top.parse_args(argv, world)
    subcommand = SUBCOMMANDS[arguments.subcommand]
    module = _imported(arguments.subcommand, subcommand)
    parser = argparse.ArgumentParser(
        prog=f"evse-security {arguments.subcommand}",
        description=module.__doc__,
        formatter_class=formatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    if subcommand.configured:
        add_configuration(parser, briefly=arguments.subcommand != "config")
    elif configuration_of(arguments):
        top.error(f"{arguments.subcommand} takes no configuration of a station")
    rest = arguments.rest
    del arguments.rest
    return int(module.run(parser.parse_args(rest, arguments)))


def _drop_the_answer() -> None:
    """Python would complain once more when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(problem: Exception) -> int:
    """Complain about a problem that is not ours, and return its exit code."""
    from evse_security.errors import AuditLogUnusable, EvseSecurityError, InvalidConfiguration, MalformedRequest

    if not isinstance(problem, (EvseSecurityError, Unusable)):
        raise problem
    complain(str(problem))
    return MISUSED if isinstance(problem, (AuditLogUnusable, InvalidConfiguration, MalformedRequest, Unusable)) else NO


def _imported(name: str, subcommand: Subcommand) -> ModuleType:
    try:
        return importlib.import_module(subcommand.module)
    except ModuleNotFoundError as missing:
        if missing.name != subcommand.module:
            raise
        raise Unusable(f"{name} is not part of this installation") from None


def _version() -> str:
    from evse_security import __version__

    return f"evse-security {__version__}"

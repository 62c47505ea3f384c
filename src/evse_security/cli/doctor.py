"""Say everything that is wrong with the store: what it is, what it means for the station, and what mends it.

The worst comes first. Exit codes: 0 nothing is wrong, or worth a note at most; 1 warnings: something will not work
soon, or not for everybody; 3 errors: something does not work, or is open to others.

--fix mends what is safe to mend: rights of keys and directories, what a sweep removes, copies and links that are not
what they should be, OCSP responses in base64. Files that change are copied first, into a directory beside the store.
"""

from __future__ import annotations

import argparse
import logging
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evse_security.cli.options import given_options, open_station
from evse_security.cli.show import as_json
from evse_security.cli.voice import Unusable, answer, answer_json, complain
from evse_security.visible import printable

if TYPE_CHECKING:
    from evse_security.station import Diagnosis, Finding, MendReport

WARNED, ERRORS = 1, 3
EXIT_CODES = {"error": ERRORS, "warning": WARNED, "note": 0, None: 0}

MOST_SHOWN = 5
"""So many files of one finding are shown; JSON has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how to say it, and whether to mend."""
    parser.add_argument("--json", action="store_true", help="as JSON: findings, and what was mended")
    parser.add_argument(
        "--days", type=int, default=30, metavar="N", help="warn of what expires within N days (default: 30)"
    )
    parser.add_argument("--fix", action="store_true", help="mend what is safe to mend, then look again")
    parser.add_argument("--dry-run", action="store_true", help="with --fix: say what would be done, and change nothing")
    parser.add_argument(
        "--backup", type=Path, metavar="DIR", help="with --fix: where to keep the files as they were; must not exist"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; how bad the worst is, is the exit code."""
    if not arguments.fix and (arguments.dry_run or arguments.backup):
        raise Unusable("--dry-run and --backup say how to --fix")
    if not 0 <= arguments.days <= 36500:
        raise Unusable("--days: from 0 to 36500")
    with open_station(arguments, say=logging.ERROR, only_reads=True) as station:
        report = station.mend(arguments.backup, dry_run=arguments.dry_run) if arguments.fix else None
        diagnosis = station.diagnose(arguments.days)
    if arguments.json:
        mended = None if report is None else as_json(report)
        findings = [as_json(_complete(finding, given_options(arguments))) for finding in diagnosis.findings]
        answer_json({"worst": diagnosis.worst, "findings": findings, "mended": mended})
    else:
        for line in (*_mended(report), *in_words(diagnosis, given_options(arguments))):
            answer(line)
    return EXIT_CODES[diagnosis.worst]


def _mended(report: MendReport | None) -> Iterator[str]:
    """What was mended, a line each; what could not be is a complaint."""
    if report is None:
        return
    for deed in report.deeds:
        if deed.problem is not None:
            complain(f"not mended: {deed.problem}")
        else:
            yield printable(f"{'would be ' if report.dry_run else ''}mended: {deed.path}: {deed.what}")
    if report.kept_in is not None:
        yield printable(f"kept as they were: {report.kept_in}")
    if not report.deeds:
        yield "nothing to mend"


def in_words(diagnosis: Diagnosis, options: tuple[str, ...]) -> Iterator[str]:
    """The findings; `options` are those that commands need to find the same station. Commands can be copied."""
    counts = Counter(str(finding.severity) for finding in diagnosis.findings)
    told = [_counted(counts[severity], severity) for severity in ("error", "warning", "note") if counts[severity]]
    yield ", ".join(told) or "nothing is wrong"
    for finding in diagnosis.findings:
        yield from lines_of(finding, options)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


def lines_of(finding: Finding, options: tuple[str, ...]) -> Iterator[str]:
    """One finding: what it is, where, what it means, what mends it."""
    yield printable(f"{finding.severity} {finding.code}: {finding.what}")
    if finding.certificate is not None:
        yield printable(f"   certificate {finding.certificate}")
    for path in finding.paths[:MOST_SHOWN]:
        yield printable(f"   in {path}")
    if len(finding.paths) > MOST_SHOWN:
        yield f"   and {len(finding.paths) - MOST_SHOWN} more"
    yield f"   means: {finding.means}"
    for command in finding.mend:
        yield f"   mend: {as_typed(command, options)}"
    if finding.advice is not None:
        yield printable(f"   advice: {finding.advice}")


def _complete(finding: Finding, options: tuple[str, ...]) -> Finding:
    """The finding with commands that lead to the same station."""
    return replace(finding, mend=tuple(_of_station(command, options) for command in finding.mend))


def _of_station(command: tuple[str, ...], options: tuple[str, ...]) -> tuple[str, ...]:
    program, *rest = command
    return (program, *options, *rest) if program == "evse-security" else command


def as_typed(command: tuple[str, ...], options: tuple[str, ...]) -> str:
    """A command for a shell; ours with the options that lead to the same station."""
    return " ".join(map(_quoted, _of_station(command, options)))


def _quoted(word: str) -> str:
    """A word for a shell; with characters that act on terminals escaped, as bash, zsh and busybox take it."""
    if word.isprintable():
        return shlex.quote(word)
    octets = word.encode("utf-8", "surrogateescape")
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%")
    return "$'" + "".join(chr(one) if one in plain else f"\\x{one:02x}" for one in octets) + "'"

"""Verify a certificate chain against the installed roots, and say the reason in words.

The chain is PEM, leaf first, or one certificate in DER. The exit code is 0 if it is valid, and 1 if it is not.
"""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from evse_security.cli.options import open_station
from evse_security.cli.voice import Unusable, answer, answer_json, bytes_of
from evse_security.serve import given
from evse_security.serve.dispatch import error_reply
from evse_security.visible import printable
from evse_security.vocabulary import CertificateValidationResult, LeafCertificateType

if TYPE_CHECKING:
    from evse_security.station import CheckReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the chain and the trust domains to verify it in."""
    parser.add_argument("chain", metavar="CHAIN.pem", help="the chain, or - for stdin")
    parser.add_argument(
        "--type",
        dest="types",
        action="append",
        required=True,
        choices=[str(each) for each in LeafCertificateType],
        help="what the leaf is for; repeat it if the roots of several domains will do",
    )
    parser.add_argument("--json", action="store_true", help="as JSON: result, reason, path")


def run(arguments: argparse.Namespace) -> int:
    """Print the verdict; 1 if the chain is not valid."""
    chain = pem_of(arguments.chain)
    # Its warnings would say the reason once more.
    with open_station(arguments, say=logging.ERROR, only_reads=True) as station:
        report = station.check(chain, [LeafCertificateType(each) for each in arguments.types])
    if arguments.json:
        answer_json(as_json(report))
    else:
        answer(printable(in_words(report)))
    return 0 if report.result is CertificateValidationResult.Valid else 1


def in_words(report: CheckReport) -> str:
    """The verdict in one line: the path from leaf to root, or the reason."""
    said = " <- ".join(report.path) if report.reason is None else str(report.reason)
    later = "" if report.valid_from is None else f" (from {report.valid_from:%Y-%m-%d %H:%M:%SZ} on)"
    return f"{report.result}{later}: {said}" if said else f"{report.result}{later}"


def as_json(report: CheckReport) -> dict[str, object]:
    """The verdict as JSON; without a reason if there is none."""
    reason = {} if report.reason is None else {"reason": error_reply(report.reason)["error"]}
    later = {} if report.valid_from is None else {"valid_from": f"{report.valid_from:%Y-%m-%dT%H:%M:%SZ}"}
    return {"result": str(report.result), **reason, "path": list(report.path), **later}


def pem_of(source: str) -> str:
    """The chain of a file as PEM."""
    content = bytes_of(source)
    try:
        return given.pem_of(content)
    except ValueError:
        raise Unusable(f"{source} is neither PEM nor DER") from None

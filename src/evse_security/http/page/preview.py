"""What is told before something is done, and of a chain that is only verified. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evse_security.http.page.rows import Clock, walk
from evse_security.http.page.trees import ABOUT
from evse_security.http.page.words import Badge, Some, Tone, grouped, minute, remaining, rest, some, title
from evse_security.station import (
    Attempt,
    CheckReport,
    Deletion,
    FileExplanation,
    Overview,
    PathTried,
    Received,
)
from evse_security.vocabulary import CertificateValidationResult

INSTALL, UPDATE, VERIFY = "install_ca_certificate", "update_leaf_certificate", "verify_certificate"
MOST_PATHS = 12

_TRUSTED_FOR = {
    "V2G": "Chains of vehicles and charging stations that lead to it verify from then on.",
    "CSMS": "A backend whose chain leads to it is trusted from then on.",
    "MO": "Contract certificates that lead to it verify from then on.",
    "MF": "Firmware that is signed below it is accepted from then on.",
    "OEM": "A vehicle whose certificate leads to it may connect from then on, in ISO 15118-20.",
}
_HEADINGS = {str(kind): heading for kind, (heading, _) in ABOUT.items()}


@dataclass(frozen=True, slots=True)
class Given:
    """A certificate that was handed over."""

    title: str
    rest: str
    issuer: str
    role: str
    serial: str
    fingerprint: str
    valid: str
    remaining: str
    key: str
    installed: Some


@dataclass(frozen=True, slots=True)
class Choice:
    """A command that would take the certificates: what it would do."""

    value: str
    """How a form says it: `COMMAND:TYPE`."""
    label: str
    does: tuple[str, ...]


class Refused(NamedTuple):
    """Commands that would not take the certificates, and why."""

    labels: tuple[str, ...]
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A path from a leaf up."""

    names: tuple[str, ...]
    verdict: Badge
    text: str
    code: str


@dataclass(frozen=True, slots=True)
class Preview:
    """Everything to know before the button is pressed."""

    certificates: tuple[Given, ...]
    choices: tuple[Choice, ...]
    refused: tuple[Refused, ...]


def preview(explained: FileExplanation, clock: Clock) -> Preview:
    """What installing these certificates would do, and why it would be refused."""
    attempts = [one for one in explained.attempts if one.command != VERIFY]
    return Preview(
        certificates=tuple(_given(one, clock) for one in explained.certificates),
        choices=tuple(_choice(one, explained) for one in attempts if one.accepted),
        refused=tuple(_refused(one for one in attempts if not one.accepted)),
    )


def _given(received: Received, clock: Clock) -> Given:
    doubted = clock.doubt is not None
    return Given(
        title=title(received.name),
        rest=rest(received.name),
        issuer=received.issuer,
        role=received.role.value,
        serial=received.serial,
        fingerprint=grouped(received.fingerprint),
        valid=f"{minute(received.not_before)} to {minute(received.not_after)}",
        remaining="" if doubted else remaining(received.not_before, received.not_after, clock.now),
        key=received.key,
        installed=some(received.installed),
    )


def _label(command: str, kind: str) -> str:
    if command == INSTALL:
        return f"as CA certificate of {kind} ({_HEADINGS[kind]})"
    return f"as {kind} leaf of this station" if command == UPDATE else "anywhere"


def _choice(attempt: Attempt, explained: FileExplanation) -> Choice:
    does: list[str] = []
    if attempt.command == INSTALL and attempt.written and explained.certificates[0].role == "root":
        does.append(_TRUSTED_FOR[attempt.type])
    if attempt.then is not None:
        does.append(f"It would then be {_lowered(attempt.then)}.")
    does += _listed("Written", attempt.written)
    does += _listed("Removed to make room or as superseded", attempt.removed)
    if not attempt.written:
        does.append("It is installed already: nothing would change.")
    value = f"{attempt.command}:{attempt.type}"
    return Choice(value, _label(attempt.command, attempt.type), tuple(does))


def _listed(what: str, paths: Sequence[Path]) -> Iterator[str]:
    lines, more = some(paths)
    if lines:
        yield f"{what}: {', '.join(lines)}" + (f" and {more} more" if more else "")


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refused(attempts: Iterable[Attempt]) -> Iterator[Refused]:
    """Refusals with one reason are told once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in attempts:
        groups.setdefault((one.reason.code, one.reason.text), []).append(_label(one.command, one.type))
    for (code, text), labels in groups.items():
        yield Refused(tuple(labels), code, text)


# ---- verifying


@dataclass(frozen=True, slots=True)
class VerdictView:
    """Whether a chain is valid, and why."""

    result: Badge
    reason: str
    code: str
    later: str
    path: tuple[str, ...]
    certificates: tuple[Given, ...]
    tried: tuple[Tried, ...]


def verdict(report: CheckReport, explained: FileExplanation, types: Iterable[str], clock: Clock) -> VerdictView:
    """What a verification found, with every path that was tried."""
    valid = report.result is CertificateValidationResult.Valid
    asked = [one for one in explained.attempts if one.command == VERIFY and one.type in types]
    return VerdictView(
        result=Badge(report.result.value, Tone.GOOD if valid else Tone.BAD),
        reason="" if report.reason is None else str(report.reason),
        code="" if report.reason is None else report.reason.code,
        later="" if report.valid_from is None else minute(report.valid_from),
        path=report.path,
        certificates=tuple(_given(one, clock) for one in explained.certificates),
        tried=tried(path for attempt in asked for path in attempt.paths),
    )


def tried(paths: Iterable[PathTried]) -> tuple[Tried, ...]:
    """Paths of a search, each once. Where none is taken, the leaf itself is refused, whatever is above it."""
    found = list(dict.fromkeys(paths))[:MOST_PATHS]
    also = "valid, too" if any(path.taken for path in found) else "valid above the leaf"
    return tuple(_tried(path, also) for path in found)


def _tried(path: PathTried, also: str) -> Tried:
    if path.taken:
        return Tried(path.names, Badge("taken", Tone.GOOD), "", "")
    if path.reason.code == "Valid":
        return Tried(path.names, Badge(also, Tone.IDLE), "", "")
    return Tried(path.names, Badge("refused", Tone.BAD), path.reason.text, path.reason.code)


# ---- deleting


class Going(NamedTuple):
    """A certificate that goes."""

    title: str
    rest: str
    serial: str
    fingerprint: str
    until: str
    state: str
    """What it is used for now; empty if for nothing."""


@dataclass(frozen=True, slots=True)
class DeletionView:
    """The list of what goes, or why nothing does."""

    going: tuple[Going, ...]
    more: int
    keys: Some
    removed: Some
    edited: Some
    orphans: Some
    """Leaves that stay, though they are below what goes."""
    refusal: str
    code: str
    digest: str
    """Of everything that goes: what was confirmed is what is done, or it is asked again."""


MOST_GOING = 50


def deletion_view(found: Deletion, overview: Overview) -> DeletionView:
    """What a deletion would take, and what it is used for now."""
    doomed = {one.fingerprint for one in found.certificates}
    nodes = [node for domain in overview.domains for node in walk(domain.trees)]
    used = {node.fingerprint: node.because for node in nodes if node.used and node.fingerprint in doomed}
    below = (leaf for node in nodes if node.fingerprint in doomed for leaf in walk(node.children))
    orphans = {leaf.fingerprint: leaf for leaf in below if leaf.role == "leaf" and leaf.fingerprint not in doomed}
    everything = repr((found.certificates, found.private_keys, found.removed, found.edited))
    return DeletionView(
        going=tuple(
            Going(
                title(one.name),
                rest(one.name),
                one.serial,
                grouped(one.fingerprint),
                minute(one.not_after),
                used.get(one.fingerprint, ""),
            )
            for one in found.certificates[:MOST_GOING]
        ),
        more=max(len(found.certificates) - MOST_GOING, 0),
        keys=some(found.private_keys),
        removed=some(found.removed),
        edited=some(found.edited),
        orphans=some([f"{leaf.name}, in use" if leaf.used else leaf.name for leaf in orphans.values()]),
        refusal="" if found.refusal is None else found.refusal.text,
        code="" if found.refusal is None else found.refusal.code,
        digest=hashlib.sha256(everything.encode("utf-8", "surrogateescape")).hexdigest(),
    )

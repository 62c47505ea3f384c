"""What is wrong with a store: findings, each with what it means for the station and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evse_security.clock import SKEW, believable
from evse_security.store.diagnosis import certificates, derived, keys, leaves, places, responses
from evse_security.store.diagnosis.finding import BY_LINES, COPY_LINES, OURS, RANKS, Command, Finding, Severity, found
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.layout import DER_DIRECTORY, is_generated

__all__ = ["Diagnosis", "diagnose"]

_CLOCK = "set the clock, by the network or the CSMS"
_OR_TOUCH = f"{_CLOCK}; if it is right, another one was not when these files were written: touch them"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, the worst and most urgent first."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Severity | None:
        """How bad the worst is; None where nothing was found."""
        return self.findings[0].severity if self.findings else None


def _clock(seen: Inspection) -> Iterator[Finding]:
    if seen.moment.doubt is not None:
        later = sorted(_written_later(seen)) if believable(seen.now) else []
        yield found("ClockNotBelieved", seen.moment.doubt, later, advice=_OR_TOUCH if later else _CLOCK)


def _written_later(seen: Inspection) -> Iterator[Path]:
    """Our files of a time to come, by which the clock is judged."""
    for path, rights in seen.surroundings.files.items():
        ours = is_generated(path.name) and path.parent.name != DER_DIRECTORY
        if ours and believable(rights.modified) and rights.modified > seen.now + SKEW:
            yield path


def _audit(seen: Inspection) -> Iterator[Finding]:
    if seen.surroundings.audit_problem is not None:
        mend, advice = [(OURS, "audit", "verify")], "see who did that; put its directory away, and a new log is begun"
        yield found("AuditLogBroken", seen.surroundings.audit_problem, mend=mend, advice=advice)


CHECKS: tuple[Callable[[Inspection], Iterator[Finding]], ...] = (
    _clock,
    leaves.leaves,
    keys.keys,
    certificates.authorities,
    certificates.files,
    responses.responses,
    places.directories,
    _audit,
    places.files,
    places.volumes,
    places.limits,
    derived.derived,
)
"""Everything that is looked for."""

_ORDER = tuple(Severity)
_HARMLESS = ("chmod", "chown", "touch")
_CHANGING = frozenset({"install_ca_certificate", "delete_certificate"})
_LOOK_AGAIN = "mend first what is said of this file above; then look again, for its lines have other numbers"


def diagnose(seen: Inspection) -> Diagnosis:
    """Look for everything that can be wrong."""
    made = dict.fromkeys(finding for look in CHECKS for finding in look(seen))
    ordered = sorted(made, key=lambda one: (_ORDER.index(one.severity), RANKS[one.code], one.paths))
    return Diagnosis(tuple(_by_lines_once(ordered, seen)))


def _by_lines_once(findings: Iterable[Finding], seen: Inspection) -> Iterator[Finding]:
    """Lines are cut out of a file by the first command only that changes it: afterwards they have other numbers."""
    changed: set[Path] = set()
    for finding in findings:
        real = {seen.surroundings.real(path) for path in finding.paths}
        words = (word for command in finding.mend if command[0] in BY_LINES for word in command)
        counted = {seen.surroundings.real(Path(word)) for word in words}
        if counted and (real | counted) & changed:
            yield replace(finding, mend=(), advice=_LOOK_AGAIN)
            continue
        yield finding
        if finding.code == "KeyAmongCertificates" or any(_changes_files(command) for command in finding.mend):
            changed |= real  # a key that is moved by hand must not stay in a copy either


def _changes_files(command: Command) -> bool:
    return (
        command[0] not in _HARMLESS
        and command[:2] != COPY_LINES
        and (command[0] != OURS or not _CHANGING.isdisjoint(command))
    )

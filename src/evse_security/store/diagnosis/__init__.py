"""What is wrong with a store: findings, each with what it means for the station and what mends it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from evse_security.store.diagnosis import certificates, derived, keys, leaves, places, responses
from evse_security.store.diagnosis.finding import RANKS, Finding, Severity, found
from evse_security.store.diagnosis.inspection import Inspection

__all__ = ["Diagnosis", "diagnose"]

_CLOCK = "set the clock, by the network or the CSMS"


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
        yield found("ClockNotBelieved", seen.moment.doubt, advice=_CLOCK)


CHECKS: tuple[Callable[[Inspection], Iterator[Finding]], ...] = (
    _clock,
    leaves.leaves,
    keys.keys,
    certificates.authorities,
    certificates.files,
    responses.responses,
    places.directories,
    places.files,
    places.volumes,
    places.limits,
    derived.derived,
)
"""Everything that is looked for."""

_ORDER = tuple(Severity)


def diagnose(seen: Inspection) -> Diagnosis:
    """Look for everything that can be wrong."""
    made = dict.fromkeys(finding for look in CHECKS for finding in look(seen))
    return Diagnosis(tuple(sorted(made, key=lambda one: (_ORDER.index(one.severity), RANKS[one.code], one.paths))))

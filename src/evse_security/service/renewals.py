"""What others see of the renewal of leaves, and how they ask for one: for metrics, HTTP and the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from evse_security.vocabulary import LeafCertificateType

RENEWED = (LeafCertificateType.V2G, LeafCertificateType.CSMS)
"""Leaves of the station's own: it makes keys for them."""


class RenewalState(StrEnum):
    """How the renewal of a kind of leaf stands."""

    unknown = "unknown"
    """Nothing was looked at yet."""
    off = "off"
    """Others renew these leaves: the configuration says so, or another service with this state directory does."""
    clock = "clock"
    """The clock is not believed: nothing is done until it is."""
    absent = "absent"
    """There is no leaf, and no subject is configured for a first one."""
    unconfigured = "unconfigured"
    """The leaf says less of its subject than a request needs, and no more is configured."""
    fresh = "fresh"
    """It is not time yet."""
    asking = "asking"
    """A request is being made, or a CA is being asked."""
    waiting = "waiting"
    """A request was published, and waits for whoever answers it."""
    retrying = "retrying"
    """The CA gave no answer that is of use; it is asked again."""
    exhausted = "exhausted"
    """That was tried as often as configured; from now on once a day."""
    refused = "refused"
    """The CA refused, or the station refused what the CA sent."""
    renewed = "renewed"
    """A new leaf was installed."""


class Triggered(StrEnum):
    """What becomes of a trigger."""

    accepted = "accepted"
    """A new request is made, in place of one that waits."""
    off = "off"
    """Others renew these leaves: the configuration says so, or another service with this state directory does."""


@dataclass(frozen=True, slots=True)
class RenewalStatus:
    """How the renewal of one kind stands."""

    kind: LeafCertificateType
    state: RenewalState
    since: datetime
    next_attempt: datetime | None
    """When it goes on by itself; None: not before something happens."""
    attempts: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The status with the members that events of renewals have."""
        return {
            "leaf_certificate_type": self.kind.value,
            "state": self.state.value,
            "since": moment_text(self.since),
            "next_attempt": moment_text(self.next_attempt),
            "attempts": self.attempts,
            "reason": self.reason,
        }


class Renewals(Protocol):
    """Who renews. For the event loop's thread."""

    def status(self) -> tuple[RenewalStatus, ...]:
        """How each kind stands."""

    def trigger(self, kind: LeafCertificateType, *, caller: str) -> Triggered:
        """Renew now, whatever the time is. What comes of it is told by events."""


class NoRenewals:
    """Where nobody renews."""

    def status(self) -> tuple[RenewalStatus, ...]:
        """There is nothing to tell."""
        return ()

    def trigger(self, kind: LeafCertificateType, *, caller: str) -> Triggered:
        """Nobody does anything."""
        return Triggered.off


def moment_text(moment: datetime | None) -> str | None:
    """A moment as events write it."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")

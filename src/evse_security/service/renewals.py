"""What others see of the renewal of leaves, and how they ask for one: for metrics, HTTP and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from evse_security.vocabulary import LeafCertificateType

RENEWED = (LeafCertificateType.V2G, LeafCertificateType.CSMS)
"""Leaves of the station's own: it makes keys for them."""


class Renewed(StrEnum):
    """A leaf that is renewed by itself: of SECC leaves there may be one for each edition of ISO 15118."""

    V2G = "V2G"
    """For cars of ISO 15118-2."""
    V2G20 = "V2G20"
    """For those of ISO 15118-20."""
    CSMS = "CSMS"

    @property
    def kind(self) -> LeafCertificateType:
        """Its type in the interface, which has no word for editions."""
        return LeafCertificateType.CSMS if self is Renewed.CSMS else LeafCertificateType.V2G

    @property
    def edition(self) -> Literal["", "2", "20"]:
        """The edition of ISO 15118: `2` or `20`; empty for what is not shown to cars."""
        return _EDITIONS[self]

    @property
    def words(self) -> str:
        """What it is called: `V2G leaf for ISO 15118-20`."""
        return f"{self.kind} leaf" + (f" for ISO 15118-{self.edition}" if self.edition else "")


_EDITIONS: Mapping[Renewed, Literal["", "2", "20"]] = {Renewed.V2G: "2", Renewed.V2G20: "20", Renewed.CSMS: ""}


class RenewalState(StrEnum):
    """How the renewal of a kind of leaf stands."""

    unknown = "unknown"
    """Nothing was looked at yet."""
    off = "off"
    """Others renew these leaves: the configuration says so, or another service with this state directory does."""
    clock = "clock"
    """The clock is not believed: nothing is done until it is."""
    absent = "absent"
    """There is no leaf, and a first one is not asked for: no subject is configured, or it is the other edition's."""
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
    """It is written down: a new request is made, in place of one that waits, also after a power cut."""
    off = "off"
    """Others renew these leaves: the configuration says so, or another service with this state directory does."""
    unsaved = "unsaved"
    """It could not be written down, or the service has only just begun: nothing is done. Ask again."""


UNSAVED = "It cannot be written down now that this leaf is to be renewed (state_directory): nothing is done. Ask again."


@dataclass(frozen=True, slots=True)
class RenewalStatus:
    """How the renewal of one leaf stands."""

    leaf: Renewed
    state: RenewalState
    since: datetime
    next_attempt: datetime | None
    """When it goes on by itself; None: not before something happens."""
    attempts: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The status with the members that events of renewals have."""
        return {
            **named(self.leaf),
            "state": self.state.value,
            "since": moment_text(self.since),
            "next_attempt": moment_text(self.next_attempt),
            "attempts": self.attempts,
            "reason": self.reason,
        }


class Renewals(Protocol):
    """Who renews. For the event loop's thread."""

    def status(self) -> tuple[RenewalStatus, ...]:
        """How each of them stands."""

    async def trigger(self, kind: LeafCertificateType, *, caller: str, edition: str = "") -> Triggered:
        """Renew now, whatever the time is. What comes of it is told by events.

        `edition` is `2` or `20`; without it all leaves of that kind are renewed.
        """


class NoRenewals:
    """Where nobody renews."""

    def status(self) -> tuple[RenewalStatus, ...]:
        """There is nothing to tell."""
        return ()

    async def trigger(self, kind: LeafCertificateType, *, caller: str, edition: str = "") -> Triggered:
        """Nobody does anything."""
        return Triggered.off


class Named(TypedDict):
    """Which leaf is meant, in the members of events"""

    leaf_certificate_type: LeafCertificateType
    edition: NotRequired[Literal["2", "20"]]


def named(leaf: Renewed) -> Named:
    """A leaf as events and answers name it: its type and, for cars, the edition of ISO 15118."""
    edition = leaf.edition
    return {"leaf_certificate_type": leaf.kind, "edition": edition} if edition else {"leaf_certificate_type": leaf.kind}


def moment_text(moment: datetime | None) -> str | None:
    """A moment as events write it."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")

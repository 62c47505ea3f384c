"""Whether a client of the API is there, as it says by itself: EVerest's communication check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from evse_security.service.eventdata import CommunicationFault


class Fault(StrEnum):
    """What is wrong, in EVerest's words (the sub-type of its `generic/CommunicationFault`)."""

    initial = "Initial communication check"
    """Nobody has said anything yet."""
    lost = "Bridge to implementation connection lost"
    """Who said that it is there has not said so again in time."""


@dataclass(frozen=True, slots=True)
class Change:
    """A fault that came or went."""

    fault: Fault
    active: bool

    def to_json(self) -> CommunicationFault:
        """The data of a warning."""
        text = "Send communication_check to clear the error" if self.active else "communication_check was received"
        return {
            "part": "mqtt",
            "text": f"{self.fault}: {text}",
            "code": "CommunicationFault",
            "sub_type": self.fault.value,
            "severity": "High",
            "state": "Active" if self.active else "Cleared",
        }


class CommunicationCheck:
    """Who says `true` must say so again within a period; `false` ends that. Times are of any clock, in seconds."""

    def __init__(self, period: float) -> None:
        """A period of 0 watches nothing."""
        self._period = period
        self._begun = False
        self._fault: Fault | None = None
        self.until: float | None = None
        """When something is wrong unless somebody says something; None: never."""

    def begin(self) -> Change | None:
        """Begin to watch, unless that was done: nobody has said anything yet."""
        if self._begun or not self._period:
            return None
        self._begun = True
        return self._raise(Fault.initial)

    def hear(self, now: float, *, alive: bool) -> Change | None:
        """A client said something, which mends what was wrong."""
        self.until = now + self._period if alive and self._period else None
        fault, self._fault = self._fault, None
        return None if fault is None else Change(fault, active=False)

    def look(self, now: float) -> Change | None:
        """See whether it is too late."""
        if self.until is None or now < self.until:
            return None
        self.until = None
        return self._raise(Fault.lost)

    def _raise(self, fault: Fault) -> Change:
        self._fault = fault
        return Change(fault, active=True)

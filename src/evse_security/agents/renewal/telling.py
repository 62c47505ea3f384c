"""What is told of renewals: events, lines of the log, and how each kind stands."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from evse_security.agents.renewal.record import Record
from evse_security.agents.renewal.rules import Decision, Step
from evse_security.renewalfacts import LeafFacts
from evse_security.service.eventdata import ExpiringLeaf, Problem, RenewalNews
from evse_security.service.events import EventKind, Events
from evse_security.service.renewals import RenewalState, RenewalStatus, moment_text
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger("evse_security.agents.renewal")

PART = "renewal"
_WARNINGS = (RenewalState.clock, RenewalState.unconfigured, RenewalState.exhausted, RenewalState.refused)


class Telling:
    """Tells whoever listens, and writes it into the log; each thing once."""

    def __init__(self, events: Events) -> None:
        """With the stream on which it is told."""
        self._events = events
        self._told: dict[LeafCertificateType, Decision] = {}

    def status(self, kind: LeafCertificateType, record: Record, now: datetime) -> RenewalStatus:
        """How a kind stands, in the words that were told last."""
        told = self._told.get(kind)
        at, reason = (told.at, told.reason) if told else (None, "nothing was looked at yet")
        return RenewalStatus(kind, record.state, record.since or now, at, record.attempts, reason)

    def renewal(self, kind: LeafCertificateType, record: Record, decision: Decision, now: datetime) -> Record:
        """Tell of a state that is another than before, and of any after a start: nobody knows it then."""
        old = self._told.get(kind)
        self._told[kind] = decision
        same = record.state is decision.state
        if same and decision.step is Step.nothing and old is not None and old.at == decision.at:
            return record
        if not same:
            record = replace(record, state=decision.state, since=now)
        level = logging.WARNING if decision.state in _WARNINGS else logging.INFO
        log.log(level, "%s leaf: %s: %s", kind, decision.state, decision.reason)
        data: RenewalNews = {
            "leaf_certificate_type": kind,
            "state": decision.state,
            "since": moment_text(record.since),
            "next_attempt": moment_text(decision.at),
            "attempts": record.attempts,
            "number": record.number,
            "reason": decision.reason,
        }
        self._events.publish(EventKind.renewal, data)
        return record

    def expiring(self, kind: LeafCertificateType, leaf: LeafFacts, now: datetime) -> None:
        """Tell that a leaf expires, or has."""
        days = (leaf.not_after - now).days
        when = "has expired" if days < 0 else f"expires in {days} days"
        data: ExpiringLeaf = {
            "leaf_certificate_type": kind,
            "certificate": leaf.name,
            "serial": leaf.serial,
            "fingerprint": leaf.fingerprint,
            "not_after": leaf.not_after.isoformat().replace("+00:00", "Z"),
            "days": days,
            "text": f"the {kind} leaf {leaf.name} {when}, and is to be renewed",
        }
        self._events.publish(EventKind.leaf_certificate_expiring, data)

    def warn(self, text: str) -> None:
        """Tell of something that somebody should look at."""
        log.warning("%s", text)
        data: Problem = {"part": PART, "text": text}
        self._events.publish(EventKind.warning, data)

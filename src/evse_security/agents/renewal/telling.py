"""What is told of renewals: events, lines of the log, and how each leaf stands."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from evse_security.agents.renewal.record import Record
from evse_security.agents.renewal.rules import Decision, Step
from evse_security.renewalfacts import LeafFacts
from evse_security.service.eventdata import ExpiringLeaf, Problem, RenewalNews
from evse_security.service.events import EventKind, Events
from evse_security.service.renewals import RenewalState, RenewalStatus, Renewed, moment_text, named

log = logging.getLogger("evse_security.agents.renewal")

PART = "renewal"
_WARNINGS = (RenewalState.clock, RenewalState.unconfigured, RenewalState.exhausted, RenewalState.refused)
_ADVISED = (RenewalState.off, RenewalState.retrying, RenewalState.exhausted, RenewalState.refused)


class Telling:
    """Tells whoever listens, and writes it into the log; each thing once."""

    def __init__(self, events: Events) -> None:
        """With the stream on which it is told."""
        self._events = events
        self._told: dict[Renewed, Decision] = {}

    def status(self, leaf: Renewed, record: Record, now: datetime) -> RenewalStatus:
        """How a leaf stands, in the words that were told last."""
        told = self._told.get(leaf)
        at, reason = (told.at, told.reason) if told else (None, "nothing was looked at yet")
        return RenewalStatus(leaf, record.state, record.since or now, at, record.attempts, reason)

    def renewal(
        self, leaf: Renewed, record: Record, decision: Decision, now: datetime, key_type: str | None = None
    ) -> Record:
        """Tell of a state that is another than before, and of any after a start: nobody knows it then.

        `key_type`: of the key that the leaf needs, where that is none of `csr_key_type`.
        """
        advice = _advice(decision.state, key_type)
        decision = decision._replace(reason=decision.reason + advice)
        old = self._told.get(leaf)
        self._told[leaf] = decision
        same = record.state is decision.state
        if same and decision.step is Step.nothing and old is not None and old.at == decision.at:
            return record
        if not same:
            record = replace(record, state=decision.state, since=now)
        level = logging.WARNING if advice or decision.state in _WARNINGS else logging.INFO
        log.log(level, "%s: %s: %s", leaf.words, decision.state, decision.reason)
        data: RenewalNews = {
            **named(leaf),
            "state": decision.state,
            "since": moment_text(record.since),
            "next_attempt": moment_text(decision.at),
            "attempts": record.attempts,
            "number": record.number,
            "reason": decision.reason,
        }
        self._events.publish(EventKind.renewal, data)
        return record

    def expiring(self, leaf: Renewed, now: LeafFacts, moment: datetime) -> None:
        """Tell that a leaf expires, or has."""
        days = (now.not_after - moment).days
        when = "has expired" if days < 0 else f"expires in {days} days"
        data: ExpiringLeaf = {
            "leaf_certificate_type": leaf.kind,
            "certificate": now.name,
            "serial": now.serial,
            "fingerprint": now.fingerprint,
            "not_after": now.not_after.isoformat().replace("+00:00", "Z"),
            "days": days,
            "text": f"the {leaf.words}, {now.name}, {when}, and is to be renewed",
        }
        if leaf.edition:
            data["edition"] = leaf.edition
        log.warning("%s", data["text"])
        self._events.publish(EventKind.leaf_certificate_expiring, data)

    def warn(self, text: str) -> None:
        """Tell of something that somebody should look at."""
        log.warning("%s", text)
        data: Problem = {"part": PART, "text": text}
        self._events.publish(EventKind.warning, data)


def _advice(state: RenewalState, key_type: str | None) -> str:
    """What to do where it may be the kind of key that is not taken, or that nobody else makes; empty: nothing."""
    if key_type is None or state not in _ADVISED:
        return ""
    if state is RenewalState.off:
        return f" (its key is {key_type}: who asks for keys of csr_key_type alone, as EVerest does, does not renew it)"
    return f" (its key is {key_type}, not csr_key_type: whoever answers must take such requests, or renew it by hand)"

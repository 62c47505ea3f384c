"""When a leaf is renewed, and what is to be done now. Pure: what there is, what was done before, and the time go in.

OCPP 2.0.1 A02 and A03: a leaf is renewed a month before it expires at the latest; a request without an answer is
repeated after CertSigningWaitMinimum, then after twice that, and so on, CertSigningRepeatTimes times (FR.17–.19); after
a certificate that is of no use the station waits for a trigger (FR.20).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from evse_security.agents.renewal.record import Cause, Outcome, Record
from evse_security.renewalfacts import LeafFacts, LeafUse, RenewalFacts, RequestState
from evse_security.service.config import Enrolment, ServiceConfig
from evse_security.service.renewals import RenewalState
from evse_security.vocabulary import LeafCertificateType

DAY = timedelta(days=1)
SPREAD = 4
"""A fleet that was installed on one day does not ask on one day: it begins up to a quarter of the window earlier."""
LEAP, HOLD = 86_400.0, 600.0
"""Seconds by which a clock that was believed must leap ahead for it to be waited whether it stays there; and how long.

A request that is made with a time far ahead dates its key, and no right time is believed then until that day.
"""
LONGEST_HOLD = DAY
"""However long a CA wants to be left alone: a leaf must not expire over it."""


class Subject(NamedTuple):
    """Whose certificate is asked for."""

    country: str
    organization: str
    common: str


@dataclass(frozen=True, slots=True)
class Policy:
    """How one kind of leaf is renewed."""

    enrolment: Enrolment
    days: int
    wait: int
    repeats: int
    country: str = ""
    organization: str = ""
    common: str = ""

    @classmethod
    def of(cls, config: ServiceConfig, kind: LeafCertificateType) -> Policy:
        """What the configuration says of a kind."""
        word = kind.value.lower()
        return cls(
            enrolment=getattr(config, f"renewal_{word}"),
            days=getattr(config, f"renewal_days_{word}"),
            wait=config.renewal_wait,
            repeats=config.renewal_repeats,
            country=config.csr_country,
            organization=config.csr_organization,
            common=getattr(config, f"csr_common_name_{word}"),
        )

    def subject(self, leaf: LeafFacts | None) -> Subject:
        """The subject of a request: as configured, else that of the leaf. Parts of it may be empty."""
        return Subject(
            self.country or (leaf.country if leaf else ""),
            self.organization or (leaf.organization if leaf else ""),
            self.common or (leaf.common if leaf else ""),
        )


class Step(StrEnum):
    """What to do now."""

    nothing = "nothing"
    request = "request"
    """Make a new signing request, and bring it to the CA."""
    repeat = "repeat"
    """Bring the request that waits to the CA again."""


class Decision(NamedTuple):
    """What to do now, when to look again (None: when something happens), and why."""

    state: RenewalState
    step: Step
    at: datetime | None
    reason: str


# ---- what happened meanwhile


def settle(record: Record, facts: RenewalFacts, policy: Policy) -> Record:
    """What is remembered, brought up to date: answered requests, keys that are gone, a clock that was set back.

    While the clock is not believed nothing is concluded from it.
    """
    if facts.request is RequestState.answered:
        return record.ended(facts.now)
    if facts.request is RequestState.lost:
        record = replace(record, csr=None)
    if facts.doubt is not None:
        return record
    record = _not_in_future(record, facts.now)
    if record.cause is Cause.none or facts.now >= _due(record, facts, policy):
        return record
    leaf = newest(facts)
    if leaf is not None and leaf.fingerprint != record.leaf:
        return record.ended(facts.now)  # renewed by others
    return record.idle() if record.cause is Cause.window else record


def _not_in_future(record: Record, now: datetime) -> Record:
    last, finished = (None if moment is None else min(moment, now) for moment in (record.last, record.finished))
    not_before = None if record.not_before is None else min(record.not_before, now + LONGEST_HOLD)
    return replace(record, last=last, finished=finished, not_before=not_before)


# ---- when


def newest(facts: RenewalFacts) -> LeafFacts | None:
    """The leaf whose end counts: the one in use, or the one that takes over from it before it ends."""
    leaf, successor = facts.leaf, facts.successor
    if successor is None or leaf is None:
        return successor or leaf
    takes_over = leaf.use is LeafUse.unusable or successor.not_before <= leaf.not_after < successor.not_after
    return successor if takes_over else leaf


def window(leaf: LeafFacts, days: int) -> timedelta:
    """How long before its end a leaf is renewed: so many days, or a third of its lifetime if that is shorter."""
    return min(days * DAY, (leaf.not_after - leaf.not_before) / 3)


def share(leaf: LeafFacts) -> float:
    """Which part of the spread is this station's, from 0 to 1: the same for ever, another for each common name."""
    return int.from_bytes(hashlib.sha256((leaf.common or leaf.name).encode()).digest()[:6]) / 2**48


def due(leaf: LeafFacts, days: int) -> datetime:
    """When the renewal of a leaf begins: at the window's beginning or a little earlier, never before the leaf does.

    One that is not offered to anybody should have been renewed already.
    """
    if leaf.use is LeafUse.unusable:
        return leaf.not_before
    span = window(leaf, days)
    return max(leaf.not_after - span - span * share(leaf) / SPREAD, leaf.not_before)


def _due(record: Record, facts: RenewalFacts, policy: Policy) -> datetime:
    """When a renewal begins by itself.

    A CA may send leaves that have nearly expired: then one a day is enough, or three in the lifetime of one.
    """
    leaf = newest(facts)
    begin = facts.now if leaf is None else due(leaf, policy.days)
    if record.finished is None or leaf is None:
        return begin
    return max(begin, record.finished + min(DAY, (leaf.not_after - leaf.not_before) / 3))


def pause(policy: Policy, attempts: int) -> timedelta:
    """How long after so many attempts the next one may be: doubled each time, a day when all repeats are used up.

    A pause is never longer than a day, unless the first is.
    """
    longest = max(policy.wait, int(DAY.total_seconds()))
    if attempts > policy.repeats:
        return timedelta(seconds=longest)
    return timedelta(seconds=min(policy.wait << min(max(attempts - 1, 0), 32), longest))


# ---- what to do now


def decide(record: Record, facts: RenewalFacts, policy: Policy) -> Decision:
    """What to do now: 1. off, 2. no time, 3. not yet, 4. no subject, 5. a trigger, 6. the first attempt or another."""
    if policy.enrolment == "off":  # 1
        return _rest(RenewalState.off, "renewal is off: whoever speaks to the CSMS or CA must renew these leaves")
    if facts.doubt is not None:  # 2
        return _rest(RenewalState.clock, f"nothing is renewed while the clock is not believed: {facts.doubt}")
    begin = _due(record, facts, policy)
    if record.cause is Cause.none and not record.trigger and facts.now < begin:  # 3
        return _fresh(facts, begin)
    leaf = newest(facts)
    subject = policy.subject(leaf)
    if not subject.organization or not subject.common:  # 4
        lacking = f"no {'common name' if subject.organization else 'organization'} is configured for requests"
        if leaf is None:
            return _rest(RenewalState.absent, f"there is no leaf, and {lacking}")
        return _rest(RenewalState.unconfigured, f"{lacking}, and the leaf {leaf.name} has none")
    if record.trigger:  # 5
        return Decision(RenewalState.asking, Step.request, None, f"{record.trigger} asks for a new leaf")
    if record.cause is Cause.none or record.last is None:  # 6
        return Decision(RenewalState.asking, Step.request, None, _why_now(facts))
    return _another(record, record.last, facts, policy)


def _rest(state: RenewalState, reason: str) -> Decision:
    return Decision(state, Step.nothing, None, reason)


def renewed(facts: RenewalFacts) -> Decision:
    """A renewal has just ended."""
    leaf = newest(facts)
    return _rest(RenewalState.renewed, "there is a new leaf" if leaf is None else f"there is a new leaf: {leaf.name}")


def _fresh(facts: RenewalFacts, begin: datetime) -> Decision:
    leaf = newest(facts)
    name = "" if leaf is None else f"{leaf.name} expires at {leaf.not_after:%Y-%m-%d %H:%M:%SZ}; "
    return Decision(RenewalState.fresh, Step.nothing, begin, f"{name}it is renewed from {begin:%Y-%m-%d %H:%M:%SZ} on")


def _why_now(facts: RenewalFacts) -> str:
    leaf = newest(facts)
    if leaf is None:
        return "there is no leaf, and a subject is configured"
    if leaf.use is LeafUse.unusable:
        return f"{leaf.name} is not used any more"
    verb = "expired" if leaf.not_after < facts.now else "expires"
    return f"{leaf.name} {verb} at {leaf.not_after:%Y-%m-%d %H:%M:%SZ}"


def _another(record: Record, last: datetime, facts: RenewalFacts, policy: Policy) -> Decision:
    """The next attempt of a renewal that is under way."""
    state, reason = _standing(record, policy)
    refused = record.outcome is Outcome.refused
    if refused and policy.enrolment == "event":  # A02.FR.20
        return Decision(state, Step.nothing, None, f"{reason}; a trigger is waited for")
    lost = record.outcome is Outcome.asked and record.csr is None  # no answer can be used: a new one is not far off
    at = last + pause(policy, policy.repeats + 1 if refused else 1 if lost else record.attempts)
    at = max(at, record.not_before or at)
    if facts.now < at:
        return Decision(state, Step.nothing, at, reason)
    # Whoever answers an event may take his time; the key must be there by then.
    too_old = facts.request is RequestState.aging and policy.enrolment == "event"
    step = Step.request if record.csr is None or too_old else Step.repeat
    return Decision(RenewalState.asking, step, None, f"attempt {record.attempts + 1}: {reason}")


def _standing(record: Record, policy: Policy) -> tuple[RenewalState, str]:
    reason = {
        Outcome.none: "nothing was asked yet",
        Outcome.begun: "the last attempt was cut off",
        Outcome.asked: f"request {record.number} was published and waits for its certificate",
        Outcome.failed: f"no certificate yet: {record.why}",
        Outcome.refused: f"refused: {record.why}",
    }[record.outcome]
    if record.outcome is Outcome.refused:
        return RenewalState.refused, reason
    if record.outcome is Outcome.asked and record.csr is None:
        return RenewalState.retrying, f"the key of request {record.number} is gone"
    if record.attempts > policy.repeats:
        return RenewalState.exhausted, f"{reason}; asked {record.attempts} times, now once a day"
    return (RenewalState.waiting if record.outcome is Outcome.asked else RenewalState.retrying), reason


def left() -> Decision:
    """There is no such leaf, and the other edition of ISO 15118 has one: that is enough, unless somebody says so."""
    return _rest(RenewalState.absent, "there is no such leaf, and a first one is asked for by a trigger alone")


# ---- what is begun


def begun(record: Record, decision: Decision, facts: RenewalFacts) -> Record:
    """An attempt begins: written down before anything is sent. A trigger begins anew, and drops the request before."""
    if record.trigger:
        record = replace(record.idle(), cause=Cause.trigger, trigger="")
    elif record.cause is Cause.none:
        record = replace(record.idle(), cause=Cause.window)
    leaf = newest(facts)
    if record.attempts == 0:
        record = replace(record, leaf=leaf.fingerprint if leaf is not None else "")
    csr = None if decision.step is Step.request else record.csr
    attempt = replace(record, csr=csr, attempts=record.attempts + 1, last=facts.now)
    return attempt.became(Outcome.begun)


def expiring(record: Record, facts: RenewalFacts, policy: Policy) -> LeafFacts | None:
    """The leaf that is to be announced as expiring: once, when it is time to renew it."""
    leaf = newest(facts)
    if leaf is None or facts.doubt is not None or facts.now < due(leaf, policy.days):
        return None
    return leaf if leaf.fingerprint != record.announced else None

"""When a leaf is renewed and what is done at a time: tables, and what must hold whatever happens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.agents.renewal.record import Cause, Outcome, Record, from_json, to_json
from evse_security.agents.renewal.rules import (
    DAY,
    Policy,
    Step,
    begun,
    decide,
    due,
    expiring,
    newest,
    pause,
    settle,
    share,
    window,
)
from evse_security.renewalfacts import LeafFacts, LeafUse, RenewalFacts, RequestState
from evse_security.service.renewals import RenewalState
from tests.builders import NOW

EVENT = Policy("event", days=30, wait=60, repeats=3, organization="Operator", common="SECC1")
EST = replace(EVENT, enrolment="est")


def leaf(
    days: float,
    lifetime: float = 365,
    common: str = "SECC1",
    fingerprint: str = "aa",
    use: LeafUse = LeafUse.in_use,
) -> LeafFacts:
    """A leaf that ends in so many days."""
    end = NOW + timedelta(days=days)
    begin = end - timedelta(days=lifetime)
    return LeafFacts(use, f"CN={common}", "01", fingerprint, "DE", "Operator", common, begin, end)


def facts(now: datetime = NOW, **changes: object) -> RenewalFacts:
    known = RenewalFacts(now, None, None, None, RequestState.none, None)
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lifetime", "days", "expected"),
    [(365, 30, 30), (90, 30, 30), (60, 30, 20), (3, 30, 1), (365, 200, 365 / 3), (365, 1, 1)],
)
def test_the_window_is_so_many_days_or_a_third_of_the_lifetime(lifetime: float, days: int, expected: float) -> None:
    assert window(leaf(100, lifetime), days) == timedelta(days=expected)


def test_a_station_begins_up_to_a_quarter_of_the_window_earlier_and_always_at_the_same_moment() -> None:
    begins = [due(leaf(100, common=f"station {number}"), 30) for number in range(1000)]
    early = [NOW + 70 * DAY - begin for begin in begins]
    assert all(timedelta(0) <= each < 7.5 * DAY for each in early)
    counted = [sum(quarter <= each / (7.5 * DAY) * 4 < quarter + 1 for each in early) for quarter in range(4)]
    assert min(counted) > 200
    assert due(leaf(100, fingerprint="bb"), 30) == due(leaf(100), 30)
    assert share(leaf(100)) != share(leaf(100, common="SECC2"))


def test_a_leaf_is_not_renewed_before_it_begins() -> None:
    late = replace(leaf(100), not_before=NOW + 90 * DAY)
    assert due(late, 30) >= late.not_before


@pytest.mark.parametrize(
    ("wait", "repeats", "expected"),
    [
        (60, 3, [60, 120, 240, 86400, 86400]),
        (60, 0, [86400, 86400]),
        (50000, 3, [50000, 86400, 86400, 86400]),
        (200000, 2, [200000, 200000, 200000]),
        (1, 999, [1, 2, 4, 8]),
    ],
)
def test_pauses(wait: int, repeats: int, expected: list[int]) -> None:
    policy = replace(EVENT, wait=wait, repeats=repeats)
    assert [pause(policy, attempts).total_seconds() for attempts in range(1, len(expected) + 1)] == expected


def waiting(**changes: object) -> Record:
    known = Record(
        number=1, csr="CSR", cause=Cause.window, leaf="aa", attempts=1, last=NOW - DAY / 24, outcome=Outcome.asked
    )
    return replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "seen", "policy", "state", "step"),
    [
        (Record(), facts(leaf=leaf(100)), EVENT, "fresh", "nothing"),
        (Record(), facts(leaf=leaf(20)), EVENT, "asking", "request"),
        (Record(), facts(leaf=leaf(-1)), EVENT, "asking", "request"),
        (Record(), facts(leaf=leaf(100, use=LeafUse.unusable)), EVENT, "asking", "request"),
        (Record(), facts(), EVENT, "asking", "request"),
        (Record(), facts(), replace(EVENT, organization=""), "absent", "nothing"),
        (Record(), facts(), replace(EVENT, common=""), "absent", "nothing"),
        (Record(), facts(leaf=leaf(20)), replace(EVENT, organization="", common=""), "asking", "request"),
        (Record(), facts(leaf=replace(leaf(20), organization="")), replace(EVENT, organization=""), "unconfigured",
         "nothing"),
        (Record(trigger="ocpp"), facts(leaf=leaf(100)), EVENT, "asking", "request"),
        (Record(trigger="ocpp"), facts(), replace(EVENT, common=""), "absent", "nothing"),
        (Record(trigger="ocpp"), facts(leaf=leaf(100), doubt="1970"), EVENT, "clock", "nothing"),
        (Record(), facts(leaf=leaf(20), doubt="1970"), EVENT, "clock", "nothing"),
        (Record(trigger="ocpp"), facts(leaf=leaf(20)), replace(EVENT, enrolment="off"), "off", "nothing"),
        (waiting(), facts(leaf=leaf(20)), EVENT, "asking", "repeat"),
        (waiting(csr=None), facts(leaf=leaf(20)), EVENT, "asking", "request"),
        (waiting(), facts(leaf=leaf(20), request=RequestState.aging), EVENT, "asking", "request"),
        (waiting(), facts(leaf=leaf(20), request=RequestState.aging), EST, "asking", "repeat"),
        (waiting(last=NOW), facts(leaf=leaf(20)), EVENT, "waiting", "nothing"),
        (waiting(last=NOW, outcome=Outcome.failed), facts(leaf=leaf(20)), EST, "retrying", "nothing"),
        (waiting(last=NOW, attempts=4), facts(leaf=leaf(20)), EVENT, "exhausted", "nothing"),
        (waiting(outcome=Outcome.refused), facts(leaf=leaf(20)), EVENT, "refused", "nothing"),
        (waiting(outcome=Outcome.refused), facts(leaf=leaf(20)), EST, "refused", "nothing"),
        (waiting(outcome=Outcome.refused, last=NOW - DAY), facts(leaf=leaf(20)), EST, "asking", "repeat"),
        (waiting(outcome=Outcome.refused, trigger="ocpp"), facts(leaf=leaf(20)), EVENT, "asking", "request"),
        (waiting(not_before=NOW + DAY), facts(leaf=leaf(20)), EST, "waiting", "nothing"),
        (waiting(attempts=0), facts(leaf=leaf(20)), EST, "asking", "repeat"),
    ],
)  # fmt: skip
def test_what_is_done(record: Record, seen: RenewalFacts, policy: Policy, state: str, step: str) -> None:
    decision = decide(record, seen, policy)
    assert (decision.state, decision.step) == (state, step)
    assert decision.reason


@pytest.mark.parametrize(
    ("record", "seen", "expected"),
    [
        (waiting(), facts(leaf=leaf(20), request=RequestState.answered), Record(number=1, finished=NOW)),
        (waiting(), facts(leaf=leaf(20), request=RequestState.waits), waiting()),
        (waiting(), facts(leaf=leaf(20), request=RequestState.lost), waiting(csr=None)),
        # somebody else renewed the leaf
        (waiting(), facts(leaf=leaf(300, fingerprint="bb")), Record(number=1, finished=NOW)),
        # the clock was set back, or the configuration is another
        (waiting(), facts(leaf=leaf(300)), Record(number=1)),
        (waiting(cause=Cause.trigger), facts(leaf=leaf(300)), waiting(cause=Cause.trigger)),
        (waiting(cause=Cause.trigger), facts(leaf=leaf(300, fingerprint="bb")), Record(number=1, finished=NOW)),
        (waiting(last=NOW + DAY), facts(leaf=leaf(20)), waiting(last=NOW)),
        (waiting(last=NOW + DAY), facts(leaf=leaf(20), doubt="1970"), waiting(last=NOW + DAY)),
    ],
)
def test_what_happened_meanwhile(record: Record, seen: RenewalFacts, expected: Record) -> None:
    assert settle(record, seen, EVENT) == expected


def test_a_ca_that_sends_leaves_which_have_nearly_expired_is_not_asked_without_pause() -> None:
    record = Record(finished=NOW)
    seen = facts(NOW + timedelta(minutes=1), leaf=leaf(1))
    assert decide(record, seen, EVENT).at == NOW + DAY
    brief = facts(NOW, leaf=leaf(1 / 1440, 3 / 1440))  # a laboratory's leaf for three minutes
    assert decide(record, brief, EVENT).at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("in_use", "later", "counts"),
    [
        (leaf(20), None, "aa"),
        (leaf(20), leaf(380, fingerprint="bb"), "bb"),
        (leaf(20), leaf(400, 370, fingerprint="bb"), "aa"),  # there would be a gap
        (leaf(20), leaf(19, 10, fingerprint="bb"), "aa"),
        (None, leaf(380, fingerprint="bb"), "bb"),
        (leaf(20, use=LeafUse.unusable), leaf(400, 370, fingerprint="bb"), "bb"),
    ],
)
def test_a_leaf_that_takes_over_counts_already(in_use: LeafFacts | None, later: LeafFacts | None, counts: str) -> None:
    found = newest(facts(leaf=in_use, successor=later))
    assert found is not None
    assert found.fingerprint == counts


def test_a_leaf_that_expires_is_announced_once() -> None:
    seen = facts(leaf=leaf(20))
    assert expiring(Record(), seen, EVENT) == leaf(20)
    assert expiring(Record(announced="aa"), seen, EVENT) is None
    assert expiring(Record(announced="bb"), seen, EVENT) == leaf(20)
    assert expiring(Record(), facts(leaf=leaf(20), doubt="1970"), EVENT) is None
    assert expiring(Record(), facts(leaf=leaf(100)), EVENT) is None


# ---- whatever happens

moments = st.none() | st.integers(-400, 400).map(lambda days: NOW + timedelta(days=days))
records = st.builds(
    Record,
    state=st.sampled_from(RenewalState),
    since=moments,
    number=st.integers(0, 1000),
    csr=st.none() | st.just("CSR"),
    cause=st.sampled_from(Cause),
    leaf=st.sampled_from(["", "aa", "bb"]),
    trigger=st.sampled_from(["", "ocpp"]),
    attempts=st.integers(0, 2000),
    last=moments,
    not_before=moments,
    outcome=st.sampled_from(Outcome),
    why=st.text(max_size=20),
    finished=moments,
    announced=st.sampled_from(["", "aa"]),
)
leaves = st.none() | st.builds(
    leaf,
    st.integers(-400, 800),
    st.integers(1, 4000),
    fingerprint=st.sampled_from(["aa", "bb"]),
    use=st.sampled_from(LeafUse),
)
seen_facts = st.builds(
    facts,
    leaf=leaves,
    successor=leaves,
    doubt=st.sampled_from([None, "1970"]),
    request=st.sampled_from(RequestState),
)
policies = st.builds(
    Policy,
    st.sampled_from(["off", "event", "command", "est", "cmp"]),
    days=st.integers(1, 3650),
    wait=st.integers(1, 30 * 86400),
    repeats=st.integers(0, 999),
    organization=st.sampled_from(["", "Operator"]),
    common=st.sampled_from(["", "SECC1"]),
)


def test_no_attempts_are_like_one() -> None:
    """As a file may say that somebody else wrote."""
    assert pause(EVENT, 0) == pause(EVENT, 1)


@given(policies)
def test_pauses_never_become_shorter(policy: Policy) -> None:
    pauses = [pause(policy, attempts) for attempts in range(1, policy.repeats + 5)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= DAY


@given(records, seen_facts, policies)
def test_looking_twice_is_looking_once(record: Record, seen: RenewalFacts, policy: Policy) -> None:
    once = settle(record, seen, policy)
    if seen.request is not RequestState.answered:
        assert settle(once, seen, policy) == once
    decision = decide(once, seen, policy)
    assert decide(once, seen, policy) == decision
    assert decision.at is None or decision.at > seen.now
    assert (decision.step is Step.nothing) == (decision.state is not RenewalState.asking)
    if seen.doubt or policy.enrolment == "off":
        assert decision.step is Step.nothing


@given(records)
def test_what_is_written_down_is_what_is_read(record: Record) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


@pytest.mark.parametrize(
    "text",
    [
        None, [], "x", {"attempts": -1}, {"attempts": True}, {"attempts": 10**12}, {"last": "2030-01-01"}, {"last": 3},
        {"state": "well"}, {"csr": 3}, {"why": None}, {"csr": "x" * 10**5}, {"cause": []},
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(text: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        from_json(text)


class Simulation:
    """A station over time, whose requests are never answered unless it is said so."""

    def __init__(self, policy: Policy, found: LeafFacts | None) -> None:
        self.policy, self.leaf, self.now = policy, found, NOW
        self.record, self.pending = Record(), set[str]()
        self.sent: list[datetime] = []
        self.made = 0

    def look(self) -> None:
        waits = RequestState.waits if self.record.csr else RequestState.none
        seen = facts(self.now, leaf=self.leaf, request=waits)
        self.record = settle(self.record, seen, self.policy)
        decision = decide(self.record, seen, self.policy)
        if decision.step is Step.nothing:
            return
        self.record = begun(self.record, decision, seen)
        if self.record.csr is None:
            self.made += 1
            self.record = self.record.requested(f"CSR {self.made}")
        self.sent.append(self.now)
        self.record = self.record.became(Outcome.asked if self.policy.enrolment == "event" else Outcome.failed)


@given(
    policies.filter(lambda policy: policy.enrolment != "off"),
    leaves,
    st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from(["", "", "", "ocpp"])), max_size=60),
)
def test_never_two_pending_and_never_more_often_than_configured(
    policy: Policy, found: LeafFacts | None, steps: list[tuple[int, str]]
) -> None:
    station = Simulation(policy, found)
    for seconds, trigger in steps:
        station.now += timedelta(seconds=seconds)
        if trigger:
            station.record = replace(station.record, trigger=trigger)
            station.sent.clear()
        number, before = station.record.number, len(station.sent)
        station.look()
        station.look()
        assert len(station.sent) <= before + 1
        assert station.record.number - number <= 1
        # what was asked within a day: the first time and the repeats, and one of the day before
        lately = [each for each in station.sent if each > station.now - DAY]
        assert len(lately) <= policy.repeats + 2
    pauses = [later - earlier for earlier, later in zip(station.sent, station.sent[1:], strict=False)]
    assert all(each >= pause(policy, number) for number, each in enumerate(pauses, 1))

"""When responders are asked, by the time that is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.agents.schedule import (
    FIRST_RETRY,
    IDLE,
    LONGEST_RETRY,
    SHORTEST_PAUSE,
    SLOTS,
    History,
    due,
    due_in,
    plan,
)
from evse_security.station import OcspQuestion, OcspState
from evse_security.vocabulary import OCSPRequestData
from tests.builders import DAY, NOW

WEEK = 7 * 86_400.0
HOUR = timedelta(hours=1)
URL = "http://ocsp.example/"


def question(name: str = "SECC", *urls: str, cached: OcspState | None = None) -> OcspQuestion:
    responders = urls or (URL,)
    return OcspQuestion(OCSPRequestData(), name, "1", name, True, responders, (b"sha1", b"sha256"), cached)


def state(begin: datetime, end: datetime | None, now: datetime = NOW) -> OcspState:
    return OcspState("good", begin, end, begin <= now and (end is None or now < end))


@pytest.mark.parametrize(
    ("cached", "hours"),
    [
        (None, 0),
        (state(NOW, NOW + 4 * DAY), 48),  # half of its life
        (state(NOW - DAY, NOW + 3 * DAY), 24),
        (state(NOW - 3 * DAY, NOW + DAY), -24),
        (state(NOW - 2 * DAY, NOW - DAY), 0),  # out of date
        (state(NOW, NOW + 60 * DAY), 168),  # at most weekly
        (state(NOW, None), 84),  # half of the week for which it is offered
        (state(NOW - 5 * DAY, None), -36),
        (state(NOW, datetime.max.replace(tzinfo=NOW.tzinfo)), 168),
        (state(NOW + 2 * DAY, NOW + 9 * DAY), 0),  # from the future: it is not offered
    ],
)
def test_what_is_known_says_when_to_ask_again(cached: OcspState | None, hours: float) -> None:
    assert due_in(question(cached=cached), History(), NOW, 0.0, WEEK) == hours * 3600


def test_refresh_may_be_sooner() -> None:
    cached = state(NOW, NOW + 4 * DAY)
    assert due_in(question(cached=cached), History(), NOW, 0.0, 3600.0) == 3600


def test_a_responder_that_has_nothing_newer_is_asked_again_at_half_of_what_remains() -> None:
    history, asked = History(), question(cached=state(NOW - 3 * DAY, NOW + DAY))
    assert due_in(asked, history, NOW, 1000.0, WEEK) < 0
    history.answered(asked, 1000.0)
    assert due_in(asked, history, NOW, 1000.0, WEEK) == 12 * 3600
    assert due_in(asked, history, NOW + 11 * HOUR, 1000.0 + 11 * 3600, WEEK) == 3600
    last = question(cached=state(NOW - DAY, NOW + timedelta(seconds=10)))
    history.answered(last, 1000.0)
    assert due_in(last, history, NOW, 1000.0, WEEK) == SHORTEST_PAUSE


def test_failures_are_tried_again_ever_less_often_until_somebody_has_luck() -> None:
    history, asked, elapsed, waits = History(), question(), 0.0, []
    for _ in range(12):
        history.failed(asked, elapsed)
        waits.append(due_in(asked, history, NOW, elapsed, WEEK))
        elapsed += waits[-1]
    assert waits[:4] == [FIRST_RETRY, 2 * FIRST_RETRY, 4 * FIRST_RETRY, 8 * FIRST_RETRY]
    assert waits[-1] == LONGEST_RETRY
    known = replace(asked, cached=state(NOW, NOW + 4 * DAY))  # cached by somebody else
    assert due_in(known, history, NOW, elapsed, WEEK) == 48 * 3600
    history.answered(known, elapsed)
    history.failed(known, elapsed)
    assert due_in(known, history, NOW, elapsed, WEEK) == FIRST_RETRY


def test_after_a_leaf_update_everything_is_asked_at_once_and_then_as_usual() -> None:
    history, asked = History(), question(cached=state(NOW, NOW + 4 * DAY))
    history.answered(asked, 0.0)
    history.demanded.add(asked.fingerprint)
    assert due_in(asked, history, NOW, 1.0, WEEK) == 0
    history.failed(asked, 1.0)
    assert due_in(asked, history, NOW, 1.0, WEEK) == FIRST_RETRY
    history.answered(asked, 61.0)
    assert due_in(asked, history, NOW, 61.0, WEEK) == 48 * 3600


def planned(history: History, *questions: OcspQuestion, **given: Any) -> tuple[list[str], float]:
    found = plan(questions, history, **{"now": NOW, "elapsed": 0.0, "refresh": WEEK, **given})
    return [task.question.name for task in found.tasks], found.wait


def test_one_failure_never_drops_the_others() -> None:
    history, a, b = History(), question("A"), question("B")
    history.failed(a, 0.0)
    assert planned(history, a, b) == (["B"], FIRST_RETRY)


def test_a_responder_is_asked_one_thing_at_a_time_and_only_some_at_once() -> None:
    a, b, other = question("A"), question("B"), question("C", "http://other.example:80/x")
    assert planned(History(), a, b, other)[0] == ["A", "C"]
    assert planned(History(), a, b, other, busy=frozenset({"ocsp.example"}))[0] == ["C"]
    many = [question(f"Q{number}", f"http://r{number}.example/") for number in range(10)]
    assert len(planned(History(), *many)[0]) == SLOTS


def test_a_responder_that_is_not_there_is_spared_by_all_that_name_it() -> None:
    history, a, both = History(), question("A"), question("B", URL, "http://second.example/")
    history.unreachable(URL, 0.0)
    found = plan([a, both], history, now=NOW, elapsed=1.0, refresh=WEEK)
    assert [(task.question.name, task.responders) for task in found.tasks] == [("B", ("http://second.example/",))]
    assert found.wait == FIRST_RETRY - 1
    history.reached("http://OCSP.example/other")
    assert planned(history, a)[0] == ["A"]


def test_who_is_gone_is_forgotten() -> None:
    history, asked = History(), question()
    history.failed(asked, 0.0)
    history.unreachable(URL, 0.0)
    history.demanded.add(asked.fingerprint)
    history.forget_others([question("Other", "http://other.example/")])
    assert not history.certificates and not history.responders and not history.demanded


def test_with_nothing_to_ask_it_is_looked_again_after_an_hour() -> None:
    assert planned(History()) == ([], IDLE)
    assert due([], History(), NOW, 0.0, WEEK) == ((), IDLE)


def test_who_else_asks_is_told_everything_that_is_due() -> None:
    history = History(600.0, 86_400.0)
    asked = [question("A"), question("B"), question("C", cached=state(NOW, NOW + DAY))]
    found = due(asked, history, NOW, 0.0, WEEK)
    assert [task.question.name for task in found.tasks] == ["A", "B"]
    for task in found.tasks:
        history.failed(task.question, 0.0)
    assert due(asked, history, NOW, 0.0, WEEK) == ((), 600.0)


@given(
    life=st.floats(120, 90 * 86_400),
    every=st.sampled_from([60.0, 3600.0, 86_400.0, WEEK]),
    fails=st.lists(st.booleans(), max_size=6),
    lag=st.floats(0, 1),
)
def test_law_what_is_cached_is_current_and_nobody_is_asked_all_the_time(
    life: float, every: float, fails: list[bool], lag: float
) -> None:
    """A responder that answers at last, with responses made up to some part of their life ago."""
    history, elapsed, made = History(), 0.0, 0.0
    asked: list[float] = []
    cached: OcspState | None = None
    fail = iter(fails)
    while elapsed < 20 * 86_400 and len(asked) < 200:
        now = NOW + timedelta(seconds=elapsed)
        current = None if cached is None else replace(cached, is_current=now <= (cached.next_update or now))
        one = question(cached=current)
        left = due_in(one, history, now, elapsed, every)
        if left > 0:
            elapsed += left + 1e-3
            continue
        asked.append(elapsed)
        if next(fail, False):
            history.failed(one, elapsed)
            continue
        if cached is None or elapsed - made >= life * lag / 2:
            made = elapsed
            cached = OcspState("good", now, now + timedelta(seconds=life), True)
        history.answered(one, elapsed)
    gaps = [after - before for before, after in pairwise(asked)]
    assert all(gap >= min(SHORTEST_PAUSE, every, life / 4) - 1e-6 for gap in gaps)
    answered = gaps[len(fails) :]
    assert all(gap <= max(every, 60.0) + 1 for gap in answered)
    assert all(gap <= life for gap in answered)  # it never ran out


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=30))
def test_law_plans_respect_who_is_busy(asked: list[tuple[int, bool]]) -> None:
    history = History()
    questions = [question(f"Q{number}", f"http://r{host}.example/") for number, (host, _) in enumerate(asked)]
    for one, (_, failed) in zip(questions, asked, strict=True):
        if failed:
            history.failed(one, 0.0)
    found = plan(questions, history, now=NOW, elapsed=0.0, refresh=WEEK, busy=frozenset({"r0.example"}))
    hosts = [task.responders[0] for task in found.tasks]
    assert len(hosts) == len(set(hosts)) <= SLOTS - 1
    assert "http://r0.example/" not in hosts
    assert 0 < found.wait <= IDLE

"""Answers are kept exactly as long as they hold: at every moment the one that a fresh store gives."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from evse_security.pki.path import Policy
from evse_security.store.rules.select import chosen, newest_per_root
from evse_security.store.rules.span import Span, bounds
from evse_security.store.snapshot import Snapshot
from tests.builders import DAY, NOW, YEAR, World, world
from tests.store.pictures import SECC_LEAF, V2G, V2G_BUNDLE, Shelf, of

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
POLICY = Policy((SECC_LEAF,))


def pki() -> World:
    """Leaves and CAs that begin and end one after the other."""
    return world(
        "Root > Sub > Old",
        "Sub > New",
        "Sub > Later",
        "Other > OtherSub > Else",
        Root={"not_before": NOW - YEAR, "not_after": NOW + 300 * DAY},
        Sub={"not_before": NOW - 90 * DAY, "not_after": NOW + 200 * DAY},
        Old={"not_before": NOW - 50 * DAY, "not_after": NOW + 10 * DAY},
        New={"not_before": NOW - 40 * DAY, "not_after": NOW + 30 * DAY},
        Later={"not_before": NOW + 20 * DAY, "not_after": NOW + 250 * DAY},
        Else={"not_before": NOW - 5 * DAY, "not_after": NOW + 25 * DAY},
    )


def stocked(w: World) -> Snapshot:
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Other"))
    for number, (leaf, sub) in enumerate((("Old", "Sub"), ("New", "Sub"), ("Later", "Sub"), ("Else", "OtherSub"))):
        shelf = shelf.with_leaf(w, leaf, sub, number=number)
    return shelf.look()


def answers(snapshot: Snapshot, now: datetime) -> tuple[object, object]:
    store, trust = snapshot.leaves[SECC_LEAF], snapshot.cas[V2G].trust
    one = chosen(store, trust, "not_after", POLICY, now)
    several = newest_per_root(store, trust, "not_after", POLICY, now)
    return one and one.certificate, [(leaf.certificate, chain.anchor) for leaf, chain in several]


def test_an_answer_that_was_kept_is_the_one_of_a_fresh_store() -> None:
    w = pki()
    kept = stocked(w)
    moments = [bound + step for bound in bounds(of(w, holder) for holder in w) for step in (-TICK, TICK * 0, SECOND)]
    seen = set()
    for now in (*moments, *reversed(moments), *moments[::5]):
        expected = answers(stocked(w), now)
        assert answers(kept, now) == expected
        assert answers(kept, now) == expected
        seen.add(expected[0])
    assert {of(w, "New"), of(w, "Old"), of(w, "Later"), of(w, "Else"), None} >= seen
    assert len(seen) >= 4


def test_an_answer_is_kept() -> None:
    snapshot = stocked(pki())
    store, trust = snapshot.leaves[SECC_LEAF], snapshot.cas[V2G].trust
    first = newest_per_root(store, trust, "not_after", POLICY, NOW)
    assert newest_per_root(store, trust, "not_after", POLICY, NOW + SECOND) is first
    assert newest_per_root(store, trust, "not_after", POLICY, NOW + 26 * DAY) is not first


@pytest.mark.parametrize("steps", [(), (0,), (-1, 1), (-2, -1, 3)])
def test_a_span_ends_at_the_next_bound(steps: tuple[int, ...]) -> None:
    marks = [NOW + step * DAY for step in steps]
    span = Span().within(marks, NOW)
    assert span.covers(NOW)
    for mark in marks:
        assert span.covers(mark) == (mark <= NOW and mark == max(one for one in marks if one <= NOW))
        assert not span.covers(mark - TICK) or mark > NOW

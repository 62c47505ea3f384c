"""The overview as the page draws it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from evse_security.clock import Moment
from evse_security.http.page.rows import Clock, Row, row, urgency
from evse_security.http.page.trees import LONGEST_TREE, PER_PAGE, SHOWN, overview_view, places, siblings
from evse_security.http.page.words import Badge, Tone
from evse_security.lab.keys import KeyKind
from evse_security.store.overview import DomainOverview, Node, Overview, overview
from evse_security.store.reasons import Role
from evse_security.store.rules.ask import OcspState
from evse_security.vocabulary import CaCertificateType
from tests.builders import DAY, NOW, YEAR, World, world
from tests.store.pictures import BELIEVED, V2G_BUNDLE, Shelf

CLOCK = Clock(NOW, 30 * DAY, None)


def drawn(shelf: Shelf, moment: Moment = BELIEVED) -> Overview:
    return overview(shelf.look(), moment, "not_after")


def pki(**changes: Any) -> World:
    return world("Root > Sub > SECC", "Root > Sub > Other", "Root > Sub > Third", "Waiting", **changes)


def station(w: World) -> Shelf:
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root")).with_leaf(w, "SECC", "Sub").with_leaf(w, "Other", "Sub", number=2)
    return shelf.with_key(w, "Waiting", "client/cso/waiting.key", age=2 * DAY)


def node(name: str = "leaf", children: tuple[Node, ...] = (), **changes: Any) -> Node:
    made = Node(
        role=Role.LEAF,
        name=f"CN={name}",
        serial="01",
        fingerprint=name,
        not_before=NOW - DAY,
        not_after=NOW + 60 * DAY,
        validity="valid",
        key="EC 256",
        files=(),
        ocsp=None,
        names_responder=False,
        used=False,
        reason="NotNewest",
        because="not used",
        private_key=None,
        hash_data=None,
        children=children,
    )
    return replace(made, **changes)


def everything(*trees: Node) -> Overview:
    found = drawn(Shelf())
    domain = DomainOverview(CaCertificateType.V2G, found.domains[0].path, "file", trees)
    return replace(found, domains=(domain,))


def names(rows: tuple[Row, ...]) -> list[str]:
    return [one.title for one in rows]


def test_the_first_page_of_a_station() -> None:
    w = pki(Other={"not_after": NOW + DAY}, SECC={"not_after": NOW + 10 * DAY})
    view = overview_view(drawn(station(w)), CLOCK)
    v2g = view.domains[0]
    assert (v2g.domain, v2g.leaves, v2g.roots) == ("V2G", 2, 1)
    assert names(v2g.in_use) == ["SECC"]
    assert names(v2g.trees[0].children[0].children) == ["SECC", "Other"]
    assert [(key.kind, key.age) for key in view.pending] == [("V2G", "2 days ago")]
    assert names(view.soon) == ["SECC"]  # Other ends sooner, but nobody uses it
    assert view.soon[0].state == Badge("in use", Tone.GOOD)
    assert view.soon[0].bar is not None and view.soon[0].bar.tone is Tone.SOON


def test_what_expires_soonest_comes_first_and_what_is_over_last() -> None:
    ends = {"b": 5, "a": 3, "c": 90}
    used = [node(name, used=True, reason="InUse", not_after=NOW + days * DAY) for name, days in ends.items()]
    over = node("z", validity="expired", not_after=NOW - DAY)
    unused = [node("old", not_after=NOW + DAY), node("new", not_after=NOW + 2 * DAY)]
    in_order = sorted([over, *unused, *used], key=urgency)
    assert [one.fingerprint for one in in_order] == ["a", "b", "c", "new", "old", "z"]
    view = overview_view(everything(over, *unused, *used), CLOCK)
    assert names(view.soon) == ["a", "b"]


def test_nothing_is_said_to_expire_while_the_clock_is_not_believed() -> None:
    w = pki()
    doubt = Clock(NOW, 30 * DAY, "the clock shows 1970")
    view = overview_view(drawn(station(w), Moment(NOW, "the clock shows 1970")), doubt)
    assert view.soon == ()
    root = view.domains[0].trees[0]
    assert (root.bar, root.remaining, view.pending[0].age) == (None, "", "age unknown: the clock")


def test_thousands_of_leaves_are_bounded_and_paged() -> None:
    leaves = tuple(node(f"leaf{number}", not_after=NOW + timedelta(days=60, minutes=number)) for number in range(2000))
    sub = node("Sub", leaves, role=Role.SUB_CA, used=True)
    found = everything(node("Root", (sub,), role=Role.ROOT, used=True))
    view = overview_view(found, CLOCK).domains[0]
    [drawn_sub] = view.trees[0].children
    assert names(drawn_sub.children[:2]) == ["leaf1999", "leaf1998"]
    assert (len(drawn_sub.children), drawn_sub.more) == (SHOWN, 2000 - SHOWN)
    page = siblings(found, "V2G", "Sub", PER_PAGE, CLOCK)
    assert page is not None
    assert (page.rows[0].title, page.before, page.after, page.count) == ("leaf1899", 0, 2 * PER_PAGE, 2000)
    last = siblings(found, "V2G", "Sub", 1950, CLOCK)
    assert last is not None and (len(last.rows), last.after) == (50, None)
    [place] = places(found, "Sub", CLOCK)
    assert (len(place.children), place.more) == (SHOWN, 2000 - SHOWN)


def test_many_roots_with_many_sub_cas_are_bounded_altogether() -> None:
    roots = tuple(node(f"r{n}", tuple(node(f"s{n}.{m}", (node(f"l{n}.{m}"),)) for m in range(30))) for n in range(140))
    view = overview_view(everything(*roots), CLOCK).domains[0]

    def count(rows: tuple[Row, ...]) -> int:
        return sum(1 + count(one.children) for one in rows)

    assert count(view.trees) <= LONGEST_TREE
    assert (len(view.trees), view.more) == (SHOWN, 140 - SHOWN)
    shown = view.trees[-1]
    assert shown.more == 30  # what there was no room for is told


def test_the_secc_leaf_of_the_other_edition_is_in_use_too_and_told_of_when_it_expires() -> None:
    """Half of the cars are shown it: a technician who reads "not used" deletes it."""
    w = pki(Other={"key": KeyKind.SECP521R1}, SECC={"not_after": NOW + 10 * DAY})
    view = overview_view(drawn(station(w)), CLOCK)
    assert sorted(names(view.domains[0].in_use)) == ["Other", "SECC"]
    assert names(view.soon) == ["SECC"]
    assert view.soon[0].state == Badge("in use", Tone.GOOD)


def test_what_leads_to_the_leaf_in_use_is_never_left_out() -> None:
    leaf = node("SECC", used=True, reason="InUse")
    own = node("Own", (node("Sub", (leaf,), role=Role.SUB_CA, used=True),), role=Role.ROOT, used=True)
    others = [node(f"r{n}", role=Role.ROOT, used=True, not_after=NOW + DAY) for n in range(140)]
    view = overview_view(everything(*others, own), CLOCK).domains[0]
    assert names(view.trees[0].children[0].children) == ["SECC"]
    page = siblings(everything(*others, own), "V2G", None, 0, CLOCK)
    assert page is not None and page.rows[0].title == "Own"


def test_what_is_not_there_is_no_page() -> None:
    found = everything(node("a"))
    assert siblings(found, "XX", None, 0, CLOCK) is None
    assert siblings(found, "V2G", "gone", 0, CLOCK) is None
    assert places(found, "gone", CLOCK) == ()
    top = siblings(found, "V2G", None, 0, CLOCK)
    assert top is not None and names(top.rows) == ["a"]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"used": True, "reason": "InUse"}, Badge("in use", Tone.GOOD)),
        ({"used": True, "reason": "IssuerNotFound"}, Badge("in use, but refused by peers", Tone.BAD)),
        ({"role": Role.ROOT, "used": True, "reason": "TrustedRoot"}, Badge("trusted", Tone.GOOD)),
        ({"role": Role.SUB_CA, "used": True, "reason": "BuildsChains"}, Badge("in use for chains", Tone.GOOD)),
        ({"validity": "expired", "reason": "Expired"}, Badge("expired", Tone.IDLE)),
        ({"validity": "not yet valid", "reason": "NotYetValid"}, Badge("not yet valid", Tone.IDLE)),
        ({"role": Role.ROOT, "validity": "expired", "reason": "Expired"}, Badge("expired", Tone.BAD)),
        ({"reason": "NotNewest"}, Badge("not used", Tone.IDLE)),
        ({"reason": "KeyNotFound"}, Badge("not used", Tone.BAD)),
        ({"role": Role.ROOT, "reason": "BadSignature"}, Badge("not trusted", Tone.BAD)),
    ],
)
def test_states_in_a_word(changes: dict[str, Any], state: Badge) -> None:
    assert row(node(**changes), "V2G", CLOCK).state == state


@pytest.mark.parametrize(
    ("ocsp", "names_responder", "said"),
    [
        (None, False, Badge("names no responder", Tone.IDLE)),
        (None, True, Badge("no response cached", Tone.SOON)),
        (OcspState("good", NOW, NOW + DAY, True), True, Badge("good until 2030-01-02", Tone.GOOD)),
        (OcspState("good", NOW, None, True), True, Badge("good on 2030-01-01", Tone.GOOD)),
        (OcspState("good", NOW - YEAR, NOW - DAY, False), True, Badge("good on 2029-01-01, out of date", Tone.SOON)),
        (OcspState("revoked", NOW, NOW + DAY, True), True, Badge("revoked", Tone.BAD)),
    ],
)
def test_ocsp_in_a_word(ocsp: OcspState | None, names_responder: bool, said: Badge) -> None:  # noqa: FBT001
    assert row(node(ocsp=ocsp, names_responder=names_responder), "V2G", CLOCK).ocsp == said


def test_every_tone_has_a_mark_of_its_own() -> None:
    assert len({Badge("", tone).mark for tone in Tone}) == len(Tone)

"""Every path that a verification tries, each with its verdict."""

import pytest

from evse_security.errors import ChainRefused, Expired, IssuerNotFound, NotAnEndEntity, NoTrustAnchor, SearchExhausted
from evse_security.pki.candidates import Tried, candidates
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import MAX_CANDIDATES, Policy, TrustStore, verify
from evse_security.vocabulary import LeafCertificateType
from tests.builders import NOW, YEAR, World, world

V2G = Policy((LeafCertificateType.V2G,))


def of(w: World, *holders: str) -> list[Certificate]:
    return [Certificate(w[holder].der) for holder in holders]


def tried(w: World, chain: list[str], anchors: list[str], sub_cas: tuple[str, ...] = ()) -> Tried:
    leaf, *sent = of(w, *chain)
    trust = TrustStore(of(w, *anchors), of(w, *sub_cas))
    return candidates(leaf, intermediates=sent, trust=trust, policy=V2G, now=NOW)


def names(found: Tried) -> list[list[str]]:
    return [[c.name.removeprefix("CN=").split(",")[0] for c in one.path] for one in found.candidates]


def test_one_path_and_it_is_taken() -> None:
    w = world("Root > Sub > Leaf")
    found = tried(w, ["Leaf", "Sub"], ["Root"])
    assert names(found) == [["Leaf", "Sub", "Root"]]
    assert found.taken is found.candidates[0]
    assert (found.leaf, found.dead_ends) == (None, ())


def test_paths_behind_the_first_valid_one_are_judged_too() -> None:
    w = world("A > Sub > Leaf", "B > Cross >", "C > Late >", Cross={"same_as": "Sub"},
              Late={"same_as": "Sub", "not_before": NOW - 2 * YEAR, "not_after": NOW - YEAR})  # fmt: skip
    found = tried(w, ["Leaf", "Sub", "Late", "Cross"], ["A", "B", "C"])
    assert names(found) == [["Leaf", "Sub", "A"], ["Leaf", "Sub", "B"], ["Leaf", "Sub", "C"]]
    assert [type(one.refusal) for one in found.candidates] == [type(None), type(None), Expired]
    assert found.taken is found.candidates[0]


def test_where_no_path_reaches_an_anchor_the_dead_ends_say_why() -> None:
    w = world("Root > Sub > Leaf", "Other > x")
    found = tried(w, ["Leaf"], ["Other"])
    assert (found.candidates, found.taken) == ((), None)
    assert [type(one) for one in found.dead_ends] == [IssuerNotFound]
    assert [type(one) for one in tried(w, ["Leaf", "Sub"], []).dead_ends] == [NoTrustAnchor]


def test_a_leaf_that_is_none_has_its_paths_but_none_is_taken() -> None:
    w = world("Root > Sub > Leaf")
    found = tried(w, ["Sub"], ["Root"])
    assert isinstance(found.leaf, NotAnEndEntity)
    assert (names(found), found.taken) == ([["Sub", "Root"]], None)


def test_the_budget_is_that_of_verify() -> None:
    roots = [f"R{n}" for n in range(MAX_CANDIDATES + 6)]
    w = world(
        "R0 > Sub > Leaf", *(f"{root} >" for root in roots[1:]), **{root: {"same_as": "R0"} for root in roots[1:]}
    )
    found = tried(w, ["Leaf", "Sub"], roots)
    assert len(found.candidates) == MAX_CANDIDATES
    assert isinstance(found.dead_ends[-1], SearchExhausted)


@pytest.mark.parametrize(
    "sent", [["Leaf", "Sub"], ["Leaf"], ["Leaf", "Late"], ["Leaf", "Late", "Cross"], ["Sub"], ["Leaf", "Cross"]]
)
@pytest.mark.parametrize("anchors", [["A"], ["B"], ["A", "B"], []])
def test_verify_takes_what_is_said_to_be_taken(sent: list[str], anchors: list[str]) -> None:
    w = world("A > Sub > Leaf", "B > Cross >", "A > Late >", Cross={"same_as": "Sub"},
              Late={"same_as": "Sub", "not_before": NOW - 2 * YEAR, "not_after": NOW - YEAR})  # fmt: skip
    found = tried(w, sent, anchors)
    leaf, *rest = of(w, *sent)
    try:
        chain = verify(leaf, intermediates=rest, trust=TrustStore(of(w, *anchors)), policy=V2G, now=NOW)
    except ChainRefused as refusal:
        said = [one.refusal for one in found.candidates if one.refusal] or list(found.dead_ends)
        assert found.taken is None
        assert str(refusal) in {str(one) for one in (found.leaf, *said) if one is not None}
    else:
        assert found.taken is not None
        assert found.taken.path == chain.path

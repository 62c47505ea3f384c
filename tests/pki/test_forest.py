"""Who issued whom: by name, key identifier and signature, never by the clock."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from evse_security.lab.authority import KeyIdentifier, name
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import MAX_CHECKS, Forest, lineage
from evse_security.pki.hashdata import certificate_id
from evse_security.vocabulary import HashAlgorithm
from tests.builders import DAY, NOW, YEAR, World, key, with_serial_number, world

BARE: dict[str, Any] = {
    "subject_key_identifier": KeyIdentifier.ABSENT,
    "authority_key_identifier": KeyIdentifier.ABSENT,
}


def read(made: World) -> dict[str, Certificate]:
    return {holder: Certificate(made[holder].der) for holder in made}


def test_issuers_and_issued() -> None:
    made = read(world("Root > Sub1 > Sub2 > Leaf", "Root > Other > Leaf2", "Lone >"))
    forest = Forest(made.values())
    expected = {"Leaf": "Sub2", "Sub2": "Sub1", "Sub1": "Root", "Root": "Root", "Leaf2": "Other", "Lone": "Lone"}
    for child, issuer in expected.items():
        assert forest.issuer_of(made[child]) == made[issuer]
    assert forest.issued_by(made["Root"]) == [made["Sub1"], made["Other"]]
    assert forest.descendants(made["Root"]) == [made[one] for one in ("Sub1", "Sub2", "Leaf", "Other", "Leaf2")]
    assert forest.descendants(made["Leaf"]) == forest.issued_by(made["Lone"]) == []
    assert lineage(made["Leaf"], forest) == [made["Sub2"], made["Sub1"], made["Root"]]
    assert lineage(made["Root"], forest) == []


def test_fault_63_copies_count_once_and_the_order_does_not_matter() -> None:
    made = read(world("Root > Sub1 > Sub2 > Leaf"))
    for order in itertools.permutations(made.values()):
        forest = Forest((*order, *order))
        assert set(forest.certificates) == set(made.values())
        assert forest.issuer_of(made["Sub2"]) == made["Sub1"]
        assert forest.descendants(made["Root"]) == [made["Sub1"], made["Sub2"], made["Leaf"]]
        assert forest.id_of(made["Leaf"]) == certificate_id(made["Leaf"], made["Sub2"])


def test_fault_48_certificates_out_of_validity_have_their_parents_and_their_identity() -> None:
    made = read(
        world(
            "Root > Sub > Old", "Root > Sub > Coming",
            Root={"not_after": NOW - DAY}, Sub={"not_after": NOW - DAY},
            Old={"not_before": NOW - YEAR, "not_after": NOW - DAY}, Coming={"not_before": NOW + DAY},
        )
    )  # fmt: skip
    forest = Forest(made.values())
    assert forest.descendants(made["Root"]) == [made["Sub"], made["Old"], made["Coming"]]
    for certificate in made.values():
        cert_id = forest.id_of(certificate)
        assert cert_id is not None
        assert forest.identified(cert_id) == [certificate]


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_fault_52_certificates_are_found_by_each_algorithm(algorithm: HashAlgorithm) -> None:
    made = read(world("Root > Leaf"))
    forest = Forest(made.values())
    wanted = certificate_id(made["Leaf"], made["Root"], algorithm)
    assert forest.identified(wanted) == [made["Leaf"]]
    assert forest.identified(wanted._replace(serial=1)) == []
    assert forest.identified(wanted._replace(issuer_key_hash="0")) == []


def test_one_serial_number_given_twice() -> None:
    made = world("Root > One", "Root > Two")
    twins = [Certificate(with_serial_number(made[holder], 7)) for holder in ("One", "Two")]
    forest = Forest([Certificate(made["Root"].der), *twins])
    assert forest.identified(certificate_id(twins[0], forest.certificates[0])) == twins


def test_an_orphan_has_no_identity() -> None:
    made = read(world("Root > Sub > Leaf"))
    forest = Forest([made["Root"], made["Leaf"]])
    assert forest.issuer_of(made["Leaf"]) is None
    assert forest.id_of(made["Leaf"]) is None
    assert lineage(made["Leaf"], forest) == []


def test_fault_35_a_forged_root_has_an_identity_and_can_be_deleted_by_it() -> None:
    forged = Certificate(world("Root >", Root={"signed_by": "Mallory"})["Root"].der)
    forest = Forest([forged])
    assert forest.issuer_of(forged) is None
    cert_id = forest.id_of(forged)
    assert cert_id == certificate_id(forged, forged)
    assert forest.identified(cert_id) == [forged]


@pytest.mark.parametrize("bare", [{}, BARE])
def test_roots_of_one_name_are_told_apart_by_key(bare: dict[str, Any]) -> None:
    """Without key identifiers by the signature alone."""
    named = {"subject": name(CN="Root"), **bare}
    made = read(world("A > LeafA", "B > LeafB", A=named, B=named, LeafA=bare, LeafB=bare))
    for order in (made.values(), reversed(made.values())):
        forest = Forest(order)
        assert forest.issuer_of(made["LeafA"]) == made["A"]
        assert forest.issuer_of(made["LeafB"]) == made["B"]
        assert forest.issued_by(made["A"]) == [made["LeafA"]]
        assert forest.issuer_of(made["A"]) == made["A"]


def test_a_cross_signed_sub_ca_has_two_certificates_with_one_progeny() -> None:
    made = read(world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"}))
    forest = Forest(made.values())
    assert forest.descendants(made["A"]) == [made["Sub"], made["Leaf"]]
    assert forest.descendants(made["B"]) == [made["Cross"], made["Leaf"]]
    assert forest.issuer_of(made["Leaf"]) in (made["Sub"], made["Cross"])
    ids = {certificate_id(made["Leaf"], made[issuer]) for issuer in ("Sub", "Cross")}
    assert ids == {forest.id_of(made["Leaf"])}


def test_cross_certificates_in_a_circle_end() -> None:
    made = read(
        world(
            "A > Sub > Leaf", "B > BA >", "A > AB >",
            AB={"same_as": "B"}, BA={"same_as": "A"},
        )
    )  # fmt: skip
    circle = Forest(made[one] for one in ("AB", "BA", "Sub", "Leaf"))
    assert set(circle.descendants(made["AB"])) == {made["BA"], made["Sub"], made["Leaf"]}
    assert lineage(made["Leaf"], circle) == [made["Sub"], made["BA"], made["AB"]]
    whole = Forest(made.values())
    assert set(whole.descendants(made["A"])) == {made["Sub"], made["Leaf"], made["AB"], made["BA"]}


def test_a_renewed_key_signed_by_the_old_one() -> None:
    """Self-issued, not self-signed (RFC 5280 §3.2)."""
    made = read(world("Old > New > Leaf", Old={"subject": name(CN="Root")}, New={"subject": name(CN="Root")}))
    forest = Forest(made.values())
    assert forest.issuer_of(made["New"]) == made["Old"]
    assert forest.issuer_of(made["Leaf"]) == made["New"]
    assert lineage(made["Leaf"], forest) == [made["New"], made["Old"]]


def test_a_lineage_goes_through_several_forests_in_their_order() -> None:
    made = read(world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"}))
    own, store = Forest([made["Leaf"], made["Cross"]]), Forest([made["A"], made["Sub"], made["B"]])
    assert lineage(made["Leaf"], own, store) == [made["Cross"], made["B"]]
    assert lineage(made["Leaf"], store, own) == [made["Sub"], made["A"]]


def test_a_forged_certificate_has_no_issuer() -> None:
    made = read(world("Root > Leaf", Leaf={"signed_by": "Mallory"}))
    forest = Forest(made.values())
    assert forest.possible_issuers(made["Leaf"]) == [made["Root"]]
    assert forest.issuer_of(made["Leaf"]) is None
    assert forest.issued_by(made["Root"]) == []


def test_an_issuer_with_another_key_identifier_is_none() -> None:
    made = read(world("Root > Leaf", Leaf={"authority_key_identifier": b"another"}))
    forest = Forest(made.values())
    assert forest.possible_issuers(made["Leaf"]) == []
    assert forest.issued_by(made["Root"]) == []


@pytest.mark.parametrize(("strangers", "known"), [(MAX_CHECKS - 1, True), (MAX_CHECKS, False)])
def test_a_lineage_among_many_of_one_name_ends_at_a_hundred_signatures(strangers: int, known: bool) -> None:  # noqa: FBT001
    named = {"subject": name(CN="Root"), **BARE}
    made = read(world("Root > Leaf", "Other >", Root=named, Leaf=BARE, Other=named))
    received = Forest(Certificate(made["Other"].der[:-1] + bytes((last,))) for last in range(strangers))
    assert lineage(made["Leaf"], received, Forest([made["Root"]])) == ([made["Root"]] if known else [])


class Counted(Certificate):
    """Counts the signatures that are asked about."""

    asked = 0

    def signed_by(self, issuer: Certificate) -> bool:
        self.asked += 1
        return super().signed_by(issuer)


def test_who_issued_whom_among_cross_certificates_of_one_name_is_worked_out_once() -> None:
    named = {"subject": name(CN="Root"), **BARE}
    holders = [f"R{number}" for number in range(9)]
    made = world(*(f"Root > {holder} >" for holder in holders), Root=named, **dict.fromkeys(holders, named))
    forest = Forest([Counted(made[holder].der) for holder in made])
    root, *others = forest.certificates

    def look() -> int:
        assert forest.descendants(root) == others
        assert {forest.issuer_of(one) for one in others} == {root}
        assert not any(forest.issued_by(one) for one in others)
        return sum(one.asked for one in forest.certificates if isinstance(one, Counted))

    once = look()
    assert 0 < once <= 3 * len(forest.certificates) ** 2
    assert look() == once


def test_a_forest_knows_nothing_of_what_others_issued_and_keeps_nothing_of_them() -> None:
    made = read(world("Root > Leaf", "Root > Other"))
    forest = Forest([made["Root"], made["Leaf"]])
    assert Forest([made["Leaf"]]).issued_by(made["Root"]) == []
    assert forest.issuer_of(made["Other"]) == forest.issuer_of(made["Other"]) == made["Root"]
    forest.issued_by(made["Root"]).clear()
    assert forest.issued_by(made["Root"]) == [made["Leaf"]]


# ---- changes


def tangle() -> list[Certificate]:
    """Chains, cross-certificates, a loop, forged ones, namesakes without key identifiers and a root that came later."""
    named = {"subject": name(CN="Crowd"), **BARE}
    made = world(
        "Root > Sub > Leaf1", "Sub > Leaf2", "Sub > Leaf3", "Other > Cross >", "A > AB >", "B > BA >", "B > Leaf4",
        "R1 >", "R2 >", "R3 >", "R2 > Leaf5", "R3 > Leaf6", "Lone >", "Root > Forged >", "Forged > Leaf7",
        Cross={"same_as": "Sub"}, AB={"subject": name(CN="B", O="Test"), "key": key("B")}, BA={"same_as": "A"},
        Forged={"same_as": "Sub", "signed_by": "Mallory"}, R1=named, R2=named, R3=named, Leaf5=BARE, Leaf6=BARE,
    )  # fmt: skip
    return list(read(made).values())


def everything(forest: Forest, asked: list[Certificate]) -> list[object]:
    """All answers of a forest, about members and others."""
    ids = [forest.id_of(one) for one in asked]
    return [
        forest.certificates,
        [forest.issuer_of(one) for one in asked],
        [forest.issued_by(one) for one in asked],
        [forest.possible_issuers(one) for one in asked],
        [forest.descendants(one) for one in asked],
        [forest.identified(one) for one in ids if one is not None],
        [one in forest for one in asked],
    ]


@pytest.mark.parametrize("few", [2, 32])
@pytest.mark.parametrize("seed", range(20))
def test_a_changed_forest_is_the_same_as_a_new_one(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether what is of one name counts as few or as many, which is kept in another way."""
    monkeypatch.setattr("evse_security.pki.forest._FEW", few)
    chance = random.Random(seed)
    known = tangle()
    forest = Forest(chance.sample(known, chance.randrange(len(known))))
    for _ in range(12):
        if chance.random() < 0.8:
            everything(forest, chance.sample(known, chance.randrange(len(known))))
        removed, added = (chance.sample(known, chance.choice((0, 1, 1, 2, 9))) for _ in range(2))
        before = everything(forest, known) if chance.random() < 0.2 else None
        changed = forest.changed(added, removed)
        assert before is None or everything(forest, known) == before
        stays = [one for one in forest.certificates if one not in removed]
        assert everything(changed, known) == everything(Forest((*stays, *added)), known)
        forest = changed


def test_what_did_not_change_is_not_worked_out_again() -> None:
    made = world("Root > Sub > Leaf1", "Sub > Leaf2", "Other > Leaf3")
    root, sub, leaf1, other, leaf3, leaf2 = (
        Counted(made[holder].der) for holder in ("Root", "Sub", "Leaf1", "Other", "Leaf3", "Leaf2")
    )
    forest = Forest([root, sub, leaf1, other, leaf3])
    known = list(forest.certificates)
    everything(forest, known)
    once = [one.asked for one in (root, sub, leaf1, other, leaf3)]
    changed = forest.changed([leaf2], [leaf3])
    assert [changed.issuer_of(one) for one in (root, sub, leaf1, other)] == [root, root, sub, other]
    assert changed.issued_by(sub) == [leaf1, leaf2]
    assert [one.asked for one in (root, sub, leaf1, other, leaf3)] == once
    assert leaf2.asked <= 2


def test_a_forest_is_not_changed_by_what_becomes_of_it() -> None:
    made = read(world("Root > Sub > Leaf", "Root > Other"))
    forest = Forest(made.values())
    before = everything(forest, list(made.values()))
    assert forest.changed((), made.values()).certificates == ()
    assert forest.changed([made["Root"]], [made["Root"]]).certificates[-1] == made["Root"]
    assert forest.changed(made.values(), ()).certificates == forest.certificates
    assert everything(forest, list(made.values())) == before

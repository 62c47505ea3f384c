"""Which leaf is used."""

import gc
import weakref
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from evse_security import Station, StationConfig
from evse_security.errors import IssuerNotFound
from evse_security.lab.authority import KeyUse
from evse_security.pki.path import LeafStart, Policy
from evse_security.pki.profile import ProfileName
from evse_security.store.rules.select import chosen, flaw, newest_per_root, status, usable
from evse_security.vocabulary import GetCertificateInfoStatus
from tests.builders import DAY, NOW, YEAR, World, world
from tests.store.pictures import CSMS_LEAF, FUTURE, PAST, SECC_LEAF, V2G, V2G_BUNDLE, Shelf, junk_block, of, token

SECOND = timedelta(seconds=1)


def leaves(*holders: str, **changes: Any) -> World:
    return world(*(f"Root > Sub > {holder}" for holder in holders), **changes)


def stocked(w: World, *holders: str) -> Shelf:
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem)
    for number, holder in enumerate(holders):
        shelf = shelf.with_leaf(w, holder, "Sub", number=number)
    return shelf


POLICY = Policy((SECC_LEAF,))


def used(shelf: Shelf, newest_by: str = "not_after") -> list[str]:
    found = usable(shelf.look().leaves[SECC_LEAF], newest_by, POLICY, NOW)
    return [leaf.certificate.name.split("CN=")[1].split(",")[0] for leaf in found]


def why(shelf: Shelf) -> GetCertificateInfoStatus:
    return status(shelf.look().leaves[SECC_LEAF], POLICY, NOW)


def test_fault_46_the_newest_is_told_by_the_end_or_by_the_start_of_validity() -> None:
    w = leaves(
        "Long",
        "Renewed",
        Long={"not_before": NOW - 90 * DAY, "not_after": NOW + 300 * DAY},
        Renewed={"not_before": NOW - DAY, "not_after": NOW + 90 * DAY},
    )
    for order in (("Long", "Renewed"), ("Renewed", "Long")):
        assert used(stocked(w, *order)) == ["Long", "Renewed"]
        assert used(stocked(w, *order), "not_before") == ["Renewed", "Long"]


def test_of_two_that_end_together_the_one_that_began_later_is_newer_and_the_other_way_round() -> None:
    w = leaves(
        "A", "B", "C", A={"not_before": NOW - 3 * DAY}, B={"not_before": NOW - 2 * DAY}, C={"not_after": NOW + DAY}
    )
    assert used(stocked(w, "A", "B", "C")) == ["B", "A", "C"]
    assert used(stocked(w, "A", "B", "C"), "not_before") == ["C", "B", "A"]


@pytest.mark.parametrize("newest_by", ["not_after", "not_before"])
def test_leaves_outside_their_validity_are_not_used(newest_by: str) -> None:
    w = leaves("Good", "Ended", "Coming", Ended=PAST, Coming=FUTURE)
    assert used(stocked(w, "Good", "Ended", "Coming"), newest_by) == ["Good"]


def test_the_bounds_of_validity_belong_to_it() -> None:
    w = leaves("Begins", "Ends", Begins={"not_before": NOW}, Ends={"not_after": NOW})
    assert used(stocked(w, "Begins", "Ends")) == ["Begins", "Ends"]
    w = leaves("Begins", "Ends", Begins={"not_before": NOW + SECOND}, Ends={"not_after": NOW - SECOND})
    assert used(stocked(w, "Begins", "Ends")) == []


def test_a_leaf_without_its_key_is_passed_over_for_the_next() -> None:
    w = leaves("Good", "Keyless", Keyless={"not_after": NOW + YEAR})
    shelf = stocked(w, "Good").put("client/cso/k.pem", w.pem("Keyless", "Sub"))
    assert used(shelf) == ["Good"]


def test_23_15_a_ca_certificate_with_its_key_is_never_used() -> None:
    w = leaves("Good")
    shelf = stocked(w, "Good").with_leaf(w, "Sub", number=8).with_leaf(w, "Root", number=9)
    assert used(shelf) == ["Good"]


@pytest.mark.parametrize(
    "changes",
    [
        {"key_usage": frozenset({KeyUse.KEY_AGREEMENT})},
        {"extended_key_usage": (ExtendedKeyUsageOID.EMAIL_PROTECTION,)},
    ],
)
def test_fault_33_a_leaf_for_something_else_is_not_used(changes: dict[str, Any]) -> None:
    w = leaves("Good", "Wrong", Wrong={"not_after": NOW + YEAR, **changes})
    assert used(stocked(w, "Good", "Wrong")) == ["Good"]


def test_fault_47_an_empty_file_decides_nothing() -> None:
    w = leaves("Short", "Long", Long={"not_after": NOW + 500 * DAY})
    shelf = stocked(w, "Short", "Long").put("client/cso/A_empty.pem", "").put("client/cso/Z_empty.pem", "# nothing")
    assert used(shelf) == ["Long", "Short"]


def test_23_04_an_unreadable_file_hides_nothing() -> None:
    w = leaves("Good")
    shelf = stocked(w, "Good").put("client/cso/A.pem", None).put("client/cso/B.pem", junk_block())
    assert used(shelf) == ["Good"]


def test_of_a_leaf_in_a_damaged_file_only_the_sound_file_is_offered() -> None:
    w = leaves("Good")
    shelf = Shelf().put("client/cso/l.pem", w["Good"].pem + junk_block()).with_key(w, "Good", "client/cso/l.key")
    assert used(shelf) == []
    assert why(shelf) == "NotFound"
    [leaf] = usable(shelf.put("client/cso/m.pem", w["Good"].pem).look().leaves[SECC_LEAF], "not_after", POLICY, NOW)
    assert leaf.file.path.name == "m.pem"


def test_chains_and_single_files_of_one_leaf_are_one_leaf_each_in_its_place() -> None:
    w = leaves("Good")
    [leaf] = usable(stocked(w, "Good").look().leaves[SECC_LEAF], "not_after", POLICY, NOW)
    assert leaf.single is not None
    assert leaf.chain is not None
    assert leaf.file == leaf.chain


def test_of_several_keys_the_one_named_like_the_leaf_is_used() -> None:
    w = leaves("Good")
    shelf = stocked(w, "Good").with_key(w, "Good", "client/cso/AAA.key")
    [leaf] = usable(shelf.look().leaves[SECC_LEAF], "not_after", POLICY, NOW)
    assert leaf.key is not None
    assert leaf.key.path.name == f"SECC_LEAF_{token(0)}.key"


# ---- why nothing is used


def test_nothing_there_is_not_found() -> None:
    w = leaves("Good")
    assert why(Shelf()) == "NotFound"
    assert why(Shelf().put("client/cso/sub.pem", w["Sub"].pem)) == "NotFound"


@pytest.mark.parametrize("validity", [PAST, FUTURE])
def test_nothing_valid_is_not_found_valid(validity: dict[str, Any]) -> None:
    assert why(stocked(leaves("Bad", Bad=validity), "Bad")) == "NotFoundValid"


def test_valid_ones_without_key_are_key_not_found_whatever_else_is_there() -> None:
    w = leaves("Keyless", "Ended", Ended=PAST)
    shelf = stocked(w, "Ended").put("client/cso/k.pem", w.pem("Keyless", "Sub"))
    assert why(shelf) == "PrivateKeyNotFound"


# ---- the newest of each root


def per_root(shelf: Shelf, policy: Policy | None = None, newest_by: str = "not_after") -> list[tuple[str, str]]:
    snapshot = shelf.look()
    found = newest_per_root(
        snapshot.leaves[SECC_LEAF], snapshot.cas[V2G].trust, newest_by, policy or Policy((SECC_LEAF,)), NOW
    )
    return [(leaf.certificate.name.split("CN=")[1][:2], chain.anchor.name.split("CN=")[1][:1]) for leaf, chain in found]


def two_roots(**changes: Any) -> World:
    return world("A > SubA > A1", "A > SubA > A2", "B > SubB > B1", "C > SubC > C1", **changes)


def filled(w: World, *roots: str) -> Shelf:
    shelf = Shelf().put(V2G_BUNDLE, w.pem(*roots))
    for number, (leaf, sub) in enumerate((("A1", "SubA"), ("A2", "SubA"), ("B1", "SubB"), ("C1", "SubC"))):
        shelf = shelf.with_leaf(w, leaf, sub, number=number)
    return shelf


def test_each_installed_root_has_its_newest_leaf_newest_first() -> None:
    w = two_roots(A2={"not_after": NOW + 90 * DAY, "not_before": NOW - 2 * DAY}, B1={"not_after": NOW + 70 * DAY})
    assert per_root(filled(w, "A", "B")) == [("A2", "A"), ("B1", "B")]
    assert per_root(filled(w, "A", "B"), newest_by="not_before") == [("B1", "B"), ("A1", "A")]


def test_what_was_worked_out_goes_with_the_roots_that_it_was_for() -> None:
    """Roots come and go, and leaves stay for years: no picture of them may be kept for each."""
    w = two_roots()
    store, other = filled(w, "A", "B").look().leaves[SECC_LEAF], filled(w, "A").look()
    newest_per_root(store, other.cas[V2G].trust, "not_after", Policy((SECC_LEAF,)), NOW)
    trust = weakref.ref(other.cas[V2G].trust)
    assert trust() in store.memory
    del other
    gc.collect()
    assert trust() is None
    assert not store.memory


def test_what_was_worked_out_stays_while_no_leaf_changes() -> None:
    w = leaves("Leaf", "Later")
    snapshot = stocked(w, "Leaf").look()
    store, trust = snapshot.leaves[SECC_LEAF], snapshot.cas[V2G].trust
    assert chosen(store, trust, "not_after", POLICY, NOW) is not None
    with_key = store.changed(keys={"/of/nobody.key": replace(store.keys[0], token=b"nobody's")})
    assert with_key.memory is store.memory
    assert with_key.changed(keys={store.keys[0].location: None}).memory is not store.memory
    assert store.changed({store.files[0].location: None}).memory is not store.memory


def test_a_leaf_whose_chain_is_not_valid_makes_way_for_the_next() -> None:
    w = world("A > SubA > A1", "A > SubX > A2", SubX=PAST, A2={"not_after": NOW + 90 * DAY})
    shelf = Shelf().put(V2G_BUNDLE, w["A"].pem).with_leaf(w, "A1", "SubA").with_leaf(w, "A2", "SubX", number=2)
    assert per_root(shelf) == [("A1", "A")]


def test_an_expired_root_has_no_leaf() -> None:
    assert per_root(filled(two_roots(B=PAST), "A", "B")) == [("A1", "A")]


def test_a_profile_is_enforced() -> None:
    strict = Policy((SECC_LEAF,), ProfileName.ISO15118, LeafStart.NOW)
    assert per_root(filled(two_roots(), "A", "B"), strict) == []


def test_sub_cas_of_the_store_complete_a_single_leaf() -> None:
    w = world("A > SubA > A1")
    assert per_root(Shelf().put(V2G_BUNDLE, w.pem("A", "SubA")).with_leaf(w, "A1")) == [("A1", "A")]


def test_csms_leaves_are_a_store_of_their_own() -> None:
    w = leaves("Good")
    shelf = Shelf().with_leaf(w, "Good", "Sub", kind="CSMS")
    assert used(shelf) == []
    assert len(list(shelf.look().leaves[CSMS_LEAF].newest_first("not_after"))) == 1


# ---- until when


@pytest.mark.parametrize(
    ("ends", "days"),
    [(30 * DAY, 30), (30 * DAY - SECOND, 29), (DAY, 1), (DAY - SECOND, 0), (timedelta(0), 0), (-SECOND, None)],
)
@pytest.mark.parametrize("fraction", [timedelta(0), timedelta(microseconds=999_999)])
def test_fault_59_no_leaf_can_be_told_from_one_that_expires_today(
    tmp_path: Path, ends: timedelta, days: int | None, fraction: timedelta
) -> None:
    w = leaves("Good", Good={"not_after": NOW + ends})
    (tmp_path / "client/cso").mkdir(parents=True)
    (tmp_path / "client/cso/l.pem").write_text(w.pem("Good", "Sub"))
    (tmp_path / "client/cso/l.key").write_text(w["Good"].key_pem())
    with Station.open(StationConfig.under(tmp_path, clock=lambda: NOW + fraction)) as station:
        left = days - 1 if days and fraction and ends % DAY == timedelta(0) else days
        assert station.leaf_expiry_days(SECC_LEAF) == left
        assert station.interface().get_leaf_expiry_days_count(certificate_type=SECC_LEAF) == (left or 0)
        assert station.leaf_expiry_days(CSMS_LEAF) is None


def taken(shelf: Shelf) -> str:
    snapshot = shelf.look()
    trust, policy = snapshot.cas[V2G].trust, Policy((SECC_LEAF,))
    found = chosen(snapshot.leaves[SECC_LEAF], trust, "not_after", policy, NOW)
    return found.certificate.name if found is not None else ""


def test_a_leaf_that_leads_to_a_root_is_used_before_a_newer_one_that_leads_to_none() -> None:
    w = world("Root > Sub > Good", "Other > Strange > Newer", Newer={"not_after": NOW + 2 * YEAR})
    shelf = stocked(w, "Good").with_leaf(w, "Newer", "Strange", number=9)
    assert used(shelf) == ["Newer", "Good"]
    assert "CN=Good" in taken(shelf)


def test_a_leaf_below_an_expired_sub_ca_gives_way() -> None:
    w = world(
        "Root > Sub > Good",
        "Root > Late > Newer",
        Late={**PAST, "not_before": NOW - 3 * YEAR},
        Newer={"not_after": NOW + 2 * YEAR},
    )
    assert "CN=Good" in taken(stocked(w, "Good").with_leaf(w, "Newer", "Late", number=9))


def test_where_no_leaf_leads_to_a_root_the_newest_is_used() -> None:
    w = world("Other > Strange > Older", "Other > Strange > Newer", Newer={"not_after": NOW + 2 * YEAR})
    shelf = Shelf().with_leaf(w, "Older", "Strange", number=1).with_leaf(w, "Newer", "Strange", number=2)
    assert "CN=Newer" in taken(shelf)
    assert taken(Shelf()) == ""


def test_the_flaw_of_a_leaf_is_told() -> None:
    w = world("Root > Sub > Good", "Other > Strange > Newer")
    snapshot = stocked(w, "Good").with_leaf(w, "Newer", "Strange", number=9).look()
    store, trust, policy = snapshot.leaves[SECC_LEAF], snapshot.cas[V2G].trust, Policy((SECC_LEAF,))
    flaws = {leaf.certificate: flaw(leaf, trust, policy, NOW) for leaf in store.leaves}
    assert flaws[of(w, "Good")] is None
    assert isinstance(flaws[of(w, "Newer")], IssuerNotFound)

"""What may be thrown away, and above all what may not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evse_security.clock import RELEASED, Moment
from evse_security.pki.keytoken import token_of_certificate
from evse_security.store.rules.sweep import Sweep, sweep
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation
from tests.builders import DAY, NOW, YEAR, World, ocsp_answer, world
from tests.store.pictures import (
    BELIEVED,
    CSMS_LEAF,
    HOUR,
    MO_BUNDLE,
    SECC_LEAF,
    V2G_BUNDLE,
    Shelf,
    config,
    id_of,
    junk_block,
    of,
    token,
)

LEFTOVER = "client/cso/.SECC_LEAF.pem.0123456789abcdef.evse-tmp"
OLD = 2 * HOUR
KEY = f"client/cso/SECC_LEAF_{token(9)}.key"


def swept(shelf: Shelf, moment: Moment = BELIEVED, *, keep_newest: int = 1, **given: Any) -> Sweep:
    return sweep(shelf.look(), moment, csr_lifetime=HOUR, keep_newest=keep_newest, **given)


def removed(shelf: Shelf, moment: Moment = BELIEVED, *, keep_newest: int = 1, **given: Any) -> set[str]:
    """The files that go; and what is said about them is what is done."""
    found = swept(shelf, moment, keep_newest=keep_newest, **given)
    assert [change.path for change in found.decision.changes] == [file.path for file in found.removed]
    gone = shelf.names() - shelf.applied(found.decision.changes).names()
    assert gone == {str(file.path.relative_to(shelf.path(""))) for file in found.removed}
    return gone


def leaves(*ages: int, keys: Sequence[str] = ()) -> World:
    """Leaves L0, L1 … that ended so many days ago (negative: will end)."""
    changes = {
        f"L{number}": {"not_before": NOW - 3 * YEAR, "not_after": NOW - days * DAY} for number, days in enumerate(ages)
    }
    for number, holder in enumerate(keys, 1):
        changes[f"L{number}"]["same_as"] = holder  # type: ignore[assignment]  # as the builder takes it
    return world(*(f"Root > Sub > L{number}" for number in range(len(ages))), "Root > Sub > Waiting", **changes)


def stocked(w: World, shelf: Shelf | None = None, kind: str = "SECC") -> Shelf:
    shelf = (shelf or Shelf()).put(V2G_BUNDLE, w["Root"].pem)
    for holder in w:
        if holder.startswith("L"):
            shelf = shelf.with_leaf(w, holder, "Sub", number=int(holder[1:]), kind=kind, age=OLD)
    return shelf


def files_of(number: int, kind: str = "SECC", place: str = "client/cso") -> set[str]:
    return {
        f"{place}/{kind}_LEAF_{token(number)}.pem",
        f"{place}/CPO_CERT_{kind}_LEAF_CHAIN_{token(number)}.pem",
        f"{place}/{kind}_LEAF_{token(number)}.key",
    }


# ---- the clock


@pytest.mark.parametrize("keep_newest", [1, 10])
def test_fault_68_when_the_clock_is_not_believed_nothing_is_swept(keep_newest: int) -> None:
    w = leaves(-30, 10, 20)
    shelf = stocked(w).put(LEFTOVER, "").with_key(w, "Waiting", KEY, age=DAY)
    found = swept(shelf, Moment(NOW, "the clock shows 1970"), keep_newest=keep_newest)
    assert found.decision.changes == ()
    assert found.removed == ()
    assert found.kept_because == "the clock shows 1970"
    assert swept(shelf).kept_because is None


# ---- 1. leftovers


def test_leftovers_of_interrupted_writes_go_wherever_they_are() -> None:
    w = leaves(-30)
    places = (
        LEFTOVER,
        "ca/v2g/.V2G_ROOT_CA.pem.00.evse-tmp",
        f"{MO_BUNDLE}/.x.evse-tmp",
        "client/cso/ocsp/.y.evse-tmp",
    )
    shelf = stocked(w).put(f"{MO_BUNDLE}/x.pem", "")
    for place in places:
        shelf = shelf.put(place, b"half")
    assert removed(shelf) == set(places)


def test_foreign_files_stay() -> None:
    w = leaves(-30, 10)
    foreign = (
        "client/cso/notes.txt",
        "client/cso/SECC_LEAF.tmp",
        "client/cso/ocsp/readme.der",
        "client/cso/ocsp/mine.hash",
        "client/cso/der/mine.der",
        "client/cso/der/site.key.der",
        "client/cso/der/gone.der.leaf.pem",
        "client/cso/backup/2029/der/old.key.der",
        "client/cso/der/other.pem.der",
        "client/cso/deeper/SECC_LEAF.pem",
    )
    shelf = stocked(w)
    for name in foreign:
        shelf = shelf.put(name, "hands off", age=YEAR)
    shelf = shelf.with_key(w, "Waiting", "client/cso/mine.key", age=YEAR)
    shelf = shelf.with_key(w, "Waiting", f"client/cso/backup-SECC_LEAF_{token(3)}.key", age=YEAR)
    assert removed(shelf) == files_of(1)


# ---- 2. expired leaves


def test_23_39_expired_leaves_beyond_the_newest_go_with_chain_key_and_are_announced() -> None:
    w = leaves(-30, 10, 20, 5)
    found = swept(stocked(w), keep_newest=2)
    assert removed(stocked(w), keep_newest=2) == files_of(1) | files_of(2)
    assert found.decision.updates == (
        CertificateStoreUpdate(operation=CertificateStoreUpdateOperation.Deleted, leaf_certificate_type=SECC_LEAF),
    )


def test_fault_67_the_newest_are_counted_in_leaves_not_in_files() -> None:
    w = leaves(5, 10, 15, 20)
    assert removed(stocked(w), keep_newest=3) == files_of(3)
    assert removed(stocked(w), keep_newest=4) == set()


def test_fault_64_a_store_need_not_be_full_to_be_swept_and_valid_leaves_stay_however_many() -> None:
    w = leaves(*range(-20, 0), 1)
    assert removed(stocked(w), keep_newest=1) == files_of(20)


def test_future_leaves_stay() -> None:
    w = world("Root > Sub > L0", "Root > Sub > L1", L0={"not_before": NOW + DAY}, L1={"not_before": NOW + DAY})
    assert removed(stocked(w)) == set()


def test_fault_70_each_kind_is_swept_and_announced_for_itself() -> None:
    w = leaves(-30, 10)
    shelf = stocked(w, stocked(w), kind="CSMS")
    found = swept(shelf)
    assert [getattr(one, "leaf_certificate_type", None) for one in found.decision.updates] == [SECC_LEAF, CSMS_LEAF]
    assert removed(shelf) == files_of(1) | files_of(1, "CSMS", "client/csms")


def test_what_is_not_announced_is_no_leaf() -> None:
    assert swept(Shelf().put(LEFTOVER, "")).decision.updates == ()


def test_an_expired_leaf_of_which_somebody_keeps_a_copy_stays() -> None:
    w = leaves(-30, 10)
    shelf = stocked(w).put("client/cso/mine.pem", w["L1"].pem)
    assert removed(shelf) == set()


def test_a_leaf_placed_by_hand_stays() -> None:
    w = leaves(-30, 10)
    shelf = Shelf().with_leaf(w, "L0", "Sub").put("client/cso/old.pem", w["L1"].pem)
    assert removed(shelf.with_key(w, "L1", "client/cso/old.key")) == set()


def test_a_leaf_loses_its_single_file_before_its_chain_and_its_key_last() -> None:
    changes = swept(stocked(leaves(-30, 10))).decision.changes
    assert [change.path.name.split("_M")[0] for change in changes] == [
        "SECC_LEAF",
        "CPO_CERT_SECC_LEAF_CHAIN",
        "SECC_LEAF",
    ]
    assert changes[-1].path.suffix == ".key"


# ---- 3. keys


def test_23_39_the_key_of_an_unanswered_request_goes_after_its_lifetime() -> None:
    w = leaves(-30)
    for age, gone in ((HOUR, set()), (HOUR + timedelta(seconds=1), {KEY}), (YEAR, {KEY})):
        assert removed(stocked(w).with_key(w, "Waiting", KEY, age=age)) == gone


def test_a_key_from_the_future_stays() -> None:
    w = leaves(-30)
    assert removed(stocked(w).with_key(w, "Waiting", KEY, age=-DAY)) == set()


@pytest.mark.parametrize("made", [datetime(1970, 1, 1, tzinfo=UTC), RELEASED - timedelta(seconds=1)])
def test_a_key_from_before_the_clock_was_set_has_no_age_and_stays(made: datetime) -> None:
    w = leaves(-30)
    assert removed(stocked(w).with_key(w, "Waiting", KEY, age=NOW - made)) == set()
    assert removed(stocked(w).with_key(w, "Waiting", KEY, age=NOW - RELEASED)) == {KEY}


def test_a_key_that_is_about_to_be_used_stays() -> None:
    w = leaves(-30)
    shelf = stocked(w).with_key(w, "Waiting", KEY, age=YEAR)
    assert removed(shelf, protected=frozenset({token_of_certificate(of(w, "Waiting"))})) == set()


def test_fault_23_a_key_that_a_valid_leaf_shares_with_an_expired_one_stays() -> None:
    w = leaves(10, -30, 20, keys=["L0", "L0"])
    shelf = stocked(w).without(f"client/cso/SECC_LEAF_{token(1)}.key", f"client/cso/SECC_LEAF_{token(2)}.key")
    assert removed(shelf) == (files_of(0) | files_of(2)) & shelf.names() - {f"client/cso/SECC_LEAF_{token(0)}.key"}


def test_a_key_that_a_leaf_of_the_other_kind_uses_stays() -> None:
    w = world("Root > Sub > Client", "Root > Sub > L0", L0={"same_as": "Client"})
    shelf = Shelf(config(secc_leaf_key_directory="keys", csms_leaf_key_directory="keys"))
    shelf = shelf.put("client/csms/c.pem", w["Client"].pem)
    assert removed(shelf.with_key(w, "Client", f"keys/SECC_LEAF_{token(1)}.key", age=YEAR)) == set()


@pytest.mark.parametrize("count", [1, 3, 12])
def test_fault_22_23_23_keys_in_a_directory_of_their_own_are_matched_with_the_certificates(count: int) -> None:
    w = leaves(*[-30] * count)
    shelf = Shelf(config(secc_leaf_key_directory="keys")).put(V2G_BUNDLE, w["Root"].pem)
    for number in range(count):
        shelf = shelf.put(f"client/cso/SECC_LEAF_{token(number)}.pem", w[f"L{number}"].pem, age=YEAR)
        shelf = shelf.with_key(w, f"L{number}", f"keys/SECC_LEAF_{token(number)}.key", age=YEAR)
    assert removed(shelf) == set()


@pytest.mark.parametrize("content", [None, junk_block(), "-----BEGIN CERTIFICATE-----\nMIIB"])
@pytest.mark.parametrize("place", ["client/cso/SECC_LEAF_x.pem", "client/csms/CSMS_LEAF_x.pem"])
def test_23_04_while_a_certificate_file_cannot_be_read_no_key_goes(content: str | None, place: str) -> None:
    w = leaves(-30, 10)
    shelf = stocked(w).with_key(w, "Waiting", KEY, age=YEAR).put(place, content)
    assert not [name for name in removed(shelf) if name.endswith(".key")]


@pytest.mark.parametrize("directory", ["client/cso", "client/csms"])
@pytest.mark.parametrize("how", ["blocked", "away"])
def test_while_a_leaf_directory_cannot_be_looked_into_no_key_goes(directory: str, how: str) -> None:
    w = leaves(-30)
    shelf = Shelf(config(secc_leaf_key_directory="keys")).with_key(
        w, "Waiting", f"keys/SECC_LEAF_{token(9)}.key", age=YEAR
    )
    assert removed(shelf) == {f"keys/SECC_LEAF_{token(9)}.key"}
    place = frozenset({shelf.path(directory)})
    assert removed(replace(shelf, blocked=place) if how == "blocked" else replace(shelf, away=place)) == set()


def test_a_key_that_cannot_be_read_stays_but_an_empty_one_goes() -> None:
    shelf = Shelf().put(KEY, "", age=YEAR)
    assert removed(shelf) == {KEY}
    assert removed(Shelf().put(KEY, "junk", age=YEAR)) == set()
    assert removed(Shelf().put(KEY, None, age=YEAR)) == set()
    assert removed(Shelf().put(KEY, "", age=timedelta(0))) == set()


def test_keys_that_need_another_password_stay() -> None:
    w = leaves(-30)
    assert removed(Shelf().put(KEY, w["Waiting"].key_pem("secret"), age=YEAR)) == set()


# ---- 4. OCSP


def answered(shelf: Shelf, w: World, holder: str, name: str) -> Shelf:
    return shelf.with_ocsp(name, id_of(w, holder), ocsp_answer(w, holder))


def test_fault_24_responses_about_what_is_installed_anywhere_stay() -> None:
    w = leaves(-30)
    shelf = Shelf(config(csms_ca_bundle="ca/both/CSMS.pem", v2g_ca_bundle="ca/both/V2G.pem"))
    other = world("CRoot > CSub >")
    shelf = shelf.put("ca/both/V2G.pem", w.pem("Root", "Sub")).put("ca/both/CSMS.pem", other.pem("CRoot", "CSub"))
    shelf = shelf.with_leaf(w, "L0", "Sub")
    shelf = answered(shelf, w, "Sub", "ca/both/ocsp/1_ocsp")
    shelf = answered(shelf, other, "CSub", "ca/both/ocsp/2_ocsp")
    shelf = answered(shelf, w, "L0", "ca/both/ocsp/3_ocsp")
    shelf = answered(shelf, w, "Sub", "client/cso/ocsp/4_ocsp")
    assert removed(shelf) == set()


def test_responses_about_what_is_not_installed_go_with_their_hash_files() -> None:
    w = leaves(-30)
    shelf = answered(stocked(w), w, "Waiting", "client/cso/ocsp/1_ocsp")
    shelf = shelf.put("client/cso/ocsp/2_ocsp.hash", "junk").put("client/cso/ocsp/2_ocsp.der", "junk")
    assert removed(shelf) == {f"client/cso/ocsp/{n}_ocsp.{half}" for n in (1, 2) for half in ("der", "hash")}


def test_responses_of_swept_leaves_go_with_them_and_those_of_their_sub_cas_stay() -> None:
    w = leaves(-30, 10)
    shelf = answered(answered(stocked(w), w, "L1", "client/cso/ocsp/1_ocsp"), w, "Sub", "client/cso/ocsp/2_ocsp")
    assert removed(shelf) == files_of(1) | {"client/cso/ocsp/1_ocsp.der", "client/cso/ocsp/1_ocsp.hash"}


def test_fault_21_23_46_halves_of_pairs_go() -> None:
    w = leaves(-30)
    shelf = stocked(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "L0"), None)
    shelf = shelf.with_ocsp("client/cso/ocsp/2_ocsp", None, ocsp_answer(w, "L0"))
    assert removed(shelf) == {"client/cso/ocsp/1_ocsp.hash", "client/cso/ocsp/2_ocsp.der"}


def test_an_orphan_in_the_store_does_not_keep_hash_files_that_cannot_be_read() -> None:
    w = leaves(-30)
    shelf = Shelf().with_leaf(w, "L0").put("client/cso/ocsp/2_ocsp.hash", "?").put("client/cso/ocsp/2_ocsp.der", "?")
    assert removed(shelf) == {"client/cso/ocsp/2_ocsp.der", "client/cso/ocsp/2_ocsp.hash"}


@pytest.mark.parametrize("bad", [V2G_BUNDLE, MO_BUNDLE, "client/cso/bad.pem"])
def test_while_a_certificate_file_cannot_be_read_whole_responses_stay(bad: str) -> None:
    w = leaves(-30)
    shelf = answered(Shelf(), w, "Waiting", "client/cso/ocsp/1_ocsp")
    assert removed(shelf.put(bad, junk_block())) == set()
    assert len(removed(shelf)) == 2


def test_while_a_ca_store_cannot_be_looked_at_whole_responses_stay() -> None:
    w = leaves(-30)
    shelf = answered(Shelf(), w, "Waiting", "client/cso/ocsp/1_ocsp")
    assert removed(replace(shelf, blocked=frozenset({shelf.path(V2G_BUNDLE)}))) == set()


def test_past_responses_about_installed_certificates_stay() -> None:
    w = leaves(-30)
    past = ocsp_answer(w, "L0", this_update=NOW - YEAR, next_update=NOW - YEAR + DAY)
    assert removed(stocked(w).with_ocsp("client/cso/ocsp/1_ocsp", id_of(w, "L0"), past)) == set()


# ---- 5. copies


def test_copies_in_der_go_with_what_they_are_copies_of() -> None:
    w = leaves(-30, 10)
    copies = {
        f"client/cso/der/SECC_LEAF_{token(1)}.pem.leaf.der",
        f"client/cso/der/CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem.chain.der",
        f"client/cso/der/SECC_LEAF_{token(1)}.key.der",
        f"client/cso/der/SECC_LEAF_{token(8)}.pem.leaf.pem",
    }
    kept = {f"client/cso/der/SECC_LEAF_{token(0)}.pem.leaf.der", f"client/cso/der/SECC_LEAF_{token(0)}.key.der"}
    shelf = stocked(w)
    for name in copies | kept:
        shelf = shelf.put(name, b"...")
    assert removed(shelf) == files_of(1) | copies


def test_the_key_of_a_swept_leaf_goes_after_its_copy() -> None:
    w = leaves(-30, 10)
    shelf = stocked(w).put(f"client/cso/der/SECC_LEAF_{token(1)}.key.der", b"...")
    assert [change.path.name for change in swept(shelf).decision.changes][-2:] == [
        f"SECC_LEAF_{token(1)}.key.der",
        f"SECC_LEAF_{token(1)}.key",
    ]


# ---- all together


def test_each_file_is_named_once_with_a_reason_in_words() -> None:
    w = leaves(-30, 10)
    shelf = stocked(w).put(LEFTOVER, "").with_key(w, "Waiting", KEY, age=YEAR)
    found = swept(shelf)
    assert len({file.path for file in found.removed}) == len(found.removed) == 5
    assert {file.reason for file in found.removed} == {
        "left over by an interrupted write",
        "the leaf expired, and enough newer ones are kept",
        "its leaf expired",
        "no certificate came for it",
    }


def test_what_was_swept_is_swept_once() -> None:
    w = leaves(-30, 10, 20)
    shelf = answered(stocked(w).put(LEFTOVER, ""), w, "Waiting", "client/cso/ocsp/1_ocsp")
    assert removed(shelf.applied(swept(shelf).decision.changes)) == set()

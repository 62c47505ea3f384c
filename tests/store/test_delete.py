"""Deleting a certificate and what depends on it (M04)."""

from collections.abc import Collection

import pytest

from evse_security.errors import MustStay, NotInstalled
from evse_security.pki.hashdata import CertID, asked_for
from evse_security.pki.path import Policy
from evse_security.store.changes import Decision, Edit, Remove
from evse_security.store.rules.delete import delete
from evse_security.store.rules.select import usable
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateStoreUpdate,
    CertificateStoreUpdateOperation,
    HashAlgorithm,
)
from tests.builders import DAY, NOW, YEAR, World, ocsp_answer, world
from tests.store.pictures import (
    CSMS,
    CSMS_BUNDLE,
    CSMS_LEAF,
    MF,
    MO,
    MO_BUNDLE,
    SECC_LEAF,
    V2G,
    V2G_BUNDLE,
    Shelf,
    config,
    id_of,
    junk_block,
    names_in,
    of,
    token,
)

DELETED = CertificateStoreUpdateOperation.Deleted
CA_DELETED = CertificateStoreUpdate(operation=DELETED, ca_certificate_type=V2G)
LEAF_DELETED = CertificateStoreUpdate(operation=DELETED, leaf_certificate_type=SECC_LEAF)


def decided(shelf: Shelf, wanted: CertID) -> Decision:
    return delete(shelf.look(), wanted)


def deleted(shelf: Shelf, w: World, holder: str) -> Shelf:
    return shelf.applied(decided(shelf, id_of(w, holder)).changes)


def pki() -> World:
    return world("Root > Sub1 > Sub2 > SECC", "Root > Sub1 > Sub2 > Other", "Root > Branch > Elsewhere")


def station(w: World) -> Shelf:
    """A root, and a leaf with its sub-CAs, DER copies and OCSP responses."""
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    shelf = shelf.put(f"client/cso/der/SECC_LEAF_{token(1)}.pem.leaf.der", w["SECC"].der)
    shelf = shelf.put(f"client/cso/der/CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem.chain.der", b"...")
    shelf = shelf.put(f"client/cso/der/SECC_LEAF_{token(1)}.key.der", b"...", mode=0o600)
    for number, holder in enumerate(("SECC", "Sub2")):
        shelf = shelf.with_ocsp(f"client/cso/ocsp/{number}_ocsp", id_of(w, holder), ocsp_answer(w, holder))
    return shelf


# ---- who is meant


def test_what_is_not_installed_is_not_found() -> None:
    w = pki()
    with pytest.raises(NotInstalled):
        decided(station(w), id_of(w, "Elsewhere"))


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_fault_52_a_certificate_is_found_by_every_algorithm_in_any_case_with_leading_zeros(
    algorithm: HashAlgorithm,
) -> None:
    w = pki()
    shelf = station(w)
    for holder in ("Root", "SECC"):
        found = shelf.look().forest.id_of(of(w, holder), algorithm)
        assert found is not None
        data = found.hash_data
        asked = asked_for(
            CertificateHashData(
                hash_algorithm=algorithm,
                issuer_name_hash=data.issuer_name_hash.upper(),
                issuer_key_hash=data.issuer_key_hash.upper(),
                serial_number="000" + data.serial_number.upper(),
            )
        )
        assert asked is not None
        assert decided(shelf, asked).changes


@pytest.mark.parametrize("validity", [("not_after", -DAY), ("not_before", DAY)])
def test_fault_48_leaves_outside_their_validity_can_be_deleted(validity: tuple[str, object]) -> None:
    field, offset = validity
    w = world("Root > Sub > SECC", SECC={field: NOW + offset})  # type: ignore[operator]  # a timedelta
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub")
    assert deleted(shelf, w, "SECC").names() == {V2G_BUNDLE}


@pytest.mark.parametrize("holder", ["Root", "Sub"])
def test_23_13_expired_roots_and_sub_cas_can_be_deleted(holder: str) -> None:
    past = {"not_before": NOW - 2 * YEAR, "not_after": NOW - YEAR}
    w = world("Root > Sub >", Root=past, Sub=past)
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub"))
    assert holder not in names_in(deleted(shelf, w, holder).text(V2G_BUNDLE))


def test_a_forged_root_placed_by_hand_can_be_deleted() -> None:
    w = world("Root >", Root={"signed_by": "Mallory"})
    assert deleted(Shelf().put(V2G_BUNDLE, w["Root"].pem), w, "Root").text(V2G_BUNDLE) == ""


# ---- CA stores


def test_a_root_takes_what_it_issued_in_that_store_and_leaves_stay() -> None:
    w = world("Root > Sub1 > Sub2 > SECC", "Stays > StaysSub >")
    shelf = station(w).put(V2G_BUNDLE, w.pem("Sub2", "Stays", "Root", "StaysSub", "Sub1"))
    decision = decided(shelf, id_of(w, "Root"))
    after = shelf.applied(decision.changes)
    assert names_in(after.text(V2G_BUNDLE)) == ["Stays", "StaysSub"]
    assert after.names() == shelf.names()
    assert decision.updates == (CA_DELETED,)


def test_a_sub_ca_takes_what_it_issued_and_those_above_stay() -> None:
    w = world("Root > Sub1 > Sub2 >", "Root > Sub1 > Twin2 >", "Root > Branch >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub1", "Sub2", "Twin2", "Branch"))
    assert names_in(deleted(shelf, w, "Sub1").text(V2G_BUNDLE)) == ["Root", "Branch"]
    assert names_in(deleted(shelf, w, "Sub2").text(V2G_BUNDLE)) == ["Root", "Sub1", "Twin2", "Branch"]


def test_all_copies_in_a_store_go_and_other_bytes_stay() -> None:
    w = world("Root >", "Other >")
    text = f"\ufeff# one\n{w['Root'].pem}# two\n{junk_block()}{w['Other'].pem}{w['Root'].pem}\n# end"
    after = deleted(Shelf().put(V2G_BUNDLE, text), w, "Root")
    assert after.text(V2G_BUNDLE) == f"\ufeff# one\n# two\n{junk_block()}{w['Other'].pem}\n# end"


def test_a_bundle_that_becomes_empty_stays() -> None:
    w = world("Root >")
    for content in (w["Root"].pem, w["Root"].der):
        decision = decided(Shelf().put(V2G_BUNDLE, content), id_of(w, "Root"))
        assert isinstance(decision.changes[0], Edit)
        assert Shelf().put(V2G_BUNDLE, content).applied(decision.changes).text(V2G_BUNDLE) == ""


def test_in_a_directory_a_file_that_holds_nothing_else_goes() -> None:
    w = world("Root > Sub >", "Other >")
    shelf = (
        Shelf()
        .put(f"{V2G_BUNDLE}/own.pem", "# comment\n" + w["Root"].pem)
        .put(f"{V2G_BUNDLE}/sub.der", w["Sub"].der)
        .put(f"{V2G_BUNDLE}/shared.pem", w.pem("Other", "Root"))
        .put(f"{V2G_BUNDLE}/damaged.pem", w["Root"].pem + junk_block())
        .put(f"{V2G_BUNDLE}/notes.txt", "hands off")
    )
    after = deleted(shelf, w, "Root")
    assert after.names() == {f"{V2G_BUNDLE}/{name}" for name in ("shared.pem", "damaged.pem", "notes.txt")}
    assert after.text(f"{V2G_BUNDLE}/shared.pem") == w["Other"].pem
    assert after.text(f"{V2G_BUNDLE}/damaged.pem") == junk_block()


def test_fault_16_a_key_beside_a_root_in_one_file_is_not_lost() -> None:
    w = world("Root >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/both.pem", w["Root"].pem + w["Root"].key_pem())
    assert deleted(shelf, w, "Root").text(f"{V2G_BUNDLE}/both.pem") == w["Root"].key_pem()


def test_what_was_issued_goes_before_its_issuer() -> None:
    w = world("Root > Sub >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/a.pem", w["Root"].pem).put(f"{V2G_BUNDLE}/b.pem", w["Sub"].pem)
    changes = decided(shelf, id_of(w, "Root")).changes
    assert [change.path.name for change in changes] == ["b.pem", "a.pem"]


def test_the_file_made_of_all_roots_follows_at_once() -> None:
    w = world("Root >", "Other >")
    shelf = (
        Shelf()
        .put(f"{V2G_BUNDLE}/root.der", w["Root"].der)
        .put(f"{V2G_BUNDLE}/other.pem", w["Other"].pem)
        .put(f"{V2G_BUNDLE}/bundle/V2G_ROOT_CA.pem", w.pem("Root", "Other"))
        .put(f"{V2G_BUNDLE}/bundle/root.der.pem", w["Root"].pem)
        .put(f"{V2G_BUNDLE}/bundle/foreign.txt", "hands off")
    )
    after = deleted(shelf, w, "Root")
    assert after.names() == {
        f"{V2G_BUNDLE}/{name}" for name in ("other.pem", "bundle/V2G_ROOT_CA.pem", "bundle/foreign.txt")
    }
    assert after.text(f"{V2G_BUNDLE}/bundle/V2G_ROOT_CA.pem") == w["Other"].pem
    assert f"{V2G_BUNDLE}/bundle/V2G_ROOT_CA.pem" not in deleted(after, w, "Other").names()


def test_a_bundle_that_domains_share_is_changed_and_announced_once_for_the_first_of_them() -> None:
    w = world("Root >")
    shelf = Shelf(config(csms_ca_bundle=V2G_BUNDLE)).put(V2G_BUNDLE, w["Root"].pem)
    decision = decided(shelf, id_of(w, "Root"))
    assert len(decision.changes) == 1
    assert decision.updates == (CA_DELETED,)


def test_a_root_of_several_domains_goes_from_all_and_each_is_announced() -> None:
    w = world("Root >")
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).put(MO_BUNDLE, w["Root"].pem).put(CSMS_BUNDLE, w["Root"].pem)
    decision = decided(shelf, id_of(w, "Root"))
    assert [update.ca_certificate_type for update in decision.updates] == [V2G, MO, CSMS]
    assert {shelf.applied(decision.changes).text(bundle) for bundle in (V2G_BUNDLE, MO_BUNDLE, CSMS_BUNDLE)} == {""}
    assert MF not in {update.ca_certificate_type for update in decision.updates}


def test_a_sub_ca_in_a_ca_store_goes_from_there_and_the_chains_of_leaves_stay() -> None:
    w = pki()
    shelf = station(w).put(V2G_BUNDLE, w.pem("Root", "Sub1", "Sub2"))
    after = deleted(shelf, w, "Sub2")
    assert names_in(after.text(V2G_BUNDLE)) == ["Root", "Sub1"]
    assert after.names() == shelf.names()


# ---- the fallback of a CSMS root

CHECKED = config(additional_root_certificate_check=True)


def test_23_07_the_fallback_of_a_csms_root_stays_while_its_successor_is_there() -> None:
    w = world("Root1 > Root2 >")
    shelf = Shelf(CHECKED).put(CSMS_BUNDLE, w.pem("Root1", "Root2"))
    with pytest.raises(MustStay, match="fallback"):
        decided(shelf, id_of(w, "Root1"))
    shelf = deleted(shelf, w, "Root2")
    assert names_in(shelf.text(CSMS_BUNDLE)) == ["Root1"]
    assert deleted(shelf, w, "Root1").text(CSMS_BUNDLE) == ""


# ---- SECC leaves


def test_a_deleted_leaf_takes_single_file_chain_file_key_copies_and_its_ocsp_response_with_it() -> None:
    w = pki()
    shelf = station(w)
    decision = decided(shelf, id_of(w, "SECC"))
    after = shelf.applied(decision.changes)
    assert after.names() == {V2G_BUNDLE, "client/cso/ocsp/1_ocsp.der", "client/cso/ocsp/1_ocsp.hash"}
    assert decision.updates == (LEAF_DELETED,)


def test_nothing_else_is_touched() -> None:
    w = pki()
    shelf = station(w).with_leaf(w, "Other", "Sub2", "Sub1", number=2).put("client/cso/notes.txt", "hands off")
    shelf = shelf.with_key(w, "Elsewhere", "client/cso/pending.key").put("client/cso/der/own.der", b"hands off")
    after = deleted(shelf, w, "SECC")
    assert after.names() >= {
        "client/cso/notes.txt",
        "client/cso/pending.key",
        "client/cso/der/own.der",
        f"client/cso/SECC_LEAF_{token(2)}.pem",
        f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{token(2)}.pem",
        f"client/cso/SECC_LEAF_{token(2)}.key",
    }


def test_a_leaf_loses_its_single_file_first_and_its_key_last() -> None:
    w = pki()
    suffixes = [change.path.suffix for change in decided(station(w), id_of(w, "SECC")).changes]
    names = [change.path.name for change in decided(station(w), id_of(w, "SECC")).changes]
    assert names[0] == f"SECC_LEAF_{token(1)}.pem"
    assert names[-2:] == [f"CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem", f"SECC_LEAF_{token(1)}.key"]
    assert suffixes.count(".key") == 1


def test_single_files_go_first_whatever_they_are_called() -> None:
    w = pki()
    shelf = Shelf().put("client/cso/a.pem", w.pem("SECC", "Sub2")).put("client/cso/z.pem", w["SECC"].pem)
    assert [change.path.name for change in decided(shelf, id_of(w, "SECC")).changes] == ["z.pem", "a.pem"]


def test_a_key_that_another_leaf_uses_stays() -> None:
    w = world("Root > Sub > SECC", "Root > Sub > Renewed", Renewed={"same_as": "SECC"})
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub").with_leaf(w, "Renewed", "Sub", number=2)
    after = deleted(shelf.without(f"client/cso/SECC_LEAF_{token(2)}.key"), w, "SECC")
    assert usable(after.look().leaves[SECC_LEAF], "not_after", Policy(()), NOW)[0].certificate == of(w, "Renewed")


def test_a_key_that_a_csms_leaf_uses_through_another_path_stays() -> None:
    w = world("Root > Sub > SECC", "Root > Sub > Client", Client={"same_as": "SECC"})
    shelf = Shelf(config(csms_leaf_key_directory="link", secc_leaf_key_directory="keys"))
    shelf = shelf.put("client/cso/l.pem", w.pem("SECC", "Sub")).put("client/csms/l.pem", w.pem("Client", "Sub"))
    for directory in ("keys", "link"):  # what one directory shows under two names
        shelf = shelf.with_key(w, "SECC", f"{directory}/both.key").with_key(w, "SECC", f"{directory}/copy.key")
    assert deleted(shelf, w, "SECC").names() >= {"link/both.key", "keys/both.key"}


def test_all_copies_of_a_key_go() -> None:
    w = pki()
    shelf = station(w).with_key(w, "SECC", "client/cso/deep/copy.key")
    assert not [name for name in deleted(shelf, w, "SECC").names() if name.endswith(".key")]


def test_keys_in_a_directory_of_their_own_go_too() -> None:
    w = pki()
    shelf = Shelf(config(secc_leaf_key_directory="keys")).put("client/cso/l.pem", w.pem("SECC", "Sub2"))
    shelf = shelf.with_key(w, "SECC", "keys/l.key").put("keys/der/l.key.der", b"...")
    assert deleted(shelf, w, "SECC").names() == set()


def test_all_copies_of_a_leaf_go_in_whatever_form() -> None:
    w = pki()
    shelf = station(w).put("client/cso/a.pem", w["SECC"].pem).put("client/cso/b.der", w["SECC"].der)
    shelf = shelf.put("client/cso/damaged.pem", w["SECC"].pem + junk_block())
    after = deleted(shelf, w, "SECC")
    assert not [name for name in after.names() if name.startswith("client/cso/") and "ocsp" not in name]


def test_a_leaf_without_key_can_be_deleted() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).put("client/cso/l.pem", w.pem("SECC", "Sub2"))
    assert deleted(shelf, w, "SECC").names() == {V2G_BUNDLE}


def test_no_root_is_needed_where_the_issuer_is_in_the_chain_file() -> None:
    w = pki()
    assert deleted(Shelf().with_leaf(w, "SECC", "Sub2"), w, "SECC").names() == set()


def test_a_leaf_that_lies_in_a_ca_store_too_goes_from_both() -> None:
    w = pki()
    shelf = station(w).put(V2G_BUNDLE, w.pem("Root", "SECC"))
    decision = decided(shelf, id_of(w, "SECC"))
    after = shelf.applied(decision.changes)
    assert names_in(after.text(V2G_BUNDLE)) == ["Root"]
    assert not after.look().identified(id_of(w, "SECC"))
    assert decision.updates == (CA_DELETED, LEAF_DELETED)


# ---- sub-CAs of chains


@pytest.mark.parametrize("holder", ["Sub1", "Sub2"])
def test_fault_25_a_sub_ca_takes_the_leaves_it_issued_and_leaves_none_without_key(holder: str) -> None:
    w = pki()
    shelf = station(w).with_leaf(w, "Other", "Sub2", "Sub1", number=2).with_leaf(w, "Elsewhere", "Branch", number=3)
    decision = decided(shelf, id_of(w, holder))
    after = shelf.applied(decision.changes)
    [left] = after.look().leaves[SECC_LEAF].leaves
    assert left.certificate == of(w, "Elsewhere")
    assert left.key is not None
    assert not after.look().identified(id_of(w, holder))
    assert decision.updates == (LEAF_DELETED,)


def test_23_12_a_single_leaf_below_a_sub_ca_goes_too_though_only_another_chain_holds_it() -> None:
    w = pki()
    shelf = station(w).with_leaf(w, "Other", number=2)
    for holder in ("Sub1", "Sub2"):
        assert deleted(shelf, w, holder).look().leaves[SECC_LEAF].leaves == ()


def test_a_single_leaf_stays_if_another_certificate_of_its_issuer_stays() -> None:
    w = world("A > Sub > SECC", "A > Sub > Other", "B > Cross >", Cross={"same_as": "Sub"})
    shelf = Shelf().put(V2G_BUNDLE, w.pem("A", "B")).with_leaf(w, "SECC", "Sub").with_leaf(w, "Other", number=2)
    shelf = shelf.put("client/cso/cross.pem", w["Cross"].pem)
    [left] = deleted(shelf, w, "Sub").look().leaves[SECC_LEAF].leaves
    assert left.certificate == of(w, "Other")


def test_a_file_that_holds_only_the_sub_ca_goes_and_from_others_it_is_cut() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem).put("client/cso/sub.pem", w["Sub2"].pem)
    shelf = shelf.put("client/cso/subs.pem", w.pem("Sub1", "Sub2"))
    after = deleted(shelf, w, "Sub2")
    assert after.names() == {V2G_BUNDLE, "client/cso/subs.pem"}
    assert after.text("client/cso/subs.pem") == w["Sub1"].pem


# ---- CSMS leaves


def assert_stays(shelf: Shelf, w: World, holders: Collection[str]) -> None:
    for holder in holders:
        with pytest.raises(MustStay, match=r"M04\.FR\.06"):
            decided(shelf, id_of(w, holder))


def test_csms_leaves_are_never_deleted_nor_the_sub_cas_of_their_chains() -> None:
    w = pki()
    assert_stays(Shelf().with_leaf(w, "SECC", "Sub2", "Sub1", kind="CSMS"), w, ["SECC", "Sub2"])


def test_23_11_the_same_leaf_as_secc_and_csms_leaf_stays_and_nothing_at_all_is_deleted() -> None:
    w = pki()
    shelf = station(w).with_leaf(w, "SECC", "Sub2", "Sub1", kind="CSMS")
    assert_stays(shelf, w, ["SECC", "Sub2", "Sub1"])


def test_a_csms_leaf_that_lies_in_a_ca_store_too_stays_in_both() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "SECC")).with_leaf(w, "SECC", "Sub2", kind="CSMS")
    assert_stays(shelf, w, ["SECC"])


def test_a_sub_ca_that_only_lies_in_the_csms_directory_stays() -> None:
    w = pki()
    shelf = Shelf().put(CSMS_BUNDLE, w["Root"].pem).put("client/csms/sub.pem", w["Sub1"].pem)
    assert_stays(shelf, w, ["Sub1"])


SHARED = config(csms_leaf_cert_directory="client/cso", csms_leaf_key_directory="client/cso")


def test_fault_53_in_a_shared_directory_secc_leaves_can_be_deleted_and_csms_leaves_cannot() -> None:
    w = pki()
    shelf = Shelf(SHARED).put(V2G_BUNDLE, w["Root"].pem).with_leaf(w, "SECC", "Sub2", "Sub1")
    shelf = shelf.put("client/cso/CSMS_LEAF_1.pem", w["Elsewhere"].pem).with_key(w, "Elsewhere", "client/cso/c.key")
    shelf = shelf.put("client/cso/CPO_CERT_CSMS_LEAF_CHAIN_1.pem", w.pem("Elsewhere", "Branch"))
    assert deleted(shelf, w, "SECC").names() == {
        V2G_BUNDLE,
        "client/cso/CSMS_LEAF_1.pem",
        "client/cso/CPO_CERT_CSMS_LEAF_CHAIN_1.pem",
        "client/cso/c.key",
    }
    assert_stays(shelf, w, ["Elsewhere", "Branch"])


def test_in_a_shared_directory_a_leaf_that_may_be_either_counts_as_csms_leaf() -> None:
    w = pki()
    shelf = Shelf(SHARED).put("client/cso/leaf.pem", w.pem("SECC", "Sub2")).with_key(w, "SECC", "client/cso/leaf.key")
    assert_stays(shelf, w, ["SECC"])


def test_a_csms_leaf_stays_usable_whatever_is_deleted() -> None:
    w = pki()
    shelf = station(w).with_leaf(w, "Elsewhere", "Branch", kind="CSMS")
    for holder in ("SECC", "Root", "Sub1"):
        [leaf] = usable(deleted(shelf, w, holder).look().leaves[CSMS_LEAF], "not_after", Policy(()), NOW)
        assert leaf.file.certificates == (of(w, "Elsewhere"), of(w, "Branch"))


def test_every_removal_is_named_once() -> None:
    w = pki()
    changes = decided(station(w), id_of(w, "SECC")).changes
    assert len(set(changes)) == len(changes)
    assert all(isinstance(change, Remove) for change in changes)


def test_deleting_in_one_domain_leaves_the_copies_of_another_alone() -> None:
    w = world("V2G >", "MO >")
    shelf = Shelf().put(f"{V2G_BUNDLE}/root.der", w["V2G"].der).put(f"{MO_BUNDLE}/root.der", w["MO"].der)
    theirs, own = f"{V2G_BUNDLE}/bundle/root.der.pem", f"{MO_BUNDLE}/bundle/root.der.pem"
    shelf = shelf.put(theirs, w["V2G"].pem).put(own, w["MO"].pem)
    assert shelf.names() - deleted(shelf, w, "MO").names() == {f"{MO_BUNDLE}/root.der", own}


@pytest.mark.parametrize("form", [V2G_BUNDLE, f"{V2G_BUNDLE}/all.pem"])
def test_the_old_root_of_a_rollover_takes_only_what_has_no_other_issuer(form: str) -> None:
    w = world("New > Sub > Sub2 >", "Old > Cross >", "Old > Branch > Twig >", Cross={"same_as": "New"})
    shelf = Shelf().put(form, w.pem("Old", "New", "Cross", "Branch", "Twig", "Sub2", "Sub"))
    assert names_in(deleted(shelf, w, "Old").text(form)) == ["New", "Sub2", "Sub"]
    assert names_in(deleted(shelf, w, "New").text(form)) == ["Old", "New", "Branch", "Twig", "Sub2", "Sub"]
    assert names_in(deleted(shelf, w, "Sub").text(form)) == ["Old", "New", "New", "Branch", "Twig"]


@pytest.mark.parametrize("holder", ["SECC", "Sub2"])
def test_a_deletion_that_was_interrupted_can_be_given_again_and_finds_the_keys_placed_by_hand(holder: str) -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem)
    for name, leaf in (("a", "SECC"), ("b", "Other")):
        shelf = shelf.put(f"client/cso/{name}.pem", w.pem(leaf, "Sub2", "Sub1")).put(
            f"client/cso/{name}1.pem", w[leaf].pem
        )
        shelf = shelf.with_key(w, leaf, f"client/cso/{name}.key").put(f"client/cso/der/{name}.key.der", b"...")
    whole = deleted(shelf, w, holder)
    steps = shelf.steps(decided(shelf, id_of(w, holder)).changes)
    stranded = []
    for step in steps[:-1]:
        store = step.look().leaves[SECC_LEAF]
        if {leaf.key for leaf in store.leaves} == set(store.keys):
            assert deleted(step, w, holder).names() == whole.names()
        else:
            stranded.append(step)
    assert len(stranded) == (
        1 if holder == "SECC" else 2
    )  # of each leaf: its last certificate is gone, its key is next

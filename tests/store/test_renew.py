"""Installing a signed leaf (A02, A03): where its files go, and in which order."""

from collections.abc import Sequence

import pytest

from evse_security.errors import ChainRefused, KeyNotFound
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import Policy, VerifiedChain, verify
from evse_security.store.changes import Decision, Write
from evse_security.store.limits import with_room
from evse_security.store.rules.renew import renew
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation, LeafCertificateType
from tests.builders import NOW, World, world
from tests.store.pictures import (
    BELIEVED,
    CSMS_BUNDLE,
    CSMS_LEAF,
    HOUR,
    SECC_LEAF,
    V2G_BUNDLE,
    Shelf,
    config,
    junk_block,
    limits,
    names_in,
    of,
    token,
)

SINGLE, CHAIN = f"client/cso/SECC_LEAF_{token(7)}.pem", f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{token(7)}.pem"
KEY = f"client/cso/SECC_LEAF_{token(1)}.key"


def pki() -> World:
    return world("Root > Sub1 > Sub2 > SECC", "Root > Sub1 > Sub2 > Other")


def waiting(w: World) -> Shelf:
    """A station that has a root and a key, and waits for its certificate."""
    return Shelf().put(V2G_BUNDLE, w["Root"].pem).with_key(w, "SECC", KEY)


def chain_of(w: World, *received: str, root: str = "Root", leaf_type: LeafCertificateType = SECC_LEAF) -> VerifiedChain:
    snapshot = Shelf().put(V2G_BUNDLE, w[root].pem).look()
    return verify(
        of(w, received[0]),
        intermediates=[of(w, holder) for holder in received[1:]],
        trust=snapshot.cas[snapshot.leaves[SECC_LEAF].kind.ca_type].trust,
        policy=Policy((leaf_type,)),
        now=NOW,
    )


def decided(shelf: Shelf, chain: VerifiedChain, leaf_type: LeafCertificateType = SECC_LEAF) -> Decision:
    return renew(shelf.look().leaves[leaf_type], chain, token(7))


def test_the_chain_file_comes_before_the_single_file_and_both_under_one_token() -> None:
    w = pki()
    decision = decided(waiting(w), chain_of(w, "SECC", "Sub2", "Sub1"))
    assert [(change.path, type(change)) for change in decision.changes] == [
        (Shelf().path(CHAIN), Write),
        (Shelf().path(SINGLE), Write),
    ]
    assert decision.updates == (
        CertificateStoreUpdate(operation=CertificateStoreUpdateOperation.Installed, leaf_certificate_type=SECC_LEAF),
    )


def test_nothing_is_offered_before_its_chain_is_there() -> None:
    w = pki()
    shelf = waiting(w)
    decision = decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1"))
    for step in shelf.steps(decision.changes):
        for leaf in step.look().leaves[SECC_LEAF].leaves:
            assert leaf.file.certificates == (of(w, "SECC"), of(w, "Sub2"), of(w, "Sub1"))


@pytest.mark.parametrize(
    "received", [("SECC", "Sub2", "Sub1"), ("SECC", "Sub1", "Sub2"), ("SECC", "Sub1", "Sub2", "Root")]
)
def test_23_17_the_chain_is_written_in_tls_order_without_its_root(received: Sequence[str]) -> None:
    w = pki()
    shelf = waiting(w)
    after = shelf.applied(decided(shelf, chain_of(w, *received)).changes)
    assert after.text(CHAIN) == w.pem("SECC", "Sub2", "Sub1")
    assert after.text(SINGLE) == w["SECC"].pem


def test_fault_41_unrelated_certificates_that_were_sent_along_are_not_kept() -> None:
    w = world("Root > Sub1 > Sub2 > SECC", "Root > Branch >", "Stranger > StrangerSub > StrangerLeaf")
    shelf = waiting(w)
    chain = chain_of(w, "SECC", "StrangerLeaf", "Branch", "Sub2", "StrangerSub", "Stranger", "Sub1", "Root")
    assert names_in(shelf.applied(decided(shelf, chain).changes).text(CHAIN)) == ["SECC", "Sub2", "Sub1"]


def test_sub_cas_that_only_the_store_has_are_written_too() -> None:
    w = pki()
    shelf = waiting(w).put(V2G_BUNDLE, w.pem("Root", "Sub1", "Sub2"))
    snapshot = shelf.look()
    chain = verify(
        of(w, "SECC"),
        intermediates=(),
        trust=snapshot.cas[snapshot.leaves[SECC_LEAF].kind.ca_type].trust,
        policy=Policy((SECC_LEAF,)),
        now=NOW,
    )
    assert names_in(shelf.applied(decided(shelf, chain).changes).text(CHAIN)) == ["SECC", "Sub2", "Sub1"]


def test_a_leaf_that_its_root_signed_has_no_chain_file() -> None:
    w = world("Root > SECC")
    shelf = waiting(w)
    after = shelf.applied(decided(shelf, chain_of(w, "SECC")).changes)
    assert after.names() - shelf.names() == {SINGLE}


def test_fault_41_the_same_chain_again_makes_no_second_copy_and_is_not_announced() -> None:
    w = pki()
    shelf = waiting(w)
    chain = chain_of(w, "SECC", "Sub2", "Sub1")
    after = shelf.applied(decided(shelf, chain).changes)
    assert decided(after, chain) == Decision()


@pytest.mark.parametrize("missing", [SINGLE, CHAIN])
def test_a_missing_file_of_an_installed_leaf_is_written_beside_the_other(missing: str) -> None:
    w = pki()
    shelf = waiting(w)
    chain = chain_of(w, "SECC", "Sub2", "Sub1")
    complete = shelf.applied(decided(shelf, chain).changes)
    decision = renew(complete.without(missing).look().leaves[SECC_LEAF], chain, token(8))
    assert [change.path for change in decision.changes] == [complete.path(missing)]
    assert decision.updates


def test_a_chain_file_with_other_sub_cas_is_replaced_in_its_place() -> None:
    w = pki()
    shelf = waiting(w).put(SINGLE, w["SECC"].pem).put(CHAIN, w.pem("SECC", "Sub2"))
    decision = renew(shelf.look().leaves[SECC_LEAF], chain_of(w, "SECC", "Sub2", "Sub1"), token(8))
    assert [change.path for change in decision.changes] == [shelf.path(CHAIN)]
    assert shelf.applied(decision.changes).text(CHAIN) == w.pem("SECC", "Sub2", "Sub1")


def test_a_damaged_chain_file_of_the_leaf_is_mended() -> None:
    w = pki()
    shelf = waiting(w).put(SINGLE, w["SECC"].pem).put(CHAIN, w["SECC"].pem + junk_block())
    decision = renew(shelf.look().leaves[SECC_LEAF], chain_of(w, "SECC", "Sub2", "Sub1"), token(8))
    [after] = shelf.applied(decision.changes).look().leaves[SECC_LEAF].leaves
    assert after.file.certificates == (of(w, "SECC"), of(w, "Sub2"), of(w, "Sub1"))


def test_another_leafs_file_is_never_replaced() -> None:
    w = pki()
    shelf = waiting(w).put(SINGLE, w["SECC"].pem).put(CHAIN, w.pem("Other", "Sub2", "Sub1"))
    decision = renew(shelf.look().leaves[SECC_LEAF], chain_of(w, "SECC", "Sub2", "Sub1"), token(8))
    assert [change.path for change in decision.changes] == [
        shelf.path(f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{token(8)}.pem")
    ]


def test_of_a_leaf_that_lies_there_in_der_both_files_are_written() -> None:
    w = pki()
    shelf = waiting(w).put("client/cso/mine.der", w["SECC"].der)
    assert len(decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1")).changes) == 2


def test_of_a_leaf_placed_by_hand_the_missing_file_gets_a_name_of_its_own() -> None:
    w = pki()
    shelf = waiting(w).put("client/cso/SECC_LEAF.pem", w["SECC"].pem)
    decision = decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1"))
    assert [change.path for change in decision.changes] == [shelf.path(CHAIN)]


def test_without_its_key_a_leaf_is_refused() -> None:
    w = pki()
    with pytest.raises(KeyNotFound, match="/station/certs/client/cso"):
        decided(waiting(w).without(KEY), chain_of(w, "SECC", "Sub2", "Sub1"))
    with pytest.raises(KeyNotFound):
        decided(waiting(w), chain_of(w, "Other", "Sub2", "Sub1"))


def test_the_key_is_found_in_a_directory_of_its_own_and_below() -> None:
    w = pki()
    separate = Shelf(config(secc_leaf_key_directory="keys")).put(V2G_BUNDLE, w["Root"].pem)
    shelf = separate.with_key(w, "SECC", "keys/deep/er/own.key")
    assert len(decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1")).changes) == 2


def test_the_key_of_the_other_kind_does_not_do() -> None:
    w = pki()
    shelf = waiting(w).without(KEY).with_key(w, "SECC", "client/csms/CSMS_LEAF.key")
    with pytest.raises(KeyNotFound):
        decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1"))


def test_a_csms_leaf_has_names_of_its_own() -> None:
    w = pki()
    shelf = Shelf().put(CSMS_BUNDLE, w["Root"].pem).with_key(w, "SECC", "client/csms/any.key")
    after = shelf.applied(decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1"), CSMS_LEAF).changes)
    assert after.names() - shelf.names() == {
        f"client/csms/CSMS_LEAF_{token(7)}.pem",
        f"client/csms/CPO_CERT_CSMS_LEAF_CHAIN_{token(7)}.pem",
    }


def test_fault_71_the_old_leaf_stays_until_it_is_swept() -> None:
    w = pki()
    shelf = waiting(w).with_leaf(w, "Other", "Sub2", "Sub1", number=2)
    after = shelf.applied(decided(shelf, chain_of(w, "SECC", "Sub2", "Sub1")).changes)
    assert shelf.names() < after.names()


def test_making_room_does_not_take_the_key_that_is_about_to_be_used() -> None:
    w = pki()
    shelf = waiting(w).with_key(w, "SECC", KEY, age=5 * HOUR).put("client/cso/.x.evse-tmp", b"left over")
    chain, tight = chain_of(w, "SECC", "Sub2", "Sub1"), limits(max_entries=4)
    protected = (token_of_certificate(chain.leaf),)
    decision = with_room(decided(shelf, chain), shelf.look(), tight, BELIEVED, protected)
    assert shelf.applied(decision.changes).names() == {V2G_BUNDLE, KEY, SINGLE, CHAIN}


def test_only_a_verified_chain_can_be_installed() -> None:
    w = pki()
    with pytest.raises(ChainRefused):
        chain_of(w, "SECC", "Sub2")
    with pytest.raises(TypeError):
        VerifiedChain((of(w, "SECC"),), object())


def test_a_chain_placed_by_hand_is_never_written_over() -> None:
    w = world("Root > Sub > SECC", "Root > Old >", Old={"same_as": "Sub"})
    text = f"# placed by hand\n{w['SECC'].key_pem()}{w.pem('SECC', 'Old')}"
    shelf = waiting(w).put("client/cso/A.pem", text).put("client/cso/A2.pem", w.pem("SECC", "Old"))
    decision = decided(shelf, chain_of(w, "SECC", "Sub"))
    assert [change.path for change in decision.changes] == [shelf.path(CHAIN), shelf.path(SINGLE)]
    after = shelf.applied(decision.changes)
    [leaf] = after.look().leaves[SECC_LEAF].leaves
    assert leaf.file.path == shelf.path(CHAIN)
    assert decided(after, chain_of(w, "SECC", "Sub")) == Decision()


@pytest.mark.parametrize("addition", ["key", "junk", "hidden"])
def test_a_file_that_holds_anything_else_is_never_written_over(addition: str) -> None:
    w = world("Root > Sub > SECC", "Root > Old >", Old={"same_as": "Sub"})
    more = {"key": w["SECC"].key_pem(), "junk": junk_block(), "hidden": f"# {w['Root'].pem}"}[addition]
    name = f"client/cso/CPO_CERT_SECC_LEAF_CHAIN_{token(3)}.pem"
    shelf = waiting(w).put(name, w.pem("SECC", "Old") + more)
    decision = decided(shelf, chain_of(w, "SECC", "Sub"))
    assert shelf.path(name) not in [change.path for change in decision.changes]
    assert shelf.applied(decision.changes).text(name).endswith(more)

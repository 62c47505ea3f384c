"""The frozen picture of a store, and the questions to it."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from evse_security.pki.path import Policy, verify
from evse_security.store.snapshot import StoreForm, may_sign
from tests.builders import DAY, NOW, YEAR, as_version_1, pem_of, with_explicit_false, world
from tests.store.pictures import (
    CSMS,
    CSMS_BUNDLE,
    CSMS_LEAF,
    MO,
    MO_BUNDLE,
    SECC_LEAF,
    V2G,
    V2G_BUNDLE,
    Shelf,
    config,
    id_of,
    junk_block,
    of,
    parsed,
)


def test_a_file_gives_its_good_blocks_and_says_where_the_bad_ones_are() -> None:
    w = world("A >", "B >")
    text = f"# {'x' * 10}\n{junk_block()}{w['A'].pem}"
    [file] = Shelf().put(V2G_BUNDLE, text + w["B"].pem).look().cas[V2G].files
    assert file.certificates == (of(w, "A"), of(w, "B"))
    [problem] = file.problems
    assert problem.path == Shelf().path(V2G_BUNDLE)
    assert problem.text.startswith(f"at byte {text.index('-----')}: ")


def test_a_file_that_cannot_be_read_says_why() -> None:
    snapshot = Shelf().put(V2G_BUNDLE, None).look()
    assert [problem.text for problem in snapshot.problems] == ["Permission denied"]
    assert not snapshot.readable
    assert not snapshot.cas[V2G].readable


def test_what_is_missing_is_readable_and_what_cannot_be_looked_at_is_not() -> None:
    assert Shelf().look().readable
    snapshot = replace(Shelf(), blocked=frozenset({Shelf().path(V2G_BUNDLE)})).look()
    assert snapshot.cas[V2G].form is StoreForm.UNREADABLE
    assert not snapshot.readable
    assert not replace(Shelf(), away=frozenset({Shelf().path("client/cso")})).look().readable


@pytest.mark.parametrize("first", ["Root", "Sub"])
def test_a_file_that_begins_with_a_ca_holds_no_leaf(first: str) -> None:
    w = world("Root > Sub > SECC")
    assert Shelf().put("client/cso/a.pem", w.pem(first, "SECC")).look().leaves[SECC_LEAF].leaves == ()


def test_a_leaf_that_spells_out_that_it_is_no_ca_is_a_leaf_and_so_is_one_of_version_1() -> None:
    w = world("Root > SECC")
    for der in (with_explicit_false(w["SECC"]), as_version_1(w["SECC"])):
        [leaf] = Shelf().put("client/cso/a.pem", pem_of(der)).look().leaves[SECC_LEAF].leaves
        assert leaf.certificate == parsed(der)


def test_a_leaf_in_several_files_is_one_leaf() -> None:
    w = world("Root > Sub > SECC")
    shelf = Shelf().with_leaf(w, "SECC", "Sub").put("client/cso/x.der", w["SECC"].der)
    shelf = shelf.put("client/cso/bad.pem", w["SECC"].pem + junk_block())
    [leaf] = shelf.look().leaves[SECC_LEAF].leaves
    assert len(leaf.copies) == 4
    assert leaf.single is not None
    assert leaf.single.path.name.startswith("SECC_LEAF_")
    assert leaf.file == leaf.chain
    assert leaf.servable


def test_a_leaf_in_damaged_files_only_still_has_a_file() -> None:
    w = world("Root > SECC")
    [leaf] = Shelf().put("client/cso/bad.pem", w["SECC"].pem + junk_block()).look().leaves[SECC_LEAF].leaves
    assert (leaf.single, leaf.chain, leaf.servable) == (None, None, False)
    assert leaf.file.path.name == "bad.pem"


def test_roots_confirm_themselves_and_may_sign() -> None:
    w = world("Root > Sub >", "Forged >", "Leaf >", Forged={"signed_by": "Mallory"}, Leaf={"role": "leaf"})
    store = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub", "Forged", "Leaf")).look().cas[V2G]
    assert store.roots == store.anchors == (of(w, "Root"),)


def test_only_the_csms_store_has_additional_anchors() -> None:
    w = world("Root > Sub > Leaf")
    shelf = Shelf(config(additional_root_certificate_check=True))
    for ca_type, bundle in ((V2G, V2G_BUNDLE), (MO, MO_BUNDLE)):
        store = shelf.put(bundle, w.pem("Root", "Sub", "Leaf")).look().cas[ca_type]
        assert store.anchors == (of(w, "Root"),)
    csms = shelf.put(CSMS_BUNDLE, w.pem("Root", "Sub", "Leaf")).look().cas[CSMS]
    assert csms.anchors == (of(w, "Root"), of(w, "Sub"))


def test_valid_roots_are_those_of_the_moment() -> None:
    w = world("Old >", "New >", Old={"not_after": NOW - DAY}, New={"not_before": NOW + DAY})
    store = Shelf().put(V2G_BUNDLE, w.pem("Old", "New")).look().cas[V2G]
    assert store.valid_roots(NOW) == ()
    assert store.valid_roots(NOW - 2 * DAY) == (of(w, "Old"),)
    assert store.valid_roots(NOW + YEAR) == (of(w, "New"),)


def test_trust_may_span_domains() -> None:
    w = world("VRoot > VSub > V", "MRoot > MSub > M")
    snapshot = Shelf().put(V2G_BUNDLE, w.pem("VRoot", "VSub")).put(MO_BUNDLE, w.pem("MRoot", "MSub")).look()
    policy = Policy((SECC_LEAF,))
    for leaf in ("V", "M"):
        trust = snapshot.trust((V2G, MO, V2G))
        assert verify(of(w, leaf), intermediates=(), trust=trust, policy=policy, now=NOW).leaf == of(w, leaf)
    assert snapshot.trust((V2G, V2G)) is snapshot.cas[V2G].trust
    assert snapshot.trust(()).anchors == frozenset()


def test_a_certificate_is_identified_in_whatever_store_it_lies() -> None:
    w = world("Root > Sub > SECC")
    shelf = Shelf().put(MO_BUNDLE, w["Root"].pem).put("client/csms/s.pem", w["Sub"].pem).with_leaf(w, "SECC")
    for holder in w:
        assert shelf.look().identified(id_of(w, holder)) == {of(w, holder)}


def test_each_kind_has_its_own_directory() -> None:
    w = world("Root > A", "Root > B")
    shelf = Shelf().with_leaf(w, "A").with_leaf(w, "B", kind="CSMS")
    leaves = shelf.look().leaves
    assert [[leaf.certificate for leaf in leaves[kind].leaves] for kind in (SECC_LEAF, CSMS_LEAF)] == [
        [of(w, "A")],
        [of(w, "B")],
    ]


def test_ca_certificates_are_counted_once_per_bundle() -> None:
    w = world("A >", "B >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("A", "B", "A")).put(MO_BUNDLE, w["A"].pem)
    assert shelf.look().ca_count() == 3
    assert Shelf(config(mo_ca_bundle=V2G_BUNDLE)).put(V2G_BUNDLE, w.pem("A", "B")).look().ca_count() == 2


def test_a_ca_that_cannot_be_read_may_not_sign() -> None:
    oid = ExtensionOID.BASIC_CONSTRAINTS
    broken = x509.Extension(oid, False, x509.UnrecognizedExtension(oid, b"\x05\x00"))
    w = world("Root >", Root={"basic_constraints": None, "more_extensions": (broken,)})
    assert not may_sign(of(w, "Root"))


@pytest.mark.parametrize(
    ("comment", "is_readable"), [("# ", False), ("  ", True), ("-----BEGIN FOO-----\n", True)], ids=repr
)
def test_a_file_that_others_read_differently_is_not_fit_and_unreadable_only_where_it_may_hide_something(
    comment: str, *, is_readable: bool
) -> None:
    w = world("A >", "B >")
    store = Shelf().put(V2G_BUNDLE, w["A"].pem + comment + w["B"].pem).look().cas[V2G]
    [file] = store.files
    assert file.problems[0].text.startswith("at byte ")
    assert (file.fit, file.damaged, file.hides) == (False, False, not is_readable)
    assert store.readable is is_readable
    [clean] = Shelf().put(V2G_BUNDLE, f"# A\n{w.pem('A', 'B')}").look().cas[V2G].files
    assert (clean.fit, clean.damaged, clean.hides) == (True, False, False)


def test_files_of_a_leaf_that_are_fit_come_before_others() -> None:
    w = world("Root > Sub > SECC")
    shelf = Shelf().put("client/cso/1.pem", "  " + w["SECC"].pem).put("client/cso/2.pem", w["SECC"].pem)
    shelf = shelf.put("client/cso/3.pem", "  " + w.pem("SECC", "Sub"))
    [leaf] = shelf.look().leaves[SECC_LEAF].leaves
    assert (leaf.single and leaf.single.path.name, leaf.chain and leaf.chain.path.name) == ("2.pem", "3.pem")
    assert leaf.servable

"""The files of a leaf in one encoding, and which copies that takes."""

import pytest

from evse_security.store.changes import Write
from evse_security.store.info import LeafFiles, files_in, source_of
from evse_security.store.snapshot import Leaf
from evse_security.vocabulary import EncodingFormat
from tests.builders import World, world
from tests.store.pictures import CERTS, SECC_LEAF, Shelf, junk_block, token

SINGLE, CHAIN = f"SECC_LEAF_{token(1)}.pem", f"CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem"
KEY = f"SECC_LEAF_{token(1)}.key"
PLACE = CERTS / "client/cso"


def pki() -> World:
    return world("Root > Sub > SECC")


def only_leaf(shelf: Shelf) -> Leaf:
    [leaf] = shelf.look().leaves[SECC_LEAF].leaves
    return leaf


def test_in_pem_a_leaf_is_what_lies_there() -> None:
    leaf = only_leaf(Shelf().with_leaf(pki(), "SECC", "Sub"))
    assert files_in(leaf, EncodingFormat.PEM) == LeafFiles(PLACE / KEY, PLACE / SINGLE, PLACE / CHAIN, 2, ())
    assert files_in(leaf, EncodingFormat.PEM).certificate == PLACE / CHAIN


def test_a_leaf_alone_counts_one() -> None:
    found = files_in(only_leaf(Shelf().with_leaf(pki(), "SECC")), EncodingFormat.PEM)
    assert found == LeafFiles(PLACE / KEY, PLACE / SINGLE, None, 1, ())
    assert found.certificate == PLACE / SINGLE


def test_a_chain_without_single_file_has_none() -> None:
    shelf = Shelf().with_leaf(pki(), "SECC", "Sub").without(f"client/cso/{SINGLE}")
    assert files_in(only_leaf(shelf), EncodingFormat.PEM) == LeafFiles(PLACE / KEY, None, PLACE / CHAIN, 2, ())


def test_fault_56_in_der_there_are_copies_of_key_leaf_and_chain_in_a_directory_of_their_own() -> None:
    w = pki()
    found = files_in(only_leaf(Shelf().with_leaf(w, "SECC", "Sub")), EncodingFormat.DER, b"key")
    copies = PLACE / "der"
    assert found == LeafFiles(
        copies / f"{KEY}.der",
        copies / f"{SINGLE}.leaf.der",
        copies / f"{CHAIN}.chain.der",
        2,
        (
            Write(copies / f"{KEY}.der", b"key", 0o600),
            Write(copies / f"{SINGLE}.leaf.der", w["SECC"].der),
            Write(copies / f"{CHAIN}.chain.der", w["SECC"].der + w["Sub"].der),
        ),
    )


def test_in_der_a_leaf_alone_has_no_chain() -> None:
    found = files_in(only_leaf(Shelf().with_leaf(pki(), "SECC")), EncodingFormat.DER, b"key")
    assert found.chain is None
    assert len(found.copies) == 2


def test_in_der_a_chain_without_single_file_has_both_copies() -> None:
    shelf = Shelf().with_leaf(pki(), "SECC", "Sub").without(f"client/cso/{SINGLE}")
    found = files_in(only_leaf(shelf), EncodingFormat.DER, b"key")
    assert (found.single, found.chain) == (PLACE / "der" / f"{CHAIN}.leaf.der", PLACE / "der" / f"{CHAIN}.chain.der")


def test_a_leaf_that_lies_there_in_der_only_is_copied_to_text_from_its_sound_file() -> None:
    w = pki()
    shelf = Shelf().put("client/cso/a.pem", w["SECC"].pem + junk_block()).put("client/cso/mine.der", w["SECC"].der)
    leaf = only_leaf(shelf.with_key(w, "SECC", "client/cso/mine.key"))
    found = files_in(leaf, EncodingFormat.PEM)
    copy = PLACE / "der/mine.der.leaf.pem"
    assert found == LeafFiles(PLACE / "mine.key", copy, None, 1, (Write(copy, w["SECC"].pem.encode()),))


def test_the_copies_of_a_key_lie_beside_the_key() -> None:
    w = pki()
    shelf = Shelf().put("client/cso/l.pem", w["SECC"].pem).with_key(w, "SECC", "client/cso/deep/l.key")
    assert files_in(only_leaf(shelf), EncodingFormat.DER, b"key").key == PLACE / "deep/der/l.key.der"


def test_a_leaf_without_key_has_no_files_to_offer() -> None:
    shelf = Shelf().put("client/cso/l.pem", pki()["SECC"].pem)
    with pytest.raises(LookupError):
        files_in(only_leaf(shelf), EncodingFormat.PEM)
    with pytest.raises(LookupError):
        _ = LeafFiles(PLACE, None, None, 1, ()).certificate


def test_every_copy_leads_back_to_its_source() -> None:
    for shelf in (
        Shelf().with_leaf(pki(), "SECC", "Sub"),
        Shelf().put("client/cso/a.CRT", pki()["SECC"].pem).with_key(pki(), "SECC", "client/cso/a.tkey"),
        Shelf().put("client/cso/a.der", pki()["SECC"].der).with_key(pki(), "SECC", "client/cso/a.key"),
    ):
        leaf = only_leaf(shelf)
        for encoding in EncodingFormat:
            for copy in files_in(leaf, encoding, b"key").copies:
                assert source_of(copy.path) in shelf.files


@pytest.mark.parametrize("name", ["mine.der", "mine.leaf.der", "a.pem.der", "a.txt.chain.der", "a.pem", ".der"])
def test_other_files_are_copies_of_nothing(name: str) -> None:
    assert source_of(PLACE / "der" / name) is None


def test_what_lies_elsewhere_is_a_copy_of_nothing() -> None:
    assert source_of(PLACE / "bundle" / f"{SINGLE}.leaf.der") is None


def test_a_leaf_in_text_that_others_read_differently_is_copied_with_its_sub_cas() -> None:
    w = pki()
    shelf = Shelf().put("client/cso/a.pem", w["SECC"].pem.rstrip() + w["Sub"].pem)
    found = files_in(only_leaf(shelf.with_key(w, "SECC", "client/cso/a.key")), EncodingFormat.PEM)
    copy = PLACE / "der/a.pem.chain.pem"
    assert found == LeafFiles(PLACE / "a.key", None, copy, 2, (Write(copy, w.pem("SECC", "Sub").encode()),))
    assert source_of(copy) == PLACE / "a.pem"


def test_a_leaf_alone_in_text_that_others_read_differently_is_copied() -> None:
    w = pki()
    shelf = Shelf().put("client/cso/a.pem", "  " + w["SECC"].pem).with_key(w, "SECC", "client/cso/a.key")
    copy = PLACE / "der/a.pem.leaf.pem"
    found = files_in(only_leaf(shelf), EncodingFormat.PEM)
    assert found == LeafFiles(PLACE / "a.key", copy, None, 1, (Write(copy, w["SECC"].pem.encode()),))

"""What follows from a cached OCSP response that says revoked."""

from datetime import datetime
from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.errors import Revoked
from evse_security.pki.path import Policy
from evse_security.store.rules.revoked import revocation
from evse_security.store.rules.select import chosen, flaw, newest_per_root, status
from evse_security.store.snapshot import Leaf, LeafStore, Snapshot
from tests.builders import DAY, NOW, YEAR, World, key, ocsp_answer, world
from tests.store.pictures import CSMS, CSMS_BUNDLE, CSMS_LEAF, SECC_LEAF, V2G, V2G_BUNDLE, Shelf, id_of

W = world("Root > Sub > Old", "Root > Sub > New", New={"not_after": NOW + 90 * DAY})
REVOKED: dict[str, Any] = {"status": OCSPCertStatus.REVOKED, "revoked_at": NOW - DAY}


def stocked(w: World = W, *holders: str) -> Shelf:
    shelf = Shelf().put(V2G_BUNDLE, w["Root"].pem)
    for number, holder in enumerate(holders or ("Old", "New")):
        shelf = shelf.with_leaf(w, holder, "Sub", number=number)
    return shelf


def told(shelf: Shelf, who: str, name: str = "client/cso/ocsp/1_ocsp", w: World = W, **said: Any) -> Shelf:
    """With a cached response about somebody."""
    return shelf.with_ocsp(name, id_of(w, who), ocsp_answer(w, who, **said))


def used(shelf: Shelf, now: datetime = NOW) -> str | None:
    found = shelf.look()
    leaf = chosen(found.leaves[SECC_LEAF], found.cas[V2G].trust, "not_after", Policy((SECC_LEAF,)), now, said(found))
    return None if leaf is None else leaf.certificate.name.split("CN=")[1].split(",")[0]


def said(found: Snapshot) -> Any:
    return found.revocations


def test_the_next_leaf_is_used_instead_of_one_that_is_revoked() -> None:
    assert used(stocked()) == "New"
    assert used(told(stocked(), "New", **REVOKED)) == "Old"
    assert used(told(stocked(), "New")) == "New"


def test_with_a_revoked_sub_ca_there_is_none() -> None:
    shelf = told(stocked(), "Sub", "ca/v2g/ocsp/1_ocsp", **REVOKED)
    assert used(shelf) is None
    found = shelf.look()
    store, trust = found.leaves[SECC_LEAF], found.cas[V2G].trust
    assert newest_per_root(store, trust, "not_after", Policy((SECC_LEAF,)), NOW, said(found)) == []
    assert status(store, Policy((SECC_LEAF,)), NOW) == "NotFoundValid"
    reason = flaw(store.leaves[0], trust, Policy((SECC_LEAF,)), NOW, said(found))
    assert str(reason) == "CN=Sub, O=Test was revoked on 2029-12-31, says its OCSP responder"


@pytest.mark.parametrize("now", [NOW + 30 * DAY, NOW - DAY / 2])
def test_a_revocation_does_not_end_with_its_response_nor_with_the_clock(now: datetime) -> None:
    assert used(told(stocked(), "New", **REVOKED), now) == "Old"


def test_only_the_newest_response_counts_and_of_two_equally_new_ones_the_revocation() -> None:
    revoked = told(stocked(), "New", "client/cso/ocsp/1_ocsp", this_update=NOW - DAY, **REVOKED)
    assert used(told(revoked, "New", "ca/v2g/ocsp/2_ocsp", this_update=NOW - DAY / 2)) == "New"
    assert used(told(revoked, "New", "ca/v2g/ocsp/2_ocsp", this_update=NOW - 2 * DAY)) == "Old"
    assert used(told(revoked, "New", "ca/v2g/ocsp/2_ocsp", this_update=NOW - DAY)) == "Old"
    unknown: dict[str, Any] = {"this_update": NOW - DAY / 2, "status": OCSPCertStatus.UNKNOWN}
    assert used(told(revoked, "New", "ca/v2g/ocsp/2_ocsp", **unknown)) == "Old"


def test_what_was_not_to_be_believed_has_no_consequences() -> None:
    assert used(told(stocked(), "New", signed_by=key("Mallory"), **REVOKED)) == "New"
    other = ocsp_answer(W, "Old", **REVOKED)
    assert used(stocked().with_ocsp("client/cso/ocsp/1_ocsp", id_of(W, "New"), other)) == "New"
    assert used(stocked().with_ocsp("client/cso/ocsp/1_ocsp", id_of(W, "New"), b"junk")) == "New"
    assert used(stocked().with_ocsp("client/cso/ocsp/1_ocsp", None, ocsp_answer(W, "New", **REVOKED))) == "New"


def test_without_its_issuer_nobody_can_say_so() -> None:
    shelf = Shelf().put("client/cso/new.pem", W["New"].pem).with_key(W, "New", "client/cso/new.key")
    assert used(told(shelf, "New", **REVOKED)) == "New"  # a revocation could not have been cached either


def test_a_delegate_of_the_issuer_may_say_so() -> None:
    w = world("Root > Sub > New", "Root > Sub > Responder", Responder={"role": "responder"})
    assert used(told(stocked(w, "New"), "New", w=w, responder="Responder", **REVOKED)) is None


def test_answers_that_are_kept_are_made_anew_when_a_response_comes() -> None:
    shelf = stocked()
    store, trust, policy = shelf.look().leaves[SECC_LEAF], shelf.look().cas[V2G].trust, Policy((SECC_LEAF,))
    revoked = told(shelf, "New", **REVOKED).look().revocations
    names = [
        leaf.certificate.name if leaf is not None else None
        for leaf in (chosen(store, trust, "not_after", policy, NOW, given) for given in (frozenset(), revoked) * 2)
    ]
    assert names == ["CN=New, O=Test", "CN=Old, O=Test"] * 2


def test_of_csms_leaves_a_revoked_one_is_used_for_want_of_another() -> None:
    """The CSMS decides whom it lets in, and a new leaf can only come that way."""
    w = world("Root > Sub > Good", "Root > Sub > Bad", "Root > Sub > Lost", Bad={"not_after": NOW + YEAR})

    def best(*holders: str, roots: bool = True) -> str:
        shelf = Shelf().put(CSMS_BUNDLE, w["Root"].pem) if roots else Shelf()
        for number, holder in enumerate(holders):
            shelf = shelf.with_leaf(w, holder, "Sub", kind="CSMS", number=number)
        shelf = told(shelf, "Bad", "client/csms/ocsp/1_ocsp", w=w, **REVOKED)
        found = shelf.look()
        store, trust = found.leaves[CSMS_LEAF], found.cas[CSMS].trust
        leaf = chosen(store, trust, "not_after", Policy((CSMS_LEAF,)), NOW, said(found))
        assert leaf is not None
        return leaf.certificate.name

    assert best("Bad", "Good") == "CN=Good, O=Test"
    assert best("Bad") == "CN=Bad, O=Test"
    assert best("Bad", "Good", roots=False) == "CN=Good, O=Test"  # better one that leads nowhere here


def leaf_of(store: LeafStore) -> Leaf:
    return store.leaves[0]


def test_it_is_said_who_is_revoked() -> None:
    found = told(stocked(W, "New"), "Sub", "ca/v2g/ocsp/1_ocsp", status=OCSPCertStatus.REVOKED).look()
    reason = revocation(leaf_of(found.leaves[SECC_LEAF]), found.cas[V2G].trust, found.revocations)
    assert isinstance(reason, Revoked)
    assert (reason.code, reason.certificate) == ("Revoked", "CN=Sub, O=Test")
    assert revocation(leaf_of(found.leaves[SECC_LEAF]), found.cas[V2G].trust, frozenset()) is None


def test_what_was_worked_out_goes_when_it_is_said_anew_who_is_revoked() -> None:
    """A responder says the same each day, and leaves and roots stay for years."""
    found = stocked().look()
    store, trust = found.leaves[SECC_LEAF], found.cas[V2G].trust
    kept = []
    for day in range(1, 5):
        again = told(stocked(), "New", this_update=NOW - day * DAY, **REVOKED).look()
        for _ in range(2):
            leaf = chosen(store, trust, "not_after", Policy((SECC_LEAF,)), NOW, said(again))
            assert leaf is not None
            assert leaf.certificate.pem == W["Old"].pem
            newest_per_root(store, trust, "not_after", Policy((SECC_LEAF,)), NOW, said(again))
        kept.append(len(store.memory[trust]))
    assert len(set(kept)) == 1

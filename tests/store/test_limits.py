"""How much a store may hold."""

from typing import Any

import pytest

from evse_security.clock import Moment
from evse_security.errors import StoreFull
from evse_security.store.changes import Decision, Edit, Remove, Write
from evse_security.store.limits import with_room
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation
from tests.builders import DAY, NOW, YEAR, ocsp_answer, world
from tests.store.pictures import BELIEVED, CERTS, SECC_LEAF, V2G_BUNDLE, Shelf, id_of, limits, token

LEFTOVER = "client/cso/.x.evse-tmp"
NEW = Write(CERTS / "client/cso/new.pem", b"x" * 100)
ONE = Shelf().put("client/cso/a.txt", "x" * 100)


def fits(shelf: Shelf, *changes: Any, moment: Any = BELIEVED, **given: Any) -> Decision:
    return with_room(Decision(changes), shelf.look(), limits(**given), moment)


def test_what_fits_is_left_as_it_is() -> None:
    assert fits(ONE, NEW, max_entries=2, max_bytes=200) == Decision((NEW,))


@pytest.mark.parametrize(("limit", "value"), [("max_entries", 1), ("max_bytes", 199)])
def test_what_does_not_fit_is_refused_by_the_name_of_the_limit(limit: str, value: int) -> None:
    with pytest.raises(StoreFull, match=f"max_store_{limit.removeprefix('max_')} = {value}"):
        fits(ONE, NEW, **{limit: value})


def test_the_store_is_swept_before_it_refuses() -> None:
    shelf = ONE.put(LEFTOVER, "x" * 100)
    assert fits(shelf, NEW, max_entries=2).changes == (Remove(CERTS / LEFTOVER), NEW)
    assert fits(shelf, NEW, max_entries=3).changes == (NEW,)


def test_what_sweeping_frees_counts_in_bytes_too() -> None:
    """A store that is full by bytes would else never be swept for anything."""
    shelf = ONE.put(LEFTOVER, "x" * 100)
    assert fits(shelf, NEW, max_bytes=200).changes == (Remove(CERTS / LEFTOVER), NEW)
    assert fits(shelf, NEW, max_bytes=300).changes == (NEW,)
    with pytest.raises(StoreFull, match="max_store_bytes"):
        fits(shelf, NEW, max_bytes=199)


def test_what_is_replaced_makes_room_for_what_is_new() -> None:
    changes = (Write(CERTS / "client/cso/a.txt", b"x" * 40), Write(CERTS / "client/cso/b.txt", b"x" * 60))
    assert fits(ONE, *changes, max_entries=2, max_bytes=100) == Decision(changes)
    with pytest.raises(StoreFull, match="max_store_bytes"):
        fits(ONE, *changes, max_bytes=99)


def test_room_is_not_made_where_the_clock_is_not_believed() -> None:
    with pytest.raises(StoreFull):
        fits(ONE.put(LEFTOVER, ""), NEW, max_entries=2, moment=Moment(NOW, "1970"))


def test_what_sweeping_deletes_is_announced_before_what_is_installed() -> None:
    w = world(
        *(f"Root > L{n}" for n in range(3)),
        **{f"L{n}": {"not_after": NOW - n * DAY, "not_before": NOW - YEAR} for n in range(3)},
    )
    shelf = Shelf()
    for number in range(3):
        shelf = shelf.with_leaf(w, f"L{number}", number=number)
    update = CertificateStoreUpdate(
        operation=CertificateStoreUpdateOperation.Installed, leaf_certificate_type=SECC_LEAF
    )
    decision = with_room(Decision((NEW,), (update,)), shelf.look(), limits(max_entries=6, keep_newest=1), BELIEVED)
    assert [one.operation for one in decision.updates] == ["Deleted", "Installed"]
    assert decision.changes[-1] == NEW


def test_what_removes_or_replaces_is_never_refused() -> None:
    shelf = ONE.put("client/cso/b.txt", "")
    for change in (
        Remove(CERTS / "client/cso/a.txt"),
        Write(CERTS / "client/cso/a.txt", b"y"),
        Edit(CERTS / "client/cso/a.txt", ((0, 1),)),
    ):
        assert fits(shelf, change, max_entries=1, max_bytes=1) == Decision((change,))


@pytest.mark.parametrize("place", ["client/cso/ocsp/1_ocsp", "ca/v2g/ocsp/1_ocsp"])
def test_a_cached_response_can_be_refreshed_in_a_full_store(place: str) -> None:
    w = world("Root > Sub >")
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Root", "Sub")).with_ocsp(place, id_of(w, "Sub"), ocsp_answer(w, "Sub"))
    changes = (Write(CERTS / f"{place}.der", b"new"), Write(CERTS / f"{place}.hash", b"new"))
    assert fits(shelf, *changes, max_entries=1, max_bytes=1) == Decision(changes)


def test_what_is_added_to_a_bundle_counts_in_bytes() -> None:
    change = Edit(CERTS / "client/cso/a.txt", append=b"x" * 100)
    assert fits(ONE, change, max_entries=1, max_bytes=200) == Decision((change,))
    with pytest.raises(StoreFull, match="max_store_bytes"):
        fits(ONE, change, max_bytes=199)


def test_copies_in_der_are_no_entries() -> None:
    shelf = ONE.put("client/cso/der/a.pem.leaf.der", "").put("client/cso/a.pem", "")
    assert fits(shelf, NEW, max_entries=3) == Decision((NEW,))


def test_files_of_whatever_kind_are_entries_as_in_everest() -> None:
    shelf = ONE.put("client/cso/deep/er/foreign", "").put("client/csms/k.key", "").put(V2G_BUNDLE, "")
    with pytest.raises(StoreFull):
        fits(shelf, NEW, max_entries=4)
    assert fits(shelf, NEW, max_entries=5) == Decision((NEW,))


def test_fault_65_a_key_for_a_signing_request_needs_room_too() -> None:
    key = Write(CERTS / f"client/cso/SECC_LEAF_{token(1)}.key", b"", 0o600)
    with pytest.raises(StoreFull):
        fits(ONE, key, max_entries=1)


def test_a_store_that_is_over_full_takes_nothing_even_if_sweeping_makes_it_smaller() -> None:
    with pytest.raises(StoreFull):
        fits(ONE.put(LEFTOVER, "").put("client/cso/b.txt", ""), NEW, max_entries=1)


def test_nothing_to_change_needs_no_room() -> None:
    assert fits(ONE, max_entries=1, max_bytes=1) == Decision()

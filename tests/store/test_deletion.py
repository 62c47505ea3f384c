"""What a deletion would take with it: the same that it takes."""

import pytest

from evse_security.store.deletion import Deletion, deletion
from evse_security.store.rules.delete import delete
from tests.builders import World, world
from tests.store.pictures import CSMS_BUNDLE, V2G_BUNDLE, Shelf, id_of, of, token


def pki() -> World:
    return world("Root > Sub1 > Sub2 > SECC", "Root > Branch > Elsewhere", "Other > OtherSub >")


def station(w: World) -> Shelf:
    return Shelf().put(V2G_BUNDLE, w.pem("Root", "Other", "Branch")).with_leaf(w, "SECC", "Sub2", "Sub1")


def asked(shelf: Shelf, w: World, holder: str) -> Deletion:
    return deletion(shelf.look(), id_of(w, holder))


def holders(w: World, found: Deletion) -> list[str]:
    names = {of(w, holder).fingerprint: holder for holder in w}
    return [names[one.fingerprint] for one in found.certificates]


def test_a_root_takes_what_it_issued_in_its_bundle_and_is_named_first() -> None:
    w = pki()
    shelf = Shelf().put(V2G_BUNDLE, w.pem("Branch", "Root", "Other"))
    found = asked(shelf, w, "Root")
    assert holders(w, found) == ["Root", "Branch"]
    assert (found.edited, found.removed, found.private_keys) == ((shelf.path(V2G_BUNDLE),), (), ())
    assert found.refusal is None


def test_a_leaf_takes_its_files_its_key_and_the_sub_cas_that_nobody_else_sends() -> None:
    w = pki()
    shelf = station(w)
    found = asked(shelf, w, "SECC")
    assert holders(w, found) == ["SECC", "Sub2", "Sub1"]
    assert found.private_keys == (shelf.path(f"client/cso/SECC_LEAF_{token(1)}.key"),)
    assert [path.name for path in found.removed] == [
        f"CPO_CERT_SECC_LEAF_CHAIN_{token(1)}.pem",
        f"SECC_LEAF_{token(1)}.pem",
    ]


@pytest.mark.parametrize("holder", ["Root", "Branch", "SECC", "Sub1"])
def test_what_is_told_is_what_goes(holder: str) -> None:
    w = pki()
    shelf = station(w)
    before = set(shelf.look().certificates)
    after = shelf.applied(delete(shelf.look(), id_of(w, holder)).changes)
    gone = before.difference(after.look().certificates)
    found = asked(shelf, w, holder)
    assert {one.fingerprint for one in found.certificates} == {one.fingerprint for one in gone}
    assert {*found.removed, *found.private_keys} == shelf.files.keys() - after.files.keys()


def test_what_must_stay_and_what_is_not_there_are_refused_with_the_reason() -> None:
    w = world("Root > Sub > CSMS", "Stranger")
    shelf = Shelf().put(CSMS_BUNDLE, w.pem("Root")).with_leaf(w, "CSMS", "Sub", kind="CSMS")
    stays = asked(shelf, w, "CSMS")
    assert stays.refusal is not None and stays.refusal.code == "MustStay"
    assert stays.certificates == ()
    strange = asked(shelf, w, "Stranger").refusal
    assert strange is not None and strange.code == "NotInstalled"
    nonsense = deletion(shelf.look(), None).refusal
    assert nonsense is not None and nonsense.code == "NotInstalled"

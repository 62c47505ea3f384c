"""A store of leaves that was derived change by change is the one that would be made of its files at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_security.pki.keytoken import token_of_certificate
from evse_security.store.contents import CertificateFile, KeyFile, stem_of
from evse_security.store.kinds import SECC
from evse_security.store.leafstore import LeafStore, group_of
from evse_security.store.reading import read_certificates
from evse_security.store.stamp import stamp_of
from tests.builders import DAY, NOW, World, world
from tests.store.pictures import junk_block, of

HERE = Path("/store")
LEAVES = ("A", "B", "C", "D")


@cache
def pki() -> World:
    ends = {holder: {"not_after": NOW + number * DAY} for number, holder in enumerate("ABCD", start=5)}
    return world("Root > Sub > A", "Sub > B", "Other > OtherSub > C", "OtherSub > D", **ends)


@cache
def contents() -> dict[str, str]:
    w = pki()
    texts = {f"single {leaf}": w[leaf].pem for leaf in LEAVES}
    texts |= {f"chain {leaf}": w.pem(leaf, "Sub" if leaf in "AB" else "OtherSub") for leaf in LEAVES}
    return {**texts, "sub-CA": w["Sub"].pem, "bad": w["A"].pem + junk_block(), "nothing": "#"}


FILES = st.dictionaries(
    st.sampled_from([f"/store/{number}.pem" for number in range(6)]),
    st.one_of(st.none(), st.sampled_from(sorted(contents()))),
    max_size=3,
)
KEYS = st.dictionaries(
    st.sampled_from([f"/store/{number}.key" for number in range(5)]),
    st.one_of(st.none(), st.sampled_from([*LEAVES, "no key"])),
    max_size=2,
)
STAMP = stamp_of(SimpleNamespace(st_size=1, st_ino=1, st_dev=1, st_mtime_ns=1, st_ctime_ns=1, st_mode=0o600))


def file(location: str, what: str) -> CertificateFile:
    return read_certificates(location, contents()[what].encode())


def key(location: str, holder: str) -> KeyFile:
    token = None if holder == "no key" else token_of_certificate(of(pki(), holder))
    return KeyFile(location, token, None if token else "no key", encrypted=False, stamp=STAMP)


def shown(store: LeafStore) -> object:
    """All that a store answers."""
    leaves = [
        (leaf.certificate, [one.location for one in leaf.copies], leaf.key, at(leaf.single), at(leaf.chain))
        for leaf in store.leaves
    ]
    return (
        leaves,
        [one.location for one in store.files],
        store.keys,
        store.certificates,
        set(store) == set(store.certificates),
        [leaf.certificate for leaf in store.newest_first("not_after")],
        {group for group, _ in store.groups} == {group_of(leaf) for leaf in store.leaves},
        store.readable,
        [[one.location for one in store.files_with(certificate)] for certificate in store.certificates],
        [sorted(map(repr, store.users_of(one))) for one in store.keys],
        [store.key_of(leaf.certificate) for leaf in store.leaves],
    )


def at(found: CertificateFile | None) -> str | None:
    return found.location if found is not None else None


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(FILES, KEYS), max_size=8))
def test_change_by_change_or_at_once(changes: list[tuple[dict[str, str | None], dict[str, str | None]]]) -> None:
    empty = LeafStore(SECC, HERE, HERE)
    store = empty.changed()
    list(store.newest_first("not_after"))  # so that the order is kept up
    files: dict[str, str] = {}
    keys: dict[str, str] = {}
    for new_files, new_keys in changes:
        before, known = store, frozenset(store)
        store = store.changed(
            {one: None if what is None else file(one, what) for one, what in new_files.items()},
            {one: None if holder is None else key(one, holder) for one, holder in new_keys.items()},
        )
        files = {one: what for one, what in {**files, **new_files}.items() if what is not None}
        keys = {one: holder for one, holder in {**keys, **new_keys}.items() if holder is not None}
        fresh = empty.changed(
            {one: file(one, what) for one, what in files.items()},
            {one: key(one, holder) for one, holder in keys.items()},
        )
        assert shown(store) == shown(fresh)
        assert (store.came, store.gone) == (frozenset(store) - known, known - frozenset(store))
        assert set(before) == known


def test_a_store_whose_directory_is_not_listed_is_not_readable() -> None:
    assert not LeafStore(SECC, HERE, HERE).changed(listed=False).readable


def test_what_is_shown_of_a_leaf_has_no_key_in_it() -> None:
    store = LeafStore(SECC, HERE, HERE).changed({"/store/0.pem": file("/store/0.pem", "chain A")})
    assert repr(store.leaves[0]).startswith("<Leaf CN=A")
    assert repr(store.files[0]) == "<CertificateFile /store/0.pem>"


@pytest.mark.parametrize("name", ["a.key", "a.b.key", ".key", "..key", "a.", "a", ".a.key", "a..", "a. "])
def test_the_stem_of_a_path_is_that_of_pathlib(name: str) -> None:
    assert stem_of(f"/some.where/{name}") == Path(f"/some.where/{name}").stem

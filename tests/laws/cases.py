"""The table of commands, each on a store of its own, and the table of what must hold after whatever befell it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evse_security.store.layout import TEMPORARY_SUFFIX
from tests.builders import DAY, NOW
from tests.laws import stores
from tests.laws.steps import Step, Watched
from tests.laws.stores import Command, Facts, Prepared, facts, leaf_files, tree


class Row(NamedTuple):
    """A command on a store."""

    make: Callable[[Path], Prepared]
    run: Command


COMMANDS = {
    "install into a bundle": Row(stores.file_store, stores.installing("NewRoot")),
    "install into a new bundle": Row(stores.file_store, stores.installing("NewRoot", stores.MF_CA)),
    "install into a directory": Row(stores.directory_store, stores.installing("NewRoot")),
    "install into a linked bundle": Row(stores.linked_store, stores.installing("NewRoot")),
    "install after a sweep": Row(stores.crowded_store, stores.installing("NewRoot")),
    "install the first OEM root": Row(stores.file_store, stores.installing("NewRoot", stores.OEM_CA)),
    "install another OEM root": Row(stores.oem_store, stores.installing("MORoot", stores.OEM_CA)),
    "delete an OEM root": Row(stores.oem_store, stores.deleting("NewRoot")),
    "delete a root of two domains": Row(stores.oem_store, stores.deleting("V2GRoot")),
    "delete a root from a bundle": Row(stores.file_store, stores.deleting("MORoot")),
    "delete a root with what it issued from a bundle": Row(stores.file_store, stores.deleting("V2GRoot")),
    "delete a root with what it issued from a directory": Row(stores.directory_store, stores.deleting("V2GRoot")),
    "delete a root in DER": Row(stores.hashed_store, stores.deleting("DerRoot")),
    "delete a root from a linked bundle": Row(stores.linked_store, stores.deleting("V2GRoot")),
    "delete a sub-CA of a bundle": Row(stores.file_store, stores.deleting("Other")),
    "delete a sub-CA of leaves only": Row(stores.file_store, stores.deleting("SubCA2")),
    "delete a leaf": Row(stores.file_store, stores.deleting_the_leaf),
    "delete a leaf with its key elsewhere": Row(stores.directory_store, stores.deleting_the_leaf),
    "update a leaf": Row(stores.file_store, stores.updating),
    "update a leaf with its key elsewhere": Row(stores.directory_store, stores.updating),
    "request a certificate": Row(stores.file_store, stores.requesting),
    "cache a first OCSP response": Row(stores.file_store, stores.caching("SubCA1")),
    "cache another OCSP response": Row(stores.file_store, stores.caching("SubCA2", this_update=NOW)),
    "sweep": Row(stores.crowded_store, stores.sweeping),
    "ask for DER copies": Row(stores.without_copies, stores.asking_for_der),
    "ask for hash links": Row(stores.directory_store, stores.asking_for_the_location),
    "ask for a file of roots": Row(stores.directory_store, stores.asking_for_the_file),
}


class Case(NamedTuple):
    """A command with its store before and after it, and the steps that it takes."""

    run: Command
    before: Prepared
    after: Prepared
    steps: list[Step]
    facts_before: Facts
    facts_after: Facts
    facts_swept: Facts


Cases = Callable[[str], Case]
"""Commands by name, ready to run."""


def made(name: str, directory: Path) -> Case:
    """Prepare a command, and see what it does when nothing befalls it."""
    row = COMMANDS[name]
    before = row.make(directory / "before")
    after = before.copied_to(directory / "after")
    files = Watched()
    assert row.run(after.station(files), after)
    swept = after.copied_to(directory / "swept")
    swept.station(now=LATER).sweep()
    return Case(row.run, before, after, files.steps, facts(before), facts(after), facts(swept))


LATER = NOW + DAY
"""When a request that nobody answered is given up."""

each_command = pytest.mark.parametrize("name", COMMANDS)

# ---- what must hold of a store that somebody was killed in


def nothing_is_lost(case: Case, found: Facts) -> None:
    """What was there before and is there afterwards is there in between; and nothing else ever is."""
    before, after = case.facts_before, case.facts_after
    assert before.roots & after.roots <= found.roots <= before.roots | after.roots
    assert before.leaves & after.leaves <= found.leaves <= before.leaves | after.leaves
    assert before.certificates & after.certificates <= found.certificates <= before.certificates | after.certificates
    assert before.responses & after.responses <= found.responses <= before.responses | after.responses
    assert before.waiting <= found.waiting or after.waiting <= found.waiting


def no_half_file_is_read(_: Case, found: Facts) -> None:
    assert found.problems == ()


def no_leaf_loses_its_key(case: Case, found: Facts) -> None:
    def keyless(facts: Facts) -> frozenset[tuple[str, str]]:
        return facts.certificates - {(kind, fingerprint) for kind, fingerprint, _ in facts.leaves}

    assert keyless(found) <= keyless(case.facts_before)


def no_leaf_loses_its_sub_cas(case: Case, found: Facts) -> None:
    assert found.leaves <= case.facts_before.leaves | case.facts_after.leaves


LAWS = (nothing_is_lost, no_half_file_is_read, no_leaf_loses_its_key, no_leaf_loses_its_sub_cas)


def no_file_is_between(case: Case, store: Prepared) -> None:
    """A file that was there has the bytes that it had, or those that it gets: nothing in between, nothing else cut."""
    before, after, found = (tree(one.root) for one in (case.before, case.after, store))
    for name in before.keys() & found.keys():
        assert found[name] in (before[name], after.get(name)), name


def check(case: Case, store: Prepared) -> None:
    """All laws; then the command can be repeated; then a sweep does the rest."""
    found = facts(store)
    for law in LAWS:
        law(case, found)
    no_file_is_between(case, store)
    assert all(path.exists() for path in leaf_files(store.station()) or ())
    assert case.run(store.station(), store) or found[:3] == case.facts_after[:3]  # what is gone cannot be deleted
    assert facts(store)[:3] == case.facts_after[:3]
    store.station(now=LATER).sweep()
    assert facts(store) == case.facts_swept
    assert not [name for name in tree(store.root) if name.endswith(TEMPORARY_SUFFIX)]

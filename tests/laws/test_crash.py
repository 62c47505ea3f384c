"""Killed before any step of writing, or in the middle of it: a store is lawful, nothing is lost, and one can go on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from evse_security.store.layout import TEMPORARY_SUFFIX
from tests.builders import DAY, NOW
from tests.laws import children, stores
from tests.laws.steps import DyingAt, Killed, KillingItselfAt, Step, Watched
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
    "cache another OCSP response": Row(stores.file_store, stores.caching("SubCA2", this_update=stores.NOW)),
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


@pytest.fixture(scope="session")
def cases(memory: Path) -> Cases:
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in made:
            row, directory = COMMANDS[name], memory / name.replace(" ", "-")
            before = row.make(directory / "before")
            after = before.copied_to(directory / "after")
            files = Watched()
            assert row.run(after.station(files), after)
            swept = after.copied_to(directory / "swept")
            swept.station(now=LATER).sweep()
            made[name] = Case(row.run, before, after, files.steps, facts(before), facts(after), facts(swept))
        return made[name]

    return case


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
    def keyless(facts: Facts) -> set[tuple[str, str]]:
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


# ---- the matrix


def distinct(steps: list[Step]) -> list[Step]:
    """The steps before which different things are on the disk: after a synchronisation it looks as before it."""
    return [step for step in steps if step.number == 0 or steps[step.number - 1].name != "sync_directory"]


@each_command
def test_the_command_takes_steps_and_its_store_was_sound(name: str, cases: Cases) -> None:
    case = cases(name)
    assert len(case.steps) >= 2
    assert case.facts_before.problems == case.facts_after.problems == ()


@each_command
def test_killed_before_any_step(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    for step in distinct(case.steps):
        die_and_check(case, DyingAt(step.number), tmp_path / str(step.number))


@each_command
def test_killed_with_a_file_half_written(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    for step in case.steps:
        if step.name == "write_new":
            die_and_check(case, DyingAt(step.number, torn=True), tmp_path / str(step.number))


def die_and_check(case: Case, files: DyingAt, root: Path) -> None:
    store = case.before.copied_to(root)
    with pytest.raises(Killed):
        case.run(store.station(files), store)
    check(case, store)


@children.forks
@each_command
def test_killed_by_the_kernel_before_any_step(name: str, cases: Cases, tmp_path: Path) -> None:
    case = cases(name)
    for step in distinct(case.steps):
        store = case.before.copied_to(tmp_path / str(step.number))
        station = store.station(KillingItselfAt(step.number))
        assert children.run(partial(case.run, station, store)) == -signal.SIGKILL
        check(case, store)

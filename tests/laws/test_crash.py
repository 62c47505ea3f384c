"""Killed before any step of writing, or in the middle of it: a store is lawful, nothing is lost, and one can go on."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest

from tests.laws import children
from tests.laws.cases import Case, Cases, check, each_command
from tests.laws.steps import DyingAt, Killed, KillingItselfAt, Step


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

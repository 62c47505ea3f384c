"""The power goes at any moment of any commands: nothing acknowledged is lost, and nothing that is offered is half.

And of each place of the code that forces something to the disk: without it, something is lost.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import evse_security
from tests.laws.cases import COMMANDS, each_command
from tests.laws.powercut import COMMANDS_THAT_FAIL, Examiner, Scenario, first_life, life_after, life_by_chance
from tests.laws.powercut_model import Forced
from tests.laws.powercut_runs import Life

STORE = Path(evse_security.__file__).parent / "store"
EXAMPLES, CUTS = 20, 6


@each_command
def test_a_cut_at_any_moment_of_a_command(name: str, tmp_path: Path) -> None:
    assert list(Examiner(Scenario(name).life(tmp_path), tmp_path).plain()) == []


@pytest.mark.parametrize("number", range(len(COMMANDS_THAT_FAIL)))
def test_a_cut_after_a_command_that_failed(number: int, tmp_path: Path) -> None:
    life = COMMANDS_THAT_FAIL[number].life(tmp_path)
    assert life.episodes[0].failed == (COMMANDS_THAT_FAIL[number].failure is not None)
    assert list(Examiner(life, tmp_path).plain()) == []


def test_a_cut_while_a_station_is_put_into_service(tmp_path: Path) -> None:
    assert list(Examiner(first_life(tmp_path), tmp_path).by_chance(Random(0), cuts=60)) == []


@settings(max_examples=EXAMPLES, phases=[Phase.generate])  # what fails is small enough, and shrinking takes minutes
@given(random=st.randoms(use_true_random=False))
def test_cuts_in_lives_by_chance(memory: Path, random: Random) -> None:
    directory = Path(tempfile.mkdtemp(dir=memory))
    try:
        for name in ("first", "second"):
            (directory / name).mkdir()
        life = life_by_chance(random, directory / "first")
        assert list(Examiner(life, directory / "first").by_chance(random, cuts=CUTS)) == []
        life = life_after(life, random, directory / "second")
        assert list(Examiner(life, directory / "second").by_chance(random, cuts=CUTS)) == []
    finally:
        shutil.rmtree(directory)


# ---- every place that forces is needed


def telling_lives(directory: Path) -> Iterator[Life]:
    """Lives that lead to all places of the code that force something."""
    (directory / "first").mkdir()
    yield first_life(directory / "first")
    for number, scenario in enumerate((*COMMANDS_THAT_FAIL, *map(Scenario, COMMANDS))):
        place = directory / str(number)
        place.mkdir()
        yield scenario.life(place)


def sites(life: Life) -> set[str]:
    return {event.site for event in life.tape.events if isinstance(event, Forced)}


def test_without_any_one_forcing_something_is_lost(tmp_path: Path) -> None:
    reached: set[str] = set()
    found: set[str] = set()
    for life in telling_lives(tmp_path):
        examiner = Examiner(life, tmp_path)
        reached |= sites(life)
        for site in sites(life) - found:
            if any(examiner.without(site)):
                found.add(site)
    assert reached - found == set(), "nothing is lost without what these force"
    assert unreached(reached) == set()


def unreached(reached: set[str]) -> set[str]:
    """Places of the code that force something, or call what does, and where no life came."""
    places = {place for site in reached for place in site.split(" < ")}
    known = {(name, int(line)) for name, line in (place.split(":") for place in places)}
    return {
        f"{name}:{lines.start}" for name, lines in forcing_calls() if not any((name, line) in known for line in lines)
    }


def forcing_calls() -> Iterator[tuple[str, range]]:
    """Every mention of a method of `Files` that forces something: the function that it stands in, and the lines."""
    forcing = forcing_methods()
    for path in sorted(STORE.rglob("*.py")):
        for function in functions(path):
            called = {id(node.func): node for node in ast.walk(function) if isinstance(node, ast.Call)}
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and node.attr in forcing and is_of_files(node, path):
                    where = called.get(id(node), function)  # one that is not called here may be anywhere in it
                    yield f"{path.stem}.{function.name}", range(where.lineno, (where.end_lineno or 0) + 1)


def is_of_files(node: ast.Attribute, path: Path) -> bool:
    return ast.unparse(node.value) == ("self" if path.stem == "files" else "self._files")


def forcing_methods() -> set[str]:
    forcing = {"force"}
    for _ in range(3):  # methods that call those
        for function in functions(STORE / "files.py"):
            called = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            if called & forcing:
                forcing.add(function.name)
    return forcing


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]

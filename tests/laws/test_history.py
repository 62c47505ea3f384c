"""The judge of histories is judged: it passes what one store could have answered, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable
from random import Random

import pytest

from tests.laws.history import Operation, impossible


def register(state: Hashable, one: Operation) -> Iterable[Hashable]:
    """A place that holds a number: `write` replaces it, `swap` tells the old one, `read` tells it."""
    if one.what == "read":
        return [state] if one.answer == state else []
    if one.ended is None:
        return [state, one.value]
    return [one.value] if one.what == "write" or one.answer == state else []


def write(began: int, ended: int | None, value: int) -> Operation:
    return Operation(began, ended, "write", value)


def read(began: int, ended: int, answer: int) -> Operation:
    return Operation(began, ended, "read", None, answer, reads=True)


LINEARIZABLE = {
    "nothing": [],
    "one after the other": [write(0, 1, 5), read(2, 3, 5)],
    "a read during a write sees the old": [write(0, 9, 5), read(1, 2, 0)],
    "a read during a write sees the new": [write(0, 9, 5), read(1, 2, 5)],
    "two reads during a write see the old, then the new": [write(0, 9, 5), read(1, 2, 0), read(3, 4, 5)],
    "two writes at once in either order": [write(0, 9, 5), write(0, 9, 6), read(10, 11, 5)],
    "a read that began before the write and saw it": [read(0, 9, 5), write(1, 2, 5)],
    "one that was killed and took effect": [write(0, None, 5), read(1, 2, 0), read(30, 31, 5)],
    "one that was killed and took none": [write(0, None, 5), read(30, 31, 0)],
    "times that meet overlap": [write(0, 5, 5), read(5, 6, 0)],
}

NOT_LINEARIZABLE = {
    "a stale read": [write(0, 1, 5), read(2, 3, 0)],
    "a lost update": [write(0, 1, 5), write(2, 3, 6), read(4, 5, 5)],
    "a read of what nobody wrote": [write(0, 1, 5), read(2, 3, 7)],
    "a read of what comes later": [read(0, 1, 5), write(2, 3, 5)],
    "the new, then the old again": [write(0, 9, 5), read(1, 2, 5), read(3, 4, 0)],
    "two readers see two writes in two orders": [
        write(0, 9, 5),
        write(0, 9, 6),
        read(1, 2, 5),
        read(3, 4, 6),
        read(5, 6, 5),
    ],
    "two that both found the old one": [Operation(0, 9, "swap", 5, 0), Operation(0, 9, "swap", 6, 0)],
    "one that was killed and took effect for a while": [write(0, None, 5), read(1, 2, 5), read(3, 4, 0)],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_a_possible_history_passes(name: str) -> None:
    assert impossible(LINEARIZABLE[name], 0, register) is None


@pytest.mark.parametrize("name", NOT_LINEARIZABLE)
def test_an_impossible_history_does_not(name: str) -> None:
    found = impossible(NOT_LINEARIZABLE[name], 0, register)
    assert found is not None
    assert "no order explains" in str(found)


def brute(operations: list[Operation]) -> bool:
    """Whether any order at all explains a history: the definition, tried out."""
    return any(_explains(order) for order in itertools.permutations(operations) if _is_possible(order))


def _is_possible(order: tuple[Operation, ...]) -> bool:
    return not any(
        later.ended is not None and later.ended < earlier.began for earlier, later in itertools.combinations(order, 2)
    )


def _explains(order: tuple[Operation, ...]) -> bool:
    state: Hashable = 0
    for one in order:
        found = list(register(state, one))
        if not found:
            return False
        state = found[0]
    return True


def test_it_agrees_with_the_definition_on_random_histories() -> None:
    random, passed = Random(5), 0
    for _ in range(600):
        operations = [_any_operation(random) for _ in range(random.randint(1, 5))]
        found = impossible(operations, 0, register) is None
        assert found == brute(operations), operations
        passed += found
    assert 100 < passed < 500


def _any_operation(random: Random) -> Operation:
    began = random.randrange(12)
    what, number = random.choice(["write", "read", "read", "swap"]), random.randrange(3)
    answer = None if what == "write" else random.randrange(3)
    return Operation(began, began + random.randint(1, 8), what, number, answer, reads=what == "read")

"""A share of the campaign of `tests.laws.hands`: processes, threads and both on one store; and what its judge sees."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import pytest

from tests.laws import children
from tests.laws.hands import Played, play
from tests.laws.hands_commands import Everything, Leaf, Record
from tests.laws.hands_models import Leaves
from tests.laws.stores import MF_CA, MO_CA, V2G_CA

SHARES = {
    "4 processes, roots in a file": ("files", (4, 1), 240),
    "4 processes, roots in a directory": ("directories", (4, 1), 240),
    "8 threads, roots in a file": ("files", (1, 8), 320),
    "8 threads, roots in a directory": ("directories", (1, 8), 320),
    "2 processes with 4 threads each": ("directories", (2, 4), 240),
}


@children.forks
@pytest.mark.parametrize("share", SHARES)
def test_what_many_hands_saw_could_have_been_one_after_the_other(share: str, tmp_path: Path) -> None:
    layout, shape, commands = SHARES[share]
    played = play(tmp_path, layout, shape, commands, seed=8)
    assert len(played.records) >= commands
    assert not played.flaws()


# ---- the judge, on histories made by hand: each command is answered before the next is given

ROOT = (V2G_CA, "V2G 0")
LEAF = Leaf(1, "a chain", "/key")


def record(what: str, value: Hashable = None, answer: Hashable = None, told: int = 0) -> Record:
    return Record(0, 0, what, value, answer, told, "1")


def overview(*roots: str, leaves: frozenset[int] = frozenset(), response: int = 0, waiting: str = "") -> Record:
    names = ((V2G_CA, frozenset(roots)), (MO_CA, frozenset[str]()), (MF_CA, frozenset[str]()))
    return record("everything", None, Everything(names, leaves, response, frozenset({waiting} - {""})))


def flawed(*records: Record) -> bool:
    initial: dict[Hashable, Hashable] = dict.fromkeys((V2G_CA, MO_CA, MF_CA), frozenset())
    return bool(Played(list(records), {**initial, "leaves": Leaves(frozenset(), frozenset()), "response": 0}).flaws())


INSTALLED = record("install", ROOT, "Accepted", 1)
REQUESTED = record("request", 1, LEAF)
UPDATED = record("update", 1, "Accepted", 1)
DELETED = record("delete leaf", 1, "Accepted", 1)

LAWFUL = {
    "a root comes and goes": [
        INSTALLED,
        record("install", ROOT, "Accepted", 0),
        record("roots", V2G_CA, frozenset({"V2G 0"})),
        record("verify", ROOT, True),
        record("delete", ROOT, "Accepted", 1),
        record("delete", ROOT, "NotFound", 0),
        overview(),
    ],
    "a leaf comes and goes": [
        REQUESTED,
        overview(waiting="/key"),
        UPDATED,
        overview(leaves=frozenset({1})),
        record("newest", None, 1),
        DELETED,
        record("update", 1, "WriteError", 0),
        overview(),
    ],
    "a response is replaced": [
        record("cache", 5, "Accepted"),
        record("cache", 4, "refused"),
        overview(response=5),
    ],
}

UNLAWFUL = {
    "a listing is stale": [INSTALLED, record("roots", V2G_CA, frozenset())],
    "a verification is stale": [INSTALLED, record("verify", ROOT, False)],
    "an answer is stale": [record("install", (MF_CA, "MF 0"), "Accepted", 1), record("has", MF_CA, False)],
    "an update is lost": [INSTALLED, record("install", (V2G_CA, "V2G 1"), "Accepted", 1), overview("V2G 1")],
    "a deletion is lost": [INSTALLED, record("delete", ROOT, "Accepted", 1), overview("V2G 0")],
    "a change is not announced": [record("install", ROOT, "Accepted", 0)],
    "a change is announced twice": [record("install", ROOT, "Accepted", 2)],
    "what changes nothing is announced": [INSTALLED, record("install", ROOT, "Accepted", 1)],
    "a refusal is announced": [record("delete", ROOT, "NotFound", 1)],
    "a deletion fails": [INSTALLED, record("delete", ROOT, "Failed", 0)],
    "a leaf is not listed": [REQUESTED, UPDATED, record("leaves", None, frozenset())],
    "a deleted leaf is offered": [REQUESTED, UPDATED, DELETED, record("newest", None, 1)],
    "a deleted leaf comes back": [REQUESTED, UPDATED, DELETED, UPDATED],
    "a key is not there": [REQUESTED, overview()],
    "a key stays": [REQUESTED, UPDATED, DELETED, overview(waiting="/key")],
    "an older response is taken": [record("cache", 5, "Accepted"), record("cache", 4, "Accepted")],
    "a response is lost": [record("cache", 5, "Accepted"), overview()],
}


@pytest.mark.parametrize("name", LAWFUL)
def test_a_lawful_history_passes(name: str) -> None:
    assert not flawed(*_in_order(LAWFUL[name]))


@pytest.mark.parametrize("name", UNLAWFUL)
def test_an_unlawful_history_is_found_out(name: str) -> None:
    assert flawed(*_in_order(UNLAWFUL[name]))


def _in_order(records: list[Record]) -> list[Record]:
    return [one._replace(began=2 * at, ended=2 * at + 1) for at, one in enumerate(records)]

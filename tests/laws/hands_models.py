"""What the commands of many hands say about which object, and how each object behaves by itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from tests.laws.hands_commands import Everything, Leaf, Record
from tests.laws.history import Model, Operation


def histories(records: Iterable[Record]) -> dict[Hashable, list[Operation]]:
    """The history of each object: the roots of a domain, the leaves, each key, the OCSP response.

    A history is linearizable if those of its objects are (Herlihy and Wing 1990, theorem 1).
    """
    records = list(records)
    keys = {r.answer.key: r.answer.number for r in records if isinstance(r.answer, Leaf)}
    found: dict[Hashable, list[Operation]] = {}
    for record in records:
        for about, operation in _parts(record, keys):
            found.setdefault(about, []).append(operation)
    return found


def _parts(record: Record, keys: dict[str, int]) -> Iterator[tuple[Hashable, Operation]]:
    """What a command says about each object."""
    what, value, answer = record.what, record.value, record.answer
    if isinstance(value, tuple):
        of_one = answer if what == "verify" else (str(answer), record.told)
        yield value[0], _operation(record, what, value[1], of_one)
    elif what in ("roots", "has"):
        yield value, _operation(record, what, None, answer)
    elif what in _STEPS:
        yield "leaves", _operation(record, what, value, (str(answer), record.told))
        yield from ((("key", value), _operation(record, step, value)) for step in _STEPS[what] if record.told)
    elif what in ("leaves", "newest"):
        yield "leaves", _operation(record, what, None, answer)
    elif what == "cache":
        yield "response", _operation(record, what, value, answer)
    elif isinstance(answer, Leaf):
        yield ("key", answer.number), _operation(record, "request")
    elif isinstance(answer, Everything):
        yield from _parts_of_everything(record, answer, keys)


def _parts_of_everything(
    record: Record, answer: Everything, keys: dict[str, int]
) -> Iterator[tuple[Hashable, Operation]]:
    for ca_type, names in answer.roots:
        yield ca_type, _operation(record, "roots", None, names)
    yield "leaves", _operation(record, "leaves", None, answer.leaves)
    yield "response", _operation(record, "read", None, answer.response)
    for path, number in keys.items():
        yield ("key", number), _operation(record, "waits", None, path in answer.waiting)


def _operation(record: Record, what: str, value: Hashable = None, answer: Hashable = None) -> Operation:
    return Operation(record.began, record.ended, what, value, answer, record.by, reads=what in _READS)


_READS = frozenset({"verify", "roots", "has", "leaves", "newest", "read", "waits"})
_STEPS = {"update": ("use",), "delete leaf": ("leave", "go")}
"""What a change of leaves does to a key. A leaf that is deleted goes before its key: in between that is without."""


def _roots_behave(state: Hashable, one: Operation) -> Iterable[Hashable]:
    """The roots of a domain. Announced is what changes them, once, and nothing else."""
    assert isinstance(state, frozenset)
    is_there = one.value in state
    if one.what == "install":
        return [state | {one.value}] if one.answer == ("Accepted", 0 if is_there else 1) else []
    if one.what == "delete":
        return [state - {one.value}] if one.answer == (("Accepted", 1) if is_there else ("NotFound", 0)) else []
    seen = {"roots": state, "has": bool(state), "verify": is_there}[one.what]
    return [state] if one.answer == seen else []


class Leaves(NamedTuple):
    """The leaves that are installed, and those that were."""

    installed: frozenset[Hashable]
    gone: frozenset[Hashable]


def _leaves_behave(state: Hashable, one: Operation) -> Iterable[Hashable]:
    """The SECC leaves. A key goes with its leaf, so what was deleted cannot come back."""
    assert isinstance(state, Leaves)
    installed, gone, leaf = *state, frozenset({one.value})
    is_there, was_there = one.value in installed, one.value in gone
    if one.what == "update":
        due = ("WriteError", 0) if was_there else ("Accepted", 0 if is_there else 1)
        return [state if was_there else Leaves(installed | leaf, gone)] if one.answer == due else []
    if one.what == "delete leaf":
        if one.answer != (("Accepted", 1) if is_there else ("NotFound", 0)):
            return []
        return [Leaves(installed - leaf, gone | leaf)] if is_there else [state]
    return (
        [state]
        if one.answer == (installed if one.what == "leaves" else max(installed, key=_order, default=None))
        else []
    )


def _order(leaf: Hashable) -> int:
    assert isinstance(leaf, int)
    return leaf


def _key_behaves(state: Hashable, one: Operation) -> Iterable[Hashable]:
    """A key: made, waiting for its leaf, used, without its leaf, gone."""
    if one.what == "waits":
        return [state] if one.answer == (state in ("waiting", "left")) else []
    after = {
        "request": ("none", "waiting"),
        "use": ("waiting", "used"),
        "leave": ("used", "left"),
        "go": ("left", "gone"),
    }
    before, now = after[one.what]
    return [now] if state == before else []


def _response_behaves(state: Hashable, one: Operation) -> Iterable[Hashable]:
    """The OCSP response that is kept: an older one is refused."""
    assert isinstance(state, int)
    assert isinstance(one.value, int | None)
    if one.what == "read":
        return [state] if one.answer == state else []
    due = "Accepted" if one.value is not None and one.value >= state else "refused"
    return [one.value if due == "Accepted" else state] if one.answer == due else []


def model(about: Hashable) -> Model:
    """How an object behaves."""
    if isinstance(about, tuple):
        return _key_behaves
    return {"leaves": _leaves_behave, "response": _response_behaves}.get(str(about), _roots_behave)

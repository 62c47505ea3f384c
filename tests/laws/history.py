"""Whether a history of commands given at the same time could have come from one store that answers one at a time.

Linearizability (Herlihy and Wing 1990): each command takes effect at one moment between its call and its answer. The
search follows Wing and Gong, with the just-in-time order and the memory of Lowe ("Testing for linearizability", 2017):
when an answer arrives, its command must have taken effect in every possible past that is still followed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Operation:
    """A command on one object, as its caller saw it. Times are of one monotonic clock for all, in nanoseconds."""

    began: int
    ended: int | None
    """None: the caller was killed before the answer came; it took effect or not."""
    what: str
    value: Hashable = None
    answer: Hashable = None
    by: str = ""
    reads: bool = field(default=False, kw_only=True)
    """Whether it changes nothing, in whatever state."""

    def __str__(self) -> str:
        ended = "never" if self.ended is None else f"{self.ended / 1e6:.3f}"
        return f"[{self.began / 1e6:.3f} – {ended} ms] {self.by} {self.what} {self.value} -> {self.answer}"


Model = Callable[[Hashable, Operation], Iterable[Hashable]]
"""The states in which an object in one state may be after an operation; none where that answer cannot be."""

_Past = tuple[frozenset[int], Hashable]
"""The operations that took effect and are not answered yet, and the state that this leaves."""


class Impossible(NamedTuple):
    """The first answer that no order of the operations explains."""

    operation: Operation
    beside: tuple[Operation, ...]
    """What went on at the same time."""
    before: tuple[Operation, ...]
    """What was answered last before it."""
    states: tuple[Hashable, ...]
    """The states that were possible until then."""

    def __str__(self) -> str:
        lines = [f"no order explains {self.operation}", "at the same time:", *map(str, self.beside)]
        return "\n  ".join([*lines, "before:", *map(str, self.before), "possible were:", *map(str, self.states)])


def impossible(operations: Sequence[Operation], state: Hashable, model: Model) -> Impossible | None:
    """Find the first answer that is not linearizable; None where all are."""
    search = _Search(operations, model, {(frozenset(), state)})
    for _, is_answer, number in _moments(operations):
        if not is_answer:
            search.open.add(number)
            continue
        states = tuple({past[1] for past in search.pasts})[:4]
        search.answered(number)
        if not search.pasts:
            beside = tuple(operations[other] for other in sorted(search.open) if other != number)
            return Impossible(operations[number], beside, tuple(search.last), states)
    return None


def _moments(operations: Sequence[Operation]) -> list[tuple[int, bool, int]]:
    """Calls and answers in their order; at one time calls come first, so that those operations overlap."""
    calls = [(one.began, False, number) for number, one in enumerate(operations)]
    answers = [(one.ended, True, number) for number, one in enumerate(operations) if one.ended is not None]
    return sorted(calls + answers)


class _Search:
    """All pasts that explain the answers so far."""

    def __init__(self, operations: Sequence[Operation], model: Model, pasts: set[_Past]) -> None:
        self.operations, self.model, self.pasts = operations, model, pasts
        self.open: set[int] = set()
        self.last: list[Operation] = []

    def answered(self, number: int) -> None:
        """Go on with the pasts in which this operation took effect."""
        found: set[_Past] = set()
        known: set[_Past] = set()
        waiting = [self._settled(past) for past in self.pasts]
        while waiting:
            past = waiting.pop()
            if past in known:
                continue
            known.add(past)
            if number in past[0]:
                found.add((past[0] - {number}, past[1]))
            else:
                waiting += map(self._settled, self._next(past))
        self.pasts = found
        if found:
            self.open.discard(number)
            self.last = [*self.last[-5:], self.operations[number]]

    def _next(self, past: _Past) -> list[_Past]:
        done, state = past
        return [
            (done | {number}, after)
            for number in self.open - done
            for after in self.model(state, self.operations[number])
        ]

    def _settled(self, past: _Past) -> _Past:
        """A read that fits takes place at once: no other order allows more."""
        done, state = past
        waiting = ((number, self.operations[number]) for number in self.open - done)
        return done | {number for number, one in waiting if one.reads and tuple(self.model(state, one))}, state

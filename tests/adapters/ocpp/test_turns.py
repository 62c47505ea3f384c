"""Stations that share threads: each has its order, none keeps another waiting, and closing one leaves the others."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import pytest

from evse_security.adapters.ocpp.turns import InTurn


class Held:
    """Something to do that takes until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self) -> bool:
        self.begun.set()
        return self.go.wait()


def test_each_does_one_thing_after_another_in_its_order() -> None:
    done: list[tuple[int, int]] = []
    inside = [0, 0, 0]

    def work(station: int, number: int) -> None:
        inside[station] += 1
        assert inside[station] == 1
        done.append((station, number))
        inside[station] -= 1

    with ThreadPoolExecutor(4) as executor:
        stations = [InTurn(executor) for _ in inside]
        asked = [turns.submit(work, station, number) for number in range(200) for station, turns in enumerate(stations)]
        for one in asked:
            one.result()
    for station in range(len(inside)):
        assert [number for whose, number in done if whose == station] == list(range(200))


def test_one_that_has_much_to_do_does_not_keep_another_waiting() -> None:
    order: list[str] = []
    held = Held()
    with ThreadPoolExecutor(1) as executor:
        busy, other = InTurn(executor), InTurn(executor)
        asked: list[Future[Any]] = [busy.submit(held)]
        asked += [busy.submit(order.append, "busy") for _ in range(5)]
        held.begun.wait()
        asked.append(other.submit(order.append, "other"))
        held.go.set()
        for one in asked:
            one.result()
    assert order.index("other") <= 1


def test_what_fails_is_told_and_ends_nothing() -> None:
    def fail() -> None:
        raise OSError("no disk")

    with ThreadPoolExecutor(1) as executor:
        turns = InTurn(executor)
        with pytest.raises(OSError, match="no disk"):
            turns.submit(fail).result()
        assert turns.submit(int, "7").result() == 7


def test_closing_waits_for_what_has_begun_and_cancels_the_rest() -> None:
    held = Held()
    with ThreadPoolExecutor(1) as executor:
        closed, other = InTurn(executor), InTurn(executor)
        first = closed.submit(held)
        second = closed.submit(int)
        held.begun.wait()
        closed.shutdown(wait=False, cancel_futures=True)
        held.go.set()
        closed.shutdown()
        assert first.done() and first.result() is True
        with pytest.raises(CancelledError):
            second.result()
        with pytest.raises(RuntimeError):
            closed.submit(int)
        assert other.submit(int).result() == 0


@pytest.mark.parametrize("cancels", [False, True])
def test_threads_that_are_gone_leave_nobody_waiting(cancels: bool) -> None:  # noqa: FBT001
    held = Held()
    executor = ThreadPoolExecutor(1)
    turns, other = InTurn(executor), InTurn(executor)
    turns.submit(held)
    waiting = [turns.submit(int)]
    held.begun.wait()
    waiting += [other.submit(int)] if cancels else []
    executor.shutdown(wait=False, cancel_futures=cancels)
    held.go.set()
    for one in waiting:
        with pytest.raises(CancelledError):
            one.result()
    turns.shutdown()
    other.shutdown()

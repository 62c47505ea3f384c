"""One thing after another for each station, in the threads that many stations share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any


class InTurn(Executor):
    """Does what it is given in that order, one at a time, in whichever thread of another executor is free.

    After each thing it goes to the back of the queue there, so that no station keeps the others waiting.
    """

    def __init__(self, executor: Executor) -> None:
        """In the threads of `executor`, which stays whoever's it is."""
        self._executor = executor
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._state = threading.Condition()
        self._queued = self._working = self._closed = False

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As `Executor.submit`."""
        future: Future[Any] = Future()
        with self._state:
            if self._closed:
                raise RuntimeError("the certificates of this station are closed")
            if not self._queued:
                self._queue()
            self._waiting.append((future, partial(fn, *arguments, **named)))
        return future

    def _queue(self) -> None:
        self._executor.submit(self._next).add_done_callback(self._dropped)
        self._queued = True

    def _dropped(self, turn: Future[None]) -> None:
        if turn.cancelled():  # the other executor was shut down: nobody else would say so to those that wait
            with self._state:
                self._queued = False
                self._cancel()
                self._state.notify_all()

    def _next(self) -> None:
        with self._state:
            found = self._waiting.popleft() if self._waiting else None
            self._working = found is not None
        if found is not None:
            _done(*found)
        with self._state:
            self._working = False
            self._queued = bool(self._waiting)
            try:
                if self._queued:
                    self._queue()
            except RuntimeError:  # it was shut down under us
                self._cancel()
            self._state.notify_all()

    def _cancel(self) -> None:
        while self._waiting:
            self._waiting.popleft()[0].cancel()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  # its name
        """As `Executor.shutdown`; the other executor goes on."""
        with self._state:
            self._closed = True
            if cancel_futures:
                self._cancel()
            if wait:
                self._state.wait_for(lambda: not self._working and not self._waiting)


def _done(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as problem:  # as ThreadPoolExecutor: whoever waits for it gets it
        future.set_exception(problem)
    else:
        future.set_result(result)

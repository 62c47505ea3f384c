"""One station for many callers: its commands one after another in one worker, and the stream of its events."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeVar

from evse_security.actor import acting_for
from evse_security.additions import OemStoreUpdate, StoreUpdate
from evse_security.clock import Clock
from evse_security.errors import EvseSecurityError, InvalidConfiguration, ServiceBusy
from evse_security.interface import NEWEST
from evse_security.serve.codec import encoder
from evse_security.service.config import ServiceConfig
from evse_security.service.events import Event, EventKind, Events
from evse_security.service.ours import warn_of_others
from evse_security.station import Refused, Station
from evse_security.vocabulary import CertificateStoreUpdate

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_WAITING = 256
"""Calls that may wait for the worker; more are refused at once, as who asked has given up by then."""

_encode_update = encoder(CertificateStoreUpdate)
_encode_oem_update = encoder(OemStoreUpdate)


class Called(NamedTuple):
    """A command that was answered, for the metrics: its result in one word, and how long it took with waiting."""

    command: str
    result: str
    seconds: float


class Service:
    """What transports and agents share. Its methods are for the event loop's thread."""

    def __init__(self, station: Station, config: ServiceConfig, events: Events | None = None) -> None:
        """Serve an open station; closing it is the caller's. `events`: a stream to go on with.

        Raises `InvalidConfiguration`.
        """
        for key in ("state_directory", "iso15118_export_directory"):
            directory = getattr(config, key)
            if directory is not None:
                station.config.check_apart(key, directory)
                if os.path.exists(directory) and not os.path.isdir(directory):
                    raise InvalidConfiguration(key, f"{directory} is no directory")
                warn_of_others(key, directory)
        self.config = config
        self.clock: Clock = station.config.clock
        self.events = events or Events(self.clock)
        self.links: dict[str, str | None] = {}
        """The transports that need a connection to somebody else, by name: None, or why there is none now."""
        self._station = station
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evse-security")
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="evse-security-reader")
        self._waiting = 0
        self._observers: list[Callable[[Called], object]] = []
        self._ending = ExitStack()
        self._ending.callback(station.subscribe(self._announce))
        self._ending.callback(station.hear_oem(self._announce))

    def close(self) -> None:
        """Let what has begun end, and take no more."""
        self._ending.close()
        for executor in (self._worker, self._reader):
            executor.shutdown(cancel_futures=True)

    async def call(
        self,
        command: str,
        arguments: object,
        *,
        caller: str,
        revision: str = NEWEST,
        hear: Callable[[Refused], object] | None = None,
    ) -> Any:
        """Answer one command in JSON, as `Station.dispatch` does and with its errors; or `ServiceBusy`.

        `caller` goes into the audit log: `mqtt:MODULE`, `http:TOKEN`. Where a change is refused, `hear` is told why, in
        the worker's thread, before this returns.
        """

        def answer_it(station: Station) -> Any:
            stop = station.hear_refusals(hear) if hear is not None else None
            try:
                return station.dispatch(command, arguments, revision=revision)
            finally:
                if stop is not None:
                    stop()

        begun = time.perf_counter()
        result = "error"
        try:
            answer = await self.ask(answer_it, caller=caller)
            result = outcome(answer)
        except EvseSecurityError as error:
            result = error.code
            raise
        finally:
            self._observe(Called(command, result, time.perf_counter() - begun))
        return answer

    async def ask(self, question: Callable[[Station], T], *, caller: str) -> T:
        """Do something else with the station, in its turn. Raises what that raises, or `ServiceBusy`."""
        return await self._turn(self._worker, question, caller)

    async def look(self, question: Callable[[Station], T], *, caller: str) -> T:
        """Ask what changes nothing and may take long, such as an overview: commands do not wait for it.

        Those who look wait for each other. Raises as `ask`.
        """
        return await self._turn(self._reader, question, caller)

    async def _turn(self, executor: ThreadPoolExecutor, question: Callable[[Station], T], caller: str) -> T:
        if self._waiting >= MOST_WAITING:
            raise ServiceBusy(self._waiting)

        def answer() -> T:
            with acting_for(caller):
                return question(self._station)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, answer)
        finally:
            self._waiting -= 1

    def hear(self, listener: Callable[[Event], object]) -> None:
        """As `Events.hear`, until this is closed: the stream of events may go on with another configuration."""
        self._ending.callback(self.events.hear(listener))

    def observe(self, observer: Callable[[Called], object]) -> None:
        """Tell somebody of every command that was answered."""
        self._observers.append(observer)

    def _observe(self, called: Called) -> None:
        for observer in self._observers:
            observer(called)

    def _announce(self, update: StoreUpdate) -> None:
        self.events.publish(*as_event(update))


def as_event(update: StoreUpdate) -> tuple[EventKind, Any]:
    """A change of the store as an event: one of the OEM roots has a kind of its own."""
    if isinstance(update, OemStoreUpdate):
        return EventKind.oem_store_update, _encode_oem_update(update)
    return EventKind.certificate_store_update, _encode_update(update)


def outcome(answer: Any) -> str:
    """The result of a command in one word: its enumeration, `true` or `false`, or `answered`."""
    if isinstance(answer, Mapping):
        answer = answer.get("status", answer.get("result"))
    if isinstance(answer, bool):
        return str(answer).lower()
    # A path is an answer too, and must not become a label.
    return answer if isinstance(answer, str) and answer.isalnum() else "answered"

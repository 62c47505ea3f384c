"""What happens to a station, as a stream: for MQTT, server-sent events, the page and callers in Python."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from evse_security.clock import Clock

log = logging.getLogger(__name__)

KEPT = 200
"""Events that are remembered for who comes later."""
WAITING = 256
"""Events that a slow listener may be behind; then it loses the oldest and is told how many."""


class EventKind(StrEnum):
    """What an event is about. Its data is JSON, whose members `eventdata` declares."""

    certificate_store_update = "certificate_store_update"
    """A certificate was installed or deleted, by a command or by hand: the variable of the interface."""
    oem_store_update = "oem_store_update"
    """An OEM root was installed or deleted, likewise: the interface has no word for these."""
    leaf_certificate_expiring = "leaf_certificate_expiring"
    """A leaf expires soon, or has."""
    certificate_signing_request = "certificate_signing_request"
    """A request for whoever knows a CA: answer it with update_leaf_certificate."""
    renewal = "renewal"
    """A renewal began, waits, failed or ended."""
    ocsp_request_data = "ocsp_request_data"
    """What to ask responders, for whoever can: answer with update_ocsp_cache."""
    ocsp = "ocsp"
    """A response was cached, could not be had, or says that a certificate is revoked."""
    clock = "clock"
    """The clock was unset, set, or stepped."""
    swept = "swept"
    """Garbage was collected."""
    warning = "warning"
    """Something that somebody should look at."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Numbers grow by one and begin anew with each start of the service."""

    number: int
    time: datetime
    kind: EventKind
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as JSON has it."""
        time = self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"number": self.number, "time": time, "kind": self.kind.value, "data": dict(self.data)}


class Events:
    """Tells events to all who listen, in the order in which they were published, from whatever thread."""

    def __init__(self, clock: Clock) -> None:
        """With the clock that dates them."""
        self._clock = clock
        self._lock = threading.RLock()  # who listens may ask what else happened
        self._recent: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[Event], object]] = []
        self._published = 0
        self.told: dict[str, int] = {}
        """Up to which number each transport has told others, for the one that follows it after a reload."""

    def publish(self, kind: EventKind, data: Mapping[str, Any]) -> Event:
        """Tell everybody, before this returns or soon after it."""
        with self._lock:
            self._published += 1
            event = Event(self._published, self._clock(), kind, data)
            self._recent.append(event)
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:  # the others must hear it, too, and whoever publishes has done nothing wrong
                    log.exception("a listener failed at an event %s", kind)
        return event

    def recent(self, after: int = 0) -> tuple[Event, ...]:
        """The last events, the oldest first; only those of a higher number."""
        with self._lock:
            return tuple(event for event in self._recent if event.number > after)

    async def listen(self, *, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Events as they come; with `after`, first those that are remembered and have a higher number.

        Who is more than 256 events behind loses the oldest: their numbers are missing.
        """
        loop = asyncio.get_running_loop()
        waiting: deque[Event] = deque(maxlen=WAITING)
        arrived = asyncio.Event()

        def hear(event: Event) -> None:
            waiting.append(event)
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrived.set)

        with self._lock:
            if after is not None:
                waiting.extend(event for event in self._recent if event.number > after)
            self._listeners.append(hear)
        try:
            if waiting:
                arrived.set()
            while True:
                await arrived.wait()
                arrived.clear()
                while waiting:
                    yield waiting.popleft()
        finally:
            with self._lock:
                self._listeners.remove(hear)

    def hear(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Call somebody for every event, in the thread that publishes it: be quick. Returns how to stop that."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

"""When OCSP responders are asked: rules that are given the time, and a memory of what was tried.

The clock says how a response stands; how long ago something was tried is counted in seconds that no step of the clock
touches (`elapsed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from evse_security.station import OcspQuestion, OcspState

OPEN_LIFE = timedelta(days=7)
"""The life of a response without nextUpdate (M07.FR.09)."""
SHORTEST_PAUSE = 30.0
"""Seconds after an answer before the same is asked again, however short the answer's life is."""
SLOTS = 4
"""Responders that are asked at the same time."""
FIRST_RETRY, LONGEST_RETRY = 60.0, 6 * 3600.0
"""Seconds before somebody is asked again who gave no answer, doubled each time."""
IDLE = 3600.0
"""Seconds after which is looked again, whatever happens."""


class Attempt(NamedTuple):
    """The last time that something was tried."""

    at: float
    failures: int = 0
    """In a row; 0: it went well."""
    known: datetime | None = None
    """The thisUpdate of what was cached then: where that has changed, somebody else had more luck."""


@dataclass
class History:
    """What was tried, with which back-off."""

    first: float = FIRST_RETRY
    longest: float = LONGEST_RETRY
    certificates: dict[str, Attempt] = field(default_factory=dict)
    """By fingerprint."""
    responders: dict[str, Attempt] = field(default_factory=dict)
    """Those that could not be reached, by host and port."""
    demanded: set[str] = field(default_factory=set)
    """Certificates to be asked about whatever is known of them."""

    def answered(self, question: OcspQuestion, elapsed: float) -> None:
        """Something was cached."""
        self.certificates[question.fingerprint] = Attempt(elapsed)
        self.demanded.discard(question.fingerprint)

    def failed(self, question: OcspQuestion, elapsed: float) -> None:
        """Nothing was had that could be cached."""
        before = self.certificates.get(question.fingerprint, Attempt(elapsed))
        self.certificates[question.fingerprint] = Attempt(elapsed, before.failures + 1, _this_update(question.cached))

    def unreachable(self, responder: str, elapsed: float) -> None:
        """Nobody was there, or said nothing for too long."""
        before = self.responders.get(host_of(responder), Attempt(elapsed))
        self.responders[host_of(responder)] = Attempt(elapsed, before.failures + 1)

    def reached(self, responder: str) -> None:
        """Somebody was there."""
        self.responders.pop(host_of(responder), None)

    def forget_others(self, questions: Iterable[OcspQuestion]) -> None:
        """Forget certificates that nobody asks about any more, and the responders that only they name."""
        kept = {question.fingerprint: question for question in questions}
        hosts = {host_of(url) for question in kept.values() for url in question.responders}
        self.certificates = {one: attempt for one, attempt in self.certificates.items() if one in kept}
        self.responders = {host: attempt for host, attempt in self.responders.items() if host in hosts}
        self.demanded.intersection_update(kept)

    def pause(self, attempt: Attempt) -> float:
        """How long to wait after a failure."""
        return min(self.longest, self.first * 2.0 ** min(attempt.failures - 1, 30))

    def responder_free_in(self, responder: str, elapsed: float) -> float:
        """Seconds until a responder may be tried; 0 or less: now."""
        attempt = self.responders.get(host_of(responder))
        return 0.0 if attempt is None else attempt.at + self.pause(attempt) - elapsed


def host_of(responder: str) -> str:
    """Host and port of a URL."""
    return urlsplit(responder).netloc.lower()


def due_in(question: OcspQuestion, history: History, now: datetime, elapsed: float, refresh: float) -> float:
    """Seconds until a certificate is to be asked about; 0 or less: now.

    1. After a failure: when the back-off is over, unless somebody else has had an answer meanwhile.
    2. Where it is demanded, or nothing current is known: at once.
    3. At half of the response's life, and `refresh` seconds after its thisUpdate at the latest (M06.FR.10).
    4. Where the responder had nothing newer then: at half of what remains.
    """
    last = history.certificates.get(question.fingerprint)
    if last is not None and last.failures and last.known == _this_update(question.cached):
        return last.at + history.pause(last) - elapsed  # 1
    cached = question.cached
    if cached is None or question.fingerprint in history.demanded:
        return 0.0  # 2
    left = (_end(cached) - now).total_seconds()
    age = (now - cached.this_update).total_seconds()
    due = 0.0 if not cached.is_current else min((left - age) / 2, refresh - age)  # 2, 3
    if last is None or last.failures:
        return due
    since = elapsed - last.at
    return max(due, min(refresh, max(SHORTEST_PAUSE, (left + since) / 2)) - since)  # 4


def _end(cached: OcspState) -> datetime:
    if cached.next_update is not None:
        return cached.next_update
    latest = datetime.max.replace(tzinfo=cached.this_update.tzinfo)
    return cached.this_update + OPEN_LIFE if cached.this_update < latest - OPEN_LIFE else latest


def _this_update(cached: OcspState | None) -> datetime | None:
    return None if cached is None else cached.this_update


class Task(NamedTuple):
    """A certificate to ask about now, and whom."""

    question: OcspQuestion
    responders: tuple[str, ...]


class Plan(NamedTuple):
    """What to do now, and in how many seconds to look again at the latest."""

    tasks: tuple[Task, ...]
    wait: float


def plan(
    questions: Sequence[OcspQuestion],
    history: History,
    *,
    now: datetime,
    elapsed: float,
    refresh: float,
    busy: frozenset[str] = frozenset(),
) -> Plan:
    """Whom to ask about what now. `busy` are hosts of responders that are being asked: each is asked one at a time."""
    taken, tasks, wait = set(busy), list[Task](), IDLE
    for question in questions:
        left = due_in(question, history, now, elapsed, refresh)
        free = {url: history.responder_free_in(url, elapsed) for url in question.responders}
        left = max(left, min(free.values(), default=0.0))
        if left > 0:
            wait = min(wait, left)
            continue
        reachable = tuple(url for url, seconds in free.items() if seconds <= 0)
        hosts = {host_of(url) for url in reachable}
        if not hosts & taken and len(taken) < SLOTS:
            taken |= hosts
            tasks.append(Task(question, reachable))
    return Plan(tuple(tasks), wait)


def due(questions: Iterable[OcspQuestion], history: History, now: datetime, elapsed: float, refresh: float) -> Plan:
    """As `plan`, for somebody else who asks: everything that is due, whoever the responders are."""
    left = [(question, due_in(question, history, now, elapsed, refresh)) for question in questions]
    tasks = tuple(Task(question, ()) for question, seconds in left if seconds <= 0)
    return Plan(tasks, min((seconds for _, seconds in left if seconds > 0), default=IDLE))

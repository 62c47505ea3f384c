"""How long an answer holds: until the next moment at which a certificate begins or ceases to be valid."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar, cast

from evse_security.pki.certificate import Certificate

T = TypeVar("T")

_SECOND = timedelta(seconds=1)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Span(NamedTuple):
    """From when, and until when."""

    since: datetime = _FIRST
    until: datetime = _LAST

    def covers(self, now: datetime) -> bool:
        """Whether a moment lies within."""
        return self.since <= now < self.until

    def within(self, bounds: Sequence[datetime], now: datetime) -> Span:
        """The part of it around `now` in which none of these moments (in order) comes."""
        place = bisect_right(bounds, now)
        since = bounds[place - 1] if place > 0 else self.since
        return Span(max(self.since, since), min(self.until, bounds[place]) if place < len(bounds) else self.until)


class _Answer(NamedTuple):
    """What was found, and how long it holds."""

    span: Span
    value: object


def kept(
    memory: MutableMapping[object, object], question: object, now: datetime, answer: Callable[[], tuple[T, Span]]
) -> T:
    """The answer that was given before, if it still holds; else a new one, which comes with how long it does."""
    known = memory.get(question)
    if isinstance(known, _Answer) and known.span.covers(now):
        return cast(T, known.value)
    value, span = answer()
    memory[question] = _Answer(span, value)
    return value


def bounds(certificates: Iterable[Certificate]) -> list[datetime]:
    """The moments at which certificates begin or cease to be valid, in order. The second of notAfter is valid."""
    found = {moment for c in certificates for moment in (c.not_before, _after(c.not_after))}
    return sorted(found)


def _after(moment: datetime) -> datetime:
    return moment + _SECOND if moment < _LAST - _SECOND else _LAST

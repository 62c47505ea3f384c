"""How the page says things: times, spans, marks that do not depend on colours. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

DAY = timedelta(days=1)
_UNITS = (
    ("years", timedelta(days=730), timedelta(days=365.25)),
    ("days", 2 * DAY, DAY),
    ("hours", timedelta(hours=2), timedelta(hours=1)),
    ("minutes", timedelta(0), timedelta(minutes=1)),
)
"""Words, the least of which there are two, and how long one is."""
_COMMON_NAME = re.compile(r"CN=((?:\\.|[^,\\])+)")


class Tone(StrEnum):
    """How good or bad something is; each has a mark and a colour."""

    GOOD = "good"
    SOON = "soon"
    BAD = "bad"
    IDLE = "idle"


_MARKS = {Tone.GOOD: "✓", Tone.SOON: "!", Tone.BAD: "✗", Tone.IDLE: "–"}


class Badge(NamedTuple):
    """A state in a word or two."""

    text: str
    tone: Tone

    @property
    def mark(self) -> str:
        """What is seen without colours."""
        return _MARKS[self.tone]


class Bar(NamedTuple):
    """A validity that is drawn: how much of it is over, in percent."""

    elapsed: int
    tone: Tone


class Some(NamedTuple):
    """The first of many lines, and how many more there are."""

    lines: tuple[str, ...]
    more: int


MOST_LINES = 12


def some(lines: Sequence[object]) -> Some:
    """The first few."""
    return Some(tuple(map(str, lines[:MOST_LINES])), max(len(lines) - MOST_LINES, 0))


def span(length: timedelta) -> str:
    """A length of time in its largest sensible unit, rounded down: `59 days`, `3 hours`."""
    for word, least, unit in _UNITS:
        if length >= least:
            count = length // unit
            return f"{count} {word.removesuffix('s') if count == 1 else word}"
    return "less than a minute"


def remaining(not_before: datetime, not_after: datetime, now: datetime) -> str:
    """How the clock stands to a validity: `59 days left`, `expired 3 days ago`, `begins in 2 hours`."""
    if now < not_before:
        return f"begins in {span(not_before - now)}"
    return f"{span(not_after - now)} left" if now <= not_after else f"expired {span(now - not_after)} ago"


def elapsed(not_before: datetime, not_after: datetime, now: datetime) -> int:
    """The part of a validity that is over, in percent."""
    whole = max(not_after - not_before, timedelta(seconds=1))
    return round(100 * min(max((now - not_before) / whole, 0.0), 1.0))


def day(moment: datetime) -> str:
    """A day, UTC."""
    return f"{moment:%Y-%m-%d}"


def minute(moment: datetime) -> str:
    """A time to the minute, UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def title(name: str) -> str:
    """The common name of a distinguished name; all of it where there is none."""
    found = _COMMON_NAME.match(name)
    return found[1] if found else name


def rest(name: str) -> str:
    """What `title` leaves out."""
    found = _COMMON_NAME.match(name)
    return name[found.end() :].removeprefix(", ") if found else ""


def sentence(text: str) -> str:
    """With a capital letter in front; names within stay as they are."""
    return text[:1].upper() + text[1:]


def download(pem: str) -> str:
    """The address of a signing request within the page itself, to be downloaded."""
    return f"data:application/pkcs10;base64,{base64.b64encode(pem.encode()).decode('ascii')}"


def grouped(fingerprint: str) -> str:
    """A fingerprint as people compare it: pairs of digits."""
    return " ".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()

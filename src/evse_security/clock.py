"""What time it is, and whether to believe it. Stations boot in 1970."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

Clock = Callable[[], datetime]
"""Tells the time as an aware datetime. Read once per command."""

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that shows less is right: this release did not exist then."""
OUTDATED = datetime(2056, 11, 1, tzinfo=UTC)
"""No clock that shows this or more is right: 30 years are too long for a release. Lost clocks show 2066, 2099, 2106."""
SKEW = timedelta(seconds=300)
"""Difference of clocks that is forgiven at installations and OCSP responses (Hubject HUB20 42-001)."""


def system_clock() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def believable(moment: datetime) -> bool:
    """Whether this release can be in use then. What was written in 1970 or 2099 was so by a clock that was lost."""
    return RELEASED <= moment < OUTDATED


class Moment(NamedTuple):
    """The time of one command, and why it is not believed (None: it is)."""

    now: datetime
    doubt: str | None
    at_least: datetime | None = None
    """While it is not believed: what time it is at least. What begins later may have begun."""

    @property
    def earliest(self) -> datetime:
        """What had ended by then has ended, whatever is wrong with the clock."""
        return self.now if self.at_least is None else min(self.now, self.at_least)


def judge(now: datetime, newest_written: datetime | None) -> Moment:
    """Decide whether the clock can be right: not before this release, nor before the newest file that we wrote.

    Nor decades after it. A clock that was lost shows 1970 or 2106: then it is at least the time of the newest file. One
    that shows less than that file may be right, as whoever wrote it had a clock, too: it is at least what it shows.
    Raises ValueError for a time without zone, which `Station.open` refuses as configuration.
    """
    if now.tzinfo is None:
        raise ValueError("the clock must tell an aware datetime")
    now = now.astimezone(UTC)
    if not believable(now):
        when = "before this release was made" if now < RELEASED else "decades after this release was made"
        return Moment(now, f"the clock shows {now:%Y-%m-%d %H:%M:%SZ}, {when}", newest_written or RELEASED)
    if newest_written is not None and now + SKEW < newest_written:
        return Moment(now, f"the clock shows {now:%Y-%m-%d %H:%M:%SZ}, before a file that was written here", now)
    return Moment(now, None)


def turns(newest_written: datetime | None) -> tuple[datetime, ...]:
    """The times at which `judge` begins or ceases to believe a clock."""
    return (RELEASED, OUTDATED) if newest_written is None else (RELEASED, OUTDATED, newest_written - SKEW)

"""What time it is, and whether to believe it."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from evse_security.clock import OUTDATED, RELEASED, SKEW, Moment, believable, judge, system_clock, turns
from tests.builders import DAY, NOW

SECOND = timedelta(seconds=1)


def test_a_clock_after_this_release_is_believed() -> None:
    assert judge(RELEASED, None) == Moment(RELEASED, None)
    assert judge(NOW, NOW - DAY) == Moment(NOW, None)


@pytest.mark.parametrize("now", [datetime(1970, 1, 1, tzinfo=UTC), RELEASED - SECOND])
def test_fault_68_a_clock_before_this_release_is_not(now: datetime) -> None:
    doubt = judge(now, None).doubt
    assert doubt is not None
    assert f"{now:%Y-%m-%d %H:%M:%SZ}" in doubt


@pytest.mark.parametrize("now", [OUTDATED, datetime(2099, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_a_clock_that_ran_decades_ahead_is_not_believed(now: datetime) -> None:
    assert "decades after this release" in (judge(now, None).doubt or "")
    assert judge(OUTDATED - SECOND, None).doubt is None


def test_only_times_that_a_right_clock_may_have_shown_are_believable() -> None:
    assert believable(RELEASED) and believable(OUTDATED - SECOND)
    assert not believable(RELEASED - SECOND) and not believable(OUTDATED)


def test_nor_is_one_before_a_file_that_was_written_here_but_for_some_skew() -> None:
    assert judge(NOW, NOW + SKEW).doubt is None
    assert "before a file" in (judge(NOW, NOW + SKEW + SECOND).doubt or "")


@pytest.mark.parametrize("written", [None, NOW])
def test_between_two_turns_a_clock_is_believed_all_the_time_or_never(written: datetime | None) -> None:
    ends = sorted(turns(written))
    for begin, end in pairwise([RELEASED - DAY, *ends, OUTDATED + DAY]):
        believed = [judge(moment, written).doubt is None for moment in (begin, begin + (end - begin) / 2, end - SECOND)]
        assert len(set(believed)) == 1
    assert judge(ends[-2], written).doubt is None  # the one span in which it is


def test_the_moment_is_in_utc_whatever_the_zone_of_the_clock() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-8)))
    found = judge(elsewhere, None)
    assert found == Moment(NOW, None)
    assert found.now.tzinfo is UTC


def test_a_clock_without_zone_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="aware"):
        judge(datetime(2030, 1, 1), None)  # noqa: DTZ001  # that is the point


def test_the_machines_clock_is_aware() -> None:
    assert system_clock().tzinfo is UTC

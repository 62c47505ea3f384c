"""How the page says things."""

from datetime import timedelta

import pytest

from evse_security.http.page.words import elapsed, grouped, remaining, rest, sentence, some, span, title
from tests.builders import DAY, NOW, YEAR


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=30), "0 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=47), "47 hours"),
        (2 * DAY, "2 days"),
        (729 * DAY, "729 days"),
        (30 * YEAR, "29 years"),
    ],
)
def test_spans_in_their_largest_sensible_unit(length: timedelta, said: str) -> None:
    assert span(length) == said


def test_how_the_clock_stands_to_a_validity() -> None:
    assert remaining(NOW - DAY, NOW + 59.5 * DAY, NOW) == "59 days left"
    assert remaining(NOW - 9 * DAY, NOW - 3 * DAY, NOW) == "expired 3 days ago"
    assert remaining(NOW + timedelta(hours=5), NOW + 3 * DAY, NOW) == "begins in 5 hours"
    assert [elapsed(NOW - DAY, NOW + 3 * DAY, NOW + n * DAY) for n in (-2, 0, 3, 9)] == [0, 25, 100, 100]
    assert elapsed(NOW, NOW, NOW + DAY) == 100


def test_names_are_headed_by_their_common_name() -> None:
    assert (title("CN=SECC, O=Op, C=DE"), rest("CN=SECC, O=Op, C=DE")) == ("SECC", "O=Op, C=DE")
    assert (title(r"CN=a\, b, O=Op"), rest(r"CN=a\, b, O=Op")) == (r"a\, b", "O=Op")
    assert (title("O=Op"), rest("O=Op"), rest("CN=x")) == ("O=Op", "", "")


def test_small_things() -> None:
    assert grouped("0aff") == "0A FF"
    assert sentence("not used: iso 15118 ABC") == "Not used: iso 15118 ABC"
    assert sentence("") == ""
    assert some(range(14)) == (tuple(map(str, range(12))), 2)

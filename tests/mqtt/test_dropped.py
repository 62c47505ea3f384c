"""Warnings of dropped messages are as many as a log can bear."""

from evse_security.mqtt.dropped import Dropped
from evse_security.service.spate import MOST, PERIOD


def test_the_first_of_a_minute_are_told_and_then_how_many_there_were_besides() -> None:
    told: list[str] = []
    drop = Dropped(told.append)
    for number in range(MOST + 5):
        drop("m2e/x", f"garbage {number}", 100 + number / 100)
    assert len(told) == MOST
    assert told[0] == 'a message on "m2e/x" was dropped: garbage 0'
    drop("m2e/x", "again", 100 + PERIOD)
    assert told[MOST:] == ["5 more messages were dropped", 'a message on "m2e/x" was dropped: again']
    drop("m2e/x", "later", 100 + 2 * PERIOD)
    assert len(told) == MOST + 3


def test_a_topic_is_told_in_one_line_and_cut() -> None:
    told: list[str] = []
    Dropped(told.append)("a\nb" * 100, "garbage", 0)
    assert "\n" not in told[0] and len(told[0]) < 400

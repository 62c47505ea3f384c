"""What can be published to."""

import pytest

from evse_security.mqtt.connection import LONGEST_TOPIC, MOST_SLASHES, is_topic


@pytest.mark.parametrize(
    "topic",
    ["a", "/", "a//b/", "my/reply/1", "Grüße/📨", "a b", "a$", "x" * LONGEST_TOPIC, "/" * MOST_SLASHES, "a\ufffd"],
)
def test_topics(topic: str) -> None:
    assert is_topic(topic)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "a/#",
        "a\0",
        "$SYS/x",
        "a\n",
        "a\x7f",
        "a\x85",
        "a\ufdd0",
        "a\uffff",
        "a\U0010fffe",
        "a\ud800",
        "ü" * (LONGEST_TOPIC // 2 + 1),
        "/" * (MOST_SLASHES + 1),
    ],
)
def test_what_no_broker_takes_or_some_close_the_connection_for(text: str) -> None:
    assert not is_topic(text)

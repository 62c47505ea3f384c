"""A connection to an MQTT broker, as protocols see it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, Protocol

LONGEST_TOPIC = 65_535
"""Bytes of a topic (MQTT 5 §1.5.4)."""
MOST_SLASHES = 199
"""In a topic: mosquitto closes the connection of who sends one that is deeper."""
_NONCHARACTERS = "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
_NOT_IN_TOPICS = re.compile(f"[+#\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]")


class Message(NamedTuple):
    """One message that came."""

    topic: str
    payload: bytes
    retain: bool = False
    """Whether it lay at the broker before the subscription."""


class Connection(Protocol):
    """A connection that is up. Its methods raise `ConnectionError` once it is lost."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 2, retain: bool = False) -> None:
        """Send a message; return when the broker has taken it over, as far as the quality of service says.

        Raises `ValueError` for what is no topic (`is_topic`).
        """

    async def subscribe(self, *filters: str, qos: int = 2) -> None:
        """Ask for the messages of these topics; return when the broker has acknowledged it.

        Raises `ConnectionRefusedError` where it does not allow that.
        """

    def messages(self) -> AsyncIterator[Message]:
        """The messages that come, one after another; who stops waiting loses none. Ends with `ConnectionError`."""


def is_topic(text: str) -> bool:
    """Whether something can be published to, by any broker, without losing the connection for it.

    Not to wildcards, to what begins with `$` and is the broker's (MQTT 5 §4.7), nor to what is too long or deep. Nor to
    control characters and the like: brokers may close the connection of who sends them (§1.5.4), and mosquitto does.
    """
    if not text or text[0] == "$" or text.count("/") > MOST_SLASHES or _NOT_IN_TOPICS.search(text):
        return False
    return len(text.encode()) <= LONGEST_TOPIC


Speak = Callable[[Connection, Callable[[], None]], Coroutine[Any, Any, None]]
"""A protocol: speaks on a connection until that is lost or it is cancelled, and says each time when it is ready.

When the connection is lost it is cancelled, or ends with the `ConnectionError`; then it is called anew with another.
"""

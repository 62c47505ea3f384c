"""A connection to an MQTT broker, as protocols see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, Protocol


class Message(NamedTuple):
    """One message that came."""

    topic: str
    payload: bytes
    retain: bool = False
    """Whether it lay at the broker before the subscription."""


class Connection(Protocol):
    """A connection that is up. Its methods raise `ConnectionError` once it is lost."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 2, retain: bool = False) -> None:
        """Send a message; return when the broker has taken it over, as far as the quality of service says."""

    async def subscribe(self, *filters: str, qos: int = 2) -> None:
        """Ask for the messages of these topics; return when the broker has acknowledged it."""

    def messages(self) -> AsyncIterator[Message]:
        """The messages that come, one after another. Ends with `ConnectionError`."""


Speak = Callable[[Connection, Callable[[], None]], Awaitable[None]]
"""A protocol: speaks on a connection until that is lost or it is cancelled, and says once when it is ready."""

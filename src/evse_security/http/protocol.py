"""One connection: uvicorn's HTTP/1.1, with a time for everything that the other side has to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from evse_security.http.addresses import Reach

LONGEST_HEAD = 1 << 14
"""Bytes of a request line with its headers."""
MOST_CHUNKS = 2048
"""Chunks of a body. Each takes as long to read as many kilobytes do: those of one byte would keep the loop busy."""
SECONDS: dict[Any, float] = {h11.IDLE: 10.0, h11.SEND_BODY: 30.0}
"""Within which the head of a request must be there, and then its body, however slowly they trickle in (slow loris)."""
IDLE = 5
"""Seconds that a connection is kept for a next request."""
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280 Appendix A.1)."""
UNREAD = 30.0
"""Seconds that an answer may wait for the other side to read on."""


class _Reader(h11.Connection):
    """Reads requests whose bodies are not cut too small."""

    _chunks = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = 0
        elif isinstance(event, h11.Data) and event.chunk_start:
            self._chunks += 1
            if self._chunks > MOST_CHUNKS:
                raise h11.RemoteProtocolError(f"more than {MOST_CHUNKS} chunks")
        return event


class Connection(H11Protocol):
    """A connection that ends itself when the other side is too slow, and tells the routes who is there."""

    def __init__(self, config: Config, state: ServerState, reach: Reach, ended: Callable[[], None]) -> None:
        """`ended` is called once, when it is over and nobody is at an answer any more."""
        super().__init__(config, state, {"reach": reach, "client_name": None})
        self.conn = _Reader(h11.SERVER, LONGEST_HEAD)
        self._routes, self.app = self.app, self._answer
        self._answering = 0
        self._lost = False
        self._ended = ended
        self._awaited: object = None
        self._awaiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state["client_name"] = client_name(transport.get_extra_info("peercert"))
        self._await_more()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_more()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._awaiting, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._lost = True
        if not self._answering:
            self._ended()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the routes answer, who work on for one that went away: what was asked is still in memory."""
        self._answering += 1
        try:
            await self._routes(scope, receive, send)
        finally:
            self._answering -= 1
            if self._lost and not self._answering:
                self._ended()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, instead of the routes if they are at it: two answers would break off in a fault."""
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _await_more(self) -> None:
        """Time runs from the first moment of each part of a request, not from its last byte."""
        awaited = self.conn.their_state if self.conn.their_state in SECONDS else None
        if awaited is self._awaited:
            return
        if self._awaiting is not None:
            self._awaiting.cancel()
        self._awaited = awaited
        self._awaiting = None if awaited is None else self.loop.call_later(SECONDS[awaited], self.transport.abort)


def configured(app: Any) -> Config:
    """What uvicorn's protocol needs to know. Only faults are logged, and no header is believed to name a client."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=IDLE,
        h11_max_incomplete_event_size=LONGEST_HEAD,
    )
    config.load()
    return config


def client_name(certificate: Any) -> str | None:
    """The common name of a client's certificate that TLS has verified; None without a certificate.

    One that has no such name, several, or an odd one goes by `?`: it must not be taken for another.
    """
    if not certificate:
        return None
    names = [value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"]
    usable = len(names) == 1 and names[0].isprintable() and len(names[0]) <= LONGEST_NAME
    return names[0] if usable else "?"

"""The stream of events as server-sent events (HTML Standard §9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from evse_security.http.replies import error
from evse_security.service.events import Event, Events

MOST_STREAMS = 32
KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment tells proxies and clients that the stream is still there."""
LASTS = 900.0
"""Seconds of a stream: who listens comes again by itself, and is asked again who it is."""
AGAIN = 3000
"""Milliseconds after which clients come again."""

MEDIA_TYPE = "text/event-stream"


class Streams:
    """The streams that are open."""

    def __init__(self, events: Events) -> None:
        """Of these events."""
        self._events = events
        self._open: set[_Stream] = set()
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all, and begin no more."""
        self._closing.set()

    async def answer(self, request: Request) -> Response:
        """Follow the events, from the last on that the client has seen."""
        last = request.headers.get("last-event-id")
        if last is not None and not (last.isascii() and last.isdigit() and len(last) <= 15):
            return error(400, "MalformedRequest", "Last-Event-ID: expected the number of an event")
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        if len(self._open) >= MOST_STREAMS or self._closing.is_set():
            return error(503, "TooManyStreams", f"{len(self._open)} streams are open already", {"retry-after": "5"})
        after = None if last is None else self._known(int(last))
        return _Stream(_told(self._events, after, self._closing), self._open)

    def _known(self, last: int) -> int:
        """A number that no event has yet is from before a restart: then all are new."""
        recent = self._events.recent()
        return last if recent and last <= recent[-1].number else 0


class _Stream(StreamingResponse):
    """A stream that is counted while it is open, and closed in the end whatever happens."""

    def __init__(self, told: AsyncGenerator[str, None], opened: set[_Stream]) -> None:
        super().__init__(told, media_type=MEDIA_TYPE)
        self._told, self._opened = told, opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._opened.add(self)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.discard(self)
            await self._told.aclose()


async def _told(events: Events, after: int | None, closing: asyncio.Event) -> AsyncGenerator[str, None]:
    """The events as text, and comments when nothing happens; until the time of a stream is over, or all are closed."""
    now = asyncio.get_running_loop().time
    ends = now() + LASTS
    async with aclosing(events.listen(after=after)) as listening:
        ending = asyncio.ensure_future(closing.wait())
        following = asyncio.ensure_future(anext(listening))
        try:
            yield f"retry: {AGAIN}\n\n"
            while (left := ends - now()) > 0 and not closing.is_set():
                await asyncio.wait((following, ending), timeout=min(KEEP_ALIVE, left), return_when="FIRST_COMPLETED")
                if following.done():
                    yield _written(following.result())
                    following = asyncio.ensure_future(anext(listening))
                elif not closing.is_set():
                    yield ":\n\n"
        finally:
            ending.cancel()
            following.cancel()
            await asyncio.wait((ending, following))


def _written(event: Event) -> str:
    """JSON has no line breaks outside of strings, and escapes them there."""
    return f"id: {event.number}\nevent: {event.kind.value}\ndata: {json.dumps(event.to_json())}\n\n"

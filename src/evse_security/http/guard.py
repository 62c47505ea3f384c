"""What every request passes first: who is meant, from which page it comes, who calls, how large it is.

1. Host: a name that is not this station's is refused, or a page elsewhere could have its own name lead here (DNS
   rebinding).
2. Origin: what changes something comes from a page of ours or from no page at all (CSRF); and no page elsewhere may
   load anything of ours, though it may link here.
3. The caller, whom routes find as `request.state.caller`.
4. The body, of at most 2 MiB; of those who log in, 4 KiB.
5. Every answer gets the headers that keep browsers from doing more with it than showing it.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evse_security.clock import Clock
from evse_security.errors import InvalidConfiguration
from evse_security.http.auth import NotAuthenticated, TooManyAttempts
from evse_security.http.replies import error
from evse_security.http.scopes import Caller

log = logging.getLogger(__name__)

LARGEST_BODY = 2 << 20
"""Bytes of a body: a chain or a form with one in it is far smaller, and `serve.text` takes as many characters."""

LARGEST_LOGIN = 1 << 12
"""Bytes of the body of somebody who is not known yet."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OPEN = frozenset({"/login", "/login.css"})
"""Paths that nobody needs to be known for."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: with that, browsers say `Origin: null` of forms that come from our own pages.
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer, unless it has its own of that name."""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


class Doorkeeper(Protocol):
    """Who knows callers: `auth.Access`."""

    async def caller(self, request: Request) -> Caller: ...


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names by which this station may be called beside the addresses that callers reach it at."""

    names: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def of(cls, configured: Iterable[str]) -> Hosts:
        """Of `http_hosts`: `HOST` at any port, `HOST:PORT`. Raises `InvalidConfiguration`."""
        return cls(frozenset(map(_configured, configured)))

    def knows(self, host: str, scheme: str, reached: tuple[str, int | None] | None) -> bool:
        """Whether a Host header means this station; `reached` is the address and port that the caller connected to.

        That address itself is no name that could lead elsewhere; `localhost` is as good where it is loopback's.
        """
        parsed = _parsed(host)
        if parsed is None:
            return False
        name, port = parsed[0], parsed[1] or _PORTS[scheme]
        if (name, None) in self.names or (name, port) in self.names:
            return True
        if reached is None or reached[1] is None:
            return name == "localhost"  # a Unix socket: no browser comes here
        here = ipaddress.ip_address(reached[0].partition("%")[0])
        return port == reached[1] and (name == str(here) or (name == "localhost" and here.is_loopback))


def _configured(text: str) -> tuple[str, int | None]:
    parsed = _parsed(text)
    if parsed is None:
        raise InvalidConfiguration("http_hosts", f"{text}: expected HOST or HOST:PORT")
    return parsed


def _parsed(host: str) -> tuple[str, int | None] | None:
    """The name or address, and the port; None where there is neither."""
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return None
    name, port = found["name"].strip("[]").removesuffix("."), found["port"]
    try:
        name = str(ipaddress.ip_address(name))
    except ValueError:
        if ":" in name:
            return None
    return name, int(port) if port is not None else None


def from_elsewhere(method: str, headers: Mapping[str, str], own_origin: str) -> bool:
    """Whether a browser made this request for a page that is not ours. Others send none of these headers.

    Sec-Fetch-Site is the browser's own verdict, which holds behind a proxy, too. Browsers do not send it to plain HTTP
    beyond loopback: there the Origin must be ours.
    """
    site, mode, origin = (headers.get(name) for name in ("sec-fetch-site", "sec-fetch-mode", "origin"))
    if site is not None:
        is_link = method in SAFE_METHODS and mode == "navigate"
        return site not in ("same-origin", "none") and not is_link
    return method not in SAFE_METHODS and origin is not None and origin.lower() != own_origin


class Guard:
    """Lets requests through, or answers them itself. No exception leaves it before there is an answer."""

    def __init__(self, app: ASGIApp, *, hosts: Hosts, access: Doorkeeper, clock: Clock) -> None:
        """In front of an application."""
        self._app, self._hosts, self._access, self._clock = app, hosts, access, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answering = _Answering(send, self._clock)
        try:
            refusal = await self._refusal(Request(scope))
            largest = LARGEST_LOGIN if scope["path"] in OPEN else LARGEST_BODY
            length = Headers(scope=scope).get("content-length", "0")
            if refusal is None and int(length) > largest:
                refusal = error(413, "BodyTooLarge", _too_large(largest))
            if refusal is not None:
                await refusal(scope, receive, answering)
            else:
                await self._app(scope, _Bounded(receive, largest, answering), answering)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("http: %s %s failed", scope["method"], _shown(scope["path"]))
            if answering.started:
                raise  # the connection is cut: half an answer must not look like a whole one
            await error(500, "InternalError", "a fault of the service; its log says more")(scope, receive, answering)

    async def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not pass."""
        host, scheme = request.headers.get("host", ""), request.scope["scheme"]
        if not self._hosts.knows(host, scheme, request.scope.get("server")):
            return error(421, "UnknownHost", "not one of this station's names; http_hosts adds names")
        if from_elsewhere(request.method, request.headers, f"{scheme}://{host.lower()}"):
            return error(403, "CrossSite", "a page of another site may not do this")
        try:
            request.state.caller = await self._access.caller(request)
        except TooManyAttempts as refused:
            return error(429, refused.code, str(refused), {"retry-after": str(refused.seconds)})
        except NotAuthenticated as refused:
            if request.scope["path"] in OPEN:
                return None
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse("/login", 303)
            return error(401, refused.code, str(refused), {"www-authenticate": 'Bearer realm="evse-security"'})
        return None


class _Bounded:
    """Receives a body as long as it is not too large."""

    def __init__(self, receive: Receive, largest: int, answering: _Answering) -> None:
        self._receive, self._largest, self._left, self._answering = receive, largest, largest, answering

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        if self._answering.started:  # whoever answers already wants no body, and waits for the end of the connection
            return {**message, "body": b""}
        raise HTTPException(413, _too_large(self._largest))


def _too_large(largest: int) -> str:
    return f"the body has more than {largest} bytes"


class _Answering:
    """Sends an answer with the headers that all have."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send, self._clock = send, clock
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            headers["date"] = format_datetime(self._clock().astimezone(UTC), usegmt=True)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _shown(path: str) -> str:
    """A path as a log may have it."""
    return ascii(path[:100])

"""Asking an OCSP responder over HTTP (RFC 6960 Appendix A.1), bounded in time, size and where it may lead.

The address comes from a certificate that leads to an installed root, but what answers there is anybody. Only HTTP and
HTTPS are spoken, nothing is sent but the question, and a redirection never leads to this machine or its link.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import SplitResult, quote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from evse_security.agents.thread import in_thread
from evse_security.errors import InvalidConfiguration

MAX_RESPONSE_BYTES = 64 * 1024
"""Largest response that is read, as what is kept (`pki.ocsp`)."""
MAX_REDIRECTIONS = 3
SILENCE = 5.0
"""Seconds of waiting for the next bytes."""
WHOLE = 15.0
"""Seconds for one question and its answer, redirections included."""

_MOVED = frozenset({301, 302, 303, 307, 308})
_URL = re.compile(r"[!-~]{1,2048}", re.ASCII)
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_PORTS = {"http": 80, "https": 443}

ProxyOf = Callable[[SplitResult], str | None]
"""The proxy (host and port) by which a URL is asked; None: directly."""


class NoAnswer(Exception):
    """A responder said something that is no answer."""


class Unreachable(NoAnswer):
    """There is no responder, or it says nothing: others need not try."""


def proxy_of(configured: str) -> ProxyOf:
    """The configured HTTP proxy (a URL), or where none is the environment's. Raises `InvalidConfiguration`."""
    if configured:
        fixed = _proxy(configured, "ocsp_proxy")
        return lambda url: fixed

    def from_environment(url: SplitResult) -> str | None:
        proxy = getproxies().get(url.scheme)
        if not proxy or proxy_bypass(url.hostname or ""):
            return None
        try:
            return _proxy(proxy if "://" in proxy else f"http://{proxy}", "ocsp_proxy")
        except InvalidConfiguration as problem:
            raise Unreachable(f"the environment's proxy {problem.problem}") from None

    return from_environment


def _proxy(url: str, key: str) -> str:
    parts = _parts(url)
    if parts is None or parts.scheme != "http" or parts.path.strip("/") or parts.query:
        raise InvalidConfiguration(key, "must be like http://HOST:PORT, without a password")
    return parts.netloc if parts.port else f"{parts.netloc.rstrip(':')}:80"


def _parts(url: str) -> SplitResult | None:
    """A URL that may be asked; None for every other."""
    try:
        parts = urlsplit(url) if _URL.fullmatch(url) else None
        usable = parts is not None and parts.scheme in _CONNECTIONS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and parts is not None and "@" not in parts.netloc else None


async def ask(url: str, request: bytes, method: str, proxy_for: ProxyOf) -> bytes:
    """What a responder answers to a question (DER) by POST or GET. Raises `NoAnswer`."""
    exchange = Exchange(url, request, method, proxy_for)
    try:
        return await in_thread(exchange.answer, exchange.abort, WHOLE)
    except TimeoutError:
        raise Unreachable(f"no answer within {WHOLE:g} s") from None
    except (http.client.HTTPException, ValueError) as problem:
        raise NoAnswer(f"no HTTP address: {type(problem).__name__}") from None


class Exchange:
    """One question to one responder."""

    def __init__(self, url: str, request: bytes, method: str, proxy_for: ProxyOf) -> None:
        """Nothing is sent yet."""
        self._method, self._body = method, request if method == "POST" else None
        asked = quote(b64encode(request).decode("ascii"), safe="")
        self._url = url if method == "POST" else f"{url.rstrip('/')}/{asked}"
        self._proxy_for = proxy_for
        self._socket: socket.socket | None = None
        self._aborted = False
        self._begins_here = False
        """Whether the responder itself is on this machine: a laboratory."""

    def abort(self) -> None:
        """Whoever waits for an answer need not any more; from any thread, at any time."""
        self._aborted = True
        connected = self._socket
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def answer(self) -> bytes:
        """The answer. Raises `NoAnswer`."""
        url = self._url
        for number in range(MAX_REDIRECTIONS + 1):
            status, led_to, content = self._once(url, is_redirected=number > 0)
            if status == 200:
                return content
            if status not in _MOVED or led_to is None:
                raise NoAnswer(f"HTTP status {status}")
            url = urljoin(url, led_to) if _URL.fullmatch(led_to) else ""
        raise NoAnswer(f"more than {MAX_REDIRECTIONS} redirections")

    def _once(self, url: str, *, is_redirected: bool) -> tuple[int, str | None, bytes]:
        """Status, where it leads to, and what came, if that is the answer."""
        parts = _parts(url)
        if parts is None:
            raise NoAnswer("a redirection to what is no HTTP address" if is_redirected else "no HTTP address")
        connection, target = self._connection(parts)
        try:
            try:
                connection.connect()
            except (OSError, UnicodeError) as problem:  # the latter for names that cannot be looked up
                raise Unreachable(_said(problem)) from None
            self._socket = connection.sock
            self._check_peer(connection, is_redirected=is_redirected)
            if self._aborted:
                raise Unreachable("it took too long")
            headers = {"Accept": "application/ocsp-response", "User-Agent": "evse-security", "Connection": "close"}
            if self._body is not None:
                headers["Content-Type"] = "application/ocsp-request"
            connection.request(self._method, target, self._body, headers)
            with connection.getresponse() as response:
                content = _bounded(response) if response.status == 200 else b""
                return response.status, response.headers["Location"], content
        except OSError as problem:
            raise Unreachable(_said(problem)) from None
        except (http.client.HTTPException, ValueError) as problem:
            raise NoAnswer(f"no HTTP answer: {type(problem).__name__}") from None
        finally:
            self._socket = None
            connection.close()

    def _connection(self, url: SplitResult) -> tuple[http.client.HTTPConnection, str]:
        """A connection that is not made yet, directly or by a proxy, and what to ask for on it."""
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host, port = url.hostname or "", url.port or _PORTS[url.scheme]
        proxy = self._proxy_for(url)
        if url.scheme == "https":
            context = ssl.create_default_context()
            if proxy is None:
                return http.client.HTTPSConnection(host, port, timeout=SILENCE, context=context), target
            secure = http.client.HTTPSConnection(proxy, timeout=SILENCE, context=context)
            secure.set_tunnel(host, port)
            return secure, target
        if proxy is None:
            return http.client.HTTPConnection(host, port, timeout=SILENCE), target
        return http.client.HTTPConnection(proxy, timeout=SILENCE), f"http://{url.netloc}{target}"

    def _check_peer(self, connection: http.client.HTTPConnection, *, is_redirected: bool) -> None:
        """Whom a redirection has led to: not to services of this machine, which trust it."""
        peer, own = connection.sock.getpeername()[0], connection.sock.getsockname()[0]
        address = ipaddress.ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        is_here = peer == own or address.is_loopback or address.is_link_local or address.is_unspecified
        if not is_redirected:
            self._begins_here = is_here
        elif is_here and not self._begins_here:
            raise NoAnswer("a redirection to this machine")


def _bounded(response: http.client.HTTPResponse) -> bytes:
    content = response.read(MAX_RESPONSE_BYTES + 1)
    if len(content) > MAX_RESPONSE_BYTES:
        raise NoAnswer(f"larger than {MAX_RESPONSE_BYTES} bytes")
    if not content:
        raise NoAnswer("an empty answer")
    return content


def _said(problem: Exception) -> str:
    """In words that are safe to log: a proxy may have its own in them."""
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return "".join(one if one.isprintable() else "?" for one in text[:200])

"""Enrolment over Secure Transport (RFC 7030): the request is posted over TLS, the answer is a certs-only message.

`/simplereenroll` where a leaf of the same subject is in use, which then is the client certificate too; else
`/simpleenroll`. The server is verified with its host name; redirections are not followed.
"""

from __future__ import annotations

import binascii
import email.utils
import http.client
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult

from evse_security.agents.enrolment.files import chain_before
from evse_security.agents.enrolment.port import (
    MOST_BYTES,
    SECONDS,
    Answer,
    Credentials,
    Later,
    Refused,
    Request,
    Signed,
    one_line,
)
from evse_security.agents.enrolment.server import Proxy, checked_url, proxy_for
from evse_security.agents.thread import in_thread
from evse_security.clock import Clock
from evse_security.errors import EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import asks_for_subject_of, certificates_of_message, chain_for

WELL_KNOWN = "/.well-known/est"
STEP_SECONDS = 30.0
"""Longest wait for a connection, and for anything to come over it."""
_TRY_AGAIN = frozenset({408, 425, 429})
"""What of 4xx may be otherwise later (RFC 9110 §15.5, RFC 8470, RFC 6585)."""


@dataclass(frozen=True, slots=True)
class EstServer:
    """Where to enrol, whom to trust there, and who one is."""

    url: SplitResult
    ca: Path | None
    user: str = ""
    password: str = field(default="", repr=False)
    proxy: Proxy | None = None

    @classmethod
    def at(cls, url: str, ca: Path | None, user: str, password: str, proxy: str) -> EstServer:
        """An EST server by its URL. Raises `InvalidConfiguration`."""
        parts = checked_url(url, ("https",))
        return cls(parts, ca, user, password, proxy_for(parts, proxy))

    @property
    def path(self) -> str:
        """Where its operations lie (RFC 7030 §3.2.2)."""
        return self.url.path.rstrip("/") or WELL_KNOWN


class _Reply(NamedTuple):
    status: int
    retry_after: str
    body: bytes


class EstPort:
    """Enrols at an EST server."""

    def __init__(self, server: EstServer, clock: Clock, seconds: float = SECONDS) -> None:
        """With the clock that tells how far off a Retry-After is."""
        self._server, self._clock, self._seconds = server, clock, seconds

    async def enrol(self, request: Request) -> Answer:
        exchange = _Exchange(self._server)
        try:
            return await in_thread(lambda: self._enrolled(exchange, request), exchange.cut, self._seconds)
        except TimeoutError:
            return Later(f"{self._server.url.hostname} did not answer within {self._seconds:g} s")

    def _enrolled(self, exchange: _Exchange, request: Request) -> Answer:
        """The whole exchange, in a thread."""
        server = self._server.url.hostname
        try:
            old = chain_before(request.leaf)
            renews = bool(old) and asks_for_subject_of(request.csr, old[0])
            reply = exchange.post("simplereenroll" if renews else "simpleenroll", request, request.leaf)
        except ssl.SSLCertVerificationError as problem:
            return Later(f"{server} is not to be trusted: {one_line(problem.verify_message)}")
        except (OSError, http.client.HTTPException, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else None
            return Later(f"{server} cannot be asked: {type(problem).__name__}: {one_line(why or str(problem))}")
        return self._answer(reply, request.csr, old)

    def _answer(self, reply: _Reply, csr: str, old: Sequence[Certificate]) -> Answer:
        """What a reply says (RFC 7030 §4.2.3)."""
        server, status = self._server.url.hostname, reply.status
        seconds = _seconds(reply.retry_after, self._clock())
        if status == 200:
            try:
                return Signed(chain_for(csr, certificates_of_message(_decoded(reply.body)), old[1:]))
            except (EvseSecurityError, ValueError) as problem:
                return Later(f"{server} sent something else than certificates: {one_line(str(problem))}")
        if status == 202:
            return Later(f"{server} has not decided yet", seconds)
        said = f"{server} answered with {status} {http.client.responses.get(status, '')}".rstrip()
        if status >= 500 or status in _TRY_AGAIN:
            return Later(said, seconds)
        return Refused(said)


def _decoded(body: bytes) -> bytes:
    """The message: base64 as RFC 7030 has it, or DER as some servers do."""
    if body[:1] == b"\x30":
        return body
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


def _seconds(retry_after: str, now: datetime) -> int | None:
    """A Retry-After: seconds, or a date (RFC 9110 §10.2.3). What is neither is not there."""
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9])
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # the latter for years that no calendar has
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(int((moment - now).total_seconds()), 0)


class _Connection(http.client.HTTPConnection):
    """HTTP over TLS, through a proxy if there is one. Who waits for the handshake can be cut off, too."""

    default_port = 443

    def __init__(
        self, host: str, port: int, proxy: Proxy | None, context: ssl.SSLContext, check: Callable[[], object]
    ) -> None:
        at = (host, port) if proxy is None else (proxy.host, proxy.port)
        super().__init__(*at, timeout=STEP_SECONDS)
        if proxy is not None:
            self.set_tunnel(host, port, proxy.headers)
        self._server, self._context, self._check = host, context, check

    def connect(self) -> None:
        super().connect()
        secured = self._context.wrap_socket(self.sock, server_hostname=self._server, do_handshake_on_connect=False)
        self.sock = secured
        self._check()
        secured.do_handshake()


class _Exchange:
    """One request and its reply, in a thread; another thread may cut it off."""

    def __init__(self, server: EstServer) -> None:
        self._server = server
        self._connection: _Connection | None = None
        self._is_cut = False

    def cut(self) -> None:
        """Let whoever waits in the other thread wait no longer."""
        self._is_cut = True
        connected = self._connection.sock if self._connection is not None else None
        if connected is not None:
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)  # an SSLSocket's own would forget its state

    def _check(self) -> None:
        if self._is_cut:
            raise TimeoutError("cut off")

    def post(self, operation: str, request: Request, leaf: Credentials | None) -> _Reply:
        """Post the request. Raises OSError, HTTPException or ValueError."""
        server = self._server
        context = _context(server.ca, leaf)
        connection = _Connection(server.url.hostname or "", server.url.port or 443, server.proxy, context, self._check)
        self._connection = connection
        try:
            self._check()
            connection.connect()
            connection.request("POST", f"{server.path}/{operation}", _body(request.csr), self._headers())
            with connection.getresponse() as response:
                body = response.read(MOST_BYTES + 1)
                if len(body) > MOST_BYTES:
                    raise ValueError(f"more than {MOST_BYTES} bytes")
                return _Reply(response.status, response.headers.get("Retry-After", ""), body)
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/pkcs10",
            "Content-Transfer-Encoding": "base64",
            "Accept": "application/pkcs7-mime",
        }
        if self._server.user:
            login = f"{self._server.user}:{self._server.password}".encode()
            headers["Authorization"] = f"Basic {b64encode(login).decode()}"
        return headers


def _body(csr: str) -> bytes:
    """The request without its boundaries (RFC 7030 §4.2.1): base64 of the DER."""
    return "".join(f"{line}\r\n" for line in csr.splitlines() if line and not line.startswith("-----")).encode()


def _context(ca: Path | None, leaf: Credentials | None) -> ssl.SSLContext:
    """TLS that verifies the server and its name, and shows the leaf in use."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if leaf is not None:
        context.load_cert_chain(leaf.chain, leaf.key, leaf.password or "")
    return context

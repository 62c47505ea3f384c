"""A websocket to the CSMS that stays: TLS by the station's own roots and client certificate, tried again with patience.

Needs `websockets` (extra `[ocpp]`). Nothing else does: who has a connector calls `Certificates.connected` and
`connection_failed`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from evse_security.adapters.ocpp.certificates import Certificates
from evse_security.adapters.ocpp.editions import Edition
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.handshake import security_event, tls_context
from evse_security.adapters.ocpp.root_trial import TrustedRoots
from evse_security.adapters.ocpp.trial import ClientCertificate
from evse_security.errors import EvseSecurityError, InvalidConfiguration

log = logging.getLogger(__name__)

PROTOCOLS = {
    Edition.V16: "ocpp1.6",
    Edition.V201: "ocpp2.0.1",
    Edition.V201_2025: "ocpp2.0.1",
    Edition.V21: "ocpp2.1",
}
LOOK = 60.0
"""Seconds after which is looked whether another client certificate is to be used."""
LASTING = 180.0
"""Seconds after which a connection has lasted: who drops one earlier is tried again ever less often.

An answer to BootNotification is no sign of it: a CSMS may drop all its stations right after that.
"""
AGAIN = 1.0
"""Seconds after which what does not end is cancelled again."""
_OPEN_TIMEOUT = 20.0
_MOST_BYTES = 1 << 20


@dataclass(eq=False)
class NoRoots(EvseSecurityError):
    """No root by which the CSMS could be known: other programs' roots are no substitute."""

    template = "no CSMS root certificate is installed: {url} cannot be known"
    url: str


@dataclass(eq=False)
class NoProtocol(EvseSecurityError):
    """A server that does not speak this version of OCPP."""

    template = "{url} does not speak {protocol}"
    url: str
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the CSMS is, and how a station proves who it is. Raises `InvalidConfiguration`."""

    url: str
    """`wss://HOST/PATH/IDENTITY`."""
    profile: int = 3
    """Security profile: 2 with a password, 3 with a client certificate."""
    identity: str = ""
    """Who logs in with the password; empty: who the last part of the URL says."""
    password: str = field(default="", repr=False)
    first_wait: float = 1.0
    """Seconds before it is tried again, doubled each time."""
    longest_wait: float = 120.0
    allow_wildcards: bool = False
    """Whether the certificate of the CSMS may be for `*.example` (AllowCSMSTLSWildcards)."""

    def __post_init__(self) -> None:
        if not self.url.startswith("wss://"):
            raise InvalidConfiguration("url", "must begin with wss://: without TLS certificates protect nobody")
        if not urlsplit(self.url).hostname:
            raise InvalidConfiguration("url", "names no host: wss://HOST/PATH/IDENTITY is expected")
        if "@" in self.url.removeprefix("wss://").partition("/")[0]:
            raise InvalidConfiguration("url", "must not hold a password: it is logged, and has a place of its own")
        if self.profile not in (2, 3):
            raise InvalidConfiguration("profile", "must be 2 or 3")
        for name in ("first_wait", "longest_wait"):
            if not getattr(self, name) > 0:
                raise InvalidConfiguration(name, "must be more than 0 seconds: an absent CSMS is not to be stormed")

    @property
    def headers(self) -> dict[str, str]:
        """HTTP Basic authentication in profile 2."""
        if self.profile == 3 or not self.password:
            return {}
        identity = self.identity or unquote(urlsplit(self.url).path.rpartition("/")[2])
        pair = f"{identity}:{self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def pause(endpoint: Endpoint, failures: int, chance: float) -> float:
    """Seconds to wait after so many failures: doubled, and spread by `chance` (0 to 1) so that a fleet is no storm."""
    longest = min(endpoint.first_wait * 2.0 ** min(failures - 1, 30), endpoint.longest_wait)
    return longest * (0.5 + chance / 2)


class Connector:
    """Keeps one station connected, and reconnects when another client certificate or endpoint is to be used."""

    def __init__(
        self,
        endpoint: Endpoint,
        certificates: Certificates,
        serve: Callable[[Any], Awaitable[object]],
        *,
        chance: Callable[[], float] = random.random,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`serve` gets each websocket, speaks OCPP on it, and returns when that ends."""
        self._endpoint, self._certificates, self._serve = endpoint, certificates, serve
        self._chance, self._elapsed = chance, elapsed
        self._renewed = asyncio.Event()
        self._told: set[SecurityEvent] = set()
        self._failures = 0
        self._before: Endpoint | None = None
        self._attempts = 0
        certificates.reconnect_by(self._renewed.set)

    @property
    def endpoint(self) -> Endpoint:
        """Where it connects to."""
        return self._endpoint

    def change(self, endpoint: Endpoint, *, attempts: int = 0) -> None:
        """Connect there from now on, with its security profile (A05): the connection that there is ends.

        After so many attempts without success the endpoint before is connected to again; 0: never. Once there was a
        connection it is forgotten, as no lower profile is to be used again.
        """
        self._before, self._attempts = (self._endpoint if attempts else None), attempts
        self._endpoint, self._failures = endpoint, 0
        self._renewed.set()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            self._renewed.clear()
            endpoint = self._endpoint
            try:
                continue_at_once = await self._connect(endpoint)
            except Exception:  # whatever it was: a station that gives up is lost
                log.exception("%s is not connected to: the store cannot be asked", endpoint.url)
                self._missed(endpoint)
                continue_at_once = False
            if not continue_at_once:
                await self._wait(pause(endpoint, max(self._failures, 1), self._chance()))

    async def _connect(self, endpoint: Endpoint) -> bool:
        """Connect once, and stay as long as there is a connection. Whether to connect again at once."""
        certificate = await self._certificates.client_certificate() if endpoint.profile == 3 else None
        roots = await self._certificates.csms_trust()
        if endpoint.profile == 3 and certificate is None:
            log.warning("%s, security profile 3: there is no client certificate that can be shown", endpoint.url)
        try:
            connection = await self._opened(endpoint, roots, certificate)
        except Exception as problem:
            return await self._failed(endpoint, certificate, roots, problem)
        async with connection:  # what fails from here on says nothing against the certificate or the roots
            self._reached(endpoint)
            began = self._elapsed()
            await self._speak(connection, endpoint, certificate, roots)
        if self._renewed.is_set():
            return True
        self._ended(endpoint, self._elapsed() - began)
        return False

    async def _opened(self, endpoint: Endpoint, roots: TrustedRoots, certificate: ClientCertificate | None) -> Any:
        connection = await (await self._open(endpoint, roots, certificate))
        if connection.subprotocol is None:
            await connection.close()
            raise NoProtocol(endpoint.url, PROTOCOLS[self._certificates.edition])
        return connection

    def _reached(self, endpoint: Endpoint) -> None:
        self._told.clear()
        if endpoint is self._endpoint:  # and no other was asked for meanwhile
            self._before = None

    def _ended(self, endpoint: Endpoint, lasted: float) -> None:
        """Count a connection that did not last as a failure, and forget those before one that did."""
        if lasted < LASTING:
            self._missed(endpoint)
        elif endpoint is self._endpoint:
            self._failures = 0

    def _missed(self, endpoint: Endpoint) -> None:
        """Count a failure, and go back to the endpoint before where there were enough of them."""
        if endpoint is not self._endpoint:
            return
        self._failures += 1
        if self._before is not None and self._failures >= self._attempts:
            log.warning("back to %s, as %s was not reached", self._before.url, endpoint.url)
            self._endpoint, self._before, self._failures = self._before, None, 0

    async def _wait(self, seconds: float) -> None:
        """Wait before it is tried again; no longer than another endpoint is wanted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._renewed.wait()

    async def _open(self, endpoint: Endpoint, roots: TrustedRoots, certificate: ClientCertificate | None) -> Any:
        from websockets.asyncio.client import connect

        class Direct(connect):  # type: ignore[misc, unused-ignore]
            """A connection to the CSMS of the URL: OCPP knows no redirection."""

            def process_redirect(self, exc: Exception) -> Exception:
                return exc

        if not roots.fingerprints:
            raise NoRoots(endpoint.url)
        context = await asyncio.to_thread(tls_context, roots, certificate, allow_wildcards=endpoint.allow_wildcards)
        return Direct(
            endpoint.url,
            ssl=context,
            subprotocols=[PROTOCOLS[self._certificates.edition]],  # type: ignore[list-item, unused-ignore]
            additional_headers=endpoint.headers,
            open_timeout=_OPEN_TIMEOUT,
            max_size=_MOST_BYTES,
        )

    async def _speak(
        self, connection: Any, endpoint: Endpoint, certificate: ClientCertificate | None, roots: TrustedRoots
    ) -> None:
        """Speak OCPP until the connection ends, or another client certificate or endpoint is to be used."""
        is_told = await self._told_connected(certificate, roots)
        serving = asyncio.ensure_future(self._serve(connection))
        closed = asyncio.ensure_future(connection.wait_closed())
        try:
            while not serving.done():
                renewed = asyncio.ensure_future(self._renewed.wait())
                await asyncio.wait({serving, closed, renewed}, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                renewed.cancel()
                if closed.done():  # who speaks may be waiting for an answer that cannot come any more
                    await asyncio.wait({serving}, timeout=AGAIN)
                    break
                is_told = is_told or await self._told_connected(certificate, roots)
                if self._endpoint is not endpoint or (endpoint.profile == 3 and await self._other_than(certificate)):
                    self._renewed.set()
                    break
                self._renewed.clear()
        finally:
            await connection.close()
            closed.cancel()
            while not serving.done():  # `asyncio.wait_for` of Python 3.11, in `ocpp`, loses a cancellation now and then
                serving.cancel()
                await asyncio.wait({serving}, timeout=AGAIN)
        if not serving.cancelled() and serving.exception() is not None:
            log.info("the connection to %s ended: %s", endpoint.url, serving.exception())

    async def _told_connected(self, certificate: ClientCertificate | None, roots: TrustedRoots) -> bool:
        """Say that a connection came about; false where the store does not take it: then it is said again."""
        try:
            await self._certificates.connected(certificate, roots)
        except Exception:  # whatever it was: the connection is good, and is kept
            log.exception("what follows from the connection cannot be done yet")
            return False
        return True

    async def _other_than(self, certificate: ClientCertificate | None) -> bool:
        """Whether another client certificate is to be used. A store that cannot be asked ends no connection."""
        try:
            now = await self._certificates.client_certificate()
        except Exception:
            log.exception("whether there is another client certificate cannot be told")
            return False
        return now is not None and (certificate is None or now.fingerprint != certificate.fingerprint)

    async def _failed(
        self,
        endpoint: Endpoint,
        certificate: ClientCertificate | None,
        roots: TrustedRoots,
        problem: BaseException,
    ) -> bool:
        """Say that it failed. Whether to try again at once, with the CSMS root before."""
        log.warning("no connection to %s: %s", endpoint.url, str(problem) or type(problem).__name__)
        falls_back = await self._certificates.connection_failed(certificate, roots, problem)
        if not falls_back:
            self._missed(endpoint)
        event = security_event(problem)
        if roots.on_trial and event is SecurityEvent.INVALID_CSMS_CERTIFICATE:
            return falls_back  # told of once in a trial, by `Certificates`
        if event is not None and event not in self._told:  # neither a wrong clock nor a stranger is to fill the queue
            self._told.add(event)
            await self._certificates.happened(event, str(problem))
        return falls_back

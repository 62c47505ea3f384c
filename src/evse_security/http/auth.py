"""Who calls: by a token, a session of a browser, a client certificate, or because the address is this machine's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from starlette.requests import Request

from evse_security.clock import Clock
from evse_security.errors import EvseSecurityError, InvalidConfiguration
from evse_security.http.addresses import Reach
from evse_security.http.scopes import Caller, Scope
from evse_security.http.sessions import Attempts, Sessions
from evse_security.http.tokens import LONGEST_TOKEN, Token, TokenFile, digest, known
from evse_security.service.spate import Spate

log = logging.getLogger(__name__)

LOCAL: Mapping[Reach, Caller] = {
    Reach.loopback: Caller("http:local", Scope.install),
    Reach.socket: Caller("http:socket", Scope.admin),
}
"""Callers who need not say who they are. Every user of the machine reaches loopback: no passwords for them."""

COOKIE, COOKIE_TLS = "evse-security", "__Host-evse-security"
"""Names of the session's cookie; browsers keep a `__Host-` cookie to HTTPS and to this host."""


class NotAuthenticated(EvseSecurityError):
    """A caller who must say who they are, and has not; or not rightly."""

    template = "say who you are: with a token, or a client certificate"


class TooManyAttempts(EvseSecurityError):
    """An address from which logging in failed too often."""

    template = "too many failed attempts; try again in {seconds} s"

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Access:
    """Decides who a caller is."""

    def __init__(
        self,
        clock: Clock,
        ticks: Callable[[], float],
        tokens: TokenFile | None = None,
        client_scopes: Mapping[str, Scope] | None = None,
    ) -> None:
        """`ticks` counts seconds for sessions and attempts, whatever the clock does."""
        self._clock, self._ticks, self._file = clock, ticks, tokens
        self._client_scopes = client_scopes or {}
        self._sessions, self._attempts = Sessions(), Attempts()
        self._guesses = Spate(partial(log.warning, "http: %d more tokens that are not valid were shown"))
        self._told = ""

    async def caller(self, request: Request) -> Caller:
        """Who is behind a request. Raises `NotAuthenticated` or `TooManyAttempts`."""
        shown = request.headers.get("authorization")
        if shown is not None:
            kind, _, token = shown.partition(" ")
            return _by(await self._shown(request, token.strip() if kind.lower() == "bearer" else ""))
        of_session = await self._of_session(request)
        if of_session is not None:
            return _by(of_session)
        client: str | None = getattr(request.state, "client_name", None)
        if client is not None:
            return Caller(f"http:client:{client}", self._client_scopes.get(client, Scope.read))
        local = LOCAL.get(request.state.reach)
        if local is None:
            raise NotAuthenticated
        return local

    async def log_in(self, request: Request, token: str) -> str:
        """Begin a session for a browser whose user typed a token: its id. Raises as `caller`."""
        return self._sessions.begin((await self._shown(request, token)).sha256, self._ticks())

    def log_out(self, request: Request) -> None:
        """End the session of a browser."""
        self._sessions.end(request.cookies.get(cookie_name(request), ""))

    async def _shown(self, request: Request, token: str) -> Token:
        """The token that was shown. Raises as `caller`, and counts what failed.

        A valid one is let in however many others failed: many share an address behind a proxy or a router, and nobody
        guesses 256 random bits. Those who guess are told to wait, and make no more lines in the log.
        """
        found = None
        if len(token) <= LONGEST_TOKEN:
            found = known(await self._tokens(), digest(token), self._clock())
        if found is not None:
            return found
        peer = request.client.host if request.client is not None else ""
        wait = self._attempts.wait(peer, self._ticks())
        if wait:
            raise TooManyAttempts(wait)
        self._attempts.failed(peer, self._ticks())
        if self._guesses.takes(self._ticks()):
            log.warning("http: a token that is not valid was shown by %s", peer or "a local caller")
        raise NotAuthenticated

    async def _of_session(self, request: Request) -> Token | None:
        """The token with which the session of a browser began, if that is valid still."""
        session = request.cookies.get(cookie_name(request))
        sha256 = self._sessions.token(session, self._ticks()) if session else None
        return None if sha256 is None else known(await self._tokens(), sha256, self._clock())

    async def _tokens(self) -> tuple[Token, ...]:
        """The tokens as the file has them now; none while it cannot be used, which is said once."""
        if self._file is None:
            return ()
        try:
            tokens = await asyncio.to_thread(self._file.tokens)
        except InvalidConfiguration as problem:
            if str(problem) != self._told:
                log.error("no token is valid: %s", problem)
            self._told = str(problem)
            return ()
        self._told = ""
        return tokens


def cookie_name(request: Request) -> str:
    """The name of the session's cookie on this connection."""
    return COOKIE_TLS if request.scope["scheme"] == "https" else COOKIE


def _by(token: Token) -> Caller:
    return Caller(f"http:token:{token.name}", token.scope)


def client_scopes(table: tuple[str, ...]) -> dict[str, Scope]:
    """The scopes of clients with a certificate, by common name: `NAME=SCOPE`. Raises `InvalidConfiguration`."""
    scopes: dict[str, Scope] = {}
    for row in table:
        name, _, scope = row.rpartition("=")
        if not name or name == "?" or scope not in Scope.__members__:
            raise InvalidConfiguration("http_client_scopes", f"{row}: expected NAME={'|'.join(Scope)}")
        if name in scopes:
            raise InvalidConfiguration("http_client_scopes", f"names {name} twice")
        scopes[name] = Scope(scope)
    return scopes

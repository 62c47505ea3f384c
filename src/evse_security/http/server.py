"""The part of the service that listens for HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import h11
from starlette.routing import BaseRoute
from uvicorn.server import ServerState

from evse_security.errors import InvalidConfiguration
from evse_security.http import tls
from evse_security.http.addresses import KEY, Address, Reach, addresses, listen_at, stop_listening
from evse_security.http.app import Behind, create_app
from evse_security.http.auth import Access, client_scopes
from evse_security.http.guard import Hosts
from evse_security.http.looking import Looking
from evse_security.http.metrics import Metrics
from evse_security.http.protocol import Connection, configured
from evse_security.http.sessions import network_of
from evse_security.http.stream import Streams
from evse_security.http.tokens import TokenFile
from evse_security.service.config import ServiceConfig
from evse_security.service.renewals import NoRenewals, Renewals
from evse_security.service.service import Service

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
"""Connections at one address; who comes then waits until one ends, and those of other addresses do not notice."""
MOST_OF_ONE = 32
"""Of these, those of one peer from elsewhere: it keeps nobody else out. On loopback a proxy may have all."""
HANDSHAKE = 10.0
"""Seconds of a TLS handshake, and of its counterpart in the end."""
GRACE = 3.0
"""Seconds that answers have to end in when the service stops."""
LOOK_AGAIN = 10.0
"""Seconds between looks at the files of TLS."""


class HttpPart:
    """Serves HTTP at every address of `http_listen`."""

    name = "http"

    def __init__(
        self,
        service: Service,
        *,
        pages: Sequence[BaseRoute] = (),
        parts_ready: Callable[[], bool] = lambda: True,
        renewals: Renewals | None = None,
    ) -> None:
        """`pages` are served beside the API; `parts_ready` tells /readyz whether all parts of the service are."""
        self._service, self._pages, self._parts_ready = service, pages, parts_ready
        self._renewals = renewals or NoRenewals()
        self._looking = Looking(service)
        self._metrics = Metrics(service, self._looking, self._renewals)
        self.listening: tuple[Address, ...] = ()
        """Where it listens, with the ports that port 0 became."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Listen until cancelled. Raises `InvalidConfiguration` for addresses and files that cannot be used."""
        config, service = self._service.config, self._service
        places = addresses(config.http_listen)
        tokens = TokenFile(config.http_tokens) if config.http_tokens is not None else None
        contexts = await asyncio.to_thread(_checked, config, places, tokens)
        ticks = asyncio.get_running_loop().time
        access = Access(service.clock, ticks, tokens, client_scopes(config.http_client_scopes))
        streams = Streams(service.events)
        hosts = Hosts.of(config.http_hosts)
        behind = Behind(access, hosts, self._looking, self._metrics, streams, self._renewals)
        app = create_app(service, behind, parts_ready=self._parts_ready, pages=self._pages)
        stop_counting = await self._metrics.listen()
        server = _Server(partial(Connection, configured(app)), contexts)
        try:
            self.listening = await server.open(places)
            log.info("http: served at %s", ", ".join(_url(place, contexts) for place in self.listening) or "no address")
            ready()
            await server.serve(config)
        finally:
            streams.close()
            await server.close()
            stop_counting()


def _url(place: Address, contexts: tls.Contexts) -> str:
    """Where a browser finds an address."""
    if place.path is not None:
        return str(place)
    return f"{'https' if place.reach in contexts else 'http'}://{place}/"


def _checked(config: ServiceConfig, places: Sequence[Address], tokens: TokenFile | None) -> tls.Contexts:
    """The TLS contexts of a configuration that lets nobody in unasked from elsewhere."""
    contexts = tls.contexts(config)
    far = [place for place in places if place.reach is Reach.network]
    if far and tokens is None and config.http_client_ca is None:
        how = "name a file of tokens (http_tokens) or the CA of clients (http_client_ca)"
        raise InvalidConfiguration(KEY, f"{far[0]} can be reached from elsewhere: {how}")
    if far and not contexts:
        log.warning("http: tokens are sent in the clear to %s: http_certificate would encrypt them", far[0])
    if tokens is not None:
        try:
            tokens.tokens()
        except InvalidConfiguration as problem:
            how = "make one with evse-security token add"
            raise InvalidConfiguration(problem.key, f"{problem.problem}; {how}") from None
    return contexts


class _Places:
    """The places for connections at one address, of which one peer may have so many."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MOST_CONNECTIONS)
        self._taken = Counter[str]()

    async def one_is_free(self) -> None:
        """Wait for a place, which is kept until somebody leaves."""
        await self._free.acquire()

    def take(self, peer: str) -> bool:
        """Whether a peer may have the place that is kept; empty: nobody in particular. If not, it is free again."""
        if peer and self._taken[peer] >= MOST_OF_ONE:
            self._free.release()
            return False
        self._taken[peer] += 1
        return True

    def leave(self, peer: str | None = None) -> None:
        """A place is free again, of a peer that had taken it."""
        if peer is not None:
            self._taken[peer] -= 1
            if not self._taken[peer]:
                del self._taken[peer]
        self._free.release()


class _Server:
    """Accepts connections, so many at each address, and ends them."""

    def __init__(self, connection: Callable[..., Connection], contexts: tls.Contexts) -> None:
        self._connection, self._contexts = connection, contexts
        self._state = ServerState()
        self._sockets: list[tuple[Address, socket.socket]] = []
        self._opening: set[asyncio.Task[None]] = set()

    async def open(self, places: Sequence[Address]) -> tuple[Address, ...]:
        """Listen everywhere. Raises `InvalidConfiguration`."""
        for place in places:
            self._sockets.append((place, await asyncio.to_thread(listen_at, place)))
        return tuple(
            place if place.path is not None else Address(place.host, opened.getsockname()[1])
            for place, opened in self._sockets
        )

    async def serve(self, config: ServiceConfig) -> None:
        """Accept connections until cancelled."""
        async with asyncio.TaskGroup() as group:
            for place, listening in self._sockets:
                group.create_task(self._accept(listening, place.reach))
            if self._contexts:
                group.create_task(self._renew(config))
            group.create_task(asyncio.Event().wait())  # also where there is no address

    async def _accept(self, listening: socket.socket, reach: Reach) -> None:
        """Accept connections at one address, as long as there are not too many."""
        loop, places = asyncio.get_running_loop(), _Places()
        while True:
            await places.one_is_free()
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as problem:  # too many open files; a connection that is gone already
                places.leave()
                log.warning("http: a connection could not be accepted: %s", problem.strerror)
                await asyncio.sleep(1)
                continue
            peer = network_of(address[0]) if reach is Reach.network else ""
            if not places.take(peer):
                accepted.close()
                continue
            task = asyncio.create_task(self._begin(accepted, reach, partial(places.leave, peer)))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _begin(self, accepted: socket.socket, reach: Reach, leave: Callable[[], None]) -> None:
        """Let a connection begin, after the handshake where there is TLS."""
        loop, context = asyncio.get_running_loop(), self._contexts.get(reach)
        began: list[Connection] = []

        def connection() -> Connection:
            began.append(self._connection(self._state, reach, leave))
            return began[0]

        seconds = None if context is None else HANDSHAKE
        try:
            await loop.connect_accepted_socket(
                connection, accepted, ssl=context, ssl_handshake_timeout=seconds, ssl_shutdown_timeout=seconds
            )
        except (OSError, ssl.SSLError) as problem:
            log.debug("http: a connection did not begin: %s", type(problem).__name__)
        finally:
            if not began or began[0].transport is None:  # else it releases its room itself
                accepted.close()
                leave()

    async def _renew(self, config: ServiceConfig) -> None:
        """Serve with files of TLS that have changed; connections that are open go on as they are."""
        seen: tuple[object, ...] = ()
        told = ""
        with suppress(OSError):
            seen = await asyncio.to_thread(tls.signature, config)
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            try:
                found = await asyncio.to_thread(tls.signature, config)
                if found == seen:
                    continue
                self._contexts = await asyncio.to_thread(tls.contexts, config)
            except (OSError, InvalidConfiguration) as problem:
                if str(problem) != told:
                    log.error("http: TLS goes on with the old certificate: %s", problem)
                told = str(problem)
                continue
            seen, told = found, ""
            log.info("http: TLS has taken up a new certificate")

    async def close(self) -> None:
        """Listen no more, let answers end, then end all connections."""
        await asyncio.sleep(0)  # whoever was accepting lets go of the sockets
        for place, opened in self._sockets:
            await asyncio.to_thread(stop_listening, opened, place)
        self._sockets.clear()
        for task in tuple(self._opening):
            task.cancel()
        for connection in tuple(self._state.connections):
            with suppress(h11.LocalProtocolError):
                connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=GRACE)
        for answering in tuple(self._state.tasks):
            answering.cancel()
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        leftover = (*self._opening, *self._state.tasks)
        if leftover:
            await asyncio.wait(leftover, timeout=GRACE)
        while self._state.connections:  # those of TLS take some turns
            await asyncio.sleep(0)

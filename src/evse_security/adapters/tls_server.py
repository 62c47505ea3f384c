"""The TLS of an SECC: one `ssl.SSLContext` that shows each car the right chain of the store, as it is now."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from evse_security.adapters.tls_choice import VERSION, Choice, Demand, Offer, Withheld, choose, offers
from evse_security.adapters.tls_hello import TRUSTED_CA_KEYS, read_hello
from evse_security.adapters.tls_libssl import GO_ON, REFUSE, Libssl, Unavailable, Verify, libssl
from evse_security.adapters.tls_load import load_chain
from evse_security.chains import Chain, Edition, Installed, roots_in
from evse_security.errors import EvseSecurityError, InvalidConfiguration
from evse_security.station import Station
from evse_security.visible import printable
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger(__name__)

BOTH = frozenset(Edition)
SUITES_2 = "ECDHE-ECDSA-AES128-SHA256"
"""Of the two of ISO 15118-2 (V2G2-602) the one that OpenSSL has; static ECDH went with 1.1.0."""
SUITES_20 = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
GROUPS = {Edition.ISO15118_2: b"P-256", Edition.ISO15118_20: b"P-521:X448"}
"""For the key exchange; secp256r1 is none of ISO 15118-20's (HUB20 533-005)."""
_VERIFY = {Edition.ISO15118_2: Verify.NOTHING, Edition.ISO15118_20: Verify.PEER}
"""Cars of ISO 15118-20 must show a certificate, those of -2 have none."""
_HANDSHAKE_FAILURE, _INTERNAL_ERROR = 40, 80


class _Ready(NamedTuple):
    """What there is to show, prepared."""

    installed: Installed
    oem_roots: tuple[bytes, ...]
    contexts: dict[Offer, ssl.SSLContext]
    withheld: tuple[Withheld, ...]


class SeccContext(ssl.SSLContext):
    """What `server_context` makes. It refuses every handshake for which there is no chain; it is never without TLS."""

    _material: _Material
    _callback: object = None
    """What OpenSSL calls; it must live as long as this."""

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The chains that would be shown now, newest first."""
        return tuple(self._material.ready().contexts)

    @property
    def withheld(self) -> tuple[Withheld, ...]:
        """The leaves that would not, and why."""
        return self._material.ready().withheld


def server_context(
    station: Station,
    *,
    secc_id: str | None = None,
    editions: Collection[Edition] = BOTH,
    require_ocsp: bool = False,
    oem_roots: Path | None = None,
) -> SeccContext:
    """A context for the server socket of one SECC, with asyncio or without. It follows the store by itself.

    Each handshake uses the leaves, roots and OCSP responses that are installed when it begins: ISO 15118-2 over TLS 1.2
    with secp256r1, ISO 15118-20 over TLS 1.3 with secp521r1 or Ed448, where the car shows a certificate under an
    installed V2G root or one of `oem_roots` (a file of PEM). Leaves of another common name than `secc_id` are not
    shown. With `require_ocsp`, a chain is shown only while a cached response calls each of its certificates good.

    Where OpenSSL cannot be reached behind `ssl`, only ISO 15118-2 is served, without stapling, and a warning says so.
    Raises `InvalidConfiguration` for what cannot be served at all.
    """
    if not editions:
        raise InvalidConfiguration("editions", "names none")
    demand = Demand(secc_id, frozenset(editions), require_ocsp)
    context = SeccContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_ECDH_USE
    context.num_tickets = 0  # a session that is resumed would hold to a chain that is revoked meanwhile
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        library: Libssl | None = libssl()
    except Unavailable as why:
        library, demand = None, _without_libssl(demand, why)
    material = _Material(station, demand, oem_roots, library)
    context._material = material
    if library is None:
        _by_server_name(context, material)
    else:
        library.set_suites(context, SUITES_20)
        library.keep_no_sessions(context)
        library.know(context, TRUSTED_CA_KEYS)
        context._callback = library.on_hello(context, _Greeter(material, library))
    material.ready()
    return context


def _without_libssl(demand: Demand, why: Unavailable) -> Demand:
    """What remains of a demand without the functions that `ssl` lacks. Raises `InvalidConfiguration`."""
    problem = f"OpenSSL cannot be reached behind Python's ssl ({why})"
    if demand.require_ocsp:
        raise InvalidConfiguration("require_ocsp", f"nothing can be stapled: {problem}")
    if Edition.ISO15118_2 not in demand.editions:
        raise InvalidConfiguration("editions", f"ISO 15118-20 cannot be served: {problem}")
    log.warning("%s: ISO 15118-2 is served without OCSP stapling, and ISO 15118-20 not at all", problem)
    return demand._replace(editions=frozenset({Edition.ISO15118_2}))


class _Material:
    """The chains of a store as contexts of OpenSSL, renewed whenever the store differs."""

    def __init__(self, station: Station, demand: Demand, oem_roots: Path | None, library: Libssl | None) -> None:
        self._station, self._demand, self._oem, self._library = station, demand, _OemRoots(oem_roots), library
        self._working = threading.Lock()
        self._ready: _Ready | None = None

    def ready(self) -> _Ready:
        """What is there now. Where nothing changed, that costs a few microseconds."""
        with self._working:
            installed, oem = self._station.chains(LeafCertificateType.V2G), self._oem.now()
            if self._ready is None or self._ready.installed is not installed or self._ready.oem_roots is not oem:
                self._ready = self._prepared(installed, oem, self._ready)
            return self._ready

    def _prepared(self, installed: Installed, oem: tuple[bytes, ...], before: _Ready | None) -> _Ready:
        """Contexts for all that may be shown; those of before serve again where the files and roots are the same."""
        shown, withheld = offers(installed, self._demand)
        same_roots = before is not None and (before.installed.roots, before.oem_roots) == (installed.roots, oem)
        known = (
            {_loaded_from(one.chain): context for one, context in before.contexts.items()}
            if same_roots and before
            else {}
        )
        contexts: dict[Offer, ssl.SSLContext] = {}
        for offer in shown:
            try:
                contexts[offer] = known.get(_loaded_from(offer.chain)) or self._context(offer, (*installed.roots, *oem))
            except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
                withheld.append(Withheld(str(offer.chain), f"OpenSSL does not take it: {_why(problem)}"))
        told = frozenset(before.withheld) if before is not None else frozenset()
        for one in withheld:
            if one not in told:
                log.info("not shown to cars: %s: %s", printable(one.leaf), printable(one.reason))
        if not contexts and (before is None or before.contexts):
            log.warning("no chain can be shown to cars: every handshake is refused until that changes")
        return _Ready(installed, oem, contexts, tuple(withheld))

    def _context(self, offer: Offer, roots: tuple[bytes, ...]) -> ssl.SSLContext:
        """A context for one chain. Raises OSError and ValueError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_chain(context, offer.chain)
        if offer.edition is Edition.ISO15118_2:
            context.set_ciphers(SUITES_2)
        if self._library is None:
            return context
        self._library.let_staple(context)
        self._library.know(context, TRUSTED_CA_KEYS)
        if offer.edition is Edition.ISO15118_20:
            self._library.set_suites(context, SUITES_20)
            for root in dict.fromkeys(roots):
                context.load_verify_locations(cadata=root)
                self._library.name_authority(context, root)
        return context


def _loaded_from(chain: Chain) -> tuple[str, Path, str | None]:
    return chain.pem, chain.key, chain.password


class _OemRoots:
    """The roots of car makers, who are not in the store: read again whenever their file differs."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self._roots: tuple[bytes, ...] = ()

    def now(self) -> tuple[bytes, ...]:
        """Those of the file as it is; none where it cannot be read."""
        if self._path is None:
            return self._roots
        try:
            found = os.stat(self._path)
            signature = found.st_ino, found.st_size, found.st_mtime_ns
            if signature != self._signature:
                self._roots, self._signature = roots_in(self._path), signature
        except (OSError, ValueError, EvseSecurityError) as problem:
            if self._signature != ():
                log.warning("%s: the OEM roots cannot be read, none is trusted: %s", self._path, _why(problem))
                self._roots, self._signature = (), ()
        return self._roots


class _Greeter:
    """Answers each ClientHello: chooses, and has OpenSSL go on so."""

    def __init__(self, material: _Material, library: Libssl) -> None:
        self._material, self._library = material, library

    def __call__(self, connection: int, alert: object, _argument: int) -> int:
        try:
            alert[0] = _HANDSHAKE_FAILURE  # type: ignore[index]
            return self._go_on(connection)
        except Exception:  # nothing may pass through OpenSSL
            log.exception("a handshake failed here")
            return REFUSE

    def _go_on(self, connection: int) -> int:
        library, ready = self._library, self._material.ready()
        hello = read_hello(library.legacy_version(connection), lambda number: library.extension(connection, number))
        choice = choose(tuple(ready.contexts), hello)
        if not isinstance(choice, Choice):
            log.warning("a handshake is refused: %s", choice)
            return REFUSE
        log.info("%s", printable(str(choice)))
        offer = choice.offer
        library.go_on_with(
            connection,
            ready.contexts[offer],
            version=VERSION[offer.edition],
            groups=GROUPS[offer.edition],
            verify=_VERIFY[offer.edition],
            response=offer.chain.sent[0].response,
        )
        return GO_ON


def _by_server_name(context: SeccContext, material: _Material) -> None:
    """Follow the store with what `ssl` itself has: its callback for names is called for cars that send none, too."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ecdh_curve("prime256v1")
    context.set_ciphers(SUITES_2)

    def choose_context(
        connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _front: ssl.SSLContext
    ) -> int | None:
        try:
            ready = material.ready()
            offer = next(iter(ready.contexts), None)
            if offer is None:
                log.warning("a handshake is refused: there is no chain that may be shown")
                return _HANDSHAKE_FAILURE
            connection.context = ready.contexts[offer]
            log.info("%s", printable(str(Choice(offer, "the newest"))))
        except Exception:  # nothing may pass through OpenSSL
            log.exception("a handshake failed here")
            return _INTERNAL_ERROR
        return None

    context.sni_callback = choose_context


def _why(problem: Exception) -> str:
    reason = problem.reason if isinstance(problem, ssl.SSLError) else getattr(problem, "strerror", None)
    return str(reason or problem)

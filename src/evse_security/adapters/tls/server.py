"""The TLS of an SECC: one `ssl.SSLContext` that shows each car the right chain of the store, as it is now."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from evse_security.adapters.tls.choice import Choice, Demand, Offer, Withheld, choose
from evse_security.adapters.tls.hello import (
    CERTIFICATE_AUTHORITIES,
    SIGNATURE_ALGORITHMS,
    SUPPORTED_VERSIONS,
    TLS_1_3,
    TRUSTED_CA_KEYS,
    read_hello,
)
from evse_security.adapters.tls.libssl import GO_ON, REFUSE, Libssl, Terms, Unavailable, Verify, libssl, send_alert
from evse_security.adapters.tls.material import SUITES_2, SUITES_20, Material
from evse_security.chains import Edition
from evse_security.errors import InvalidConfiguration
from evse_security.station import Station
from evse_security.visible import printable

log = logging.getLogger(__name__)

BOTH = frozenset(Edition)
_GROUP_2, _GROUPS_20 = "prime256v1", b"P-521:X448"
"""For the key exchange; secp256r1 is none of ISO 15118-20's (HUB20 533-005)."""
_TERMS = {
    Edition.ISO15118_2: Terms(),
    Edition.ISO15118_20: Terms.of(version=TLS_1_3, groups=_GROUPS_20, verify=Verify.PEER, staples_each=True),
}
"""Every connection begins as one of ISO 15118-2. Cars of -20 must show a certificate, those of -2 have none."""
_IN_TLS_1_2, _IN_BOTH = (TRUSTED_CA_KEYS,), (TRUSTED_CA_KEYS, SIGNATURE_ALGORITHMS, CERTIFICATE_AUTHORITIES)
"""The extensions beside supported_versions that decide; cars of TLS 1.2 alone do not have that one."""
_HANDSHAKE_FAILURE, _INTERNAL_ERROR = 40, 80


class SeccContext(ssl.SSLContext):
    """What `server_context` makes. It refuses every handshake for which there is no chain; it is never without TLS."""

    _material: Material
    _callback: object = None
    """What OpenSSL calls; it must live as long as this."""
    _another: Callable[[], SeccContext] | None = None
    """Makes such a context for one connection alone, where each needs its own."""

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext` does. What a listening socket accepts comes here again."""
        return ssl.SSLContext.wrap_socket(self._for_one(), *arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As `ssl.SSLContext` does."""
        return ssl.SSLContext.wrap_bio(self._for_one(), *arguments, **options)

    def _for_one(self) -> SeccContext:
        return self if self._another is None else self._another()

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The chains that would be shown now, newest first."""
        return self._material.ready().shown

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
    installed V2G or OEM root; `oem_roots`, a file of PEM, is used instead of the installed OEM roots. Leaves of another
    common name than `secc_id` are not shown. With `require_ocsp`, a chain is shown only while a cached response calls
    each of its certificates good.

    Where OpenSSL cannot be reached behind `ssl`, only ISO 15118-2 is served, without stapling, and a warning says so.
    Raises `InvalidConfiguration` for what cannot be served at all.
    """
    if not editions:
        raise InvalidConfiguration("editions", "names none")
    demand = Demand(secc_id, frozenset(editions), require_ocsp)
    try:
        library: Libssl | None = libssl()
    except Unavailable as why:
        library, demand = None, _without_libssl(demand, why)
    material = Material(station, demand, oem_roots, library)
    material.ready()
    return _by_server_name(material) if library is None else _by_hello(material, library)


def _front(material: Material) -> SeccContext:
    """What every connection begins with."""
    context = SeccContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_SINGLE_ECDH_USE
    context.num_tickets = 0  # a session that is resumed would hold to a chain that is revoked meanwhile
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ecdh_curve(_GROUP_2)
    context._material = material
    return context


def _by_hello(material: Material, library: Libssl) -> SeccContext:
    """A context that answers each ClientHello."""
    context = _front(material)
    library.set_suites(context, SUITES_20)
    library.keep_no_sessions(context)
    library.know(context, TRUSTED_CA_KEYS)
    context._callback = library.on_hello(context, _Greeter(material, library))
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


class _Greeter:
    """Answers each ClientHello: chooses, and has OpenSSL go on so."""

    def __init__(self, material: Material, library: Libssl) -> None:
        self._material, self._library = material, library

    def __call__(self, connection: int, alert: int, _argument: int) -> int:
        try:
            if self._go_on(connection):
                return GO_ON
            send_alert(alert, _HANDSHAKE_FAILURE)
        except Exception:  # nothing may pass through OpenSSL
            log.exception("a handshake failed here")
        return REFUSE

    def _go_on(self, connection: int) -> bool:
        library, ready = self._library, self._material.ready()
        versions = library.extension(connection, SUPPORTED_VERSIONS)
        numbers = _IN_TLS_1_2 if versions is None else _IN_BOTH
        said = (versions, *[library.extension(connection, number) for number in numbers])
        choice = ready.choices.get(said)
        if choice is None:
            extensions = dict(zip((SUPPORTED_VERSIONS, *numbers), said, strict=True))
            choice = choose(ready.shown, read_hello(extensions.get, ready.versions))
            ready.remember(said, choice)
        if not isinstance(choice, Choice):
            log.warning("a handshake is refused: %s", choice)
            return False
        _log(choice)
        chain, edition = choice.offer
        _, address, responses = ready.contexts[chain.fingerprint]
        library.go_on_with(connection, address, _TERMS[edition], responses)
        return True


def _by_server_name(material: Material) -> SeccContext:
    """Follow the store with what `ssl` itself has: its callback for names is called for cars that send none, too.

    `ssl` cannot switch off that OpenSSL keeps the sessions of TLS 1.2 with the context that connections begin with. So
    each begins with one of its own.
    """

    def choose_context(
        connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _front: ssl.SSLContext
    ) -> int | None:
        try:
            ready = material.ready()
            if not ready.shown:
                log.warning("a handshake is refused: there is no chain that may be shown")
                return _HANDSHAKE_FAILURE
            connection.context = ready.contexts[ready.shown[0].chain.fingerprint].context
            _log(Choice(ready.shown[0], "the newest"))
        except Exception:  # nothing may pass through OpenSSL
            log.exception("a handshake failed here")
            return _INTERNAL_ERROR
        return None

    def another() -> SeccContext:
        context = _front(material)
        context.set_ciphers(SUITES_2)
        context.sni_callback = choose_context
        context._another = another
        return context

    return another()


def _log(choice: Choice) -> None:
    if log.isEnabledFor(logging.INFO):
        log.info("%s", printable(str(choice)))

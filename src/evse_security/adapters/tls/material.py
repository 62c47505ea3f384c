"""The chains of a store as contexts of OpenSSL, renewed whenever the store differs."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from pathlib import Path
from typing import NamedTuple

from evse_security.adapters.tls.choice import VERSION, Choice, Demand, Offer, Withheld, offers
from evse_security.adapters.tls.hello import TRUSTED_CA_KEYS
from evse_security.adapters.tls.libssl import Libssl, pointer
from evse_security.adapters.tls.load import load_chain
from evse_security.chains import Chain, Edition, Installed, roots_in
from evse_security.errors import EvseSecurityError
from evse_security.station import Station
from evse_security.visible import printable
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger(__name__)

SUITES_2 = "ECDHE-ECDSA-AES128-SHA256"
"""Of the two of ISO 15118-2 (V2G2-602) the one that OpenSSL has; static ECDH went with 1.1.0."""
SUITES_20 = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

Said = tuple[bytes | None, ...]
"""The extensions of a ClientHello that decide."""
MOST_CHOICES, LONGEST_SAID = 64, 2048
"""Choices that are remembered, and octets of what a car says for one."""
_Source = tuple[str, Path, str | None]
"""What a context was loaded from: chain, file of the key, password."""


class Loaded(NamedTuple):
    """A context with a chain, and where OpenSSL has it."""

    context: ssl.SSLContext
    address: int
    """0 where that is not known."""
    responses: tuple[bytes | None, ...]
    """The OCSP responses (DER) to staple, leaf first."""


class Ready(NamedTuple):
    """What there is to show, prepared."""

    installed: Installed
    oem_roots: tuple[bytes, ...]
    shown: tuple[Offer, ...]
    """Newest first."""
    versions: frozenset[int]
    contexts: dict[str, Loaded]
    """By the fingerprint of the leaf."""
    withheld: tuple[Withheld, ...]
    choices: dict[Said, Choice | str]
    """What was chosen for cars that said the same: there are few kinds of cars, and handshakes should be fast."""

    def remember(self, said: Said, choice: Choice | str) -> None:
        """Choose this again for who says the same; within bounds, as it is others who say it."""
        if len(self.choices) < MOST_CHOICES and sum(len(one) for one in said if one) < LONGEST_SAID:
            self.choices[said] = choice

    def has_roots(self, installed: Installed, oem_roots: tuple[bytes, ...]) -> bool:
        """Whether it was made with these roots."""
        return (self.installed.roots, self.oem_roots) == (installed.roots, oem_roots)

    def sources(self) -> dict[_Source, ssl.SSLContext]:
        """The contexts by what they were loaded from."""
        return {_source(one.chain): self.contexts[one.chain.fingerprint].context for one in self.shown}


class Material:
    """The chains of a store as contexts of OpenSSL, renewed whenever the store differs."""

    def __init__(self, station: Station, demand: Demand, oem_roots: Path | None, library: Libssl | None) -> None:
        self._station, self._demand, self._oem, self._library = station, demand, _OemRoots(oem_roots), library
        self._working = threading.Lock()
        self._ready: Ready | None = None

    def ready(self) -> Ready:
        """What is there now. Where nothing changed, that costs a few microseconds."""
        with self._working:
            installed = self._station.chains(LeafCertificateType.V2G)
            oem = self._oem.now(installed)
            if self._ready is None or self._ready.installed is not installed or self._ready.oem_roots is not oem:
                self._ready = self._prepared(installed, oem, self._ready)
            return self._ready

    def _prepared(self, installed: Installed, oem: tuple[bytes, ...], before: Ready | None) -> Ready:
        """Contexts for all that may be shown; those of before serve again where the files and roots are the same."""
        possible, withheld = offers(installed, self._demand)
        roots = (*installed.roots, *oem)
        known = before.sources() if before is not None and before.has_roots(installed, oem) else {}
        shown: list[Offer] = []
        contexts: dict[str, Loaded] = {}
        for offer in possible:
            chain = offer.chain
            try:
                context = known.get(_source(chain)) or self._context(offer, roots)
                address = 0 if self._library is None else pointer(context)
                contexts[chain.fingerprint] = Loaded(context, address, chain.responses)
                shown.append(offer)
            except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
                withheld.append(Withheld(str(chain), f"OpenSSL does not take it: {why(problem)}"))
        versions = frozenset(VERSION[one.edition] for one in shown)
        ready = Ready(installed, oem, tuple(shown), versions, contexts, tuple(withheld), {})
        _tell(ready, before)
        return ready

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


def _source(chain: Chain) -> _Source:
    return chain.pem, chain.key, chain.password


def _tell(ready: Ready, before: Ready | None) -> None:
    """Log what is not shown, once."""
    told = frozenset(before.withheld) if before is not None else frozenset()
    for one in ready.withheld:
        if one not in told:
            log.info("not shown to cars: %s: %s", printable(one.leaf), printable(one.reason))
    if not ready.shown and (before is None or before.shown):
        log.warning("no chain can be shown to cars: every handshake is refused until that changes")


class _OemRoots:
    """The roots of car makers: those of the store, or of a file in its place, read again whenever that differs."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._signature: tuple[int, ...] | None = None
        self._roots: tuple[bytes, ...] = ()
        self._told: str | None = None

    def now(self, installed: Installed) -> tuple[bytes, ...]:
        """Those that are there; none where they cannot be read, which is said once."""
        if self._path is None:
            if installed.oem.problem not in (None, self._told):
                log.warning("%s: no OEM root is trusted", printable(str(installed.oem.problem)))
            self._told = installed.oem.problem
            return installed.oem.roots
        try:
            found = os.stat(self._path)
            signature = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns  # who copies may set one
            if signature != self._signature:
                self._roots, self._signature = roots_in(self._path), signature
        except (OSError, ValueError, EvseSecurityError) as problem:
            if self._signature != ():
                log.warning("%s: the OEM roots cannot be read, none is trusted: %s", self._path, why(problem))
                self._roots, self._signature = (), ()
        return self._roots


def why(problem: Exception) -> str:
    """What went wrong, without what may be secret."""
    reason = problem.reason if isinstance(problem, ssl.SSLError) else getattr(problem, "strerror", None)
    return str(reason or problem)

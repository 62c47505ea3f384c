"""Browsers that logged in, and addresses from which logging in failed too often. In memory: a restart ends all."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

LASTS = 8 * 3600.0
"""Seconds of a session: a day's work."""
MOST_SESSIONS = 100

MOST_FAILURES = 10
"""Failed attempts of one address within a minute; further ones that fail are told to wait until the minute is over."""
MINUTE = 60.0
MOST_PEERS = 1000


@dataclass(slots=True)
class Sessions:
    """Who holds which session. Times are seconds of a clock that nobody sets."""

    _begun: OrderedDict[str, tuple[str, float]] = field(default_factory=OrderedDict, repr=False)

    def begin(self, token: str, now: float) -> str:
        """A new session for whoever showed the token of this digest: its id. The oldest makes room."""
        made = secrets.token_urlsafe(32)
        self._begun[_key(made)] = token, now + LASTS
        while len(self._begun) > MOST_SESSIONS:
            self._begun.popitem(last=False)
        return made

    def token(self, session: str, now: float) -> str | None:
        """The digest of the token that a session was begun with; None once it is over."""
        token, ends = self._begun.get(_key(session), ("", now))
        return token if now < ends else None

    def end(self, session: str) -> None:
        """Log out."""
        self._begun.pop(_key(session), None)


def _key(session: str) -> str:
    """Ids are looked up by their digest: how long that takes tells nothing about them."""
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class Attempts:
    """Failed attempts by address."""

    _failed: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def wait(self, peer: str, now: float) -> int:
        """Whole seconds until an address may try again; 0: now."""
        count, since = self._failed.get(network_of(peer), (0, now))
        left = since + MINUTE - now
        return int(left) + 1 if count >= MOST_FAILURES and left > 0 else 0

    def failed(self, peer: str, now: float) -> None:
        """Count a failed attempt. Of many addresses those that failed longest ago are forgotten."""
        network = network_of(peer)
        count, since = self._failed.pop(network, (0, now))
        self._failed[network] = (count + 1, since) if now < since + MINUTE else (1, now)
        while len(self._failed) > MOST_PEERS:
            self._failed.popitem(last=False)


def network_of(peer: str) -> str:
    """An address, or of IPv6 the /64, all of which one machine has."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return str(address) if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))

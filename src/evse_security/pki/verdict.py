"""OpenSSL's verdict on one path, and what of it is known from before.

Without a clock and with one anchor, what OpenSSL says of a path follows from the bytes of its certificates alone. So an
accepted path stays accepted, and where the CAs of a path were accepted above one leaf, only the next leaf is new. Who
is trusted now, times, keys and profile are no part of it: those are looked at each time.
"""

from __future__ import annotations

from itertools import pairwise

from OpenSSL import crypto

from evse_security.errors import BadSignature, ChainRefused, PathTooLong, RefusedByOpenSsl
from evse_security.pki.certificate import Certificate
from evse_security.pki.loaded import trusting
from evse_security.pki.signing import NO_CHECK_TIME

MAX_ACCEPTED = 64
"""Most paths, and most lines of CAs, that are remembered. A station uses a handful of leaves below a few sub-CAs."""

_SIGNATURE, _PATH_LENGTH = 7, 25
"""X509_V_ERR_CERT_SIGNATURE_FAILURE and X509_V_ERR_PATH_LENGTH_EXCEEDED."""

Path = tuple[Certificate, ...]
"""Leaf first, anchor last."""


class _Accepted:
    """Rows of certificates that OpenSSL accepted, known by their digests. Refusals are never remembered."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], None] = {}

    def __contains__(self, row: Path) -> bool:
        return tuple([one.fingerprint for one in row]) in self._known

    def add(self, row: Path) -> None:
        """Remember one more; when there are too many, begin anew."""
        if len(self._known) >= MAX_ACCEPTED:
            self._known = {}  # never emptied: other threads may be looking it up
        self._known[tuple([one.fingerprint for one in row])] = None

    def forget(self) -> None:
        """Remember none."""
        self._known = {}


_paths, _lines = _Accepted(), _Accepted()
"""Whole paths; and paths without their leaf, the CA that issued it first."""


def ask(path: Path) -> None:
    """Let OpenSSL verify exactly this path; it checks signatures, CA flags, path lengths and critical extensions.

    Raises `BadSignature`, `PathTooLong` or `RefusedByOpenSsl`.
    """
    if path in _paths:
        return
    line = path[1:]
    if line in _lines and _accepts_below(path[0], path[1]):
        path[0].signature_was_confirmed_by(path[1])
        _paths.add(path)
        return
    _ask_of_all(path)
    if len({issuer.subject_hash for issuer in line}) < len(line):
        return  # it may have taken another path: two have one name for OpenSSL, whatever names are the same for us
    for certificate, issuer in pairwise(path):
        certificate.signature_was_confirmed_by(issuer)
    _paths.add(path)
    if len(line) > 1 and all(ca.concerns_none_below for ca in line):
        _lines.add(line)


def forget() -> None:
    """Ask OpenSSL anew of everything: for measuring."""
    _paths.forget()
    _lines.forget()


def _accepts_below(leaf: Certificate, issuer: Certificate) -> bool:
    """Whether OpenSSL accepts a leaf below a CA whose own path it accepted. Why not, only the whole path tells."""
    store = trusting(issuer.der, NO_CHECK_TIME | crypto.X509StoreFlags.PARTIAL_CHAIN)
    try:
        crypto.X509StoreContext(store, leaf.openssl).verify_certificate()
    except (crypto.X509StoreContextError, crypto.Error):
        return False
    return True


def _ask_of_all(path: Path) -> None:
    *chain, anchor = path
    partial = crypto.X509StoreFlags.PARTIAL_CHAIN if not anchor.self_signed else 0
    try:
        store = trusting(anchor.der, NO_CHECK_TIME | partial)
        crypto.X509StoreContext(store, chain[0].openssl, [c.openssl for c in chain[1:]]).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise _refusal(path, *error.errors) from None
    except crypto.Error:  # pragma: no cover  where OpenSSL finds no memory: a Certificate is one that it reads
        raise RefusedByOpenSsl(path[0].name, 0, "OpenSSL failed") from None


def _refusal(path: Path, code: int, depth: int, text: str) -> ChainRefused:
    """Translate OpenSSL's verdict (X509_V_ERR_…, depth from the leaf)."""
    at = path[min(depth, len(path) - 1)]
    if code == _SIGNATURE:
        return BadSignature(at.name, at.issuer_name, depth)
    if code == _PATH_LENGTH:
        return PathTooLong(at.name)
    return RefusedByOpenSsl(at.name, code, text)

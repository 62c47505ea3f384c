"""Keeping an OCSP response: beside every copy of the certificate, as EVerest's consumers look for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from evse_security.clock import SKEW
from evse_security.errors import NotInstalled, OcspOlder
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.pki.ocsp import OcspAnswer, OcspStatus, believe, current, turns
from evse_security.store.changes import Change, Decision, Order, Write
from evse_security.store.layout import OCSP_DIRECTORY
from evse_security.store.rules.revoked import revoked_since
from evse_security.store.snapshot import OcspEntry, Snapshot


def cache(snapshot: Snapshot, wanted: CertID, response: bytes, *, check: str, now: datetime) -> Decision:
    """Decide on an OCSP response (DER) for the certificate with this identity.

    With `check` "verified" it must be current, about this certificate and signed by who may, and not older than the one
    that is kept. Raises `NotInstalled` or an `OcspRefused`.
    """
    issuers = {certificate: snapshot.forest.issuer_of(certificate) for certificate in snapshot.identified(wanted)}
    targets = {certificate: issuer for certificate, issuer in issuers.items() if issuer is not None}
    if not targets:
        raise NotInstalled(str(wanted))
    changes: dict[Change, None] = {}
    for certificate, issuer in targets.items():
        cert_id = certificate_id(certificate, issuer)
        kept = snapshot.ocsp_by_id.get(cert_id, [])
        if check == "verified":
            answer = believe(response, certificate, issuer, now)
            newer = [entry for entry in kept if _is_newer(entry, answer)]
            if any(_was_believed(entry, certificate, issuer, now) for entry in newer):
                raise OcspOlder(certificate.name)
        for directory in _directories(snapshot, certificate):
            changes |= dict.fromkeys(_pair(snapshot, directory / OCSP_DIRECTORY, cert_id, response))
    return Decision(tuple(changes))


def _is_newer(kept: OcspEntry, answer: OcspAnswer) -> bool:
    """Whether the kept answer is newer; of two equally new ones the revocation is."""
    return kept.answer is not None and _age(kept.answer) > _age(answer)


def _age(answer: OcspAnswer) -> tuple[datetime, bool]:
    return answer.this_update, answer.status is OcspStatus.revoked


def _was_believed(kept: OcspEntry, certificate: Certificate, issuer: Certificate, now: datetime) -> bool:
    """Whether a kept answer may block others. One from the future was never believed, or the clock was set back.

    A revocation holds all the same then, whatever the clock shows, if the right one signed it.
    """
    if kept.answer is not None and kept.answer.this_update <= now + SKEW:
        return True
    return revoked_since(certificate, issuer, frozenset((kept,))) is not None


def _directories(snapshot: Snapshot, certificate: Certificate) -> list[Path]:
    """Where copies of a certificate lie, leaves first."""
    places = [store.directory for store in snapshot.leaves.values() if store.holds(certificate)]
    places += [store.directory for store in snapshot.cas.values() if store.holds(certificate)]
    return list(dict.fromkeys(places))


def _pair(snapshot: Snapshot, directory: Path, cert_id: CertID, response: bytes) -> list[Change]:
    """The response first, then the file that says whose it is. Pairs that are there are kept up to date, halves mended.

    Both are written always: a sweep that makes room for them may remove the half that is there. After a power cut
    either may be there without the other, which is half a pair.
    """
    here = [e.hash_path for e in snapshot.ocsp if e.cert_id == cert_id and e.hash_path.parent == directory]
    pairs = here or [directory / f"{cert_id.digest}_ocsp.hash"]
    return [
        Write(half, content, order=Order.FREE)
        for path in pairs
        for half, content in ((path.with_suffix(".der"), response), (path, cert_id.lines))
    ]


def offered(snapshot: Snapshot, certificate: Certificate, near: Path, now: datetime) -> OcspEntry | None:
    """The current response about a certificate; of several the newest, and of those the one nearest to `near`."""
    fresh = [(answer, entry) for answer, entry in _answers(snapshot, certificate) if current(answer, now)]
    return max(fresh, key=lambda pair: _preference(pair[0], pair[1], near), default=(None, None))[1]


def offer_changes(snapshot: Snapshot, certificates: Iterable[Certificate]) -> list[datetime]:
    """The moments, in order, at which another response about one of them may become the one that is offered."""
    return sorted({moment for one in certificates for answer, _ in _answers(snapshot, one) for moment in turns(answer)})


def _answers(snapshot: Snapshot, certificate: Certificate) -> list[tuple[OcspAnswer, OcspEntry]]:
    """The responses about a certificate that say something of it."""
    cert_id = snapshot.forest.id_of(certificate)
    entries = [] if cert_id is None else snapshot.ocsp_by_id.get(cert_id, [])
    return [(e.answer, e) for e in entries if e.answer is not None and e.answer.status is not OcspStatus.unknown]


def _preference(answer: OcspAnswer, entry: OcspEntry, near: Path) -> tuple[datetime, bool]:
    return answer.this_update, entry.hash_path.parent == near / OCSP_DIRECTORY

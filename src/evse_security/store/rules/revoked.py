"""Which leaves are revoked: by a cached OCSP response about them or about a sub-CA of their chain.

A revocation holds until a newer response says otherwise, whatever its nextUpdate and whatever the clock shows. It was
verified when it was cached, and is verified once more before anything follows from it, as others write files, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from evse_security.errors import OcspRefused, Revoked
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest, lineage
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.ocsp import OcspStatus, believe
from evse_security.pki.path import TrustStore
from evse_security.store.snapshot import Leaf, OcspEntry

Revocations = frozenset[OcspEntry]
"""The newest responses of the certificates that they call revoked (`Snapshot.revocations`)."""
NONE: Revocations = frozenset()


def revocation(leaf: Leaf, trust: TrustStore, said: Revocations) -> Revoked | None:
    """Who of a leaf's chain is revoked: the leaf, or a sub-CA that is sent with it or installed. None: nobody."""
    return next(_revoked(leaf, trust, said), None) if said else None


def _revoked(leaf: Leaf, trust: TrustStore, said: Revocations) -> Iterator[Revoked]:
    chain = (leaf.certificate, *lineage(leaf.certificate, Forest(leaf.file.certificates), trust.forest))
    for certificate, issuer in pairwise(chain):
        since = revoked_since(certificate, issuer, said)
        if since is not None:
            yield Revoked(certificate.name, since)


def revoked_since(certificate: Certificate, issuer: Certificate, said: Revocations) -> str | None:
    """Since when a certificate is revoked, if the response was to be believed when it was new; None: it is not."""
    cert_id = certificate_id(certificate, issuer)
    entry = next((one for one in said if one.cert_id == cert_id), None)
    if entry is None or entry.answer is None or entry.evidence is None:
        return None
    try:
        answer = believe(entry.evidence, certificate, issuer, entry.answer.this_update)
    except (OcspRefused, OverflowError):  # the latter at the ends of the calendar
        return None
    if answer.status is not OcspStatus.revoked:
        return None
    return "an unknown day" if answer.revoked_at is None else f"{answer.revoked_at:%Y-%m-%d}"

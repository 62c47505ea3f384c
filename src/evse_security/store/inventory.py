"""Which certificates are installed where, to compare with another time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evse_security.additions import AnyCaType
from evse_security.pki.certificate import Certificate
from evse_security.store.contents import CertificateFile
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import LeafCertificateType

Places = Mapping[str, frozenset[str]]
"""The paths of the files that hold each certificate, by its fingerprint."""


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """The CA certificates of each domain, and the leaves of each type; sub-CAs that came with leaves do not count."""

    cas: Mapping[AnyCaType, Places]
    leaves: Mapping[LeafCertificateType, Places]
    ca_count: int = 0
    """CA certificates, as `certificate_store_max_length` counts them."""


def inventory(snapshot: Snapshot) -> Inventory:
    """Take stock."""
    return Inventory(
        {
            kind: _places((c, file) for file in store.files for c in file.certificates)
            for kind, store in snapshot.cas.items()
        },
        {
            kind: _places((leaf.certificate, file) for leaf in store.leaves for file in leaf.copies)
            for kind, store in snapshot.leaves.items()
        },
        snapshot.ca_count(),
    )


def _places(found: Iterable[tuple[Certificate, CertificateFile]]) -> Places:
    places: dict[str, set[str]] = {}
    for certificate, file in found:
        places.setdefault(certificate.fingerprint, set()).add(file.location)
    return {fingerprint: frozenset(locations) for fingerprint, locations in places.items()}

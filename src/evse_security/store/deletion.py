"""What a deletion would take with it, for whoever must confirm it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security.errors import MustStay, NotInstalled
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID
from evse_security.store.changes import Change, Edit, Remove
from evse_security.store.layout import KEY_SUFFIXES
from evse_security.store.reasons import Reason
from evse_security.store.rules.delete import delete
from evse_security.store.snapshot import CertificateFile, Snapshot


@dataclass(frozen=True, slots=True)
class Going:
    """A certificate that would be installed nowhere any more."""

    name: str
    serial: str
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion would take, or why it would be refused."""

    certificates: tuple[Going, ...]
    """The one that was named first, then those that depend on it, in the order of files."""
    private_keys: tuple[Path, ...]
    """They would be gone for good."""
    removed: tuple[Path, ...]
    """Other files that would be removed: certificates, copies, cached OCSP responses."""
    edited: tuple[Path, ...]
    """Files that would stay, without these certificates."""
    refusal: Reason | None


def deletion(snapshot: Snapshot, wanted: CertID | None) -> Deletion:
    """What `rules.delete` decides on a certificate; None is the identity of none."""
    try:
        if wanted is None:
            raise NotInstalled("with this hash data")
        changes = delete(snapshot, wanted).changes
    except (MustStay, NotInstalled) as refusal:
        return Deletion((), (), (), (), Reason.of(refusal))
    named = snapshot.identified(wanted)
    gone = sorted(_gone(snapshot, changes), key=lambda certificate: certificate not in named)
    removed = sorted({change.path for change in changes if isinstance(change, Remove)})
    keys = [path for path in removed if path.suffix in KEY_SUFFIXES]
    return Deletion(
        certificates=tuple(Going(c.name, c.serial_text, c.fingerprint, c.not_after) for c in gone),
        private_keys=tuple(keys),
        removed=tuple(path for path in removed if path.suffix not in KEY_SUFFIXES),
        edited=tuple(sorted({change.path for change in changes if isinstance(change, Edit)})),
        refusal=None,
    )


def _gone(snapshot: Snapshot, changes: tuple[Change, ...]) -> list[Certificate]:
    """The certificates that no file holds after these changes, in the order of files."""
    by_path = {change.path: change for change in changes}
    files = {file.path: file for store in snapshot.stores for file in store.files}
    staying = {certificate for file in files.values() for certificate in _left(file, by_path.get(file.path))}
    return [certificate for certificate in snapshot.certificates if certificate not in staying]


def _left(file: CertificateFile, change: Change | None) -> Iterator[Certificate]:
    if isinstance(change, Remove):
        return
    if not isinstance(change, Edit):
        yield from file.certificates
        return
    for block in file.blocks:
        if block.certificate is not None and (block.start, block.end) not in change.cut:
            yield block.certificate

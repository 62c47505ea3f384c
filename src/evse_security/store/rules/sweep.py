"""What may be thrown away: leftovers, expired leaves, keys of unanswered requests, OCSP responses of nobody.

Only files that this library or EVerest's module made are swept; others belong to somebody. What cannot be read may be
needed. When the clock is not believed, nothing is swept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from evse_security.clock import Moment, believable
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, may_name
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.profile import Edition, edition_of
from evse_security.store.changes import Decision, Order, Remove
from evse_security.store.info import copies_of, source_of
from evse_security.store.layout import is_generated
from evse_security.store.snapshot import CertificateFile, KeyFile, Leaf, LeafStore, Snapshot
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation, LeafCertificateType


@dataclass(frozen=True, slots=True)
class SweptFile:
    """A file to remove, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep removes, or why it does not."""

    decision: Decision
    removed: tuple[SweptFile, ...]
    kept_because: str | None


def sweep(
    snapshot: Snapshot,
    moment: Moment,
    *,
    csr_lifetime: timedelta,
    keep_newest: int,
    protected: frozenset[bytes] = frozenset(),
) -> Sweep:
    """Decide what goes: 1. leftovers, 2. old expired leaves, 3. keys without a certificate, 4. OCSP, 5. DER copies."""
    if moment.doubt is not None:
        return Sweep(Decision(), (), moment.doubt)
    removed = [SweptFile(path, "left over by an interrupted write") for path in snapshot.leftovers]  # 1
    updates = []
    files: list[CertificateFile] = []
    for store in snapshot.leaves.values():
        expired = list(_expired(store, moment, keep_newest))  # 2
        if expired:
            updates.append(
                CertificateStoreUpdate(
                    operation=CertificateStoreUpdateOperation.Deleted, leaf_certificate_type=store.kind.leaf_type
                )
            )
        files += [file for leaf in expired for file in leaf.copies]
    files.sort(key=lambda file: (len(file.certificates), file.path))  # a leaf is never without the sub-CAs it had
    doomed = {file.path for file in files}
    removed += [SweptFile(file.path, "the leaf expired, and enough newer ones are kept") for file in files]
    keys = {key.path: reason for key, reason in _keys(snapshot, doomed, moment, csr_lifetime, protected)}
    removed += _ocsp(snapshot, doomed)  # 4
    removed += _copies(snapshot, doomed | keys.keys())  # 5
    removed += [SweptFile(path, reason) for path, reason in keys.items()]  # 3, last: a certificate never loses its key
    singles, chains = (
        [file.path for file in files if (len(file.certificates) > 1) is chain] for chain in (False, True)
    )
    order = _order(singles, chains, keys)
    changes = dict.fromkeys(Remove(file.path, order=order.get(file.path, Order.FREE)) for file in removed)
    return Sweep(Decision(tuple(changes), tuple(updates)), tuple(dict.fromkeys(removed)), None)


def _order(*steps: Iterable[Path]) -> dict[Path, Order]:
    """Each step waits for the one before it; within a step no file waits for another."""
    return {path: Order.WITH if number else Order.AFTER for step in steps for number, path in enumerate(step)}


def _expired(store: LeafStore, moment: Moment, keep_newest: int) -> Iterator[Leaf]:
    """But for the newest of each edition of ISO 15118, of those with a key: without it nobody asks for another one."""
    newest_first = sorted(store.leaves, key=lambda leaf: leaf.certificate.not_after, reverse=True)
    is_secc = store.kind.leaf_type is LeafCertificateType.V2G
    own = (leaf for leaf in reversed(newest_first) if is_secc and leaf.key is not None)
    of_edition = {edition_of(leaf.certificate) is Edition.ISO15118_20: leaf for leaf in own}
    for leaf in newest_first[keep_newest:]:
        if leaf in of_edition.values():
            continue
        if leaf.certificate.expired(moment.now) and all(is_generated(file.path.name) for file in leaf.copies):
            yield leaf


def _keys(
    snapshot: Snapshot, doomed: set[Path], moment: Moment, lifetime: timedelta, protected: frozenset[bytes]
) -> Iterator[tuple[KeyFile, str]]:
    """Keys made for requests that nobody answered, and keys of doomed leaves, unless anything else may need them."""
    stores = snapshot.leaves.values()
    needed = _needed(snapshot, protected, doomed)
    if needed is None:
        return
    went = {token_of_certificate(c) for s in stores for f in s.files if f.path in doomed for c in f.certificates}
    for key in {key.path: key for store in stores for key in store.keys}.values():
        old = believable(key.modified) and moment.now - key.modified > lifetime
        if not is_generated(key.path.name) or key.token in needed:
            continue
        if key.token in went:
            yield key, "its leaf expired"
        elif old and (key.token is not None or key.size == 0):
            yield key, "no certificate came for it"


def _needed(snapshot: Snapshot, protected: Iterable[bytes], doomed: Collection[Path] = ()) -> set[bytes] | None:
    """Tokens of the keys that certificates have, or that are awaited; None where nobody knows all certificates."""
    stores = snapshot.leaves.values()
    if not all(store.readable for store in stores):
        return None
    files = (file for store in stores for file in store.files if file.path not in doomed)
    return set(protected) | {token_of_certificate(certificate) for file in files for certificate in file.certificates}


def abandoned(snapshot: Snapshot, token: bytes, protected: Iterable[bytes]) -> Decision:
    """Decide on taking out the key of a signing request that another one replaced, unless anything may need it."""
    needed = _needed(snapshot, protected)
    if needed is None or token in needed:
        return Decision()
    found = {key.path for store in snapshot.leaves.values() for key in store.keys if key.token == token}
    keys = sorted(path for path in found if is_generated(path.name))
    copies = (copy for key in keys for copy in copies_of(key) if snapshot.listing.has(str(copy)))
    return Decision((*(Remove(copy, order=Order.FREE) for copy in copies), *map(Remove, keys)))


def _ocsp(snapshot: Snapshot, doomed: set[Path]) -> Iterator[SweptFile]:
    """Responses about certificates that are not installed, and halves of pairs."""
    kept = [file for store in snapshot.leaves.values() for file in store.files if file.path not in doomed]
    certificates = {c for file in kept for c in file.certificates}
    certificates |= {c for store in snapshot.cas.values() for c in store.certificates}
    meant: set[CertID] = set()
    unnamed: dict[int, list[Certificate]] = defaultdict(list)
    for certificate in certificates:
        cert_id = snapshot.forest.id_of(certificate)
        if cert_id is None:
            unnamed[certificate.serial].append(certificate)
        else:
            meant.add(cert_id)
    for entry in snapshot.ocsp:
        if not entry.response_path.name.endswith("_ocsp.der"):
            continue
        if not entry.has_hash or not entry.has_response:
            reason = "half of a pair"
        elif entry.cert_id not in meant and snapshot.readable and not _may_be_meant(entry.cert_id, unnamed):
            reason = "no installed certificate is meant"
        else:
            continue
        yield from (SweptFile(path, reason) for path in entry.paths)


def _may_be_meant(cert_id: CertID | None, unnamed: Mapping[int, list[Certificate]]) -> bool:
    """Without its issuer nobody can tell what a certificate is called, and a root that is missing may come back."""
    return cert_id is not None and any(may_name(cert_id, one) for one in unnamed.get(cert_id.serial, ()))


def _copies(snapshot: Snapshot, doomed: set[Path]) -> Iterator[SweptFile]:
    """DER copies of files that are gone or go, where those were generated: other such names are somebody's own."""
    names = snapshot.names  # made anew each time it is asked for
    for copy in snapshot.derived:
        source = source_of(copy)
        if source is not None and is_generated(source.name) and (source in doomed or source not in names):
            yield SweptFile(copy, "the file it is a copy of is gone")

"""Deleting a certificate and what depends on it (M04)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from evse_security.additions import StoreUpdate, roots_update
from evse_security.errors import MustStay, NotInstalled
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.hashdata import CertID
from evse_security.pki.profile import edition_of, serves
from evse_security.store.changes import Change, Decision, Edit, Order, Remove, Write, together
from evse_security.store.info import copies_of
from evse_security.store.layout import BUNDLE_DIRECTORY
from evse_security.store.snapshot import CaStore, CertificateFile, KeyFile, Leaf, LeafStore, Snapshot
from evse_security.vocabulary import CertificateStoreUpdate, CertificateStoreUpdateOperation, LeafCertificateType

_DELETED = CertificateStoreUpdateOperation.Deleted


def delete(snapshot: Snapshot, wanted: CertID) -> Decision:
    """Decide on the deletion of the certificate with this identity. Raises `NotInstalled` or `MustStay`.

    CA stores come first: a CA takes what it issued in that store with it, and leaves stay. Otherwise it is a leaf, or a
    sub-CA that only the chains of leaves hold: those leaves go with all their files. CSMS leaves never go (M04.FR.06),
    and then nothing goes.
    """
    targets = snapshot.identified(wanted)
    if not targets:
        raise NotInstalled(str(wanted))
    in_cas = [store for store in snapshot.cas.values() if any(map(store.holds, targets))]
    if not in_cas:
        return _from_leaves(snapshot, targets)
    as_leaves = {one for one in targets for store in snapshot.leaves.values() if store.leaf_of(one) is not None}
    leaves = _from_leaves(snapshot, as_leaves) if as_leaves else Decision()  # leaves that lie in a CA store as well
    cas = _from_cas(snapshot, in_cas, targets)
    return Decision(
        (*leaves.changes, *cas.changes),
        (*cas.updates, *leaves.updates),
        concerned=(*cas.concerned, *leaves.concerned),
    )


def _from_cas(snapshot: Snapshot, stores: Iterable[CaStore], targets: Collection[Certificate]) -> Decision:
    """Remove CA certificates and all they issued, in each store; one bundle shared by several domains counts once."""
    changes: dict[Change, None] = {}
    updates: dict[Path, StoreUpdate] = {}
    gone: list[Certificate] = []
    for store in stores:
        doomed = _with_orphans(store.forest, {c for c in store.certificates if c in targets})
        if store.additional_anchors and not doomed.intersection(store.anchors) <= set(targets):
            # M05.FR.10: the root that replaced it is in use, and without it nobody could name that root any more
            raise MustStay(next(iter(targets)).name, "it signed the CSMS root that replaced it, and is its fallback")
        changes |= dict.fromkeys(without(snapshot, store, doomed))
        gone += [one for one in store.certificates if one in doomed]
        updates.setdefault(store.path, roots_update(_DELETED, store.ca_type))
    return Decision(tuple(changes), tuple(updates.values()), concerned=_identities(snapshot, gone))


def _identities(snapshot: Snapshot, certificates: Iterable[Certificate]) -> tuple[CertID, ...]:
    found = (snapshot.forest.id_of(certificate) for certificate in dict.fromkeys(certificates))
    return tuple(one for one in found if one is not None)


def _with_orphans(forest: Forest, targets: Collection[Certificate]) -> set[Certificate]:
    """CA certificates to delete, and all below them of which no issuer stays: a cross certificate is one of two."""
    gone = {*targets, *(below for target in targets for below in forest.descendants(target))}
    while kept := {
        certificate
        for certificate in gone.difference(targets)
        if any(one not in gone and certificate.signed_by(one) for one in forest.possible_issuers(certificate))
    }:
        gone -= kept
    return gone


def without(
    snapshot: Snapshot, store: CaStore, doomed: Collection[Certificate], added: Iterable[Certificate] = ()
) -> list[Change]:
    """The changes that take certificates out of a CA store. Other bytes of the files stay as they are.

    A bundle that becomes empty stays, as an empty file; a file of a directory that holds nothing else goes. What was
    made for consumers of a directory follows; `added` are roots that come at the same time.
    """
    if not doomed:
        return []
    issued = {certificate: len(store.forest.descendants(certificate)) for certificate in doomed}
    files = [file for file in store.files if any(certificate in doomed for certificate in file.certificates)]
    # What was issued goes first: after an interruption the CA is still there to be named, and so is the rest with it.
    files.sort(key=lambda file: max(issued.get(certificate, 0) for certificate in file.certificates))
    changes = [_cut(file, doomed, keep_empty=file.path == store.path) for file in files]
    copies = {store.directory / BUNDLE_DIRECTORY / f"{change.path.name}.pem" for change in changes}
    roots = [root for root in (*store.anchors, *added) if root not in doomed]
    for path in sorted(path for path in {store.copy_of_roots, *copies} if snapshot.listing.has(str(path))):
        if path == store.copy_of_roots and roots:
            changes.append(Write(path, "".join(root.pem for root in roots).encode()))
        else:
            changes.append(Remove(path))
    return changes


def _cut(file: CertificateFile, doomed: Collection[Certificate], *, keep_empty: bool) -> Change:
    rest = [block for block in file.blocks if block.certificate not in doomed]
    if not (rest or file.holds_more or keep_empty):
        return Remove(file.path)
    return Edit(file.path, tuple((b.start, b.end) for b in file.blocks if b.certificate in doomed), of=file)


def _from_leaves(snapshot: Snapshot, targets: Collection[Certificate]) -> Decision:
    """Remove SECC leaves, or those that a sub-CA to be deleted issued."""
    for leaf in _holders(snapshot.leaves[LeafCertificateType.CSMS], targets):
        raise MustStay(leaf.certificate.name, "CSMS leaves are not deleted (M04.FR.06)")
    store = snapshot.leaves[LeafCertificateType.V2G]
    doomed = _issued(snapshot, store, targets)
    files = {file.path for leaf in doomed for file in leaf.copies}
    keys = _keys_of(snapshot, store, doomed)
    changes: list[Change] = _with_keys_last(snapshot, store, doomed, keys)
    changes += [_cut(file, targets, keep_empty=False) for file in _files_with(store, targets) if file.path not in files]
    if not changes:
        raise MustStay(next(iter(targets)).name, "it is part of what the CSMS connection needs (M04.FR.06)")
    update = CertificateStoreUpdate(operation=_DELETED, leaf_certificate_type=store.kind.leaf_type)
    concerned = _identities(snapshot, (leaf.certificate for leaf in doomed))
    return Decision(tuple(dict.fromkeys(changes)), (update,), concerned=concerned)


def discard(snapshot: Snapshot, store: LeafStore, fingerprint: str) -> Decision:
    """Decide on taking one leaf out of a store with its key, CSMS leaves too: another took its place (A02.FR.10).

    Raises `NotInstalled`, and `MustStay` for the last one that has a key. No SECC leaf of another edition of ISO 15118
    takes its place: cars of the one know nothing of the other.
    """
    found = next((leaf for leaf in store.leaves if leaf.certificate.fingerprint == fingerprint), None)
    if found is None:
        raise NotInstalled(f"with the fingerprint {fingerprint}")
    others = [leaf for leaf in store.leaves if leaf is not found]
    if store.kind.leaf_type is LeafCertificateType.V2G:
        others = [leaf for leaf in others if serves(leaf.certificate, edition_of(found.certificate))]
    if not any(leaf.key is not None and leaf.servable for leaf in others):
        raise MustStay(found.certificate.name, "it is the last leaf of its kind that has a key")
    changes = _with_keys_last(snapshot, store, [found], _keys_of(snapshot, store, [found]))
    update = CertificateStoreUpdate(operation=_DELETED, leaf_certificate_type=store.kind.leaf_type)
    return Decision(tuple(dict.fromkeys(changes)), (update,), concerned=_identities(snapshot, [found.certificate]))


def _with_keys_last(snapshot: Snapshot, store: LeafStore, doomed: Sequence[Leaf], keys: Sequence[Path]) -> list[Change]:
    """Remove leaves with all their files: of each its last one and then its key at the very end.

    After an interruption the leaf is still there to be named, so that the command can be given again and finds the key;
    no sweep would take one that was placed by hand. Leaves that hold no target go before those that name it.
    """
    files = {leaf: sorted(leaf.copies, key=_chains_last) for leaf in reversed(doomed)}
    last_user = {key.path: leaf for leaf in files for key in store.keys_for(leaf.certificate)}
    last_keys: dict[Leaf, list[Path]] = {}
    for key in keys:
        last_keys.setdefault(last_user[key], []).append(key)
    gone = [file.path for copies in files.values() for file in copies]
    early = [file for copies in files.values() for file in copies[:-1]]
    changes = together(Remove(file.path) for file in sorted(early, key=_chains_last) if len(file.certificates) == 1)
    changes += [Remove(file.path) for file in sorted(early, key=_chains_last) if len(file.certificates) != 1]
    others = [*_responses(snapshot, doomed), *_copies(snapshot, {*gone, *keys}), *_leftovers(snapshot, store)]
    changes += [Remove(path, order=Order.FREE) for path in others]
    for leaf, copies in files.items():
        changes += [Remove(path) for path in (copies[-1].path, *last_keys.get(leaf, ()))]
    return [*changes]


def _leftovers(snapshot: Snapshot, store: LeafStore) -> list[Path]:
    """What interrupted writes left of leaves and keys: it may hold the very key that is to be gone."""
    return [path for path in snapshot.leftovers if {store.directory, store.key_directory} & set(path.parents)]


def _files_with(store: LeafStore, targets: Collection[Certificate]) -> list[CertificateFile]:
    """The files that hold a target, by name."""
    found = {file.location: file for target in targets for file in store.files_with(target)}
    return [found[location] for location in sorted(found)]


def _holders(store: LeafStore, targets: Collection[Certificate]) -> list[Leaf]:
    """The leaves that are targets or hold one in their chain, in order of their files."""
    leaves = dict.fromkeys(file.leaf for file in _files_with(store, targets) if file.leaf is not None)
    found = [leaf for leaf in map(store.leaf_of, leaves) if leaf is not None]
    return sorted(found, key=lambda leaf: leaf.copies[0].location)


def _issued(snapshot: Snapshot, store: LeafStore, targets: Collection[Certificate]) -> list[Leaf]:
    """The leaves that are targets or hold one in their chain, and those below one that would lose their last issuer."""
    doomed = _holders(store, targets)
    below = _below(snapshot, store, targets).difference(leaf.certificate for leaf in doomed)
    if not below:
        return doomed
    going = {file.path for leaf in doomed for file in leaf.copies}
    staying = Forest(
        c for one in snapshot.stores for file in one.files if file.path not in going for c in file.certificates
    )
    lost = [leaf for leaf in store.leaves if leaf.certificate in below]
    return doomed + [leaf for leaf in lost if staying.issuer_of(leaf.certificate) in (None, *targets)]


def _below(snapshot: Snapshot, store: LeafStore, targets: Collection[Certificate]) -> set[Certificate]:
    """What was issued below the targets, as far as it is in a store of leaves."""
    found: set[Certificate] = set()
    waiting = list(targets)
    while waiting:
        issued = [one for one in snapshot.forest.issued_by(waiting.pop()) if store.holds(one) and one not in found]
        found.update(issued)
        waiting += issued
    return found


def _chains_last(file: CertificateFile) -> tuple[bool, Path]:
    """Single files go first: a leaf is never offered without the sub-CAs that it had."""
    return len(file.certificates) > 1, file.path


def _keys_of(snapshot: Snapshot, store: LeafStore, doomed: Collection[Leaf]) -> list[Path]:
    """The keys of doomed leaves, all copies, but none that another leaf uses.

    Files of one name with one key count as one: two paths may lead to it.
    """
    gone = {leaf.certificate for leaf in doomed}
    own = {key.path: key for leaf in doomed for key in store.keys_for(leaf.certificate)}
    return [path for path, key in sorted(own.items()) if not _is_used(snapshot, key, store, gone)]


def _is_used(snapshot: Snapshot, key: KeyFile, store: LeafStore, gone: Collection[Certificate]) -> bool:
    """Whether a leaf that stays uses a key of this name. One leaf may be of both kinds, and go as one of them alone."""
    return any(
        other.path.name == key.path.name
        for one in snapshot.leaves.values()
        for certificate in one.users_of(key)
        if one is not store or certificate not in gone
        for other in one.keys_for(certificate)
    )


def _responses(snapshot: Snapshot, doomed: Collection[Leaf]) -> list[Path]:
    """The cached OCSP responses about doomed leaves; those about their sub-CAs may serve others."""
    ids = {snapshot.forest.id_of(leaf.certificate) for leaf in doomed} - {None}
    return [path for entry in snapshot.ocsp if entry.cert_id in ids for path in (entry.hash_path, entry.response_path)]


def _copies(snapshot: Snapshot, sources: Collection[Path]) -> list[Path]:
    """The DER copies of files that go."""
    found = (copy for source in sources for copy in copies_of(source))
    return sorted(copy for copy in found if snapshot.listing.has(str(copy)))

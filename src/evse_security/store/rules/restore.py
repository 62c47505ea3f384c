"""What a backup of a store holds, and what restoring one changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path, PurePath
from typing import NamedTuple

from evse_security.additions import StoreUpdate, roots_update
from evse_security.errors import BackupRefused
from evse_security.pki import pem
from evse_security.pki.hashdata import from_lines
from evse_security.store.archive import CA_ROLES, LEAF_ROLES, Archive, Item
from evse_security.store.changes import PUBLIC_MODE, SECRET_MODE, Change, Decision, Order, Remove, Write
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.layout import CERTIFICATE_SUFFIXES, KEY_SUFFIXES, OCSP_DIRECTORY, is_generated
from evse_security.store.snapshot import CaStore, CertificateFile, LeafStore, Snapshot, StoreForm
from evse_security.vocabulary import (
    CertificateStoreUpdate,
    CertificateStoreUpdateOperation,
)

_CERTIFICATES = frozenset(f"{base}/certificates" for base in LEAF_ROLES)
_INSTALLED, _DELETED = CertificateStoreUpdateOperation.Installed, CertificateStoreUpdateOperation.Deleted


class Others(Enum):
    """What becomes of files of the store that the backup does not name."""

    STAY = "they stay"
    GO = "they are removed"


class Place(NamedTuple):
    """A file of the store, and what it is to the station."""

    role: str
    path: str
    file: Path
    damaged: bool = False


# ---- what a backup holds


def places(snapshot: Snapshot) -> Iterator[Place]:
    """Every file that the store is made of: certificates, keys, OCSP responses. What is made of these is left out."""
    owners: dict[Path, list[str]] = {}
    for base, store in ((base, snapshot.cas[one]) for base, one in CA_ROLES.items() if one in snapshot.cas):
        if store.form is StoreForm.UNREADABLE:
            raise BackupRefused(str(store.path), "it cannot be read, so a backup would lack it")
        owners.setdefault(store.directory, []).append(base)
        for file in store.files:
            part = "files" if store.form is StoreForm.DIRECTORY else "bundle"
            damaged = file.damaged or not file.certificates
            yield Place(f"{base}/{part}", _below(file.path, store.directory), file.path, damaged)
    for base, leaf_type in LEAF_ROLES.items():
        leaves = snapshot.leaves[leaf_type]
        owners.setdefault(leaves.directory, []).append(base)
        for one in {file.path: file for file in leaves.files}.values():
            damaged = one.damaged or not one.certificates
            yield Place(f"{base}/certificates", _below(one.path, leaves.directory), one.path, damaged)
        for key in {key.path: key for key in leaves.keys}.values():
            damaged = key.token is None and not key.encrypted
            is_there = key.path.is_relative_to(leaves.key_directory)
            part, directory = ("keys", leaves.key_directory) if is_there else ("certificates", leaves.directory)
            yield Place(f"{base}/{part}", _below(key.path, directory), key.path, damaged)
    for entry in snapshot.ocsp:
        for path in entry.paths:
            for base in owners.get(path.parent.parent, ()):
                yield Place(f"{base}/ocsp", path.name, path, entry.cert_id is None)


def unseen(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """What could not even be looked at, such as a closed directory, and why: a backup lacks what it holds."""
    directories: list[tuple[Path, str]] = []
    for base, leaf_type in LEAF_ROLES.items():
        leaves = snapshot.leaves[leaf_type]
        directories += [(leaves.directory, f"{base}/certificates"), (leaves.key_directory, f"{base}/keys")]
    for base, store in ((base, snapshot.cas[one]) for base, one in CA_ROLES.items() if one in snapshot.cas):
        directories.append((store.path, f"{base}/{'files' if store.form is StoreForm.DIRECTORY else 'bundle'}"))
    for location, why in snapshot.listing.problems():
        path = Path(location)
        for directory, role in directories:
            if path.is_relative_to(directory):
                yield str(Path(role) / path.relative_to(directory)), why


def _below(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else path.name


# ---- what restoring it changes


class Names(NamedTuple):
    """The names of leaves, where a backup and the store have none in common: it may be another station's."""

    in_backup: tuple[str, ...]
    installed: tuple[str, ...]


def strange_names(archive: Archive, snapshot: Snapshot) -> Names | None:
    """The names of the leaves in a backup and of those installed, if both have leaves, and none of one name."""
    files = (item for item in archive.items if item.role in _CERTIFICATES and not item.is_key)
    held = (CertificateFile(item.path, pem.blocks(item.content)).leaf for item in files)
    in_backup = dict.fromkeys(sorted(leaf.name for leaf in held if leaf is not None))
    leaves = (leaf.certificate for store in snapshot.leaves.values() for leaf in store.leaves)
    installed = dict.fromkeys(sorted(leaf.name for leaf in leaves))
    if not in_backup or not installed or in_backup.keys() & installed.keys():
        return None
    return Names(tuple(in_backup), tuple(installed))


class Restored(NamedTuple):
    """Something that a restoration does to a file, in words: `added`, `replaced`, `removed` …"""

    what: str
    path: Path


@dataclass(slots=True)
class _Plan:
    """The changes, by when they must be made: a key before its leaf, and what is removed the other way round."""

    keys: list[Change] = field(default_factory=list)
    authorities: list[Change] = field(default_factory=list)
    chains: list[Change] = field(default_factory=list)
    singles: list[Change] = field(default_factory=list)
    responses: list[Change] = field(default_factory=list)
    renamed: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    report: list[Restored] = field(default_factory=list)

    def changes(self) -> tuple[Change, ...]:
        """In the order in which they must be made: of a response, whose it is comes last."""
        self.responses.sort(key=lambda one: (one.path.with_suffix(""), one.path.suffix))
        added = (self.keys, self.authorities, self.chains, self.singles, self.responses)
        return (*(change for part in added for change in _together_on_the_disk(part)), *self.renamed, *self.removed)


def _together_on_the_disk(part: list[Change]) -> Iterator[Change]:
    """Files of one kind wait for those of the kind before; a power cut may leave any of them without the others."""
    yield from part[:1]
    for change in part[1:]:
        yield replace(change, order=Order.WITH)


Present = Callable[[Path], bytes | None]
"""What a file holds now; None where there is none that can be read."""


def restore(
    archive: Archive, snapshot: Snapshot, others: Others, present: Present, token: Callable[[], str]
) -> tuple[Decision, tuple[Restored, ...]]:
    """Decide what a verified backup changes. Files that it names are put there or replaced; no key is lost by that.

    Raises `BackupRefused` where it cannot be what it should be, or the store has no place for it.
    """
    targets = _targets(archive, snapshot)
    plan = _Plan()
    exposed = {key.path for store in snapshot.leaves.values() for key in store.keys if key.mode & 0o007}
    touched: dict[str, CertificateStoreUpdateOperation] = {}
    for path, item in targets.items():
        before = present(path)
        if before == item.content:
            if path in exposed:
                plan.keys.append(Write(path, item.content, SECRET_MODE))
                plan.report.append(Restored("closed to everybody", path))
            continue
        plan.report.append(Restored("added" if before is None else "replaced", path))
        touched[item.role.rpartition("/")[0]] = _INSTALLED
        _put(plan, path, item, before, others, token)
    if others is Others.GO:
        for place in _in_order_of_removal(snapshot):
            if place.file not in targets and not _was_unread(place, archive):
                plan.removed.append(Remove(place.file))
                plan.report.append(Restored("removed", place.file))
                touched.setdefault(place.role.rpartition("/")[0], _DELETED)
    changes = tuple(dict.fromkeys(plan.changes()))
    return Decision(changes, tuple(_updates(touched))), tuple(dict.fromkeys(plan.report))


def _was_unread(place: Place, archive: Archive) -> bool:
    """Whether it may have been there when the backup was made, in what could not be read then."""
    name = Path(place.role) / place.path
    return any(name.is_relative_to(one.path) for one in archive.left_out)


def _put(plan: _Plan, path: Path, item: Item, before: bytes | None, others: Others, token: Callable[[], str]) -> None:
    mode = SECRET_MODE if item.is_secret else (item.mode & 0o664) | 0o400
    write = Write(path, item.content, mode)
    if item.is_key:
        _put_key(plan, write, item, before, others, token)
    elif item.role.endswith("/ocsp"):
        plan.responses.append(write)
    elif item.role in _CERTIFICATES:
        (plan.chains if item.content.count(b"-----BEGIN CERTIFICATE") > 1 else plan.singles).append(write)
    else:
        plan.authorities.append(write)


def _put_key(
    plan: _Plan, write: Write, item: Item, before: bytes | None, others: Others, token: Callable[[], str]
) -> None:
    """A key whose name another key has takes another one until the leaves are there; the other one is kept.

    An empty file is none: a full disk leaves such.
    """
    if not before:
        plan.keys.append(write)
        return
    prefix = LEAF_KINDS[LEAF_ROLES[item.role.rpartition("/")[0]]].single_prefix
    meanwhile = write.path.with_name(f"{prefix}{token()}.key")
    plan.keys.append(Write(meanwhile, write.content, SECRET_MODE))
    if others is Others.STAY:
        of_request = is_generated(write.path.name)  # others were put there by hand, and no sweep is to remove them
        kept = write.path.with_name(f"{prefix if of_request else f'{write.path.stem[:40]}.'}{token()}.key")
        plan.keys.append(Write(kept, before, SECRET_MODE))
        until = " until csr_lifetime is over" if of_request else ""
        plan.report.append(Restored(f"kept under another name{until}", kept))
    plan.renamed += [write, Remove(meanwhile)]


def _in_order_of_removal(snapshot: Snapshot) -> list[Place]:
    """Leaves alone, then with their sub-CAs; OCSP responses; CA certificates; keys last."""
    lengths = {file.path: len(file.certificates) for store in snapshot.stores for file in store.files}

    def rank(place: Place) -> tuple[int, int, str]:
        part = place.role.rpartition("/")[2]
        is_key = part == "keys" or place.file.suffix.lower() in KEY_SUFFIXES
        return (
            9 if is_key else ("certificates", "ocsp", "files", "bundle").index(part),
            lengths.get(place.file, 0),
            place.path,
        )

    return sorted(places(snapshot), key=rank)


def _updates(touched: dict[str, CertificateStoreUpdateOperation]) -> Iterator[StoreUpdate]:
    for base, operation in touched.items():
        if base in CA_ROLES:
            yield roots_update(operation, CA_ROLES[base])
        else:
            yield CertificateStoreUpdate(operation=operation, leaf_certificate_type=LEAF_ROLES[base])


# ---- where files go


def _targets(archive: Archive, snapshot: Snapshot) -> dict[Path, Item]:
    """Where each file of the backup goes in this layout."""
    found: dict[Path, Item] = {}
    bundles = {store.path for store in snapshot.cas.values()}
    for item in archive.items:
        _check(item)
        for path, placed in _target(item, archive, snapshot):
            other = found.setdefault(path, placed)
            if other.content == placed.content:
                continue
            if path in bundles:  # one for two domains
                found[path] = replace(placed, content=_texts((other, placed)))
            else:  # two of one name, from what were two directories
                found.setdefault(path.with_name(f"{path.stem}-2{path.suffix}"), placed)
    return found


def _target(item: Item, archive: Archive, snapshot: Snapshot) -> Iterator[tuple[Path, Item]]:
    base, _, part = item.role.rpartition("/")
    if base in CA_ROLES:
        store = snapshot.cas.get(CA_ROLES[base])
        if store is None:
            raise BackupRefused(item.path, f"the configuration has no place for the {CA_ROLES[base]} roots in it")
        yield _ca_target(item, part, archive, store)
    else:
        yield _leaf_target(item, part, snapshot.leaves[LEAF_ROLES[base]])


def _leaf_target(item: Item, part: str, store: LeafStore) -> tuple[Path, Item]:
    directories = {
        "certificates": store.directory,
        "keys": store.key_directory,
        "ocsp": store.directory / OCSP_DIRECTORY,
    }
    return directories[part] / item.path, item


def _ca_target(item: Item, part: str, archive: Archive, store: CaStore) -> tuple[Path, Item]:
    """A bundle file becomes a file of a directory, and files of a directory one bundle, where the layout wants that."""
    if store.form is StoreForm.UNREADABLE:
        raise BackupRefused(str(store.path), "it cannot be looked at, so nothing can be restored to it")
    in_directory = store.form is StoreForm.DIRECTORY or (store.form is StoreForm.MISSING and not store.path.suffix)
    if part == "ocsp":
        return (store.path if in_directory else store.path.parent) / OCSP_DIRECTORY / item.path, item
    if in_directory:
        name = item.path if PurePath(item.path).suffix.lower() in CERTIFICATE_SUFFIXES else f"{item.path}.pem"
        return store.path / name, item
    if part == "bundle":
        return store.path, item
    return store.path, Item(item.role, store.path.name, _in_one(item.role, archive), PUBLIC_MODE)


def _in_one(role: str, archive: Archive) -> bytes:
    """The certificates of all files of a directory, as text."""
    return _texts(item for item in archive.items if item.role == role)


def _texts(items: Iterable[Item]) -> bytes:
    blocks = [block for item in items for block in pem.blocks(item.content)]
    return "".join(dict.fromkeys(b.certificate.pem for b in blocks if b.certificate is not None)).encode()


def _check(item: Item) -> None:
    """Where the name says what a file is, it must be that."""
    suffix = PurePath(item.path).suffix.lower()
    fitting = {
        "keys": KEY_SUFFIXES,
        "certificates": CERTIFICATE_SUFFIXES | KEY_SUFFIXES,
        "files": CERTIFICATE_SUFFIXES,
        "ocsp": {".der", ".hash"},
    }.get(item.role.rpartition("/")[2])
    if fitting is not None and suffix not in fitting:
        raise BackupRefused(item.role, f"{item.path!a:.100} is not named like a file of a store")
    if not item.damaged and not _is_what_it_is_called(item, suffix):
        raise BackupRefused(item.role, f"{item.path!a:.100} is not what its name says")


def _is_what_it_is_called(item: Item, suffix: str) -> bool:
    if suffix in KEY_SUFFIXES:
        return b"PRIVATE KEY-----" in item.content or item.content[:1] == b"\x30"
    if item.role.endswith("/ocsp"):
        return suffix == ".der" or from_lines(item.content) is not None
    return any(block.certificate is not None for block in pem.blocks(item.content))

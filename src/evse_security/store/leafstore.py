"""The leaves of one kind and the keys that may belong to them, as they were seen at one moment.

A store is derived from the one before by what changed, so that a new leaf among thousands costs what one leaf costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from evse_security.errors import ChainRefused
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_end_entity
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import TrustStore
from evse_security.store.contents import CertificateFile, KeyFile, stem_of
from evse_security.store.kinds import LeafKind
from evse_security.store.leaf import Age, Leaf, nearest
from evse_security.tables import Draft, Order, Table, each, one_or_more

Group = tuple[bytes, bytes | None, tuple[Certificate, ...]]
"""What leads leaves upwards: the issuer's name, its key's identifier, and the certificates that come with the leaf."""


def group_of(leaf: Leaf) -> Group:
    """What leads a leaf upwards."""
    received = leaf.chain.certificates[1:] if leaf.chain else ()
    return leaf.certificate.issuer, leaf.certificate.authority_key_id, received


class _Tables(NamedTuple):
    """What a store is made of."""

    files: Table[str, CertificateFile] = Table()
    keys: Table[str, KeyFile] = Table()
    leaves: Table[Certificate, Leaf] = Table()
    others: Table[Certificate, int] = Table()
    """Certificates that no file begins with as a leaf, with how often they are there."""
    keys_by_token: Table[bytes, KeyFile | tuple[KeyFile, ...]] = Table()
    holders: Table[bytes, Certificate | tuple[Certificate, ...]] = Table()
    """Leaves by the token of their key."""
    groups: Table[Group, tuple[int, Certificate]] = Table()
    """How many leaves are led upwards so, and one that is or was."""


class _Changing:
    """Files of a store that come and go, and what follows for its leaves."""

    def __init__(self, old: _Tables) -> None:
        self.files, self.keys, self.leaves = Draft(old.files), Draft(old.keys), Draft(old.leaves)
        self.others, self.groups = Draft(old.others), Draft(old.groups)
        self.keys_by_token, self.holders = Draft(old.keys_by_token), Draft(old.holders)
        self.copies: dict[Certificate, list[CertificateFile]] = {}
        """The leaves that this concerns, each with its files."""

    def put_keys(self, keys: Mapping[str, KeyFile | None]) -> None:
        """Take key files in and out."""
        tokens: set[bytes] = set()
        for location, key in keys.items():
            old = self.keys.get(location)
            if old is not None and old.token is not None:
                tokens.add(old.token)
                rest = [one for one in each(self.keys_by_token.get(old.token)) if one is not old]
                self.keys_by_token.put(old.token, one_or_more(rest))
            if key is not None and key.token is not None:
                tokens.add(key.token)
                self.keys_by_token.put(key.token, one_or_more((*each(self.keys_by_token.get(key.token)), key)))
            self.keys.put(location, key)
        for certificate in {one for token in tokens for one in each(self.holders.get(token))}:
            self._files_of(certificate)

    def put_files(self, files: Mapping[str, CertificateFile | None]) -> None:
        """Take certificate files in and out, and make the leaves anew that this concerns."""
        for location, file in files.items():
            old = self.files.get(location)
            if old is not None:
                self._count(old, -1)
            if file is not None:
                self._count(file, 1)
            self.files.put(location, file)
        for certificate, found in self.copies.items():
            self._put_leaf(certificate, sorted(found, key=lambda file: file.location))

    def _files_of(self, leaf: Certificate) -> list[CertificateFile]:
        known = self.leaves.get(leaf)
        return self.copies.setdefault(leaf, list(known.copies) if known is not None else [])

    def _count(self, file: CertificateFile, step: int) -> None:
        """One file more or less."""
        leaf = file.leaf
        if leaf is not None:
            found = self._files_of(leaf)
            found.append(file) if step > 0 else found.remove(file)
        for certificate in file.certificates[1:] if leaf is not None else file.certificates:
            self.others.put(certificate, (self.others.get(certificate) or 0) + step)

    def _put_leaf(self, certificate: Certificate, files: Sequence[CertificateFile]) -> None:
        token, before = token_of_certificate(certificate), self.leaves.get(certificate)
        keys = each(self.keys_by_token.get(token))
        leaf = Leaf(certificate, files, keys) if files else None
        self.leaves.put(certificate, leaf)
        holders = [one for one in each(self.holders.get(token)) if one != certificate]
        if leaf is not None:
            holders.append(certificate)
        same_token = next((key.token for key in keys if key.token is not None), token)  # kept once, not twice
        self.holders.put(same_token, one_or_more(holders))
        for one, step in ((before, -1), (leaf, 1)):
            if one is not None:
                group = group_of(one)
                count, example = self.groups.get(group) or (0, certificate)
                self.groups.put(group, (count + step, example) if count + step else None)

    def done(self) -> _Tables:
        """The tables after all that."""
        return _Tables(
            self.files.done(),
            self.keys.done(),
            self.leaves.done(),
            self.others.done(),
            self.keys_by_token.done(),
            self.holders.done(),
            self.groups.done(),
        )


class KeysUnread(LookupError):
    """An answer that depends on keys that were left for later."""

    def __init__(self, kind: LeafKind, locations: frozenset[str]) -> None:
        """Which keys, by their paths."""
        super().__init__(f"{len(locations)} keys must be read first")
        self.kind, self.locations = kind, locations


class LeafStore:
    """The leaves of one kind and the keys that may belong to them."""

    def __init__(self, kind: LeafKind, directory: Path, key_directory: Path) -> None:
        """A store with nothing in it; `changed` gives one with something."""
        self.kind, self.directory, self.key_directory = kind, directory, key_directory
        self.listed = True
        """Whether the directory is there and could be looked into."""
        self.came: frozenset[Certificate] = frozenset()
        """Certificates that the store before this one did not hold."""
        self.gone: frozenset[Certificate] = frozenset()
        """Certificates that only the store before this one held."""
        self.memory: WeakKeyDictionary[TrustStore, dict[object, object]] = WeakKeyDictionary()
        """What others worked out from the leaves and the roots of a domain, while both are as they are."""
        self.unread: frozenset[str] = frozenset()
        """Keys that were left for later, by their paths; then `key` of a leaf may be missing."""
        self._tables = _Tables()
        self._unsound: frozenset[str] = frozenset()
        self._ordered: dict[str, Order[Leaf]] = {}

    # ---- what is there

    @cached_property
    def files(self) -> tuple[CertificateFile, ...]:
        """The certificate files, by name."""
        return tuple(file for _, file in sorted(self._tables.files.items()))

    @cached_property
    def keys(self) -> tuple[KeyFile, ...]:
        """The key files, by name."""
        self._need(self.unread)
        return tuple(key for _, key in sorted(self._tables.keys.items()))

    def keys_for(self, certificate: Certificate) -> Sequence[KeyFile]:
        """The readable keys of a certificate: one, unless there are copies."""
        self._need(self.unread)
        return each(self._tables.keys_by_token.get(token_of_certificate(certificate)))

    def key_of(self, certificate: Certificate) -> KeyFile | None:
        """The key of a certificate; of several the first by name."""
        return nearest(self.keys_for(certificate), ())

    def need_keys_of(self, leaves: Iterable[Leaf]) -> None:
        """Demand the keys of these leaves. Raises `KeysUnread` where one may be among those left for later.

        A key that is named like a file of its leaf goes before all others: only where none fits all must be read.
        """
        if self.unread:
            lacking = [leaf for leaf in leaves if leaf.key is None]
            stems = {stem_of(file.location) for leaf in lacking for file in leaf.copies}
            alike = {location for stem in stems for location in self._unread_by_stem.get(stem, ())}
            self._need(frozenset(alike) or self.unread if lacking else frozenset())

    def _need(self, locations: frozenset[str]) -> None:
        if locations:
            raise KeysUnread(self.kind, locations)

    @cached_property
    def _unread_by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for location in self.unread:
            found.setdefault(stem_of(location), []).append(location)
        return found

    def users_of(self, key: KeyFile) -> Sequence[Certificate]:
        """The leaves that a key belongs to."""
        return () if key.token is None else each(self._tables.holders.get(key.token))

    def file_at(self, location: str) -> CertificateFile | None:
        """The certificate file with this path."""
        return self._tables.files.get(location)

    def key_at(self, location: str) -> KeyFile | None:
        """The key file with this path."""
        return self._tables.keys.get(location)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, each once, in order of their files."""
        return tuple(sorted(self._tables.leaves.values(), key=lambda leaf: leaf.copies[0].location))

    def leaf_of(self, certificate: Certificate) -> Leaf | None:
        """The leaf with this certificate."""
        return self._tables.leaves.get(certificate)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of all files, sub-CAs of chains included, each once, in order of files and blocks."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.certificates))

    def __iter__(self) -> Iterator[Certificate]:
        """All certificates, in no order."""
        yield from self._tables.leaves
        yield from (certificate for certificate in self._tables.others if certificate not in self._tables.leaves)

    def holds(self, certificate: Certificate) -> bool:
        """Whether a certificate is in any file."""
        return certificate in self._tables.leaves or certificate in self._tables.others

    def files_with(self, certificate: Certificate) -> Sequence[CertificateFile]:
        """The files that hold a certificate, by name."""
        if certificate in self._tables.others:
            return [file for file in self.files if certificate in file.certificates]
        leaf = self._tables.leaves.get(certificate)
        return leaf.copies if leaf is not None else ()

    @property
    def readable(self) -> bool:
        """Whether every certificate file could be read; where not, nobody knows what is missing."""
        return self.listed and not self._unsound

    @property
    def groups(self) -> Iterator[tuple[Group, Certificate]]:
        """All that leads leaves upwards, each with a leaf that is or was led so."""
        return ((group, example) for group, (_, example) in self._tables.groups.items())

    def newest_first(self, newest_by: str) -> Iterator[Leaf]:
        """The leaves that may act as such, with or without key, whatever their validity, the newest first."""
        if newest_by not in self._ordered:
            self._ordered[newest_by] = Order(self._tables.leaves.values(), partial(_age, newest_by))
        return (leaf for leaf in self._ordered[newest_by] if may_act(leaf.certificate, self.kind))

    # ---- what changed

    def changed(
        self,
        files: Mapping[str, CertificateFile | None] = MappingProxyType({}),
        keys: Mapping[str, KeyFile | None] = MappingProxyType({}),
        *,
        listed: bool = True,
        unread: Iterable[str] = (),
    ) -> LeafStore:
        """The store with these files, by path, None for those that are gone; and with keys left for later."""
        new = LeafStore(self.kind, self.directory, self.key_directory)
        changing = _Changing(self._tables)
        changing.put_keys(keys)
        changing.put_files(files)
        new.listed, new._tables = listed, changing.done()
        new.unread = self.unread.union(unread).difference(keys)
        bad = {location for location, file in files.items() if file is not None and (file.damaged or file.hides)}
        new._unsound = self._unsound.difference(files).union(bad)
        gone = [leaf for one in changing.copies if (leaf := self.leaf_of(one)) is not None]
        came = [leaf for one in changing.copies if (leaf := new.leaf_of(one)) is not None]
        new._ordered = {newest_by: order.changed(gone, came) for newest_by, order in self._ordered.items()}
        seen = {certificate for one in files.values() if one is not None for certificate in one.certificates}
        was = {c for location in files if (one := self.file_at(location)) is not None for c in one.certificates}
        if not changing.copies:  # a key of nobody's, mostly: a request was made
            new.memory = self.memory
        new.came = frozenset(certificate for certificate in seen if not self.holds(certificate))
        new.gone = frozenset(certificate for certificate in was if not new.holds(certificate))
        return new


def _age(newest_by: str, leaf: Leaf) -> Age:
    return leaf.age(newest_by)


def may_act(certificate: Certificate, kind: LeafKind) -> bool:
    """Whether a certificate may act as a leaf of this kind."""
    try:
        check_end_entity(certificate, (kind.leaf_type,))
    except ChainRefused:
        return False
    return True

"""The leaves of one kind and the keys that may belong to them, as they were seen at one moment.

A store is derived from the one before by what changed, so that a new leaf among thousands costs what one leaf costs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from evse_security.errors import ChainRefused
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import check_end_entity
from evse_security.store.contents import CertificateFile, KeyFile
from evse_security.store.kinds import LeafKind
from evse_security.store.layout import is_generated

Key = TypeVar("Key")
Value = TypeVar("Value")

_SEVERAL = 64
"""Leaves that change at once, above which an order is made anew instead of mended."""

Age = tuple[float, float, int, str]
"""What leaves are ordered by: the newest is the least."""

_AGES: dict[str, Callable[[Certificate], tuple[float, float]]] = {
    "not_after": lambda certificate: (certificate.not_after.timestamp(), certificate.not_before.timestamp()),
    "not_before": lambda certificate: (certificate.not_before.timestamp(), certificate.not_after.timestamp()),
}


class Leaf:
    """A leaf certificate with the files that hold it. Never altered once made.

    `single` and `chain` are texts without a bad block, and fit to be handed out if there are such; of several those
    that the station wrote: what was placed by hand is left behind when the leaf is updated.
    """

    __slots__ = ("certificate", "chain", "copies", "key", "single")

    certificate: Certificate
    copies: tuple[CertificateFile, ...]
    single: CertificateFile | None
    chain: CertificateFile | None
    key: KeyFile | None

    def __init__(self, certificate: Certificate, copies: Sequence[CertificateFile], keys: Iterable[KeyFile]) -> None:
        """Choose among the files that begin with it, in their order, and the keys that fit."""
        self.certificate = certificate
        self.copies = tuple(copies)
        self.single = _preferred(file for file in copies if len(file.certificates) == 1)
        self.chain = _preferred(file for file in copies if len(file.certificates) > 1)
        self.key = _nearest(keys, copies)

    def __repr__(self) -> str:
        return f"<Leaf {self.certificate.name} in {self.file.location}>"

    @property
    def file(self) -> CertificateFile:
        """The chain file, or the single one where there is none."""
        return self.chain or self.single or self._sound or self.copies[0]

    @property
    def servable(self) -> bool:
        """Whether a file of it, or a copy, can be handed to a TLS server. None is made of one with a bad block."""
        return self._sound is not None

    @property
    def _sound(self) -> CertificateFile | None:
        return next((file for file in self.copies if not file.damaged), None)

    def age(self, newest_by: str) -> Age:
        """What it is ordered by. Validity has whole seconds: within one, the newest is the one with the newest key."""
        later, earlier = _AGES[newest_by](self.certificate)
        return -later, -earlier, -self.key.modified_ns if self.key is not None else 1, self.copies[0].location


def _preferred(files: Iterable[CertificateFile]) -> CertificateFile | None:
    texts = [file for file in files if not file.in_der and not file.damaged]
    if len(texts) < 2:
        return texts[0] if texts else None
    return min(texts, key=lambda file: (not file.fit, not is_generated(file.path.name)))


def _nearest(keys: Iterable[KeyFile], files: Iterable[CertificateFile]) -> KeyFile | None:
    """The key; of several copies the one named like one of the files."""
    found = tuple(keys)
    if len(found) < 2:
        return found[0] if found else None
    stems = {file.path.stem for file in files}
    return min(found, key=lambda key: (key.path.stem not in stems, key.location))


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
        self.memory: dict[object, object] = {}
        """What was worked out from this store, by those who did."""
        self._files: dict[str, CertificateFile] = {}
        self._keys: dict[str, KeyFile] = {}
        self._leaves: dict[Certificate, Leaf] = {}
        self._others: dict[Certificate, int] = {}
        """Certificates that no file begins with as a leaf, with how often they are there."""
        self._keys_by_token: dict[bytes, tuple[KeyFile, ...]] = {}
        self._holders: dict[bytes, tuple[Certificate, ...]] = {}
        """Leaves by the token of their key."""
        self._unsound = frozenset[str]()
        self._ordered: dict[str, list[Leaf]] = {}

    # ---- what is there

    @cached_property
    def files(self) -> tuple[CertificateFile, ...]:
        """The certificate files, by name."""
        return tuple(self._files[location] for location in sorted(self._files))

    @cached_property
    def keys(self) -> tuple[KeyFile, ...]:
        """The key files, by name."""
        return tuple(self._keys[location] for location in sorted(self._keys))

    def keys_for(self, certificate: Certificate) -> Sequence[KeyFile]:
        """The readable keys of a certificate: one, unless there are copies."""
        return self._keys_by_token.get(token_of_certificate(certificate), ())

    def key_of(self, certificate: Certificate, beside: Iterable[Path] = ()) -> KeyFile | None:
        """The key of a certificate; of several the one named like one of its files."""
        stems = {path.stem for path in beside}
        return min(self.keys_for(certificate), key=lambda key: (key.path.stem not in stems, key.location), default=None)

    def file_at(self, location: str) -> CertificateFile | None:
        """The certificate file with this path."""
        return self._files.get(location)

    def key_at(self, location: str) -> KeyFile | None:
        """The key file with this path."""
        return self._keys.get(location)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, each once, in order of their files."""
        return tuple(sorted(self._leaves.values(), key=lambda leaf: leaf.copies[0].location))

    def leaf_of(self, certificate: Certificate) -> Leaf | None:
        """The leaf with this certificate."""
        return self._leaves.get(certificate)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of all files, sub-CAs of chains included, each once, in order of files and blocks."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.certificates))

    def __iter__(self) -> Iterator[Certificate]:
        """All certificates, in no order."""
        yield from self._leaves
        yield from (certificate for certificate in self._others if certificate not in self._leaves)

    def holds(self, certificate: Certificate) -> bool:
        """Whether a certificate is in any file."""
        return certificate in self._leaves or certificate in self._others

    def files_with(self, certificate: Certificate) -> Sequence[CertificateFile]:
        """The files that hold a certificate, by name."""
        if certificate in self._others:
            return [file for file in self.files if certificate in file.certificates]
        leaf = self._leaves.get(certificate)
        return leaf.copies if leaf is not None else ()

    @property
    def readable(self) -> bool:
        """Whether every certificate file could be read; where not, nobody knows what is missing."""
        return self.listed and not self._unsound

    def newest_first(self, newest_by: str) -> Iterator[Leaf]:
        """The leaves that may act as such, with or without key, whatever their validity, the newest first."""
        if newest_by not in self._ordered:
            self._ordered[newest_by] = sorted(self._leaves.values(), key=lambda leaf: leaf.age(newest_by))
        return (leaf for leaf in self._ordered[newest_by] if may_act(leaf.certificate, self.kind))

    # ---- what changed

    def changed(
        self,
        files: Mapping[str, CertificateFile | None] = MappingProxyType({}),
        keys: Mapping[str, KeyFile | None] = MappingProxyType({}),
        *,
        listed: bool = True,
    ) -> LeafStore:
        """The store with these files, by path; None for those that are gone."""
        new = LeafStore(self.kind, self.directory, self.key_directory)
        new.listed = listed
        new._files, new._keys = dict(self._files), dict(self._keys)
        new._leaves, new._others = dict(self._leaves), dict(self._others)
        new._keys_by_token, new._holders = dict(self._keys_by_token), dict(self._holders)
        new._unsound = self._unsound
        touched = new._put_keys(keys)
        copies = new._put_files(files)
        for certificate in touched:
            copies.setdefault(certificate, list(new._leaves[certificate].copies))
        new._put_leaves(copies)
        new._mend_order(self, copies)
        seen = {certificate for one in files.values() if one is not None for certificate in one.certificates}
        was = {c for location in files if (one := self._files.get(location)) is not None for c in one.certificates}
        new.came = frozenset(certificate for certificate in seen if not self.holds(certificate))
        new.gone = frozenset(certificate for certificate in was if not new.holds(certificate))
        return new

    def _put_keys(self, keys: Mapping[str, KeyFile | None]) -> set[Certificate]:
        """Take key files in and out; which leaves may have got or lost one."""
        tokens: set[bytes] = set()
        for location, key in keys.items():
            old = self._keys.pop(location, None)
            if old is not None and old.token is not None:
                tokens.add(old.token)
                rest = tuple(one for one in self._keys_by_token[old.token] if one is not old)
                _put(self._keys_by_token, old.token, rest)
            if key is not None:
                self._keys[location] = key
            if key is not None and key.token is not None:
                tokens.add(key.token)
                self._keys_by_token[key.token] = (*self._keys_by_token.get(key.token, ()), key)
        return {certificate for token in tokens for certificate in self._holders.get(token, ())}

    def _put_files(self, files: Mapping[str, CertificateFile | None]) -> dict[Certificate, list[CertificateFile]]:
        """Take certificate files in and out; the leaves that this concerns, each with its files."""
        copies: dict[Certificate, list[CertificateFile]] = {}
        for location, file in files.items():
            old = self._files.pop(location, None)
            if old is not None:
                self._count(old, copies, -1)
            if file is not None:
                self._files[location] = file
                self._count(file, copies, 1)
        bad = {location for location, file in files.items() if file is not None and (file.damaged or file.hides)}
        self._unsound = (self._unsound - files.keys()) | bad
        for found in copies.values():
            found.sort(key=lambda file: file.location)
        return copies

    def _count(self, file: CertificateFile, copies: dict[Certificate, list[CertificateFile]], step: int) -> None:
        """One file more or less."""
        leaf = file.leaf
        if leaf is not None:
            known = self._leaves.get(leaf)
            found = copies.setdefault(leaf, list(known.copies) if known is not None else [])
            found.append(file) if step > 0 else found.remove(file)
        for certificate in file.certificates[1:] if leaf is not None else file.certificates:
            number = self._others.get(certificate, 0) + step
            _put(self._others, certificate, number)

    def _put_leaves(self, copies: Mapping[Certificate, Sequence[CertificateFile]]) -> None:
        for certificate, files in copies.items():
            token = token_of_certificate(certificate)
            known = self._holders.get(token, ())
            others = tuple(one for one in known if one != certificate) if certificate in self._leaves else known
            if files:
                self._leaves[certificate] = Leaf(certificate, files, self._keys_by_token.get(token, ()))
            else:
                self._leaves.pop(certificate, None)
            _put(self._holders, token, (*others, certificate) if files else others)

    def _mend_order(self, old: LeafStore, touched: Mapping[Certificate, object]) -> None:
        """Keep the orders that were asked for."""
        if len(touched) > _SEVERAL:
            return
        for newest_by, order in old._ordered.items():
            mended = list(order)
            for certificate in touched:
                before, after = old._leaves.get(certificate), self._leaves.get(certificate)
                if before is not None:
                    del mended[_place(mended, before, newest_by)]
                if after is not None:
                    mended.insert(_place(mended, after, newest_by), after)
            self._ordered[newest_by] = mended


def _place(order: Sequence[Leaf], leaf: Leaf, newest_by: str) -> int:
    return bisect_left(order, leaf.age(newest_by), key=lambda one: one.age(newest_by))


def _put(table: dict[Key, Value], key: Key, value: Value) -> None:
    """Set an entry, or take it out where there is nothing left of it."""
    if value:
        table[key] = value
    else:
        table.pop(key, None)


def may_act(certificate: Certificate, kind: LeafKind) -> bool:
    """Whether a certificate may act as a leaf of this kind."""
    try:
        check_end_entity(certificate, (kind.leaf_type,))
    except ChainRefused:
        return False
    return True

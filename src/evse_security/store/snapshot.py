"""The store as it was seen at one moment: a frozen picture, and the questions to it.

Nothing in it is remembered from earlier commands; what is derived is worked out once per picture, when first asked for,
or derived from the picture before and what changed since.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from evse_security.additions import AnyCaType
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.hashdata import CertID
from evse_security.pki.ocsp import OcspAnswer, OcspStatus
from evse_security.pki.path import TrustStore
from evse_security.store.castore import CaStore, StoreForm, may_sign
from evse_security.store.contents import CertificateFile, KeyFile, OcspEntry, Problem
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.leaf import Leaf
from evse_security.store.leafstore import LeafStore
from evse_security.store.listing import Listing
from evse_security.vocabulary import LeafCertificateType

__all__ = [
    "CaStore",
    "CertificateFile",
    "KeyFile",
    "Leaf",
    "LeafStore",
    "OcspEntry",
    "Problem",
    "Responses",
    "Snapshot",
    "StoreForm",
    "may_sign",
]


class Responses:
    """The cached OCSP responses."""

    def __init__(self, entries: Mapping[str, OcspEntry]) -> None:
        """`entries` by path."""
        self._entries = entries

    @cached_property
    def entries(self) -> tuple[OcspEntry, ...]:
        """All, by path."""
        return tuple(self._entries[location] for location in sorted(self._entries))

    @cached_property
    def by_id(self) -> dict[CertID, list[OcspEntry]]:
        """The complete ones."""
        found: dict[CertID, list[OcspEntry]] = defaultdict(list)
        for entry in self.entries:
            if entry.cert_id is not None and entry.has_response:
                found[entry.cert_id].append(entry)
        return found

    @cached_property
    def revocations(self) -> frozenset[OcspEntry]:
        """Of each certificate the newest, where that says that it is revoked. Whether to believe them is not asked."""
        known = (
            [
                (e.answer.this_update, e.evidence is not None, e)
                for e in entries
                if e.answer and _says_something(e.answer)
            ]
            for entries in self.by_id.values()
        )
        newest = (max(entries, key=lambda one: one[:2]) for entries in known if entries)
        return frozenset(entry for _, is_revoked, entry in newest if is_revoked)


def _says_something(answer: OcspAnswer) -> bool:
    return answer.status is not OcspStatus.unknown


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that was seen; or, where a command needs only some stores, those."""

    cas: dict[AnyCaType, CaStore]
    leaves: dict[LeafCertificateType, LeafStore]
    listing: Listing
    """Which files there are."""
    responses: Responses | None
    """The cached OCSP responses; None in a picture without them."""
    before: _Before | None = field(default=None, repr=False)
    """What is known of certificates from the picture before."""
    memory: dict[object, object] = field(default_factory=dict, repr=False)
    """What was worked out from this picture, by those who did, while it is there."""

    def __repr__(self) -> str:
        return f"<Snapshot of {len(self.listing.files)} files>"

    # ---- files

    @property
    def names(self) -> frozenset[Path]:
        """All regular files."""
        return frozenset(map(Path, self.listing.files))

    @property
    def size(self) -> int:
        """Bytes of all regular files."""
        return self.listing.size

    @property
    def newest_written(self) -> datetime | None:
        """When we wrote last, but for what was written by a clock that cannot have been right."""
        return self.listing.newest_written

    @cached_property
    def leftovers(self) -> tuple[Path, ...]:
        """Files that an interrupted write left behind."""
        return tuple(Path(location) for location in sorted(self.listing.leftovers))

    @cached_property
    def derived(self) -> tuple[Path, ...]:
        """Copies of leaves, keys and roots that were made for those who read them differently."""
        return tuple(Path(location) for location in sorted(self.listing.derived()))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What cannot be used, and why."""
        files = {file.location: file for store in self.stores for file in store.files}
        keys = {key.location: key for store in self.leaves.values() for key in store.keys}
        found = [problem for _, file in sorted(files.items()) for problem in file.problems]
        found += [Problem(key.path, key.problem) for _, key in sorted(keys.items()) if key.problem]
        return (*found, *(Problem(Path(location), why) for location, why in self.listing.problems()))

    # ---- stores

    @property
    def stores(self) -> tuple[CaStore | LeafStore, ...]:
        """All stores of certificates."""
        if len(self.cas) + len(self.leaves) < len(self.listing.forms) + len(LEAF_KINDS):
            raise LookupError("a picture of some stores does not say what is in all")
        return (*self.cas.values(), *self.leaves.values())

    @property
    def ocsp(self) -> tuple[OcspEntry, ...]:
        """The cached OCSP responses."""
        return self._responses.entries

    @property
    def ocsp_by_id(self) -> dict[CertID, list[OcspEntry]]:
        """The complete cached responses."""
        return self._responses.by_id

    @property
    def revocations(self) -> frozenset[OcspEntry]:
        """Those that say last of their certificate that it is revoked."""
        return self._responses.revocations

    @property
    def _responses(self) -> Responses:
        if self.responses is None:
            raise LookupError("a picture of some parts has no OCSP responses")
        return self.responses

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of all stores, each once."""
        return tuple(dict.fromkeys(c for store in self.stores for c in store.certificates))

    def holds(self, certificate: Certificate) -> bool:
        """Whether a certificate is in any store."""
        return any(store.holds(certificate) for store in self.stores)

    @cached_property
    def forest(self) -> Forest:
        """Who issued whom over all stores: what identity is worked out from."""
        if self.before is not None:
            return self.before.forest.changed(*self.before.changes(self))
        return Forest(self._each())

    def _each(self) -> Iterator[Certificate]:
        for store in self.stores:
            yield from store.certificates if isinstance(store, CaStore) else store

    def identified(self, wanted: CertID) -> frozenset[Certificate]:
        """The installed certificates with this identity."""
        return frozenset(self.forest.identified(wanted))

    def trust(self, ca_types: Iterable[AnyCaType]) -> TrustStore:
        """What a path for these domains may use. A domain whose anchors are all out of validity still says so."""
        stores = [self.cas[ca_type] for ca_type in dict.fromkeys(ca_types)]
        if len(stores) == 1:
            return stores[0].trust
        return TrustStore(
            (c for store in stores for c in store.anchors),
            (c for store in stores for c in store.certificates if not c.self_signed),
        )

    @property
    def readable(self) -> bool:
        """Whether every certificate file of every store could be read."""
        return all(store.readable for store in self.stores)

    def ca_count(self) -> int:
        """Installed CA certificates (OCPP CertificateEntries); a bundle that domains share counts once."""
        return len({(store.path, certificate) for store in self.cas.values() for certificate in store.certificates})

    def successor(
        self,
        cas: dict[AnyCaType, CaStore],
        leaves: dict[LeafCertificateType, LeafStore],
        listing: Listing,
        responses: Responses | None,
        touched: Iterable[Certificate],
    ) -> Snapshot:
        """The picture after this one, in which these certificates may have come or gone."""
        return Snapshot(cas, leaves, listing, responses, self._known(touched))

    def _known(self, touched: Iterable[Certificate]) -> _Before | None:
        if "forest" in self.__dict__:
            return _Before(self.forest, frozenset(touched))
        if self.before is not None:
            return _Before(self.before.forest, self.before.touched.union(touched))
        return None


@dataclass(frozen=True, slots=True)
class _Before:
    """Who issued whom in an earlier picture, and which certificates may have come or gone since."""

    forest: Forest
    touched: frozenset[Certificate]

    def changes(self, now: Snapshot) -> tuple[Sequence[Certificate], Sequence[Certificate]]:
        """Those that are there now, and those that are not."""
        held = [certificate for certificate in self.touched if now.holds(certificate)]
        return held, list(self.touched.difference(held))

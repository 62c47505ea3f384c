"""From files to a snapshot: which file belongs where, by the layout; and only what changed is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from evse_security.additions import AnyCaType
from evse_security.pki.certificate import Certificate
from evse_security.store import scan
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.layout import Layout
from evse_security.store.listing import Listing, merged
from evse_security.store.parts import (
    EVERYTHING,
    AllResponses,
    AnyPart,
    KeysAt,
    LeavesFirst,
    LeavesOf,
    Part,
    Parts,
    Roles,
    RootsOf,
)
from evse_security.store.reading import KeyReader, Reader, Reading
from evse_security.store.snapshot import (
    CaStore,
    CertificateFile,
    KeyFile,
    LeafStore,
    OcspEntry,
    Responses,
    Snapshot,
)
from evse_security.vocabulary import CaCertificateType, LeafCertificateType


@dataclass
class _News:
    """What changed, by part."""

    certificates: dict[Part, dict[str, CertificateFile | None]] = field(default_factory=dict)
    keys: dict[LeavesOf, dict[str, KeyFile | None]] = field(default_factory=dict)
    unread: dict[LeavesOf, set[str]] = field(default_factory=dict)
    responses: dict[str, OcspEntry | None] = field(default_factory=dict)


class Picture:
    """Makes snapshots, reading only what changed since the last one. For one thread at a time."""

    def __init__(
        self, layout: Layout, read_key: KeyReader, *, additional_anchors: bool = False, read: Reader = scan.read
    ) -> None:
        """Nothing is read yet. `read` reads files; tests give their own."""
        self._layout, self._files = layout, Reading(read_key, read)
        self._additional_anchors = additional_anchors
        self.forget()

    def forget(self) -> None:
        """Read everything anew for the next snapshot."""
        self._roles = Roles(self._layout, {})
        self._ca_files: dict[RootsOf, dict[str, CertificateFile]] = {}
        self._responses: dict[str, OcspEntry] = {}
        self._files.doubtful.clear()
        self._snapshot = Snapshot({}, {}, Listing.of({}, {}, {}, {}), None)

    @property
    def files_read(self) -> int:
        """How many files were read for the last snapshot."""
        return self._files.count

    @property
    def doubtful(self) -> set[str]:
        """Files that could not be read for a reason that may pass without a trace."""
        return self._files.doubtful

    def shows(self, parts: Parts) -> bool:
        """Whether the last snapshot has these parts."""
        if parts is not None:
            return all(self._shows(part) for part in parts)
        last = self._snapshot
        is_whole = len(last.cas) == len(self._layout.bundles) and len(last.leaves) == len(self._layout.leaves)
        return is_whole and last.responses is not None and not any(map(self._unread, self._layout.leaves))

    def _shows(self, part: AnyPart) -> bool:
        if isinstance(part, AllResponses):
            return self._snapshot.responses is not None
        if isinstance(part, RootsOf):
            return part.ca_type in self._snapshot.cas
        unread = self._unread(part.leaf_type) if isinstance(part, LeavesOf) else frozenset[str]()
        if isinstance(part, KeysAt):
            unread = self._unread(part.leaf_type) & part.locations
        return part.leaf_type in self._snapshot.leaves and not unread

    def _unread(self, leaf_type: LeafCertificateType) -> frozenset[str]:
        """Keys that were left for later."""
        store = self._snapshot.leaves.get(leaf_type)
        return frozenset() if store is None else store.unread

    @property
    def last(self) -> Snapshot:
        """The last snapshot."""
        return self._snapshot

    def take(
        self, listing: Listing, changed: Iterable[str], parts: Parts = EVERYTHING, *, briefly: bool = False
    ) -> Snapshot:
        """The snapshot after these paths changed, with these parts in it; the last one again, if nothing did.

        `briefly`: those that changed are read while no other thread runs, as is good for a few, written just now.
        """
        if listing.forms != self._roles.forms:
            self._roles = Roles(self._layout, listing.forms)
        news, self._files.count = _News(), 0
        if self._snapshot.cas or self._snapshot.leaves:
            self._files.briefly = briefly
            for location in changed:
                self._renew(listing, location, news)
            self._files.briefly = False
        wanted = self._all_parts() if parts is None else set(parts)
        for leaf_type in self._layout.leaves:
            self._read_keys(listing, leaf_type, wanted, news)
        whole = {part for part in wanted if isinstance(part, RootsOf | LeavesOf)}
        first = {LeavesOf(part.leaf_type) for part in wanted if isinstance(part, LeavesFirst)}
        fresh = {part for part in whole | first if self._store_of(part) is None}
        fresh_responses = AllResponses() in wanted and self._snapshot.responses is None
        if fresh or fresh_responses:
            self._add(listing, fresh, first - whole, news, with_responses=fresh_responses)
        self._snapshot = self._arranged(listing, fresh, news, with_responses=fresh_responses)
        return self._snapshot

    def _all_parts(self) -> set[AnyPart]:
        return {*map(RootsOf, self._layout.bundles), *map(LeavesOf, self._layout.leaves), AllResponses()}

    def _store_of(self, part: Part) -> CaStore | LeafStore | None:
        if isinstance(part, RootsOf):
            return self._snapshot.cas.get(part.ca_type)
        return self._snapshot.leaves.get(part.leaf_type)

    # ---- reading

    def _renew(self, listing: Listing, location: str, news: _News) -> None:
        """Read a file that changed, for the parts that the last snapshot has."""
        certificate_parts, key_parts, is_response = self._roles.of(location)
        shown = [part for part in certificate_parts if self._store_of(part) is not None]
        holders = [part for part in key_parts if self._store_of(part) is not None]
        stamp = listing.stamp(location)
        if shown:
            file = self._files.certificates(location) if stamp is not None else None
            before = self._known(location)
            kept = before if file is not None and file.same_as(before) else file
            for part in shown:
                news.certificates.setdefault(part, {})[location] = kept
        if holders:
            key = self._files.key(location, stamp) if stamp is not None else None
            for one in holders:
                news.keys.setdefault(one, {})[location] = key
        pair = location.rpartition(".")[0]
        if is_response and self._snapshot.responses is not None and pair not in news.responses:
            news.responses[pair] = self._files.response(listing, pair)  # mostly both halves changed
        if stamp is None:
            self._files.doubtful.discard(location)

    def _read_keys(self, listing: Listing, leaf_type: LeafCertificateType, wanted: set[AnyPart], news: _News) -> None:
        """Read the keys that were left for later and are wanted now."""
        part, unread = LeavesOf(leaf_type), self._unread(leaf_type)
        if part not in wanted:
            asked = [one.locations for one in wanted if isinstance(one, KeysAt) and one.leaf_type == leaf_type]
            unread = unread.intersection(frozenset().union(*asked))
        for location in unread - news.keys.get(part, {}).keys():
            stamp = listing.stamp(location)
            key = self._files.key(location, stamp) if stamp is not None else None
            news.keys.setdefault(part, {})[location] = key

    def _add(
        self, listing: Listing, fresh: set[Part], first: set[LeavesOf], news: _News, *, with_responses: bool
    ) -> None:
        """Read the files of parts that no snapshot had yet, but for the keys of those that come `first`."""
        pairs: set[str] = set()
        for location in listing.everything():
            certificate_parts, key_parts, is_response = self._roles.of(location)
            shown = [part for part in certificate_parts if part in fresh]
            holders = [part for part in key_parts if part in fresh and part not in first]
            for one in first.intersection(key_parts) & fresh:
                news.unread.setdefault(one, set()).add(location)
            if shown:
                file = self._known(location) or self._files.certificates(location)
                for part in shown:
                    news.certificates.setdefault(part, {})[location] = file
            if holders and (stamp := listing.stamp(location)) is not None:
                key = self._files.key(location, stamp)
                for one in holders:
                    news.keys.setdefault(one, {})[location] = key
            if is_response and with_responses:
                pairs.add(location.rpartition(".")[0])
        for pair in pairs:
            news.responses[pair] = self._files.response(listing, pair)

    def _known(self, location: str) -> CertificateFile | None:
        """What a file held when it was read last, if it is in the last snapshot."""
        for store in self._snapshot.leaves.values():
            if (file := store.file_at(location)) is not None:
                return file
        return next((files[location] for files in self._ca_files.values() if location in files), None)

    # ---- arranging

    def _arranged(self, listing: Listing, fresh: set[Part], news: _News, *, with_responses: bool) -> Snapshot:
        """Put the parts together: those that changed are made anew."""
        old = self._snapshot
        touched: set[Certificate] = set()
        cas, leaves = dict(old.cas), dict(old.leaves)
        for leaf_type in self._layout.leaves:
            part = LeavesOf(leaf_type)
            if leaf_type in leaves or part in fresh:
                store = self._leaf_store(leaf_type, leaves.get(leaf_type), listing, news)
                if store is not leaves.get(leaf_type):
                    leaves[leaf_type] = store
                    touched |= store.came | store.gone
        for ca_type in self._layout.bundles:
            if ca_type in cas or RootsOf(ca_type) in fresh:
                known, found = cas.get(ca_type), self._ca_store(ca_type, cas.get(ca_type), listing, news)
                if found is not known:
                    cas[ca_type] = found
                    touched.update(found.certificates, known.certificates if known is not None else ())
        responses = old.responses
        if with_responses or (responses is not None and self._is_news(news.responses)):
            self._responses = dict(merged(self._responses, news.responses))
            responses = Responses(self._responses)
        if cas == old.cas and leaves == old.leaves and responses is old.responses and listing is old.listing:
            return old
        return old.successor(cas, leaves, listing, responses, touched)

    def _is_news(self, entries: Mapping[str, OcspEntry | None]) -> bool:
        return any(self._responses.get(pair) != entry for pair, entry in entries.items())

    def _ca_store(self, ca_type: AnyCaType, known: CaStore | None, listing: Listing, news: _News) -> CaStore:
        part = RootsOf(ca_type)
        files, changes = self._ca_files.get(part, {}), news.certificates.get(part, {})
        form = listing.forms[ca_type]
        if known is not None and known.form is form and all(files.get(at) is file for at, file in changes.items()):
            return known
        here = {} if known is not None and known.form is not form else files
        files = self._ca_files[part] = dict(merged(here, changes))
        additional = self._additional_anchors and ca_type is CaCertificateType.CSMS
        found = tuple(files[location] for location in sorted(files))
        return CaStore(ca_type, self._layout.bundles[ca_type], form, found, additional)

    def _leaf_store(
        self, leaf_type: LeafCertificateType, known: LeafStore | None, listing: Listing, news: _News
    ) -> LeafStore:
        part, places = LeavesOf(leaf_type), self._layout.leaves[leaf_type]
        directory = str(places.certificates)
        store = known or LeafStore(LEAF_KINDS[leaf_type], places.certificates, places.keys)
        listed = not any(directory in (one, one.rpartition("/")[0]) for one in listing.unseen)
        files = {at: file for at, file in news.certificates.get(part, {}).items() if store.file_at(at) is not file}
        new = news.keys.get(part, {}).items()
        keys = {at: key for at, key in new if store.key_at(at) != key or at in store.unread}
        if known is not None and not files and not keys and known.listed is listed:
            return known
        return store.changed(files, keys, listed=listed, unread=news.unread.get(part, ()))

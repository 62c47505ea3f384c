"""What a diagnosis is made of: the snapshot, the time, the configuration, and what surrounds the files on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from evse_security.additions import AnyCaType
from evse_security.clock import Moment
from evse_security.errors import ChainRefused
from evse_security.pki.certificate import Certificate
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import TrustStore, VerifiedChain, verify
from evse_security.pki.profile import ProfileName
from evse_security.store.changes import Change
from evse_security.store.layout import Layout
from evse_security.store.limits import Limits
from evse_security.store.reasons import Domain
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.snapshot import CaStore, Leaf, Snapshot


class Rights(NamedTuple):
    """Who may do what with a file or directory."""

    mode: int
    """The permission bits."""
    owner: int
    """User number."""
    modified: datetime
    leads_to: Path | None = None
    """Where it leads, if it is a link; the rest is about what is there."""


class Place(NamedTuple):
    """A directory of the store. Without rights it is not there."""

    path: Path
    rights: Rights | None
    holds_keys: bool
    can_write: bool
    """Whether the user who asks can make files there."""
    is_read_only: bool = False
    """Whether nobody can: it is mounted so."""


class Volume(NamedTuple):
    """A file system that holds directories of the store."""

    path: Path
    """One of those directories, or of their parents that is there."""
    mount: Path
    """Where it is mounted."""
    kind: str
    """As the kernel calls it: `ext4`, `nfs4`, `tmpfs`; empty where that cannot be told."""
    is_read_only: bool
    free_bytes: int
    free_inodes: int | None
    """None where the file system does not count them."""


class Span(NamedTuple):
    """Lines of a text file, counted from 1, that a block occupies."""

    first: int
    last: int
    alone: bool
    """Whether nothing else is on these lines."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What the disk shows beyond the snapshot."""

    user: int = 0
    """Number of the user who asks."""
    owners: frozenset[int] = frozenset({0})
    """Users who may own the store's files: root, who asks, and the owner of the whole directory."""
    places: tuple[Place, ...] = ()
    parents: Mapping[Path, Rights] = field(default_factory=dict)
    """The directories above those."""
    files: Mapping[Path, Rights] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    spans: Mapping[tuple[Path, int], Span] = field(default_factory=dict)
    """Lines of blocks that are bad, there once more, or roots among others, by file and first byte."""
    hollow: frozenset[Path] = frozenset()
    """Bundle files that hold something, but no certificate, good or bad."""
    with_keys: Mapping[Path, tuple[Span, ...]] = field(default_factory=dict)
    """Files of certificates that hold private keys, too, and the lines of those that are whole."""
    locked: Mapping[Path, bool] = field(default_factory=dict)
    """Keys that want a password, and whether one is configured, which does not open them."""
    der_keys: frozenset[Path] = frozenset()
    """Files of keys in DER."""
    sealed_keys: frozenset[Path] = frozenset()
    """Those of them that are encrypted."""
    responses: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    """Cached OCSP responses."""
    copies: Mapping[Path, bytes] = field(default_factory=dict, repr=False)
    """Copies that were made of certificates."""
    key_copies: Mapping[Path, bytes | None] = field(default_factory=dict, repr=False)
    """Tokens of the copies that were made of keys."""
    links: Mapping[Path, tuple[Change, ...]] = field(default_factory=dict)
    """What is to be done in hashed directories of roots so that their links are right."""
    strays: tuple[Path, ...] = ()
    """What EVerest's module leaves beside a bundle when a write fails."""
    astray: tuple[Path, ...] = ()
    """Bundles that are links, and lead nowhere."""

    audit_problem: str | None = None
    """What is wrong with the audit log."""

    def leads_to(self, path: Path) -> Path | None:
        """Where a file leads, if it is a link."""
        rights = self.files.get(path)
        return None if rights is None else rights.leads_to

    def real(self, path: Path) -> Path:
        """The file itself: where a link leads, or what is no link."""
        return self.leads_to(path) or path


@dataclass(frozen=True, eq=False)
class Inspection:
    """Everything a finding may be made of, with the answers that several findings need."""

    snapshot: Snapshot
    moment: Moment
    layout: Layout
    limits: Limits
    surroundings: Surroundings
    newest_by: str
    profile: ProfileName
    warn: timedelta
    """How long before its end a certificate is worth a warning."""
    csr_key_type: str = "secp256r1"
    """The kind of key that the station makes, unless it is told otherwise."""
    said: Revocations = NONE
    """What OCSP responders said is revoked, where that has consequences."""

    @property
    def now(self) -> datetime:
        """The time, believed or not."""
        return self.moment.now

    @cached_property
    def domains(self) -> tuple[Domain, ...]:
        """The trust domains, each with its leaves."""
        return tuple(
            Domain(self.snapshot, store, self.moment, self.newest_by, self.profile, self.said)
            for store in self.snapshot.cas.values()
        )

    @cached_property
    def bundles(self) -> tuple[CaStore, ...]:
        """The CA stores; one that several domains share counts once."""
        return tuple({store.path: store for store in reversed(self.snapshot.cas.values())}.values())[::-1]

    @cached_property
    def needed_tokens(self) -> frozenset[bytes]:
        """The keys of all installed certificates."""
        return frozenset(map(token_of_certificate, self.snapshot.certificates))

    @cached_property
    def _verdicts(self) -> dict[Leaf, VerifiedChain | ChainRefused]:
        return {}

    @cached_property
    def _anchors(self) -> dict[AnyCaType, TrustStore]:
        return {store.ca_type: TrustStore(store.anchors) for store in self.snapshot.cas.values()}

    def verdict(self, domain: Domain, leaf: Leaf) -> VerifiedChain | ChainRefused:
        """The verified chain of a leaf, or why there is none now."""
        if leaf not in self._verdicts:
            self._verdicts[leaf] = self._verified(domain, leaf, domain.store.trust)
        return self._verdicts[leaf]

    def as_sent(self, domain: Domain, leaf: Leaf) -> VerifiedChain | ChainRefused:
        """The chain of a leaf as peers verify it who know the roots, and no sub-CA but those that are sent."""
        return self._verified(domain, leaf, self._anchors[domain.store.ca_type])

    def _verified(self, domain: Domain, leaf: Leaf, trust: TrustStore) -> VerifiedChain | ChainRefused:
        sent = leaf.chain.certificates[1:] if leaf.chain else ()
        try:
            return verify(leaf.certificate, intermediates=sent, trust=trust, policy=domain.policy, now=self.now)
        except ChainRefused as refusal:
            return refusal

    def files_of(self, certificate: Certificate) -> tuple[Path, ...]:
        """Where a certificate lies, in any store."""
        return tuple(dict.fromkeys(p for domain in self.domains for p in domain.files.get(certificate, ())))

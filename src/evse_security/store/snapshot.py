"""The store as it was seen at one moment: a frozen picture, and the questions to it.

Nothing in it is remembered from earlier commands; what is derived is worked out once per picture, when first asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import Path

from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.hashdata import CertID
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.ocsp import OcspAnswer
from evse_security.pki.path import TrustStore, why_not_ca
from evse_security.pki.pem import Block, Flaw
from evse_security.store.kinds import LeafKind
from evse_security.store.layout import BUNDLE_DIRECTORY, is_generated
from evse_security.vocabulary import CaCertificateType, LeafCertificateType


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the store that cannot be used, and why."""

    path: Path
    text: str


@dataclass(frozen=True, eq=False)
class CertificateFile:
    """A file of certificates, block by block."""

    path: Path
    blocks: tuple[Block, ...]
    problem: str | None = None
    """Why the file as a whole could not be read."""
    in_der: bool = False
    """Whether it is one certificate in DER instead of text."""
    holds_more: bool = False
    """Whether there is more in it than certificates: keys, revocation lists, requests."""

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """The good blocks, in order."""
        return tuple(block.certificate for block in self.blocks if block.certificate is not None)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the file and its blocks."""
        whole = (Problem(self.path, self.problem),) if self.problem else ()
        found = ((block.start, block.problem or (block.flaw and block.flaw.value)) for block in self.blocks)
        return (*whole, *(Problem(self.path, f"at byte {start}: {text}") for start, text in found if text))

    @property
    def damaged(self) -> bool:
        """Whether it or a block of it could not be read."""
        return self.problem is not None or any(block.problem is not None for block in self.blocks)

    @property
    def hides(self) -> bool:
        """Whether others may find certificates in it that are not seen here."""
        return any(block.flaw is Flaw.HIDDEN for block in self.blocks)

    @property
    def fit(self) -> bool:
        """Whether it may be handed to others as it is: text that they read exactly as it is read here."""
        return not self.in_der and not self.problems

    @property
    def leaf(self) -> Certificate | None:
        """The first certificate, if it is an end entity."""
        if not self.certificates:
            return None
        constraints = self.certificates[0].basic_constraints
        return None if constraints is not None and constraints.ca else self.certificates[0]


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A private key's file: a token to match certificates by, or why it cannot be read."""

    path: Path
    token: bytes | None
    problem: str | None
    encrypted: bool
    size: int
    mode: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class OcspEntry:
    """A cached OCSP response: the `.hash` that says whose it is, and the `.der`. Either may be missing."""

    hash_path: Path
    response_path: Path
    cert_id: CertID | None
    answer: OcspAnswer | None
    has_hash: bool
    has_response: bool

    @property
    def paths(self) -> tuple[Path, ...]:
        """The halves that are there."""
        halves = ((self.hash_path, self.has_hash), (self.response_path, self.has_response))
        return tuple(path for path, is_there in halves if is_there)


class StoreForm(Enum):
    """What a CA bundle's path leads to."""

    FILE = "file"
    DIRECTORY = "directory"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, eq=False)
class CaStore:
    """The CA certificates of one trust domain."""

    ca_type: CaCertificateType
    path: Path
    form: StoreForm
    files: tuple[CertificateFile, ...]
    additional_anchors: bool = False
    """Whether CA certificates that are not self-signed are trusted too (AdditionalRootCertificateCheck)."""

    @property
    def directory(self) -> Path:
        """Where the certificates lie."""
        return self.path if self.form is StoreForm.DIRECTORY else self.path.parent

    @property
    def copy_of_roots(self) -> Path:
        """The file made of all its roots, for consumers that read only a file, and only one without a bad block."""
        return self.directory / BUNDLE_DIRECTORY / f"{self.ca_type}_ROOT_CA.pem"

    @property
    def readable(self) -> bool:
        """Whether every certificate file could be read; where not, nobody knows what is missing."""
        return self.form is not StoreForm.UNREADABLE and not any(file.damaged or file.hides for file in self.files)

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates, each once, in order of files and blocks."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.certificates))

    @cached_property
    def forest(self) -> Forest:
        """Who issued whom in this store alone."""
        return Forest(self.certificates)

    @cached_property
    def roots(self) -> tuple[Certificate, ...]:
        """The self-signed certificates that may be trust anchors: their own key confirms them, and they may sign."""
        return tuple(c for c in self.certificates if c.self_signed and may_sign(c))

    @cached_property
    def anchors(self) -> tuple[Certificate, ...]:
        """The certificates at which a path may end."""
        return tuple(c for c in self.certificates if may_sign(c)) if self.additional_anchors else self.roots

    @cached_property
    def trust(self) -> TrustStore:
        """The store, prepared for verifications."""
        return TrustStore(self.anchors, (c for c in self.certificates if not c.self_signed))

    def valid_roots(self, now: datetime) -> tuple[Certificate, ...]:
        """The anchors that are valid now."""
        return tuple(c for c in self.anchors if c.valid_at(now))


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A leaf certificate with the files that hold it.

    `single` and `chain` are texts without a bad block, and fit to be handed out if there are such; of several those
    that the station wrote: what was placed by hand is left behind when the leaf is updated.
    """

    certificate: Certificate
    single: CertificateFile | None
    chain: CertificateFile | None
    copies: tuple[CertificateFile, ...]
    key: KeyFile | None

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


@dataclass(frozen=True, eq=False)
class LeafStore:
    """The leaves of one kind and the keys that may belong to them."""

    kind: LeafKind
    directory: Path
    key_directory: Path
    files: tuple[CertificateFile, ...]
    keys: tuple[KeyFile, ...]
    listed: bool = True
    """Whether the directory is there and could be looked into."""

    @cached_property
    def keys_by_token(self) -> dict[bytes, list[KeyFile]]:
        """The readable keys."""
        found: dict[bytes, list[KeyFile]] = defaultdict(list)
        for key in self.keys:
            if key.token is not None:
                found[key.token].append(key)
        return found

    def keys_for(self, certificate: Certificate) -> list[KeyFile]:
        """The keys of a certificate: one, unless there are copies."""
        return self.keys_by_token.get(token_of_certificate(certificate), [])

    def key_of(self, certificate: Certificate, beside: Iterable[Path] = ()) -> KeyFile | None:
        """The key of a certificate; of several the one named like one of its files."""
        stems = {path.stem for path in beside}
        return min(self.keys_for(certificate), key=lambda key: (key.path.stem not in stems, key.path), default=None)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves, each once, in order of their files."""
        files: dict[Certificate, list[CertificateFile]] = defaultdict(list)
        for file in self.files:
            if file.leaf is not None:
                files[file.leaf].append(file)
        return tuple(self._leaf(certificate, copies) for certificate, copies in files.items())

    def _leaf(self, certificate: Certificate, copies: Sequence[CertificateFile]) -> Leaf:
        texts = sorted(
            (f for f in copies if not f.in_der and not f.damaged),
            key=lambda f: (not f.fit, not is_generated(f.path.name)),
        )
        return Leaf(
            certificate,
            next((file for file in texts if len(file.certificates) == 1), None),
            next((file for file in texts if len(file.certificates) > 1), None),
            tuple(copies),
            self.key_of(certificate, (file.path for file in copies)),
        )

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of all files, sub-CAs of chains included, each once."""
        return tuple(dict.fromkeys(c for file in self.files for c in file.certificates))

    @property
    def readable(self) -> bool:
        """Whether every certificate file could be read; where not, nobody knows what is missing."""
        return self.listed and not any(file.damaged or file.hides for file in self.files)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that was seen."""

    cas: dict[CaCertificateType, CaStore]
    leaves: dict[LeafCertificateType, LeafStore]
    ocsp: tuple[OcspEntry, ...]
    leftovers: tuple[Path, ...]
    derived: tuple[Path, ...]
    """Copies in DER of leaves and keys."""
    names: frozenset[Path]
    """All regular files."""
    size: int
    """Bytes of all regular files."""
    problems: tuple[Problem, ...]
    newest_written: datetime | None

    @property
    def stores(self) -> tuple[CaStore | LeafStore, ...]:
        """All stores of certificates."""
        return (*self.cas.values(), *self.leaves.values())

    @cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """All certificates of all stores, each once."""
        return tuple(dict.fromkeys(c for store in self.stores for c in store.certificates))

    @cached_property
    def forest(self) -> Forest:
        """Who issued whom over all stores: what identity is worked out from."""
        return Forest(self.certificates)

    def identified(self, wanted: CertID) -> frozenset[Certificate]:
        """The installed certificates with this identity."""
        return frozenset(self.forest.identified(wanted))

    def trust(self, ca_types: Iterable[CaCertificateType]) -> TrustStore:
        """What a path for these domains may use. A domain whose anchors are all out of validity still says so."""
        stores = [self.cas[ca_type] for ca_type in dict.fromkeys(ca_types)]
        if len(stores) == 1:
            return stores[0].trust
        return TrustStore(
            (c for store in stores for c in store.anchors),
            (c for store in stores for c in store.certificates if not c.self_signed),
        )

    @cached_property
    def ocsp_by_id(self) -> dict[CertID, list[OcspEntry]]:
        """The complete cached responses."""
        found: dict[CertID, list[OcspEntry]] = defaultdict(list)
        for entry in self.ocsp:
            if entry.cert_id is not None and entry.has_response:
                found[entry.cert_id].append(entry)
        return found

    @property
    def readable(self) -> bool:
        """Whether every certificate file of every store could be read."""
        return all(store.readable for store in self.stores)

    def ca_count(self) -> int:
        """Installed CA certificates (OCPP CertificateEntries); a bundle that domains share counts once."""
        return len({(store.path, certificate) for store in self.cas.values() for certificate in store.certificates})


def may_sign(certificate: Certificate) -> bool:
    """Whether a certificate is a CA that may sign others (RFC 5280 §4.2.1.9, §4.2.1.3); a v1 root counts."""
    return why_not_ca(certificate) is None

"""The station's own leaves, as they are handed to a TLS stack: files in one encoding, password, OCSP responses."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import count

from evse_security.clock import Moment
from evse_security.core import Core, told
from evse_security.errors import NotWritable
from evse_security.keys import files as key_files
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import Policy
from evse_security.pki.profile import Edition
from evse_security.store.changes import Write
from evse_security.store.info import LeafFiles, files_in
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.leafstore import KeysUnread
from evse_security.store.parts import AllResponses, AnyPart, KeysAt, LeavesFirst, LeavesOf, Parts, RootsOf
from evse_security.store.rules import select
from evse_security.store.rules.cache import offer_changes, offered
from evse_security.store.rules.span import Span, kept
from evse_security.store.rules.times import attempts
from evse_security.store.scan import read
from evse_security.store.snapshot import KeyFile, Leaf, LeafStore, Snapshot
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateInfo,
    CertificateOCSP,
    EncodingFormat,
    GetCertificateInfoStatus,
    HashAlgorithm,
    LeafCertificateType,
)


class Leaves:
    """What a station offers as itself."""

    def __init__(self, core: Core) -> None:
        """Work on this store."""
        self._core = core

    def newest(self, certificate_type: LeafCertificateType) -> tuple[Snapshot, Leaf | None, Moment]:
        """The newest usable leaf of a type, and the picture that it was found in."""
        kind = LEAF_KINDS[certificate_type]
        parts: list[AnyPart] = [LeavesFirst(kind.leaf_type), RootsOf(kind.ca_type), *self._responses]
        while True:
            snapshot, moment = self._core.look(parts)
            try:
                return snapshot, self.chosen(snapshot, snapshot.leaves[certificate_type], moment), moment
            except KeysUnread as unread:
                parts.append(KeysAt(kind.leaf_type, unread.locations))

    def chosen(
        self, snapshot: Snapshot, store: LeafStore, moment: Moment, edition: Edition | None = None
    ) -> Leaf | None:
        """The leaf of a store that is in use: of all, or of an edition of ISO 15118."""
        trust, newest_by = snapshot.cas[store.kind.ca_type].trust, self._core.config.newest_by
        said, tried = self._core.revocations(snapshot), self.attempts(store, moment)
        found = (select.chosen(store, trust, newest_by, *attempt, said, edition) for attempt in tried)
        return next((leaf for leaf in found if leaf is not None), None)

    def parts_for(self, certificate_type: LeafCertificateType) -> Parts:
        """What of a store is needed to choose a leaf: those of its kind, roots to verify with, and who is revoked."""
        kind = LEAF_KINDS.get(certificate_type)
        return [] if kind is None else [LeavesOf(kind.leaf_type), RootsOf(kind.ca_type), *self._responses]

    @property
    def _responses(self) -> tuple[AllResponses, ...]:
        return (AllResponses(),) if self._core.config.revoked_leaves == "withdraw" else ()

    def attempts(self, store: LeafStore, moment: Moment) -> Iterator[tuple[Policy, datetime]]:
        """What to judge the chains of leaves by: see `rules.times`."""
        return attempts(Policy((store.kind.leaf_type,), self._core.profile), moment)

    def status(self, store: LeafStore, moment: Moment) -> GetCertificateInfoStatus:
        """Why no leaf of a store can be used."""
        *_, (policy, now) = self.attempts(store, moment)
        return select.status(store, policy, now)

    def info(
        self,
        snapshot: Snapshot,
        leaf: Leaf,
        encoding: EncodingFormat,
        moment: Moment,
        *,
        with_ocsp: bool,
        root: Certificate | None = None,
    ) -> CertificateInfo:
        """A usable leaf as the interface describes it. Raises `NotWritable` where a copy cannot be made."""
        found = self.files(snapshot, leaf, encoding, moment)
        return CertificateInfo(
            key=str(found.key),
            certificate_root=root.pem if root is not None else None,
            certificate=str(found.chain) if found.chain else None,
            certificate_single=str(found.single) if found.single else None,
            certificate_count=found.length,
            password=self.password_of(leaf),
            ocsp=_responses(snapshot, leaf, moment.now) if with_ocsp else None,
        )

    def files(self, snapshot: Snapshot, leaf: Leaf, encoding: EncodingFormat, moment: Moment) -> LeafFiles:
        """The files of a usable leaf in one encoding, copies made where they are needed. Raises `NotWritable`.

        They are remembered with the picture: if what was compared changes, another one follows. What copies hold is
        not remembered, as one of them is a key.
        """
        known = snapshot.memory.get((leaf, encoding))
        if isinstance(known, LeafFiles):
            return known
        began_ns = time.time_ns()
        key_der = self._key_in_der(leaf.key) if encoding == EncodingFormat.DER and leaf.key is not None else None
        made = files_in(leaf, encoding, key_der)
        self._core.ensure(made.copies, moment, while_true=lambda snapshot: _is_there(snapshot, leaf))
        found = made._replace(copies=())
        if not made.copies or self._core.would_show(snapshot, _compared(leaf, made.copies), began_ns):
            snapshot.memory[leaf, encoding] = found
        return found

    def key_in_der(self, key: KeyFile) -> bytes | None:
        """A key for the copies of a leaf being installed; without it they are made when they are asked for."""
        try:
            return self._key_in_der(key)
        except NotWritable as refusal:
            told("DER copies", refusal)
            return None

    def password_of(self, leaf: Leaf) -> str | None:
        """The password that a consumer needs to open a leaf's key; None for a plain one."""
        return self._core.config.private_key_password if leaf.key is not None and leaf.key.encrypted else None

    def _key_in_der(self, key: KeyFile) -> bytes:
        try:
            content = read(key.location, key_files.MAX_KEY_BYTES)
            encoded = key_files.to_der(content, self._core.config.private_key_password, _salts(content))
        except (OSError, ValueError) as error:
            raise NotWritable(str(key.path), f"the key cannot be read: {type(error).__name__}") from None
        if isinstance(encoded, key_files.KeyProblem):
            raise NotWritable(str(key.path), encoded)
        return encoded


def _salts(content: bytes) -> Callable[[int], bytes]:
    """Salts that are the same for the same key file: a copy that is up to date is not written again."""
    numbers = count()
    return lambda length: hashlib.shake_256(b"%d:" % next(numbers) + content).digest(length)


def _is_there(snapshot: Snapshot, leaf: Leaf) -> bool:
    """Whether a leaf is still installed: a deleted one must not leave a copy of its key."""
    return any(store.leaf_of(leaf.certificate) is not None for store in snapshot.leaves.values())


def _compared(leaf: Leaf, copies: Iterable[Write]) -> Iterator[str]:
    """The files that were read to see that copies are right."""
    if leaf.key is not None:
        yield leaf.key.location
    yield from (str(copy.path) for copy in copies)


def _responses(snapshot: Snapshot, leaf: Leaf, now: datetime) -> tuple[CertificateOCSP, ...]:
    """One entry per certificate of the chain file, in its order; of one whose issuer is unknown the serial is told."""

    def responses() -> tuple[tuple[CertificateOCSP, ...], Span]:
        span = Span().within(offer_changes(snapshot, leaf.file.certificates), now)
        return tuple(_entries(snapshot, leaf, now)), span

    return kept(snapshot.memory, (leaf, "responses"), now, responses)


def _entries(snapshot: Snapshot, leaf: Leaf, now: datetime) -> Iterator[CertificateOCSP]:
    for certificate in leaf.file.certificates:
        cert_id = snapshot.forest.id_of(certificate)
        entry = offered(snapshot, certificate, leaf.file.path.parent, now)
        unknown = CertificateHashData(
            hash_algorithm=HashAlgorithm.SHA256,
            issuer_name_hash="",
            issuer_key_hash="",
            serial_number=certificate.serial_text,
        )
        yield CertificateOCSP(
            hash=unknown if cert_id is None else cert_id.hash_data,
            ocsp_path=None if entry is None else str(entry.response_path),
        )

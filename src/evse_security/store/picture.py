"""From files to a snapshot: which file belongs where, by the layout."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from evse_security.clock import believable
from evse_security.keys.files import KeyReading
from evse_security.pki import hashdata, ocsp, pem
from evse_security.store.kinds import LEAF_KINDS
from evse_security.store.layout import (
    CERTIFICATE_SUFFIXES,
    DER_DIRECTORY,
    DERIVED_DIRECTORIES,
    KEY_SUFFIXES,
    OCSP_DIRECTORY,
    TEMPORARY_SUFFIX,
    Layout,
    is_generated,
)
from evse_security.store.scan import Contents, Nanoseconds, Seen
from evse_security.store.snapshot import (
    CaStore,
    CertificateFile,
    KeyFile,
    LeafStore,
    OcspEntry,
    Problem,
    Snapshot,
    StoreForm,
)
from evse_security.store.view import NO_DIRECTORY, View, look
from evse_security.vocabulary import CaCertificateType, LeafCertificateType

MAX_KEY_BYTES = 64 * 1024
_MAX_SMALL_BYTES = 128 * 1024
_LAST_NS = 253_402_300_800_000_000_000
"""The end of the year 9999: no file was written later than that."""

KeyReader = Callable[[bytes], KeyReading]
"""Reads a private key file."""


class _Key(NamedTuple):
    """What a key file says, or why it could not be read at all."""

    reading: KeyReading
    problem: str | None


class _Last(NamedTuple):
    """The last snapshot, and what it was made of. `settled`: every later change shows in a view."""

    view: View
    values: tuple[object, ...]
    settled: bool
    snapshot: Snapshot


class Picture:
    """Makes snapshots, reading only what changed since the last one."""

    def __init__(
        self,
        layout: Layout,
        read_key: KeyReader,
        *,
        additional_anchors: bool = False,
        now: Nanoseconds = time.time_ns,
    ) -> None:
        """Nothing is read yet. `now` tells the file system's time, which is not the station's."""
        self._layout = layout
        self._additional_anchors = additional_anchors
        self._certificates: Contents[CertificateFile] = Contents(
            read_certificates, lambda path, problem: CertificateFile(path, (), problem), pem.MAX_FILE_BYTES, now
        )
        self._keys: Contents[_Key] = Contents(
            lambda _, data: _Key(read_key(data), None),
            lambda _, problem: _Key(KeyReading(), problem),
            MAX_KEY_BYTES,
            now,
        )
        self._hashes: Contents[hashdata.CertID | None] = Contents(
            lambda _, data: hashdata.from_lines(data), lambda *_: None, _MAX_SMALL_BYTES, now
        )
        self._responses: Contents[tuple[ocsp.Statement, ...]] = Contents(
            lambda _, data: ocsp.peek(data), lambda *_: (), _MAX_SMALL_BYTES, now
        )
        self._last: _Last | None = None

    def view(self) -> View:
        """What the directories show now."""
        return look(self._layout)

    def shows(self, view: View) -> bool:
        """Whether this view is the one of the last snapshot."""
        return self._last is not None and self._last.view == view

    def snapshot(self, view: View) -> Snapshot:
        """The snapshot of a view; the last one again, if nothing in it changed."""
        last = self._last if self._last is not None and self._last.view == view else None
        if last is not None and last.settled:
            return last.snapshot
        parts = _Parts(view, self._layout, self)
        values = parts.values()
        self._forget({file.path for file in (*view.files, *view.bundle_files)})
        settled = all(one.settled for one in self._contents)
        if last is not None and _same(values, last.values):
            self._last = last._replace(settled=settled)
            return last.snapshot
        snapshot = parts.snapshot(additional_anchors=self._additional_anchors)
        self._last = _Last(view, values, settled, snapshot)
        return snapshot

    def shows_content(self, path: Path, content: bytes) -> bool:
        """Whether the last snapshot was made of this content of a certificate file."""
        return self._certificates.shows(path, content)

    @property
    def _contents(self) -> tuple[Contents[CertificateFile], Contents[_Key], Contents[Any], Contents[Any]]:
        return self._certificates, self._keys, self._hashes, self._responses

    def _forget(self, present: set[Path]) -> None:
        for contents in self._contents:
            contents.forget(present)

    def certificate_file(self, file: Seen) -> CertificateFile:
        """What a certificate file holds."""
        return self._certificates.of(file)

    def key_file(self, file: Seen) -> KeyFile:
        """What a key file says."""
        reading, problem = self._keys.of(file)
        modified = _moment(file.modified_ns)
        problem = problem or reading.problem
        return KeyFile(file.path, reading.token, problem, reading.encrypted, file.size, file.mode, modified)

    def ocsp_entry(self, hash_file: Seen | None, response: Seen | None) -> OcspEntry:
        """A cached response, from the halves that are there."""
        some = (hash_file or response).path  # type: ignore[union-attr]  # never called without either
        cert_id = self._hashes.of(hash_file) if hash_file else None
        statements = self._responses.of(response) if response else ()
        return OcspEntry(
            some.with_suffix(".hash"),
            some.with_suffix(".der"),
            cert_id,
            ocsp.about(statements, cert_id),
            hash_file is not None,
            response is not None,
        )


def read_certificates(path: Path, data: bytes) -> CertificateFile:
    """What the bytes of a certificate file say."""
    blocks = pem.blocks(data)
    in_der = pem.is_der(data)
    return CertificateFile(path, blocks, None, in_der, not in_der and data.count(b"-----BEGIN ") > len(blocks))


def _same(values: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(values) == len(others) and all(
        one is other or (not isinstance(one, CertificateFile) and one == other)
        for one, other in zip(values, others, strict=True)
    )


class _Parts:
    """The files of one view, each with what it is."""

    def __init__(self, view: View, layout: Layout, picture: Picture) -> None:
        self._layout = layout
        self._forms = dict(view.forms)
        self._files = view.files
        self._unseen = view.unseen
        everything = (*view.files, *view.bundle_files)
        self._seen = {file.path: file for file in everything}
        self.leftovers = tuple(f.path for f in everything if f.path.name.endswith(TEMPORARY_SUFFIX))
        inner = [file for file in everything if file.path.parent.name in DERIVED_DIRECTORIES]
        self.derived = tuple(f.path for f in inner if f.path.parent.name != OCSP_DIRECTORY)
        self.certificates = {
            file.path: picture.certificate_file(file) for file in self._files if self._is_certificate(file.path)
        }
        self.keys = {file.path: picture.key_file(file) for file in self._files if self._is_key(file.path)}
        halves = [f.path for f in inner if f.path.parent.name == OCSP_DIRECTORY and _is_half(f.path)]
        self.ocsp = tuple(
            picture.ocsp_entry(self._seen.get(pair), self._seen.get(pair.with_suffix(".der")))
            for pair in sorted({path.with_suffix(".hash") for path in halves})
        )

    def values(self) -> tuple[object, ...]:
        """What the files hold: the same objects as long as nothing changed. Small values are compared by content."""
        return (*self.certificates.values(), *self.keys.values(), *self.ocsp)

    def _is_certificate(self, path: Path) -> bool:
        if path in self._layout.bundles.values():
            return True
        directories = {bundle for ca, bundle in self._layout.bundles.items() if self._forms[ca] is StoreForm.DIRECTORY}
        directories |= {leaf.certificates for leaf in self._layout.leaves.values()}
        return path.parent in directories and path.suffix.lower() in CERTIFICATE_SUFFIXES

    def _is_key(self, path: Path) -> bool:
        if path.suffix not in KEY_SUFFIXES or path.parent.name in DERIVED_DIRECTORIES:
            return False
        return any(
            leaf.keys in path.parents or path.parent == leaf.certificates for leaf in self._layout.leaves.values()
        )

    def snapshot(self, *, additional_anchors: bool) -> Snapshot:
        """Arrange the files by store."""
        cas = {ca_type: self._ca_store(ca_type, additional=additional_anchors) for ca_type in self._layout.bundles}
        leaves = {leaf_type: self._leaf_store(leaf_type) for leaf_type in self._layout.leaves}
        return Snapshot(
            cas=cas,
            leaves=leaves,
            ocsp=self.ocsp,
            leftovers=self.leftovers,
            derived=self.derived,
            names=frozenset(file.path for file in self._files),
            size=sum(file.size for file in self._files),
            problems=self._problems(),
            newest_written=self._newest_written(),
        )

    def _ca_store(self, ca_type: CaCertificateType, *, additional: bool) -> CaStore:
        path, form = self._layout.bundles[ca_type], self._forms[ca_type]
        if form is StoreForm.DIRECTORY:
            files = tuple(file for file in self.certificates.values() if file.path.parent == path)
        else:
            files = tuple(file for file in self.certificates.values() if file.path == path)
        return CaStore(ca_type, path, form, files, additional and ca_type is CaCertificateType.CSMS)

    def _leaf_store(self, leaf_type: LeafCertificateType) -> LeafStore:
        kind, directories = LEAF_KINDS[leaf_type], self._layout.leaves[leaf_type]
        foreign = kind.foreign_marks if self._layout.shared_leaf_directory else ()
        files = tuple(
            file
            for file in self.certificates.values()
            if file.path.parent == directories.certificates and not file.path.name.startswith(foreign)
        )
        keys = tuple(
            key
            for key in self.keys.values()
            if directories.keys in key.path.parents or key.path.parent == directories.certificates
        )
        listed = not any(directories.certificates in (one.path, one.path.parent) for one in self._unseen)
        return LeafStore(kind, directories.certificates, directories.keys, files, keys, listed)

    def _problems(self) -> tuple[Problem, ...]:
        found = [problem for file in self.certificates.values() for problem in file.problems]
        found += [Problem(key.path, key.problem) for key in self.keys.values() if key.problem]
        for ca_type, path in self._layout.bundles.items():
            if self._forms[ca_type] is StoreForm.UNREADABLE:
                found.append(Problem(path, "cannot be looked at"))
            elif self._forms[ca_type] is StoreForm.FILE and path not in self._seen:
                found.append(Problem(path, "not a regular file"))
        found += [Problem(*one) for one in self._unseen if one.why != NO_DIRECTORY]
        return tuple(found)

    def _newest_written(self) -> datetime | None:
        """When we wrote last, but for what was written by a clock that cannot have been right."""
        times = (
            _moment(file.modified_ns)
            for file in self._files
            if is_generated(file.path.name) and file.path.parent.name != DER_DIRECTORY
        )
        return max(filter(believable, times), default=None)


def _moment(nanoseconds: int) -> datetime:
    """A file's time; one that no calendar has is the last of all."""
    if nanoseconds >= _LAST_NS:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.fromtimestamp(max(nanoseconds, 0) / 1e9, UTC)


def _is_half(path: Path) -> bool:
    return path.suffix in (".hash", ".der")

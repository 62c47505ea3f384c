"""A store in memory: files by path, seen through the parsing code of the real one, without a disk.

    shelf = Shelf().put("ca/v2g/V2G_ROOT_CA.pem", w["Root"].pem)
    snapshot = shelf.look()
    for after in shelf.steps(decision): ...   # the store before the first change, and after each

Paths are relative to /station/certs, where `config` has EVerest's layout.
"""

from __future__ import annotations

import errno
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from evse_security.clock import Moment
from evse_security.config import StationConfig
from evse_security.keys.files import KeyReading, public_key_of
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate, certificate_of
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.store.changes import Change, Edit, Link, Remove, Write
from evse_security.store.layout import OCSP_DIRECTORY, TEMPORARY_SUFFIX, Layout
from evse_security.store.limits import Limits
from evse_security.store.listing import NO_DIRECTORY, Listing
from evse_security.store.picture import Picture
from evse_security.store.snapshot import Snapshot, StoreForm
from evse_security.store.stamp import Stamp, stamp_of
from evse_security.vocabulary import CaCertificateType, LeafCertificateType
from tests.builders import DAY, NOW, YEAR, World

CERTS = Path("/station/certs")
V2G, CSMS, MO, MF = (
    CaCertificateType.V2G,
    CaCertificateType.CSMS,
    CaCertificateType.MO,
    CaCertificateType.MF,
)
SECC_LEAF, CSMS_LEAF = LeafCertificateType.V2G, LeafCertificateType.CSMS
V2G_BUNDLE, CSMS_BUNDLE = "ca/v2g/V2G_ROOT_CA.pem", "ca/csms/CSMS_ROOT_CA.pem"
MO_BUNDLE, MF_BUNDLE = "ca/mo/MO_ROOT_CA.pem", "ca/mf/MF_ROOT_CA.pem"
BUNDLES = {V2G: V2G_BUNDLE, CSMS: CSMS_BUNDLE, MO: MO_BUNDLE, MF: MF_BUNDLE}

BELIEVED = Moment(NOW, None)
HOUR = timedelta(hours=1)
PAST = {"not_before": NOW - 2 * YEAR, "not_after": NOW - YEAR}
FUTURE = {"not_before": NOW + DAY, "not_after": NOW + YEAR}


def config(**overrides: Any) -> StationConfig:
    """EVerest's layout, at the tests' time."""
    return StationConfig.under(CERTS, **{"clock": lambda: NOW, **overrides})


def limits(**changes: Any) -> Limits:
    """The default limits."""
    usual = Limits(max_entries=2000, max_bytes=2**20, max_ca_certificates=None, csr_lifetime=HOUR, keep_newest=10)
    return replace(usual, **changes)


def token(number: int) -> str:
    """The varying part of a generated file name."""
    return f"M01_D01_Y2030_H00_M00_S00_i{number}_r{number}"


def of(world: World, holder: str) -> Certificate:
    """An entity's certificate as the rules know it."""
    return parsed(world[holder].der)


@functools.cache
def parsed(der: bytes) -> Certificate:
    """A certificate; the same object each time, so that signatures are verified once."""
    return certificate_of(der)


def id_of(world: World, holder: str) -> CertID:
    """An entity's identity, worked out from who issued it."""
    entity = world[holder]
    return certificate_id(parsed(entity.der), parsed((entity.issuer or entity).der))


class Stored(NamedTuple):
    """A file: its bytes (None: it cannot be read), mode and time."""

    content: bytes | None
    mode: int = 0o644
    modified: datetime = NOW


@dataclass(frozen=True)
class Shelf:
    """Files by path. Never changed in place."""

    config: StationConfig = field(default_factory=config)
    files: Mapping[Path, Stored] = field(default_factory=dict)
    directories: frozenset[Path] = frozenset()
    """CA bundles that are directories."""
    blocked: frozenset[Path] = frozenset()
    """Places that cannot be looked at."""
    away: frozenset[Path] = frozenset()
    """Directories of leaves that are not there."""
    astray: frozenset[Path] = frozenset()
    """Links that lead nowhere."""

    def path(self, name: str | Path) -> Path:
        """The absolute path of a file."""
        return CERTS / name

    def put(
        self, name: str | Path, content: str | bytes | None, *, mode: int = 0o644, age: timedelta = timedelta(0)
    ) -> Shelf:
        """With one more file; None: one that cannot be read."""
        octets = content.encode() if isinstance(content, str) else content
        return replace(self, files={**self.files, self.path(name): Stored(octets, mode, NOW - age)})

    def without(self, *names: str | Path) -> Shelf:
        """Without these files."""
        gone = {self.path(name) for name in names}
        return replace(self, files={path: stored for path, stored in self.files.items() if path not in gone})

    def with_directory(self, name: str) -> Shelf:
        """With a CA bundle that is a directory."""
        return replace(self, directories=self.directories | {self.path(name)})

    def with_leaf(self, world: World, *chain: str, number: int = 1, kind: str = "SECC", age: timedelta = HOUR) -> Shelf:
        """With an installed leaf: single file, chain file where there are sub-CAs, and key."""
        place = {"SECC": "client/cso", "CSMS": "client/csms"}[kind]
        leaf, *sub_cas = chain
        shelf = self.put(f"{place}/{kind}_LEAF_{token(number)}.pem", world[leaf].pem, age=age)
        if sub_cas:
            text = world.pem(*chain)
            shelf = shelf.put(f"{place}/CPO_CERT_{kind}_LEAF_CHAIN_{token(number)}.pem", text, age=age)
        return shelf.with_key(world, leaf, f"{place}/{kind}_LEAF_{token(number)}.key", age=age)

    def with_key(self, world: World, holder: str, name: str | Path, *, age: timedelta = HOUR) -> Shelf:
        """With a key file."""
        return self.put(name, world[holder].key_pem(), mode=0o600, age=age)

    def with_ocsp(self, name: str, cert_id: CertID | None, response: bytes | None) -> Shelf:
        """With a cached response; either half may be missing."""
        shelf = self if cert_id is None else self.put(f"{name}.hash", cert_id.lines)
        return shelf if response is None else shelf.put(f"{name}.der", response)

    def names(self) -> set[str]:
        """The files there are."""
        return {str(path.relative_to(CERTS)) for path in self.files}

    def text(self, name: str | Path) -> str:
        """What a file holds."""
        return (self.files[self.path(name)].content or b"").decode()

    def look(self) -> Snapshot:
        """The store as the rules see it."""
        layout = Layout.of(self.config)
        picture = Picture(
            layout,
            lambda data: _key(data, self.config.private_key_password),
            additional_anchors=self.config.additional_root_certificate_check,
            read=self._read,
        )
        listing = self._listing(layout)
        return picture.take(listing, listing.everything())

    def after(self, change: Change) -> Shelf:
        """The store after one change."""
        match change:
            case Write():
                return replace(self, files={**self.files, change.path: Stored(change.content, change.mode)})
            case Edit():
                content = change.applied(self.files[change.path].content or b"")
                return replace(self, files={**self.files, change.path: Stored(content)})
            case Remove():
                return self.without(change.path)
            case Link():
                raise AssertionError("no rule links")

    def steps(self, changes: Iterable[Change]) -> list[Shelf]:
        """The store before the first change, and after each."""
        found = [self]
        for change in changes:
            found.append(found[-1].after(change))
        return found

    def applied(self, changes: Iterable[Change]) -> Shelf:
        """The store after all changes."""
        return self.steps(changes)[-1]

    def _read(self, location: str, limit: int) -> bytes:
        content = self.files[Path(location)].content
        if content is None:
            raise PermissionError(errno.EACCES, "Permission denied")
        return content

    def _listing(self, layout: Layout) -> Listing:
        forms = {ca_type: self._form(path) for ca_type, path in layout.bundles.items()}
        places = {directory for leaf in layout.leaves.values() for directory in (leaf.certificates, leaf.keys)}
        places |= {layout.bundles[ca_type] for ca_type, form in forms.items() if form is StoreForm.DIRECTORY}
        own = {path for path in self.files if path in layout.bundles.values() or places & set(path.parents)}
        beside = {path for path in self.files.keys() - own if self._is_beside(path, layout)}
        unseen = {str(path): "Permission denied" for path in self.blocked}
        unseen |= {str(path): NO_DIRECTORY for path in self.away}
        unseen |= {str(path): "a link that leads nowhere" for path in self.astray}
        return Listing.of(forms, self._stamps(own), self._stamps(beside), unseen)

    def _form(self, path: Path) -> StoreForm:
        if path in self.blocked:
            return StoreForm.UNREADABLE
        if path in self.files:
            return StoreForm.FILE
        inside = any(path in one.parents for one in self.files)
        return StoreForm.DIRECTORY if inside or path in self.directories else StoreForm.MISSING

    def _is_beside(self, path: Path, layout: Layout) -> bool:
        parents = {bundle.parent for bundle in layout.bundles.values()}
        in_ocsp = path.parent.name == OCSP_DIRECTORY and path.parent.parent in parents
        return in_ocsp or (path.parent in parents and path.name.endswith(TEMPORARY_SUFFIX))

    def _stamps(self, paths: Iterable[Path]) -> dict[str, Stamp]:
        return {str(path): _stamp(self.files[path]) for path in sorted(paths)}


def _stamp(stored: Stored) -> Stamp:
    return stamp_of(
        SimpleNamespace(
            st_size=1 if stored.content is None else len(stored.content),
            st_ino=0,
            st_dev=0,
            st_mtime_ns=int(stored.modified.timestamp() * 1e9),
            st_ctime_ns=0,
            st_mode=stored.mode,
        )
    )


@functools.cache
def _key(content: bytes, password: str | None) -> KeyReading:
    return public_key_of(content, password)


def junk_block(kind: str = "CERTIFICATE") -> str:
    """A PEM block that is none."""
    return f"-----BEGIN {kind}-----\nbm90aGluZw==\n-----END {kind}-----\n"


def names_in(text: str) -> list[str]:
    """The certificates of a text, by common name."""
    found = (block.certificate for block in pem.blocks(text.encode()))
    return [c.name.split("CN=")[1].split(",")[0] for c in found if c is not None]

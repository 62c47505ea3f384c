"""A station on a real directory, asked in every way there is, and what its answers did to the disk."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from evse_security import CertificateHashData, CertificateStoreUpdate, Station, StationConfig
from evse_security.store.files import Files
from evse_security.store.lock import LOCK_FILE
from tests.builders import NOW, World, csms, world

PASSWORD = "correct horse battery staple"
"""Of all keys of the tests; no log may ever hold it."""

RANDOM = r"M01_D\d\d_Y2030_H\d\d_M\d\d_S\d\d_i\d+_r\d+"
"""The varying part of new file names, at the time of the tests."""


class Way(Enum):
    """How a command is called."""

    TYPED = "typed"
    JSON = "json"


Revision = Literal["2023-10", "2026-04"]
Names = tuple[str, ...]
OLD: Literal["2023-10"] = "2023-10"
NEW: Literal["2026-04"] = "2026-04"
WAYS: list[tuple[Revision, Way]] = [(OLD, Way.TYPED), (OLD, Way.JSON), (NEW, Way.TYPED), (NEW, Way.JSON)]


def tree(directory: Path) -> dict[str, bytes]:
    """All files and links below a directory but lock files and the audit log, with what they hold or lead to."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(directory))] = b"-> " + str(path.readlink()).encode()
        elif path.is_file() and path.parent != directory / "audit" and path.name != LOCK_FILE:
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


@dataclass
class Change:
    """What happened between two looks at the disk."""

    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    altered: set[str] = field(default_factory=set)
    updates: list[tuple[str, str]] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.added or self.removed or self.altered or self.updates)

    def is_like(self, added: Names = (), removed: Names = (), altered: Names = ()) -> bool:
        """Whether exactly those files changed; each pattern is a regular expression for exactly one name."""
        return all(
            len(names) == len(patterns) and all(any(re.fullmatch(p, n) for n in names) for p in patterns)
            for names, patterns in ((self.added, added), (self.removed, removed), (self.altered, altered))
        )


@dataclass
class Bench:
    """A station under test."""

    root: Path
    station: Station
    hands: list[datetime]
    seen: list[CertificateStoreUpdate]

    def set_clock(self, now: datetime) -> None:
        self.hands[0] = now

    def ask(self, command: str, revision: Revision = NEW, way: Way = Way.JSON, **arguments: Any) -> Any:
        """Answer one command in JSON's words, whichever way it is asked. Enumerations are plain strings throughout."""
        if way is Way.JSON:
            return self.station.dispatch(command, as_json(arguments), revision=revision)
        return as_json(getattr(self.station.interface(revision), command)(**arguments))

    @contextmanager
    def watched(self) -> Iterator[Change]:
        before, said = tree(self.root), len(self.seen)
        change = Change()
        yield change
        after = tree(self.root)
        change.added, change.removed = after.keys() - before.keys(), before.keys() - after.keys()
        change.altered = {name for name in after.keys() & before.keys() if after[name] != before[name]}
        change.updates = [
            (str(u.operation), str(u.ca_certificate_type or u.leaf_certificate_type)) for u in self.seen[said:]
        ]

    # ---- the steps of a station's life

    def install(self, pem: str, certificate_type: str = "V2G") -> str:
        answer: str = self.ask("install_ca_certificate", certificate=pem, certificate_type=certificate_type)
        return answer

    def request(self, certificate_type: str = "V2G", **changes: Any) -> str:
        asked = {"country": "DE", "organization": "Operator", "common": "DE*ABC*E1", "use_tpm": False, **changes}
        answer = self.ask("generate_certificate_signing_request", certificate_type=certificate_type, **asked)
        assert answer["status"] == "Accepted"
        csr: str = answer["csr"]
        return csr

    def update(self, chain: str, certificate_type: str = "V2G") -> str:
        answer: str = self.ask("update_leaf_certificate", certificate_chain=chain, certificate_type=certificate_type)
        return answer

    def renew(self, made: World, certificate_type: str = "V2G", authority: str = "Sub2", **changes: Any) -> str:
        """A new key, a request, its certificate installed. Returns the chain: leaf, then the sub-CAs."""
        chain = csms(made, authority).answer(self.request(certificate_type), **changes)
        assert self.update(chain, certificate_type) == "Accepted"
        return chain

    def listed(self, *certificate_types: str) -> list[dict[str, Any]]:
        answer = self.ask("get_installed_certificates", certificate_types=list(certificate_types))
        found: list[dict[str, Any]] = answer["certificate_hash_data_chain"]
        assert (answer["status"] == "Accepted") == bool(found)
        return found

    def delete(self, hash_data: Mapping[str, str]) -> str:
        answer: str = self.ask("delete_certificate", certificate_hash_data=record(hash_data))
        return answer

    def info(self, certificate_type: str = "V2G", encoding: str = "PEM", *, ocsp: bool = False) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask(
            "get_leaf_certificate_info", certificate_type=certificate_type, encoding=encoding, include_ocsp=ocsp
        )
        return answer

    def put(self, place: str, content: str | bytes) -> Path:
        """A file placed by hand."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def bench(root: Path, *, now: datetime = NOW, files: Files | None = None, **config: Any) -> Bench:
    """A station in EVerest's layout below a directory, its clock in the test's hands, and its writing if given."""
    hands, seen = [now], list[CertificateStoreUpdate]()
    station = Station(StationConfig.under(root, clock=lambda: hands[0], **config), files)
    station.subscribe(seen.append)
    return Bench(root, station, hands, seen)


def as_json(value: Any) -> Any:
    """A typed value as JSON would carry it: absent optionals are absent keys."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: as_json(member) for name, member in pairs if member is not None}
    if isinstance(value, dict):
        return {name: as_json(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(member) for member in value]
    return str(value) if isinstance(value, str) else value


def record(hash_data: Mapping[str, str]) -> CertificateHashData:
    """Hash data for a typed call; the algorithm stays the plain string it is in JSON."""
    return CertificateHashData(**hash_data)  # type: ignore[arg-type]


def standard() -> World:
    """A V2G root with two sub-CAs and a leaf, as ISO 15118-2 has it."""
    return world("V2GRoot > Sub1 > Sub2 > SECC", Sub1=NAMED, Sub2=NAMED, SECC=NAMED)


NAMED = {"responder_urls": ("http://ocsp.example/",)}
"""Certificates that name their OCSP responder."""


class ReadOnly(Files):
    """A file system that takes nothing."""

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    write_copy = write_new

    def make_link(self, path: Path, leads_to: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

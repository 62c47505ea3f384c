"""A backup as one file: a plain tar archive (ustar) that any tool opens, with a manifest of what is in it.

Files are named by what they are to the station, not by where they lay: `ca/V2G/bundle/…` is the file of the V2G roots
(`ca/V2G/files/…` where they are in a directory), `leaves/CSMS/keys/…` the private keys of CSMS leaves. So a backup can
be restored on another machine with another layout. The same files at the same time make the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any, NamedTuple

from evse_security.additions import CA_TYPES
from evse_security.store.layout import KEY_SUFFIXES
from evse_security.vocabulary import LeafCertificateType

FORMAT = 1
MANIFEST = "manifest.json"
BLOCK = 512
"""Bytes of a header, and what contents are padded to."""
_MOST_FILES = 200_000
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,79}", re.ASCII)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}", re.ASCII)

CA_ROLES = {f"ca/{ca_type}": ca_type for ca_type in CA_TYPES}
LEAF_ROLES = {f"leaves/{leaf_type}": leaf_type for leaf_type in (LeafCertificateType.V2G, LeafCertificateType.CSMS)}
ROLES = frozenset(
    {f"{base}/{part}" for base in CA_ROLES for part in ("bundle", "files", "ocsp")}
    | {f"{base}/{part}" for base in LEAF_ROLES for part in ("certificates", "keys", "ocsp")}
)
"""What a file can be to a station."""


class Unreadable(ValueError):
    """A file that is no backup, or no longer."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the store. `path` is its name below what its role stands for."""

    role: str
    path: str
    content: bytes = field(repr=False)
    mode: int
    damaged: bool = False
    """Whether it could not be read in full when the backup was made: it need not be what its name says."""

    @property
    def is_secret(self) -> bool:
        """Whether it holds a private key, or may."""
        return self.is_key or b"PRIVATE KEY" in self.content

    @property
    def is_key(self) -> bool:
        """Whether it is a private key by its place or name: keys of leaves may lie among certificates, in DER too."""
        is_named_so = PurePath(self.path).suffix.lower() in KEY_SUFFIXES
        return self.role.endswith("/keys") or (is_named_so and self.role.endswith("/certificates"))


class LeftOut(NamedTuple):
    """A file that could not be read, and so is not in the backup."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Archive:
    """All that a backup holds."""

    items: tuple[Item, ...]
    made: datetime
    version: str
    left_out: tuple[LeftOut, ...] = ()


def packed(archive: Archive) -> bytes:
    """The archive's bytes: the manifest, then the files in order of their names."""
    items = sorted(archive.items, key=lambda item: (item.role, item.path))
    entries = [(_member(item), item) for item in items]
    files = [
        {
            "name": name,
            "role": item.role,
            "path": item.path,
            "size": len(item.content),
            "sha256": hashlib.sha256(item.content).hexdigest(),
            "mode": f"{item.mode:04o}",
            **({"damaged": True} if item.damaged else {}),
        }
        for name, item in entries
    ]
    manifest = {
        "format": FORMAT,
        "made": f"{archive.made:%Y-%m-%dT%H:%M:%SZ}",
        "by": f"evse-security {archive.version}",
        "files": files,
        "left_out": [one._asdict() for one in archive.left_out],
    }
    time = int(archive.made.timestamp())
    text = (json.dumps(manifest, indent=1) + "\n").encode("ascii")
    members = [_packed(MANIFEST, text, 0o600, time)]
    members += [_packed(name, item.content, item.mode, time) for name, item in entries]
    return b"".join(members) + bytes(2 * BLOCK)


def _member(item: Item) -> str:
    """A name that every tar and file system takes; the manifest knows the file's own."""
    parts = item.path.split("/")
    if len(parts) == 1 and _PLAIN_NAME.fullmatch(parts[0]):
        return f"{item.role}/{item.path}"
    digest = hashlib.sha256(item.path.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    stem, dot, suffix = parts[-1].rpartition(".")
    ending = f".{suffix}" if stem and _SUFFIX.fullmatch(dot + suffix) else ""
    return f"{item.role}/odd-{digest}{ending}"


def _packed(name: str, content: bytes, mode: int, time: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), mode, time
    return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict") + content + bytes(-len(content) % BLOCK)


# ---- reading


def opened(data: bytes) -> Archive:
    """Read and verify an archive: every file is there, once, and is what the manifest says. Raises `Unreadable`."""
    members = dict[str, bytes]()
    for name, content in _members(data):
        if name in members or len(members) > _MOST_FILES:
            raise Unreadable(f"{name[:100]} is in it twice" if name in members else "it holds too many files")
        members[name] = content
    if MANIFEST not in members:
        raise Unreadable("it is no backup of evse-security: there is no manifest in it")
    manifest = _manifest(members.pop(MANIFEST))
    try:
        files = list(manifest["files"])
        items = tuple(_item(entry, members) for entry in files)
        made = datetime.fromisoformat(manifest["made"])
        left_out = tuple(LeftOut(str(one["path"]), str(one["why"])) for one in manifest["left_out"])
    except (KeyError, TypeError, ValueError) as problem:
        if isinstance(problem, Unreadable):
            raise
        raise Unreadable(f"its manifest is not as it should be: {type(problem).__name__}") from None
    if made.tzinfo is None or len({entry["name"] for entry in files}) != len(members):
        raise Unreadable("it does not hold exactly the files of its manifest")
    if len({(item.role, item.path) for item in items}) != len(items):
        raise Unreadable("its manifest names a file twice")
    return Archive(items, made, str(manifest.get("by", "")), left_out)


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of a tar archive that holds nothing but regular files: no links, devices or extensions."""
    at = 0
    while True:
        header = data[at : at + BLOCK]
        if len(header) < BLOCK:
            raise Unreadable("it is cut off" if at else "it is no backup of evse-security")
        if header == bytes(BLOCK):
            if data[at:].strip(b"\0") or len(data) - at < 2 * BLOCK:
                raise Unreadable("it does not end as it should")
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError, OverflowError):
            raise Unreadable("it is damaged" if at else "it is no backup of evse-security") from None
        if info.type != tarfile.REGTYPE or header[257:265] != b"ustar\x0000":
            raise Unreadable("it holds something else than plain files")
        begin, end = at + BLOCK, at + BLOCK + info.size
        if info.size < 0 or end > len(data):
            raise Unreadable("it is cut off")
        yield info.name, data[begin:end]
        at = end + (-info.size % BLOCK)


def _manifest(text: bytes) -> Mapping[str, Any]:
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("its manifest is not JSON") from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if type(found) is not int or found < 1:
        raise Unreadable("its manifest does not say which format it is")
    if found > FORMAT:
        raise Unreadable(f"it has format {found}, which only a newer version reads; this one reads up to {FORMAT}")
    return dict(manifest)


def _item(entry: Mapping[str, Any], members: Mapping[str, bytes]) -> Item:
    name, role, path = entry["name"], entry["role"], entry["path"]
    content = members.get(name)
    if content is None:
        raise Unreadable(f"{name!a:.100} is missing in it")
    if len(content) != entry["size"] or hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise Unreadable(f"{name!a:.100} was altered: its digest is not that of the manifest")
    mode = int(entry["mode"], 8)
    if role not in ROLES or not is_below(path) or not 0 <= mode <= 0o777:
        raise Unreadable(f"{name!a:.100} would be put where no file of a store belongs")
    return Item(role, path, content, mode, entry.get("damaged") is True)


def is_below(path: object) -> bool:
    """Whether a path leads to a file below where it starts, on every file system."""
    if not isinstance(path, str) or "\0" in path or len(path) > 1000:
        return False
    parts: Sequence[str] = path.split("/")
    return len(parts) <= 9 and all(part not in ("", ".", "..") and len(part) <= 255 for part in parts)


def secrets_in(items: Iterable[Item]) -> int:
    """How many of the files hold private keys that no password protects."""
    return sum(item.is_secret and b"ENCRYPTED" not in item.content for item in items)

"""A station with something of everything installed, for hostile callers; and what holds of its answers."""

from __future__ import annotations

import logging
import re
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from evse_security import Station, StationConfig
from evse_security.store.lock import LOCK_FILE
from evse_security.vocabulary import MaxLength
from tests.builders import NOW, World, key, ocsp_answer, world

PASSWORD = "correct horse battery staple"
"""Of some keys of the station; nothing that is said may hold it."""
NAMED = {"responder_urls": ("http://ocsp.example/",)}

_BODY = re.compile(r"(?!x{40})(?=[A-Za-z0-9+]*[G-Zg-z])[A-Za-z0-9+]{40,}")
"""Base64 of keys and certificates; digests are hexadecimal, and files with the longest names are made of x here."""


@cache
def pki() -> World:
    """Who is installed, and who may be: Next has a key that waits for its certificate, NewRoot is not installed."""
    return world(
        "V2GRoot > Sub1 > Sub2 > SECC", "Sub2 > Next", "MORoot > MOSub > Contract", "CSMSRoot > Client",
        "MFRoot > Signer", "OEMRoot > OEMSub >", "NewRoot > NewSub > Stranger",
        Sub1=NAMED, Sub2=NAMED, SECC=NAMED, Next=NAMED, Contract=NAMED,
    )  # fmt: skip


Files = dict[str, bytes]


@cache
def furniture() -> Files:
    """The files of the station, by their places."""
    w = pki()
    files = {
        "ca/v2g/V2G_ROOT_CA.pem": w.pem("V2GRoot", "Sub1"),
        "ca/mo/MO_ROOT_CA.pem": w.pem("MORoot", "MOSub"),
        "ca/csms/CSMS_ROOT_CA.pem": w["CSMSRoot"].pem,
        "ca/mf/MF_ROOT_CA.pem": w["MFRoot"].pem,
        "ca/oem/OEM_ROOT_CA.pem": w.pem("OEMRoot", "OEMSub"),
        "client/cso/CPO_CERT_CHAIN.pem": w.pem("SECC", "Sub2", "Sub1"),
        "client/cso/SECC_LEAF.pem": w["SECC"].pem,
        "client/cso/SECC_LEAF.key": w["SECC"].key_pem(PASSWORD),
        "client/cso/WAITING.key": w["Next"].key_pem(),
        "client/csms/CSMS_LEAF.pem": w["Client"].pem,
        "client/csms/CSMS_LEAF.key": w["Client"].key_pem(),
        "firmware.bin": "firmware",
    }
    return {place: content.encode() for place, content in files.items()}


@dataclass
class Heard(logging.Handler):
    """What is logged, and that it is fit to be sent to a stranger."""

    level: int = logging.DEBUG
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.level)

    __hash__ = logging.Handler.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def fit_for_strangers(text: str) -> bool:
    """No key, password or body of PEM, and nothing that acts on a terminal. A file's name may be anything."""
    return not ("-----" in text or PASSWORD in text or _BODY.search(text)) and text.isprintable()


class Home:
    """A station in a directory that can be made what it was."""

    def __init__(self, root: Path, files: Files) -> None:
        self.root, self.files = root, files
        self.station = Station(StationConfig.under(root, clock=lambda: NOW, private_key_password=PASSWORD))
        self._put(files)
        for kind in ("V2G", "CSMS"):  # the copies in DER are there from now on
            asked = {"certificate_type": kind, "encoding": "DER", "include_ocsp": True}
            assert self.station.dispatch("get_leaf_certificate_info", asked)["status"] == "Accepted"
        self.files = tree(root)

    def _put(self, files: Files) -> None:
        for place, content in files.items():
            path = self.root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def restored(self) -> bool:
        """Make it what it was. Whether there was anything to do."""
        found = tree(self.root)
        if found == self.files:
            return False
        for place in found.keys() - self.files.keys():
            (self.root / place).unlink()
        self._put({place: content for place, content in self.files.items() if found.get(place) != content})
        return True

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Demand that all that is logged meanwhile is fit for strangers."""
        heard, log = Heard(), logging.getLogger("evse_security")
        before = log.level, log.propagate
        log.addHandler(heard)
        log.setLevel(logging.DEBUG)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(heard)
            log.setLevel(before[0])
            log.propagate = before[1]
        assert all(map(fit_for_strangers, heard.said)), [ascii(one) for one in heard.said]


def tree(directory: Path) -> Files:
    """All files below a directory but lock files, and the audit log, in which refusals are written too."""
    found = (path for path in directory.rglob("*") if path.name != LOCK_FILE and path.is_file())
    places = {str(path.relative_to(directory)): path for path in found}
    return {place: path.read_bytes() for place, path in places.items() if not place.startswith("audit/")}


def in_memory() -> Path | None:
    """A directory of files that are never forced to a disk, where there is one."""
    shared = Path("/dev/shm")  # noqa: S108  directories are made in it, with names that nobody can guess
    return shared if shared.is_dir() else None


@cache
def room() -> tempfile.TemporaryDirectory[str]:
    """A place in memory where there is one, as long as the process lasts."""
    return tempfile.TemporaryDirectory(dir=in_memory())


@cache
def home() -> Home:
    return Home(Path(room().name, "home"), furniture())


def responses() -> list[str]:
    """OCSP responses as update_ocsp_cache takes them."""
    return [b64encode(ocsp_answer(pki(), holder)).decode() for holder in ("SECC", "Sub2", "Sub1")]


def signature() -> str:
    """Of firmware.bin, by the key of Signer."""
    from evse_security.lab.keys import sign

    return b64encode(sign(key("Signer"), b"firmware")).decode()


def is_of(hint: Any, value: Any) -> bool:
    """Whether a JSON value is one that the declaration promises."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(is_of(one, value) for one in get_args(hint))
    if origin is tuple:
        return isinstance(value, list) and all(is_of(get_args(hint)[0], member) for member in value)
    if hasattr(hint, "__metadata__"):
        longest = min(one.characters for one in hint.__metadata__ if isinstance(one, MaxLength))
        return is_of(get_args(hint)[0], value) and len(value) <= longest
    if origin is Literal:
        return value in get_args(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return value in set(hint)
    if hasattr(hint, "__dataclass_fields__"):
        hints = get_type_hints(hint, include_extras=True)
        return isinstance(value, dict) and all(is_of(hints[name], member) for name, member in value.items())
    return value is None if hint in (None, type(None)) else type(value) is hint

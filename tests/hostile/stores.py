"""Directories of a store with things in them that belong nowhere, and what holds of a station on them."""

from __future__ import annotations

import io
import os
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from evse_security import CommandRefused, Station
from evse_security.cli import main
from evse_security.errors import NotWritable
from evse_security.serve.command import commands
from tests.builders import ocsp_answer
from tests.hostile import arguments, keys, pki
from tests.hostile import home as homes
from tests.hostile.arguments import LISTED, NEW, OEM, OLD
from tests.hostile.commands import opened
from tests.hostile.home import PASSWORD, Home, is_of
from tests.hostile.target import Target
from tests.hostile.trees import altered_octets

SPARSE = 1 << 30
"""Bytes of a file that takes none of the disk."""

# ---- what is put where


@dataclass(frozen=True)
class Piece:
    """Something at a place of the store. `kind` is one of `KINDS`; contents are for files, and say where links lead."""

    place: bytes
    kind: str
    content: bytes = b""


def _file(path: bytes, content: bytes) -> None:
    Path(os.fsdecode(path)).write_bytes(content)


def _sparse(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.truncate(SPARSE)


def _socket(path: bytes, _: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


def _device(path: bytes, _: bytes) -> None:
    with suppress(PermissionError):
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # as /dev/zero


def _deep(path: bytes, content: bytes) -> None:
    for _ in range(40):
        os.mkdir(path)
        path += b"/x"
    _file(path + b".pem", content)


def _wide(path: bytes, content: bytes) -> None:
    os.mkdir(path)
    for n in range(50):
        _file(path + b"/%d.pem" % n, content)


KINDS: dict[str, Callable[[bytes, bytes], None]] = {
    "file": _file,
    "sparse file": _sparse,
    "pipe": lambda path, _: os.mkfifo(path),
    "socket": _socket,
    "device": _device,
    "link": lambda path, content: os.symlink(content.replace(b"\0", b"")[:200] or b".", path),
    "directory": lambda path, _: os.mkdir(path),
    "deep directory": _deep,
    "directory of many": _wide,
    "nothing": lambda _path, _content: None,
}
LEADS = (b"loop.pem", b".", b"..", b"/dev/zero", b"/proc/self/mem", b"/", b"nowhere", b"x" * 150, b"/proc/self/fd/0",
         b"../cso", b"CPO_CERT_CHAIN.pem", b"SECC_LEAF.key", b"../../ca/v2g/V2G_ROOT_CA.pem")  # fmt: skip
DIRECTORIES = (b"client/cso", b"client/cso", b"client/csms", b"ca/v2g", b"ca/mo", b"client/cso/ocsp",
               b"client/cso/der", b"ca/v2g/ocsp", b"ca/v2g/V2G_ROOT_CA.pem", b"client", b"")  # fmt: skip
NAMES = (b"x.pem", b"x.der", b"x.crt", b"x.key", b"x_ocsp.hash", b"x_ocsp.der", b"loop.pem", b"a\nb.pem",
         b"\xff\xfe.pem", b"\x1b[2J.pem", b".pem", b"-.pem", b".x.tmp", b".evse-security.lock", b"\xe2\x80\xae.key",
         b"\xed\xa0\x80.key", b"%s.pem", b"x" * 251 + b".pem", b"abcdef01.0", b"\xff.key", b"\xff_ocsp.hash",
         b"\xff_ocsp.der", b"tls.crt")  # fmt: skip
TAKEN = (b"ca/v2g/V2G_ROOT_CA.pem", b"ca/mo/MO_ROOT_CA.pem", b"ca/csms/CSMS_ROOT_CA.pem", b"client/cso",
         b"client/cso/der", b"client/cso/ocsp", b"client/cso/SECC_LEAF.pem", b"client/cso/SECC_LEAF.key",
         b"client/cso/CPO_CERT_CHAIN.pem", b"client/csms/CSMS_LEAF.key", b"ca/v2g", b"ca",
         b"client/cso/ocsp/r.hash", b"client/cso/ocsp/r.der")  # fmt: skip

_texts = st.deferred(lambda: st.sampled_from([*homes.furniture().values(), *pki.pem_texts()]))
CONTENTS = st.one_of(
    _texts,
    altered_octets(_texts),
    pki.certificates_signed_again(arguments.signers),
    arguments.TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    keys.files,
    pki.hash_files,
    pki.responses_signed_again(),
    st.deferred(lambda: st.just(ocsp_answer(homes.pki(), "SECC"))),
    st.sampled_from(LEADS),
    st.binary(max_size=60),
)
_new = st.builds(lambda directory, name: directory + b"/" + name, st.sampled_from(DIRECTORIES), st.sampled_from(NAMES))
_kinds = st.sampled_from([*KINDS, *["file"] * 8, "link", "link"])
Scene = tuple[str, list[Piece]]
"""Which station it is, and what is put into it."""
_taken_or_new = st.one_of(_new, st.sampled_from(TAKEN))
_station_kinds = st.sampled_from(["bundles in files", "bundles in directories"])
ADDED = st.tuples(_station_kinds, st.lists(st.builds(Piece, _new, _kinds, CONTENTS), min_size=1, max_size=5))
REPLACED = st.tuples(
    _station_kinds, st.lists(st.builds(Piece, _taken_or_new, _kinds, CONTENTS), min_size=1, max_size=5)
)


def put(root: Path, piece: Piece) -> None:
    """Put it there, in the place of what is there."""
    path = os.path.join(os.fsencode(root), piece.place)
    with suppress(OSError):  # a place below what is no directory, or taken by one that is not empty
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        KINDS[piece.kind](path, piece.content)


# ---- asking


READING: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *((OEM, called, {"certificate_type": "OEM"}) for called in ("get_verify_file", "get_verify_location")),
    (OEM, "get_installed_certificates", {"certificate_types": ["OEMRootCertificate"]}),
    (NEW, "get_installed_certificates", {"certificate_types": LISTED}),
    (NEW, "get_v2g_ocsp_request_data", {}),
    (OLD, "get_ocsp_request_data", {}),
    *((NEW, "is_ca_certificate_installed", {"certificate_type": kind}) for kind in ("V2G", "MO", "CSMS")),
    *((NEW, "get_verify_file", {"certificate_type": kind}) for kind in ("V2G", "MO", "CSMS")),
    *((NEW, "get_verify_location", {"certificate_type": kind}) for kind in ("V2G", "MO")),
    (OLD, "get_key_pair", {"certificate_type": "V2G", "encoding": "PEM"}),
    (NEW, "get_leaf_certificate_info", {"certificate_type": "V2G", "encoding": "DER", "include_ocsp": True}),
    (NEW, "get_leaf_certificate_info", {"certificate_type": "CSMS", "encoding": "PEM", "include_ocsp": False}),
    (NEW, "get_all_valid_certificates_info", {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}),
    (NEW, "get_leaf_expiry_days_count", {"certificate_type": "V2G"}),
)


def writing() -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls that change a store, the older ones first."""
    w, data = homes.pki(), arguments.hash_data()
    request = {"country": "DE", "organization": "Operator", "common": "DE*ABC*E1", "use_tpm": False}
    yield "generate_certificate_signing_request", {"certificate_type": "V2G", **request}
    yield "install_ca_certificate", {"certificate": w["NewRoot"].pem, "certificate_type": "V2G"}
    yield "install_ca_certificate", {"certificate": w["NewRoot"].pem, "certificate_type": "OEM"}
    yield "update_leaf_certificate", {"certificate_chain": w.pem("Next", "Sub2", "Sub1"), "certificate_type": "V2G"}
    yield "update_ocsp_cache", {"certificate_hash_data": data[3], "ocsp_response": homes.responses()[0]}
    yield "delete_certificate", {"certificate_hash_data": data[4]}
    yield "delete_certificate", {"certificate_hash_data": data[3]}


def _answer(station: Station, revision: str, called: str, asked: dict[str, Any]) -> Any:
    try:
        answer = station.dispatch(called, asked, revision=revision)
    except CommandRefused as refusal:
        assert PASSWORD not in str(refusal)
        return None
    assert is_of(commands(revision)[called].result, answer), answer
    return answer


def read_all(station: Station) -> dict[str, Any]:
    """What every command answers that reads."""
    answers = {called: _answer(station, revision, called, asked) for revision, called, asked in READING}
    station.overview()
    station.sweep(dry_run=True)
    return answers


def _show(root: Path) -> None:
    """What the command line says of it, none of which acts on a terminal."""
    subcommands = (
        ["show"],
        ["show", "--json"],
        ["sweep", "--dry-run"],
        ["doctor"],
        ["doctor", "--json"],
        ["explain", "V2G"],
    )
    for subcommand in subcommands:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            assert main(["--certs", str(root), *subcommand], environment={}, opener=opened) < 64
        assert all(line.isprintable() for line in (*out.getvalue().split("\n"), *err.getvalue().split("\n")))
        out.getvalue().encode("utf-8")


@contextmanager
def _station(kind: str) -> Iterator[Home]:
    files = {_moved(place) if "directories" in kind else place: it for place, it in homes.furniture().items()}
    with tempfile.TemporaryDirectory(dir=homes.room().name) as root:
        yield Home(Path(root, "home"), files)


def _moved(place: str) -> str:
    """Where a bundle lies if its path is a directory."""
    return f"{place}/some.pem" if place.startswith("ca/") else place


# ---- what must hold


def check_added(scene: Scene) -> None:
    """Whatever lies beside them, what is installed is found and used, and the station can be changed."""
    kind, pieces = scene
    with _station(kind) as home:
        read_all(home.station)
        for piece in pieces:
            put(home.root, piece)
        with home.listening():
            answers = read_all(home.station)
            _show(home.root)
            done = [
                _answer(home.station, OEM if called == "install_ca_certificate" else NEW, called, asked)
                for called, asked in writing()
            ]
            with suppress(NotWritable):
                home.station.sweep()
            read_all(home.station)
    assert answers["get_leaf_certificate_info"]["status"] == "Accepted"
    assert answers["is_ca_certificate_installed"] is True
    listed = {one["certificate_hash_data"]["serial_number"] for one in _chains(answers)}
    assert {f"{homes.pki()[holder].certificate.serial_number:x}" for holder in ("V2GRoot", "MORoot", "SECC")} <= listed
    assert done[0] is not None


def _chains(answers: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answers["get_installed_certificates"]["certificate_hash_data_chain"]
    return found


def check_replaced(scene: Scene) -> None:
    """Whatever is in the place of what belongs there: the station answers, and neither hangs nor falls over."""
    kind, pieces = scene
    with _station(kind) as home:
        for piece in pieces:
            put(home.root, piece)
        with home.listening():
            read_all(home.station)
            _show(home.root)
            for called, asked in writing():
                _answer(home.station, OEM if called == "install_ca_certificate" else NEW, called, asked)
            with suppress(NotWritable):
                home.station.sweep()
            read_all(home.station)


def check_while_changing(scene: Scene) -> None:
    """Somebody puts things into the store, and takes them out, while it is read and changed."""
    kind, pieces = scene
    with _station(kind) as home, home.listening():
        stop = threading.Event()
        other = threading.Thread(target=_change_until, args=(stop, home.root, pieces))
        other.start()
        try:
            for called, asked in writing():
                read_all(home.station)
                _answer(home.station, OEM if called == "install_ca_certificate" else NEW, called, asked)
        finally:
            stop.set()
            other.join()
        read_all(home.station)


def _change_until(stop: threading.Event, root: Path, pieces: list[Piece]) -> None:
    while not stop.is_set():
        for piece in pieces:
            put(root, piece)
            put(root, Piece(piece.place, "nothing"))
            path = os.path.join(os.fsencode(root), piece.place)
            with suppress(OSError), open(path, "wb") as file:  # in pieces, and for long no valid one
                file.write(piece.content[:20])
                file.flush()
                file.write(piece.content[20:])


TARGETS = {
    "store with more in it": Target(ADDED, check_added, 8),
    "store with other things in it": Target(REPLACED, check_replaced, 8),
}
RACES = {"store that changes meanwhile": Target(ADDED, check_while_changing)}
"""For `make fuzz` alone: what happens in which order is not the same in every run."""

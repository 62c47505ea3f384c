"""Firmware files: regular ones of any size are streamed, and nothing else is so much as opened."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding

from evse_security.lab.authority import Template, name
from evse_security.lab.firmware import sign_firmware
from evse_security.lab.keys import KeyKind
from evse_security.pki.certificate import Certificate
from evse_security.store.firmware import file_signature_is_valid, open_file_signature_is_valid
from tests.builders import key, world

KINDS = [KeyKind.SECP256R1, KeyKind.RSA2048, KeyKind.ED25519, KeyKind.ED448]
CONTENT = bytes(range(256)) * 5000


def signer(kind: KeyKind) -> Certificate:
    return Certificate(world("Maker > Signer", Signer={"key": kind})["Signer"].der)


def signature(content: bytes, kind: KeyKind) -> bytes:
    return base64.b64decode(sign_firmware(content, key("Signer", kind)))


def empty(kind: KeyKind) -> bytes:
    """What would confirm a file that reads as empty."""
    return signature(b"", kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=len)
def test_a_file_and_a_tampered_one(tmp_path: Path, kind: KeyKind, content: bytes) -> None:
    file = tmp_path / "firmware.bin"
    file.write_bytes(content)
    signed = signature(content, kind)
    assert file_signature_is_valid(file, signer(kind), signed)
    file.write_bytes(content + b"!")
    assert not file_signature_is_valid(file, signer(kind), signed)
    assert sorted(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_signs_the_same(tmp_path: Path, kind: KeyKind) -> None:
    file, private, signed = tmp_path / "firmware.bin", tmp_path / "key.pem", tmp_path / "signature"
    file.write_bytes(CONTENT)
    made = world("Maker > Signer", Signer={"key": kind})["Signer"]
    private.write_text(made.key_pem())
    raw = ["-rawin"] if kind in (KeyKind.ED25519, KeyKind.ED448) else ["-rawin", "-digest", "sha256"]
    command = ["openssl", "pkeyutl", "-sign", "-inkey", "key.pem", *raw, "-in", file.name, "-out", signed.name]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert file_signature_is_valid(file, Certificate(made.der), signed.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_fault_61_a_directory_is_no_empty_file(tmp_path: Path, kind: KeyKind) -> None:
    assert not file_signature_is_valid(tmp_path, signer(kind), empty(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_fault_6_a_fifo_is_false_at_once(tmp_path: Path, kind: KeyKind) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    answers: list[bool] = []
    asking = threading.Thread(
        target=lambda: answers.append(file_signature_is_valid(fifo, signer(kind), empty(kind))), daemon=True
    )
    asking.start()
    asking.join(timeout=60)  # only reached where the fault is back
    assert answers == [False]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_fault_6_devices_are_false(device: str) -> None:
    for kind in KINDS:
        assert not file_signature_is_valid(Path(device), signer(kind), empty(kind))


def test_a_socket_is_false(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert not file_signature_is_valid(tmp_path / "socket", signer(KINDS[0]), empty(KINDS[0]))


def test_what_is_not_there_is_false(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "missing", tmp_path / "loop", tmp_path / "nul\0", tmp_path / ("x" * 300), Path("")):
        assert not file_signature_is_valid(path, signer(KINDS[0]), empty(KINDS[0]))


def test_a_link_to_a_file_is_the_file(tmp_path: Path) -> None:
    (tmp_path / "firmware.bin").write_bytes(CONTENT)
    (tmp_path / "link").symlink_to("firmware.bin")
    assert file_signature_is_valid(tmp_path / "link", signer(KINDS[0]), signature(CONTENT, KINDS[0]))


def test_fault_61_a_file_that_cannot_be_read_is_false() -> None:
    """/proc/self/mem is a regular file whose first page gives EIO."""
    path = Path("/proc/self/mem")
    if not path.is_file():
        pytest.skip("no /proc")
    for kind in KINDS:
        assert not file_signature_is_valid(path, signer(kind), empty(kind))


class Waiting(FileIO):
    """A file as /proc/kmsg is one: what was there is read, and more is to be waited for."""

    def readinto(self, buffer: Any) -> int:
        return super().readinto(buffer) or None  # type: ignore[return-value]  # as RawIOBase has it

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size) or None  # type: ignore[return-value]


class Endless(FileIO):
    """A file that gives more than its size."""

    def readinto(self, buffer: Any) -> int:
        buffer[:1] = b"x"
        return 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opened", [Waiting, Endless])
def test_a_file_without_end_is_not_read_for_ever(tmp_path: Path, kind: KeyKind, opened: type[FileIO]) -> None:
    (tmp_path / "firmware.bin").write_bytes(CONTENT[:5000])
    signed = signature(CONTENT[:5000], kind)
    with opened(tmp_path / "firmware.bin") as file, pytest.raises(OSError, match=r"waited for|longer than"):
        open_file_signature_is_valid(file, tmp_path, signer(kind), signed)


@pytest.mark.parametrize("kind", KINDS)
def test_what_proc_says_to_be_empty_is_not_read_beyond(kind: KeyKind) -> None:
    path = Path("/proc/version")
    if not path.is_file():
        pytest.skip("no /proc")
    assert not file_signature_is_valid(path, signer(kind), signature(path.read_bytes(), kind))


class Untouchable(FileIO):
    """A file that must not be read."""

    def readinto(self, buffer: Any) -> int:
        raise AssertionError

    def read(self, size: int | None = -1) -> bytes:
        raise AssertionError


@pytest.mark.parametrize("kind", [KeyKind.ED25519, KeyKind.ED448])
def test_a_sparse_file_whose_copy_would_fill_the_disk_is_not_copied(tmp_path: Path, kind: KeyKind) -> None:
    found = os.statvfs(tmp_path)
    with (tmp_path / "firmware.bin").open("wb") as sparse:
        sparse.truncate(found.f_bavail * found.f_frsize)
    with Untouchable(tmp_path / "firmware.bin") as file, pytest.raises(OSError, match="free space"):
        open_file_signature_is_valid(file, tmp_path, signer(kind), bytes(64))
    assert not file_signature_is_valid(tmp_path / "firmware.bin", signer(kind), bytes(64))


def test_a_key_for_key_exchange_confirms_nothing(tmp_path: Path) -> None:
    exchange = x25519.X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    made = world("Maker > Signer")["Maker"].certify(exchange, Template(subject=name(CN="Exchange")))
    (tmp_path / "firmware.bin").write_bytes(b"")
    assert not file_signature_is_valid(tmp_path / "firmware.bin", Certificate(made.public_bytes(Encoding.DER)), b"")


class Touched(FileIO):
    """A file that somebody changes while it is being read; what is read is not changed by that."""

    def readinto(self, buffer: Any) -> int:
        os.utime(self.fileno(), ns=(0, 0))
        return super().readinto(buffer) or 0

    def read(self, size: int | None = -1) -> bytes:
        os.utime(self.fileno(), ns=(0, 0))
        return super().read(size) or b""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opened", [FileIO, Touched])
def test_a_file_that_changes_while_it_is_read_is_false(tmp_path: Path, kind: KeyKind, opened: type[FileIO]) -> None:
    (tmp_path / "firmware.bin").write_bytes(CONTENT)
    with opened(tmp_path / "firmware.bin") as file:
        valid = open_file_signature_is_valid(file, tmp_path, signer(kind), signature(CONTENT, kind))
    assert valid is (opened is FileIO)


def test_a_directory_that_takes_no_copy(tmp_path: Path) -> None:
    """EdDSA needs a copy of the file to map; where none may be made beside it, the system's directory serves."""
    (tmp_path / "firmware.bin").write_bytes(CONTENT)
    with FileIO(tmp_path / "firmware.bin") as file:
        nowhere = tmp_path / "missing"
        signed = signature(CONTENT, KeyKind.ED448)
        assert open_file_signature_is_valid(file, nowhere, signer(KeyKind.ED448), signed)


VERIFY = """
import resource, sys
from pathlib import Path
from evse_security.pki.certificate import Certificate
from evse_security.store.firmware import file_signature_is_valid
directory = Path(sys.argv[1])
certificate, signature = Certificate((directory / "cert").read_bytes()), (directory / "signature").read_bytes()
assert not file_signature_is_valid(directory / "cert", certificate, signature)  # all that is loaded late is loaded
[data] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")]
allowed = (int(data.split()[1]) + 16 * 1024) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
sys.exit(0 if file_signature_is_valid(directory / "firmware.bin", certificate, signature) else 1)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_files_larger_than_the_memory_that_is_left(tmp_path: Path, kind: KeyKind) -> None:
    """64 MiB are verified by a process that may use 16 MiB more than it does."""
    content = bytes(64 * 1024 * 1024)
    (tmp_path / "firmware.bin").write_bytes(content)
    (tmp_path / "cert").write_bytes(signer(kind).der)
    (tmp_path / "signature").write_bytes(signature(content, kind))
    subprocess.run([sys.executable, "-c", VERIFY, tmp_path], check=True, timeout=120)

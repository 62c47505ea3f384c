"""verify_file_signature."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from evse_security.lab.firmware import SignatureScheme, natural_scheme, sign_firmware
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, World, world
from tests.conformance.kit import NEW, WAYS, Bench, Revision, Way, bench

FIRMWARE = b"firmware " * 10_000
KINDS = (
    KeyKind.SECP256R1,
    KeyKind.SECP384R1,
    KeyKind.SECP521R1,
    KeyKind.ED25519,
    KeyKind.ED448,
    KeyKind.RSA2048,
)


def maker(kind: KeyKind) -> World:
    return world("MFRoot > Signer", Signer={"key": kind})


W = maker(KeyKind.SECP256R1)
GOOD = sign_firmware(FIRMWARE, W["Signer"].key)


def judged(
    b: Bench, path: object, certificate: str, signature: str, revision: Revision = NEW, way: Way = Way.JSON
) -> bool:
    with b.watched() as change:
        answer: bool = b.ask(
            "verify_file_signature",
            revision,
            way,
            file_path=str(path),
            signing_certificate=certificate,
            signature=signature,
        )
    assert change.nothing
    assert isinstance(answer, bool)
    return answer


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key(tmp_path: Path, kind: KeyKind, revision: Revision, way: Way) -> None:
    b, made = bench(tmp_path), maker(kind)
    file, tampered = b.put("firmware.bin", FIRMWARE), b.put("tampered.bin", FIRMWARE + b"!")
    key = made["Signer"].key
    schemes = {natural_scheme(key)} | ({SignatureScheme.RSASSA_PKCS1_V1_5} if kind is KeyKind.RSA2048 else set())
    for scheme in schemes:
        signature = sign_firmware(FIRMWARE, key, scheme)
        assert judged(b, file, made["Signer"].pem, signature, revision, way)
        assert not judged(b, tampered, made["Signer"].pem, signature, revision, way)
        assert not judged(b, file, made["MFRoot"].pem, signature, revision, way)


PEM = W["Signer"].pem
ODD = {
    "as it should be": (PEM, GOOD, True),
    "a wrapped signature": (PEM, GOOD[:40] + "\r\n" + GOOD[40:] + "\n", True),
    "no certificate": ("", GOOD, False),
    "no block": ("text", GOOD, False),
    "two certificates": (W.pem("Signer", "MFRoot"), GOOD, False),
    "a malformed certificate": ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", GOOD, False),
    "no signature": (PEM, "", False),
    "a foreign character": (PEM, "!" + GOOD, False),
    "cut off": (PEM, GOOD[:-2], False),
    "a hyphen": (PEM, GOOD[:20] + "-" + GOOD[20:], False),
    "not a signature": (PEM, "AAAA", False),
    "a mebibyte": (PEM, "A" * 1_000_000, False),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_arguments(tmp_path: Path, case: str) -> None:
    certificate, signature, valid = ODD[case]
    b = bench(tmp_path)
    file = b.put("firmware.bin", FIRMWARE)
    for revision, way in WAYS:
        assert judged(b, file, certificate, signature, revision, way) is valid


@pytest.mark.parametrize("path", ["", "nowhere", "a\0b", "/dev/null", "/dev/zero", "/proc/self/mem", "x" * 5000, "."])
def test_what_is_no_file(tmp_path: Path, path: str) -> None:
    b = bench(tmp_path)
    empty = sign_firmware(b"", W["Signer"].key)
    for revision, way in WAYS:
        assert judged(b, path, W["Signer"].pem, empty, revision, way) is False


def test_a_fifo_is_false_and_nobody_waits(tmp_path: Path) -> None:
    b = bench(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(judged(b, tmp_path / "fifo", W["Signer"].pem, GOOD)))
    thread.start()
    thread.join(10)
    assert answers == [False]


def test_an_empty_file_has_a_signature_too(tmp_path: Path) -> None:
    b = bench(tmp_path)
    file = b.put("empty.bin", b"")
    assert judged(b, file, W["Signer"].pem, sign_firmware(b"", W["Signer"].key))
    assert not judged(b, tmp_path, W["Signer"].pem, sign_firmware(b"", W["Signer"].key))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    b = bench(tmp_path)
    (tmp_path / "link").symlink_to(b.put("firmware.bin", FIRMWARE))
    assert judged(b, tmp_path / "link", W["Signer"].pem, GOOD)


def test_whether_to_trust_the_signer_is_the_question_of_another_command(tmp_path: Path) -> None:
    made = world("MFRoot > Signer", Signer={"not_after": NOW - DAY, "not_before": NOW - 9 * DAY})
    b = bench(tmp_path)
    file = b.put("firmware.bin", FIRMWARE)
    b.put("ca/mf/MF_ROOT_CA.pem", made["MFRoot"].pem)
    assert judged(b, file, made["Signer"].pem, sign_firmware(FIRMWARE, made["Signer"].key))
    assert b.ask("verify_certificate", certificate_chain=made["Signer"].pem, certificate_types=["MF"]) == "Expired"
    stranger = world("Nobody > Signer")["Signer"].pem
    assert b.ask("verify_certificate", certificate_chain=stranger, certificate_types=["MF"]) == "IssuerNotFound"

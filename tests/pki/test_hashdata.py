"""What names a certificate: equal to what OpenSSL computes, and to itself however it is written."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.lab.keys import KeyKind
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, asked_for, certificate_id, from_lines
from evse_security.vocabulary import CertificateHashData, HashAlgorithm
from tests.builders import with_serial_number, world
from tests.lab.conftest import OpenSsl, openssl  # noqa: F401  a fixture

NAMES = {"Issuer Name Hash": "issuer_name_hash", "Issuer Key Hash": "issuer_key_hash", "Serial Number": "serial_number"}


@pytest.mark.parametrize("algorithm", HashAlgorithm)
@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.RSA2048, KeyKind.ED448])
def test_hash_data_is_what_openssl_asks_responders_about(
    openssl: OpenSsl,  # noqa: F811
    kind: KeyKind,
    algorithm: HashAlgorithm,
) -> None:
    made = world("Root > Sub > Leaf", Root={"key": kind}, Sub={"key": kind})
    for subject, issuer in (("Leaf", "Sub"), ("Sub", "Root"), ("Root", "Root")):
        issued = ("-issuer", openssl.file("issuer", made[issuer].pem), "-cert", openssl.file("cert", made[subject].pem))
        asked = openssl("ocsp", f"-{algorithm.lower()}", *issued, "-req_text").stdout.replace("\\\n", "")
        known = {NAMES[key]: value for key, value in re.findall(r"(Issuer \w+ Hash|Serial Number): (\w+)", asked)}
        data = certificate_id(Certificate(made[subject].der), Certificate(made[issuer].der), algorithm).hash_data
        assert data.issuer_name_hash == known["issuer_name_hash"].lower()
        assert data.issuer_key_hash == known["issuer_key_hash"].lower()
        assert data.serial_number == known["serial_number"].lower().lstrip("0")
        assert data.hash_algorithm is algorithm


@pytest.mark.parametrize(("serial", "text"), [(0, "0"), (-129, "-81"), (15, "f"), (2**319 + 1, "8" + "0" * 78 + "1")])
def test_serial_numbers_in_hexadecimal_without_leading_zeros(serial: int, text: str) -> None:
    made = world("Root > Leaf")
    root, leaf = Certificate(made["Root"].der), Certificate(with_serial_number(made["Leaf"], serial))
    cert_id = certificate_id(leaf, root)
    assert cert_id.hash_data.serial_number == text
    assert asked_for(cert_id.hash_data) == cert_id
    assert from_lines(cert_id.lines) == cert_id


def data(**changes: str) -> CertificateHashData:
    fields = {"issuer_name_hash": "0a" * 32, "issuer_key_hash": "0b" * 32, "serial_number": "abc"} | changes
    return CertificateHashData(hash_algorithm=HashAlgorithm.SHA256, **fields)


@pytest.mark.parametrize(
    "changes",
    [
        {"serial_number": "ABC"},
        {"serial_number": "000abc"},
        {"serial_number": " abc\n"},
        {"issuer_name_hash": "0A" * 32, "issuer_key_hash": "0B" * 32},
        {"issuer_name_hash": f" {'0a' * 32} "},
    ],
)
def test_fault_52_hash_data_is_equal_in_any_case_and_with_leading_zeros(changes: dict[str, str]) -> None:
    wanted = asked_for(data(**changes))
    assert wanted is not None
    assert wanted == asked_for(data())
    assert wanted.hash_data == data()


@pytest.mark.parametrize(
    "changes",
    [{"serial_number": "abd"}, {"serial_number": "-abc"}, {"issuer_name_hash": "0c" * 32}, {"issuer_key_hash": "0"}],
)
def test_other_hash_data_is_other(changes: dict[str, str]) -> None:
    assert asked_for(data(**changes)) != asked_for(data())


def test_hash_data_of_another_algorithm_is_other() -> None:
    made = world("Root >")
    root = Certificate(made["Root"].der)
    ids = {certificate_id(root, root, algorithm) for algorithm in HashAlgorithm}
    assert len(ids) == 3
    assert [len(one.issuer_key_hash) for one in sorted(ids)] == [64, 96, 128]


@pytest.mark.parametrize(
    "changes",
    [{"serial_number": odd} for odd in ("", "-", "0x1", "1g", "1 2", "--1", "1.0", "\u0661", "f" * 129, "1\n2", "é")]
    + [{"issuer_name_hash": odd} for odd in ("", "g", "-1", "a" * 129, "a\nb")]
    + [{"issuer_key_hash": odd} for odd in ("", "\u212a")],
)
def test_what_names_nothing(changes: dict[str, str]) -> None:
    assert asked_for(data(**changes)) is None


@given(st.text(max_size=10), st.text(max_size=10), st.text(max_size=10))
def test_any_text_names_something_or_nothing(name_hash: str, key_hash: str, serial: str) -> None:
    wanted = asked_for(data(issuer_name_hash=name_hash, issuer_key_hash=key_hash, serial_number=serial))
    assert wanted is None or asked_for(wanted.hash_data) == wanted


def test_a_hash_file_is_four_lines() -> None:
    cert_id = CertID(HashAlgorithm.SHA256, "0a" * 32, "0b" * 32, 0xABC)
    assert cert_id.lines == f"SHA256\n{'0a' * 32}\n{'0b' * 32}\nabc\n".encode()
    assert from_lines(cert_id.lines) == cert_id
    assert from_lines(cert_id.lines.replace(b"\n", b"\r\n").upper()) == cert_id
    assert len(cert_id.digest) == 32
    assert str(cert_id) == "with serial abc, issuer key 0b0b0b0b0b0b0b0b… (SHA256)"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SHA256\n",
        b"SHA1\na\nb\nc\n",
        b"sha256\na\nb\nc",
        b"SHA256 a b c d",
        b"SHA256\na\nb\nx",
        b"\xff\xfe a b c",
    ],
)
def test_what_is_no_hash_file(content: bytes) -> None:
    assert from_lines(content) is None


@given(st.binary(max_size=100))
def test_any_octets_are_a_hash_file_or_none(content: bytes) -> None:
    assert isinstance(from_lines(content), CertID | None)


def test_names_are_hashed_as_encoded_in_the_certificate() -> None:
    made = world("Root > Leaf")
    leaf, root = Certificate(made["Leaf"].der), Certificate(made["Root"].der)
    cert_id = certificate_id(leaf, root)
    assert cert_id.issuer_name_hash == hashlib.sha256(leaf.issuer).hexdigest()
    assert cert_id.issuer_key_hash == hashlib.sha256(root.key_bits).hexdigest()


def test_the_triples_of_real_certificates(realworld: Path) -> None:
    pairs = json.loads((realworld / "hash_data.json").read_text())["pairs"]
    assert len(pairs) == 119
    for known in pairs:
        certificate, issuer = (pem.single((realworld / known[part]).read_text(), part) for part in ("cert", "issuer"))
        assert certificate.signed_by(issuer)
        assert certificate.issuer_key == issuer.subject_key
        fields = ("issuer_name_hash", "issuer_key_hash")
        listed = CertificateHashData(
            hash_algorithm=HashAlgorithm(known["hash_algorithm"]),
            serial_number=known["serial_openssl"],
            **{field: known[field] for field in fields},
        )
        assert certificate_id(certificate, issuer) == asked_for(listed)
        assert list(certificate.ocsp_urls) == known["responder"]

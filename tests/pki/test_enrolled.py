"""What a CA answered: messages that OpenSSL made, sets put in order, requests compared with leaves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evse_security.errors import MalformedCertificate, NoCertificate
from evse_security.lab.authority import name
from evse_security.pki import pem
from evse_security.pki.certificate import certificate_of
from evse_security.pki.enrolled import (
    asks_for_subject_of,
    certificates_of_message,
    chain_for,
    token_of_request,
)
from evse_security.pki.keytoken import token_of_certificate
from tests.builders import key, signing_request, world

PKI = world("V2GRoot > SubCA > SECC")
CERTIFICATES = {holder: certificate_of(PKI[holder].der) for holder in PKI}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
@pytest.mark.parametrize("holders", [("SECC",), ("SECC", "SubCA", "V2GRoot"), ()])
def test_a_message_that_openssl_made(tmp_path: Path, holders: tuple[str, ...]) -> None:
    (tmp_path / "sent.pem").write_text(PKI.pem(*holders))
    given = ["-certfile", str(tmp_path / "sent.pem")] if holders else []
    command = ["openssl", "crl2pkcs7", "-nocrl", *given, "-outform", "DER"]
    message = subprocess.run(command, capture_output=True, check=True).stdout
    if not holders:
        with pytest.raises((NoCertificate, MalformedCertificate)):
            certificates_of_message(message)
    else:
        assert {one.fingerprint for one in certificates_of_message(message)} == {
            CERTIFICATES[holder].fingerprint for holder in holders
        }


def indefinite(tag: int, *contents: bytes) -> bytes:
    """An element of indefinite length, as Java's libraries write them (X.690 §8.1.3.6)."""
    return bytes((tag, 0x80)) + b"".join(contents) + b"\0\0"


def test_a_message_in_ber() -> None:
    signed_data = bytes.fromhex("06092a864886f70d010702")
    data = indefinite(0x30, bytes.fromhex("06092a864886f70d010701"))
    certificates = indefinite(0xA0, PKI["SECC"].der, PKI["SubCA"].der)
    inner = indefinite(0x30, b"\x02\x01\x01", b"\x31\x00", data, certificates, b"\x31\x00")
    message = indefinite(0x30, signed_data, indefinite(0xA0, inner))
    assert certificates_of_message(message) == (CERTIFICATES["SECC"], CERTIFICATES["SubCA"])


@pytest.mark.parametrize("message", [b"", b"x" * 1000, b"\x30\x80", PKI["SECC"].der, b"\x30\x03\x02\x01\x00"])
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(MalformedCertificate):
        certificates_of_message(message)


def test_the_leaf_comes_first_and_what_is_known_last() -> None:
    csr = signing_request(key("SECC"))
    received = [CERTIFICATES["SubCA"], CERTIFICATES["SECC"], CERTIFICATES["SubCA"]]
    chain = pem.chain(chain_for(csr, received, [CERTIFICATES["SubCA"], CERTIFICATES["V2GRoot"]]), "the chain")
    assert chain == (CERTIFICATES["SECC"], CERTIFICATES["SubCA"], CERTIFICATES["V2GRoot"])


def test_without_a_certificate_for_the_key_the_order_stays() -> None:
    received = [CERTIFICATES["SubCA"], CERTIFICATES["SECC"]]
    assert pem.chain(chain_for(signing_request(key("other")), received), "the chain") == tuple(received)


def test_a_request_and_its_leaf() -> None:
    csr = signing_request(key("SECC"), name(CN="secc", O="Test"))
    assert token_of_request(csr) == token_of_certificate(CERTIFICATES["SECC"])
    assert asks_for_subject_of(csr, CERTIFICATES["SECC"])  # names are compared without regard to case (RFC 5280 §7.1)
    assert not asks_for_subject_of(signing_request(key("SECC"), name(CN="SECC2", O="Test")), CERTIFICATES["SECC"])


@pytest.mark.parametrize("text", ["", "x", PKI["SECC"].pem, "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_request(text: str) -> None:
    with pytest.raises(ValueError):
        token_of_request(text)

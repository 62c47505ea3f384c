"""Which OCSP responders to ask, and the question to them."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import OCSPRequestBuilder

from evse_security.lab.keys import KeyKind
from evse_security.pki.certificate import Certificate
from evse_security.pki.question import questions, responder_url
from tests.builders import with_serial_number, world

DIGESTS = (hashes.SHA1(), hashes.SHA256())  # noqa: S303  they name, and protect nothing


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.RSA2048, KeyKind.ED448])
def test_it_is_what_cryptography_makes_under_both_digests(kind: KeyKind) -> None:
    w = world("Sub > SECC", Sub={"key": kind})
    asked = questions(Certificate(w["SECC"].der), Certificate(w["Sub"].der))
    for digest, request in zip(DIGESTS, asked, strict=True):
        builder = OCSPRequestBuilder().add_certificate(w["SECC"].certificate, w["Sub"].certificate, digest)
        assert request == builder.build().public_bytes(Encoding.DER)


def test_long_serial_numbers_are_asked_about_and_negative_ones_cannot_be() -> None:
    w = world("Sub > SECC")
    issuer = Certificate(w["Sub"].der)
    assert questions(Certificate(with_serial_number(w["SECC"], 1 << 300)), issuer)
    assert questions(Certificate(with_serial_number(w["SECC"], 0)), issuer)
    assert questions(Certificate(with_serial_number(w["SECC"], -5)), issuer) == ()


# ---- whom to ask


def url_of(*urls: str) -> str | None:
    return responder_url(Certificate(world("Root > Leaf", Leaf={"responder_urls": urls})["Leaf"].der))


def test_fault_51_several_responder_urls_are_not_glued() -> None:
    assert url_of("http://a/one", "http://b/two") == "http://a/one"


def test_a_responder_url_that_can_be_used() -> None:
    fits = "http://ocsp.example/" + "x" * 492
    assert url_of() is None
    assert url_of("ldap://directory.example/", "HTTPS://ocsp.example/") == "HTTPS://ocsp.example/"
    assert url_of(fits + "x", fits) == fits
    assert url_of("http://", "http://a b/", "http://a\n/", "") is None

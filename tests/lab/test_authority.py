from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from evse_security.lab.authority import END_ENTITY, LEAF, KeyIdentifier, KeyUse, name, unknown_extension
from evse_security.lab.keys import KeyKind, generate_key
from evse_security.lab.resign import resign
from tests.builders import DAY, NOW, at, csms, key, signing_request, world
from tests.lab.conftest import QUICK_KINDS, OpenSsl


@pytest.mark.parametrize("kind", KeyKind)
def test_a_chain_of_every_key_kind_verifies(openssl: OpenSsl, kind: KeyKind) -> None:
    w = world("Root > Sub > Leaf", Root={"key": kind}, Sub={"key": kind}, Leaf={"key": kind})
    lax = ("-auth_level", "0")  # the weak kinds are weak; that they are is for others to say
    assert openssl.verify(w["Leaf"].pem, roots=w["Root"].pem, sub_cas=w["Sub"].pem, options=lax) == ""


CA_USES = frozenset({KeyUse.KEY_CERT_SIGN, KeyUse.CRL_SIGN})
WRONG: dict[str, tuple[dict[str, dict[str, Any]], set[int]]] = {
    "forged leaf": ({"Leaf": {"signed_by": "Mallory"}}, {7}),
    "forged sub-CA": ({"Sub": {"signed_by": "Mallory"}}, {7}),
    "expired leaf": ({"Leaf": {"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}}, {10}),
    "expired sub-CA": ({"Sub": {"not_after": NOW - DAY}}, {10}),
    "expired root": ({"Root": {"not_after": NOW - DAY}}, {10}),
    "future leaf": ({"Leaf": {"not_before": NOW + DAY}}, {9}),
    "another issuer's name": ({"Leaf": {"issuer": name(CN="Nobody")}}, {20}),
    "sub-CA that is an end entity": ({"Sub": {"role": "leaf"}}, {24, 79}),
    "sub-CA without basic constraints": ({"Sub": {"basic_constraints": None}}, {24, 79}),
    "sub-CA that may not sign": ({"Sub": {"key_usage": frozenset({KeyUse.CRL_SIGN})}}, {32, 24, 79}),
    "path longer than its root allows": ({"Root": {"path_length": 0}}, {25}),
    "unknown critical extension": ({"Leaf": {"more_extensions": (unknown_extension(),)}}, {34}),
    "another key's identifier": ({"Leaf": {"authority_key_identifier": bytes(20)}}, {20}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_openssl_refuses_what_is_wrong_and_says_why(openssl: OpenSsl, wrong: str) -> None:
    changes, codes = WRONG[wrong]
    w = world("Root > Sub > Leaf", **changes)
    said = openssl.verify(w["Leaf"].pem, roots=w["Root"].pem, sub_cas=w["Sub"].pem)
    [code, *_] = re.findall(r"error (\d+) at", said)
    assert int(code) in codes, said


def test_everything_optional_can_be_left_out(openssl: OpenSsl) -> None:
    bare = {
        "basic_constraints": None,
        "key_usage": None,
        "subject_key_identifier": KeyIdentifier.ABSENT,
        "authority_key_identifier": KeyIdentifier.ABSENT,
    }
    w = world("Root > Leaf", Leaf=bare)
    assert len(w["Leaf"].certificate.extensions) == 0
    assert openssl.verify(w["Leaf"].pem, roots=w["Root"].pem) == ""


def test_extensions_carry_what_the_template_says() -> None:
    urls = ("http://a.example.com", "http://b.example.com")
    w = world(
        "Root > Leaf",
        Leaf={
            "responder_urls": urls,
            "subject_key_identifier": b"mine",
            "authority_key_identifier": b"theirs",
            "critical": frozenset({ExtensionOID.SUBJECT_KEY_IDENTIFIER}),
            "serial_number": 0x1234,
            "not_before": at("2029-12-31T23:00:00"),
        },
    )
    certificate = w["Leaf"].certificate
    extensions = certificate.extensions
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert tuple(entry.access_location.value for entry in access) == urls
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest == b"mine"
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == b"theirs"
    assert [one.oid for one in extensions if one.critical] == [ExtensionOID.SUBJECT_KEY_IDENTIFIER]
    assert certificate.serial_number == 0x1234
    assert certificate.not_valid_before_utc == at("2029-12-31T23:00:00")


def test_the_authority_key_identifier_repeats_the_issuers_own_even_if_that_was_made_up() -> None:
    w = world("Root > Leaf", Root={"subject_key_identifier": b"made up"})
    extensions = w["Leaf"].certificate.extensions
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == b"made up"


def test_without_an_identifier_of_its_own_the_issuer_is_identified_by_its_key() -> None:
    w = world("Root > Leaf", Root={"subject_key_identifier": KeyIdentifier.ABSENT})
    digest = x509.SubjectKeyIdentifier.from_public_key(w["Root"].key.public_key()).digest
    extensions = w["Leaf"].certificate.extensions
    assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == digest


def test_a_name_keeps_the_order_of_its_attributes() -> None:
    oids = [attribute.oid for attribute in name(CN="SECC", O="Op", C="DE", DC=["CPO", "x"])]
    assert oids == [
        NameOID.COMMON_NAME,
        NameOID.ORGANIZATION_NAME,
        NameOID.COUNTRY_NAME,
        NameOID.DOMAIN_COMPONENT,
        NameOID.DOMAIN_COMPONENT,
    ]


@pytest.mark.parametrize("kind", [KeyKind.SECP256R1, KeyKind.SECP521R1, KeyKind.ED448, KeyKind.RSA2048])
def test_a_request_is_answered_with_its_subject_and_key_leaf_first_without_root(
    openssl: OpenSsl, kind: KeyKind
) -> None:
    w = world("Root > Sub1 > Sub2 >")
    subject = name(C="DE", O="Betreiber Süd", CN="DE*EVS*E1", DC="CPO")
    answer = csms(w, "Sub2").answer(signing_request(key("station", kind), subject))
    leaf, *above = x509.load_pem_x509_certificates(answer.encode())
    assert leaf.subject == subject
    assert leaf.public_key() == key("station", kind).public_key()
    assert above == [w["Sub2"].certificate, w["Sub1"].certificate]
    sub_cas = w["Sub1"].pem + w["Sub2"].pem
    assert openssl.verify(answer, roots=w["Root"].pem, sub_cas=sub_cas) == ""


def test_the_alternative_names_of_a_request_are_granted() -> None:
    names = x509.SubjectAlternativeName([x509.DNSName("secc.example.com")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name(CN="SECC"))
    builder = builder.add_extension(names, critical=False).add_extension(END_ENTITY, critical=True)
    request = builder.sign(key("station"), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    leaf = x509.load_pem_x509_certificate(csms(world("Root >"), "Root").answer(request).encode())
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names


def test_a_request_that_its_key_did_not_sign_is_refused() -> None:
    request = x509.load_pem_x509_csr(signing_request(key("station")).encode())
    forged = resign(request.public_bytes(Encoding.DER), key("Mallory"), lambda fields: fields)
    pem = x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM).decode()
    with pytest.raises(ValueError, match="not signed with the key"):
        csms(world("Root >"), "Root").answer(pem)


def test_no_private_key_shows_in_a_representation() -> None:
    w = world("Root > Leaf")
    template = replace(LEAF, signed_by=key("Mallory"))
    assert "rivate" not in repr(w["Leaf"]) + repr(template)


@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_generated_keys_are_of_the_kind_asked_for_and_new(kind: KeyKind) -> None:
    one, another = generate_key(kind), generate_key(kind)
    assert one.public_key() != another.public_key()
    size = re.search(r"(?<=rsa)\d+|(?<=secp)\d+", kind)
    assert getattr(one, "key_size", None) == (int(size.group()) if size else None)
    assert size or kind in type(one).__name__.lower()

"""The signing request of the station (RFC 2986, RFC 5280 Appendix A.1), as `openssl req` and `cryptography` see it."""

from __future__ import annotations

import base64
import ipaddress
import shutil
import subprocess
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from evse_security.errors import AttributeNotEncodable, KeyNotGenerated
from evse_security.keys.files import generate
from evse_security.keys.kinds import KeyType
from evse_security.lab.keys import KeyKind
from evse_security.pki import der, names
from evse_security.pki.request import RequestSubject, signing_request
from tests.builders import key

KINDS = list(KeyType)
SIGN_ONLY = {"digitalSignature"}
SIGN_AND_AGREE = {"digitalSignature", "keyAgreement"}
SECC = RequestSubject(country="DE", organization="Operator", common="DE*OPR*E1", domain_component="CPO")


def subject(**changes: Any) -> RequestSubject:
    fields = {"country": "DE", "organization": "Operator", "common": "cs001", "domain_component": None}
    return RequestSubject(**(fields | changes))


def read(pem: str) -> x509.CertificateSigningRequest:
    return x509.load_pem_x509_csr(pem.encode("ascii"))


def attributes(pem: str) -> list[tuple[str, int, str]]:
    """Dotted type, tag of the string, and text of each attribute, in the order of the encoding."""
    request = read(pem).public_bytes(Encoding.DER)
    name = der.sequence(der.sequence(request, "request")[0].encoded, "info")[1]
    found = []
    for rdn in name.children():
        (pair,) = rdn.children()
        kind, value = pair.children()
        found.append((der.oid(kind), value.tag, value.value.decode("utf-8")))
    return found


def usages(request: x509.CertificateSigningRequest) -> set[str]:
    extension = request.extensions.get_extension_for_class(x509.KeyUsage)
    assert not extension.critical
    usage = extension.value
    named = {
        "digitalSignature": usage.digital_signature,
        "nonRepudiation": usage.content_commitment,
        "keyEncipherment": usage.key_encipherment,
        "dataEncipherment": usage.data_encipherment,
        "keyAgreement": usage.key_agreement,
        "keyCertSign": usage.key_cert_sign,
        "cRLSign": usage.crl_sign,
    }
    return {one for one, present in named.items() if present}


@pytest.mark.parametrize("kind", KeyKind)
def test_every_kind_of_key_makes_a_request_that_its_own_key_confirms(kind: KeyKind) -> None:
    private_key = key("Station", kind)
    request = read(signing_request(SECC, private_key))
    assert request.is_signature_valid
    spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    assert request.public_key().public_bytes(*spki) == private_key.public_key().public_bytes(*spki)
    assert usages(request) == (SIGN_AND_AGREE if isinstance(private_key, ec.EllipticCurvePrivateKey) else SIGN_ONLY)
    constraints = request.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert len(list(request.extensions)) == 2


@pytest.mark.parametrize(
    ("kind", "signature"),
    [
        (KeyKind.SECP256R1, "ecdsa-with-SHA256"),
        (KeyKind.SECP384R1, "ecdsa-with-SHA384"),
        (KeyKind.SECP521R1, "ecdsa-with-SHA512"),
        (KeyKind.RSA2048, "sha256WithRSAEncryption"),
        (KeyKind.ED25519, "ED25519"),
        (KeyKind.ED448, "ED448"),
    ],
)
def test_openssl_reads_and_verifies_it(kind: KeyKind, signature: str) -> None:
    assert shutil.which("openssl"), "openssl is needed"
    pem = signing_request(
        SECC, key("Station", kind), dns_names=["cs.example"], ip_addresses=["192.0.2.1", "2001:db8::1"]
    )
    command = ["openssl", "req", "-verify", "-text", "-noout", "-nameopt", "RFC2253"]
    shown = subprocess.run(command, input=pem, capture_output=True, text=True, check=True)
    assert "verify OK" in shown.stdout + shown.stderr
    for expected in (
        "Version: 1 (0x0)",
        "Subject: DC=CPO,CN=DE*OPR*E1,O=Operator,C=DE",  # RFC 2253 turns the order round
        f"Signature Algorithm: {signature}",
        "CA:FALSE",
        "DNS:cs.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
    ):
        assert expected in shown.stdout


def test_order_and_kinds_of_strings() -> None:
    assert attributes(signing_request(SECC, key("Station"))) == [
        (NameOID.COUNTRY_NAME.dotted_string, 0x13, "DE"),
        (NameOID.ORGANIZATION_NAME.dotted_string, 0x0C, "Operator"),
        (NameOID.COMMON_NAME.dotted_string, 0x0C, "DE*OPR*E1"),
        (NameOID.DOMAIN_COMPONENT.dotted_string, 0x16, "CPO"),
    ]


def test_fault_55_no_domain_component_unless_it_is_given() -> None:
    written = attributes(signing_request(subject(), key("Station")))
    assert [dotted for dotted, _, _ in written] == ["2.5.4.6", "2.5.4.10", "2.5.4.3"]


def test_fault_55_utf_8_is_right() -> None:
    pem = signing_request(subject(organization="Müller & Söhne 充电", common="Łódź-1"), key("Station"))
    assert [text for _, _, text in attributes(pem)] == ["DE", "Müller & Söhne 充电", "Łódź-1"]


def test_sixty_four_characters_fit_however_many_octets_they_are() -> None:
    pem = signing_request(subject(organization="ж" * 64, common="充" * 64), key("Station"))
    assert [text for _, _, text in attributes(pem)] == ["DE", "ж" * 64, "充" * 64]


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"country": "DEU"}, "country"),
        ({"country": "D"}, "country"),
        ({"country": "D1"}, "country"),
        ({"country": "ÄÖ"}, "country"),
        ({"country": " DE"}, "country"),
        ({"country": "DE\n"}, "country"),
        ({"organization": ""}, "organization"),
        ({"organization": " "}, "organization"),
        ({"organization": "x" * 65}, "organization"),
        ({"organization": "a\nb"}, "organization"),
        ({"common": ""}, "common"),
        ({"common": "x" * 65}, "common"),
        ({"common": "cs\x00.evil.example"}, "common"),
        ({"common": "cs\x1b[2J"}, "common"),
        ({"common": "cs\u2028"}, "common"),
        ({"common": "cs\ud800"}, "common"),
        ({"domain_component": ""}, "domain component"),
        ({"domain_component": "ÇPO"}, "domain component"),
        ({"domain_component": "CPO\x7f"}, "domain component"),
    ],
)
def test_fault_55_what_cannot_be_encoded_is_an_error_and_never_dropped(changes: dict[str, Any], attribute: str) -> None:
    with pytest.raises(AttributeNotEncodable) as refused:
        signing_request(subject(**changes), key("Station"))
    assert refused.value.attribute == attribute
    assert str(refused.value).isprintable()


def test_a_country_that_is_not_set_is_left_out() -> None:
    written = attributes(signing_request(subject(country=""), key("Station")))
    assert [dotted for dotted, _, _ in written] == ["2.5.4.10", "2.5.4.3"]


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_any_text_is_encoded_exactly_or_refused(organization: str, common: str) -> None:
    try:
        pem = signing_request(subject(organization=organization, common=common), key("Station"))
    except AttributeNotEncodable:
        return
    assert [text for _, _, text in attributes(pem)] == ["DE", organization, common]
    name = der.sequence(der.sequence(read(pem).public_bytes(Encoding.DER), "request")[0].encoded, "info")[1]
    assert names.attributes(name.encoded)[1][0].text == organization


# ---- alternative names


def test_alternative_names() -> None:
    hosts = ["cs.example", "*.cs.example", "xn--bcher-kva.example", "_evse.local", "a" * 63 + ".b"]
    addresses = ["192.0.2.1", "2001:db8::1"]
    request = read(signing_request(subject(), key("Station"), dns_names=hosts, ip_addresses=addresses))
    extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert not extension.critical
    assert extension.value.get_values_for_type(x509.DNSName) == hosts
    assert extension.value.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(one) for one in addresses]


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            ".",
            "a..b",
            "-a.example",
            "a-.example",
            "bücher.example",
            "a b",
            "a\x00",
            "a.*.b",
            "*",
            "a." * 127 + "bc",
        ),
        *("a" * 64 + ".example", "a.example\n", "http://a/"),
    ],
)
def test_a_host_name_that_is_none(host: str) -> None:
    with pytest.raises(AttributeNotEncodable) as refused:
        signing_request(subject(), key("Station"), dns_names=[host])
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("address", ["", "300.0.0.1", "10.0.0.0/8", "fe80::1%eth0", "host", "1", "\n"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(AttributeNotEncodable) as refused:
        signing_request(subject(), key("Station"), ip_addresses=[address])
    assert str(refused.value).isprintable()


# ---- keys


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("rsa")])
def test_the_keys_that_the_station_makes(kind: KeyType) -> None:
    assert read(signing_request(SECC, generate(kind))).is_signature_valid


def test_a_key_that_cannot_sign() -> None:
    exchange: Any = x25519.X25519PrivateKey.generate()
    with pytest.raises(KeyNotGenerated, match="X25519"):
        signing_request(SECC, exchange)


def test_the_request_says_nothing_of_the_private_key() -> None:
    private_key = key("Station")
    assert isinstance(private_key, ec.EllipticCurvePrivateKey)
    secret = private_key.private_numbers().private_value.to_bytes(32)
    body = "".join(signing_request(SECC, private_key).splitlines()[1:-1])
    assert secret not in base64.b64decode(body)

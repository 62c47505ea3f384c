"""Facts of one certificate, tolerant of what is in the field."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from evse_security.errors import MalformedCertificate
from evse_security.lab.authority import KeyIdentifier, KeyUse, name, unknown_extension
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import tlv
from evse_security.pki import certificate as module
from evse_security.pki import der, encode
from evse_security.pki.certificate import Certificate, certificate_of
from evse_security.pki.extensions import KEY_USAGES, BasicConstraints, read_all
from evse_security.pki.forest import Forest
from evse_security.pki.loaded import MAX_LOADED, MAX_LOADED_BYTES
from evse_security.pki.outline import moment
from evse_security.pki.path import Policy, TrustStore, verify
from evse_security.vocabulary import LeafCertificateType
from tests.builders import (
    DAY,
    NOW,
    YEAR,
    altered,
    as_version_1,
    at,
    pem_of,
    with_explicit_false,
    with_serial_number,
    world,
)

VERSION, SERIAL, ALGORITHM, ISSUER, VALIDITY, SUBJECT, SPKI, EXTENSIONS = range(8)
BASIC, USAGE, SUBJECT_KEY, AUTHORITY_KEY = "2.5.29.19", "2.5.29.15", "2.5.29.14", "2.5.29.35"
ACCESS, EXTENDED = "1.3.6.1.5.5.7.1.1", "2.5.29.37"


def extension(oid: str, value: bytes, *flags: bytes) -> bytes:
    return tlv(0x30, encode.oid(oid), *flags, tlv(0x04, value))


def with_extensions(*extensions: bytes, wrap: int = 0xA3) -> Certificate:
    """A certificate with exactly these."""
    entity = world("Root > Leaf")["Leaf"]
    return Certificate(altered(entity, lambda fields: [*fields[:EXTENSIONS], tlv(wrap, tlv(0x30, *extensions))]))


def with_validity(begin: bytes, end: bytes) -> Certificate:
    entity = world("Root > Leaf")["Leaf"]
    validity = tlv(0x30, begin, end)
    return Certificate(altered(entity, lambda fields: [*fields[:VALIDITY], validity, *fields[SUBJECT:]]))


def test_the_facts_of_an_ordinary_certificate() -> None:
    made = world(
        "Root > Sub > Leaf",
        Leaf={
            "serial_number": 0x0A0B0C,
            "responder_urls": ("http://ocsp.example.com/a", "http://ocsp.example.com/b"),
            "extended_key_usage": (ExtendedKeyUsageOID.SERVER_AUTH,),
        },
        Sub={"path_length": 0},
    )
    leaf, sub, root = (Certificate(made[holder].der) for holder in ("Leaf", "Sub", "Root"))
    known = made["Leaf"].certificate
    assert leaf.der == made["Leaf"].der
    assert (leaf.version, leaf.serial, leaf.serial_text) == (3, 0x0A0B0C, "a0b0c")
    assert (leaf.subject, leaf.issuer) == (known.subject.public_bytes(), known.issuer.public_bytes())
    assert (leaf.name, leaf.issuer_name) == ("CN=Leaf, O=Test", "CN=Sub, O=Test")
    assert (leaf.not_before, leaf.not_after) == (known.not_valid_before_utc, known.not_valid_after_utc)
    assert leaf.tbs == known.tbs_certificate_bytes
    assert leaf.signature == known.signature
    assert leaf.signature_algorithm == leaf.tbs_algorithm
    assert leaf.spki == made["Leaf"].key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert leaf.public_key() == made["Leaf"].key.public_key()
    assert leaf.key_strength == ("EC", 256)
    assert leaf.fingerprint == known.fingerprint(hashes.SHA256()).hex()
    assert leaf.basic_constraints == BasicConstraints(ca=False, path_length=None)
    assert sub.basic_constraints == BasicConstraints(ca=True, path_length=0)
    assert leaf.key_usage == frozenset({"digitalSignature", "keyAgreement"})
    assert leaf.extended_key_usage == frozenset({"1.3.6.1.5.5.7.3.1"})
    assert sub.extended_key_usage is None
    assert leaf.authority_key_id == sub.subject_key_id
    assert leaf.ocsp_urls == ("http://ocsp.example.com/a", "http://ocsp.example.com/b")
    assert (sub.ocsp_urls, sub.malformed) == ((), ())
    assert [one.self_issued for one in (leaf, sub, root)] == [False, False, True]
    assert [one.self_signed for one in (leaf, sub, root)] == [False, False, True]
    assert leaf.signed_by(sub)
    assert not leaf.signed_by(root)
    assert leaf.pem == made["Leaf"].pem
    assert repr(leaf) == "<Certificate CN=Leaf, O=Test serial a0b0c>"
    assert leaf.openssl.get_serial_number() == 0x0A0B0C


def test_certificates_are_equal_when_their_bytes_are() -> None:
    made = world("Root > Leaf")
    one, other, root = (
        Certificate(made["Leaf"].der),
        Certificate(made["Leaf"].der + b"more"),
        Certificate(made["Root"].der),
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != root
    assert one != made["Leaf"].der


def test_what_follows_a_certificate_is_ignored() -> None:
    encoded = world("Root >")["Root"].der
    assert Certificate(encoded + b"\x30\x03abc").der == encoded


@pytest.mark.parametrize("serial", [0, -1, -129, 127, 128, 2**159, 2**319, 2**800])
def test_serial_numbers_of_any_size_and_sign(serial: int) -> None:
    certificate = Certificate(with_serial_number(world("Root > Leaf")["Leaf"], serial))
    assert (certificate.serial, certificate.serial_text) == (serial, f"{serial:x}")
    assert certificate.signed_by(Certificate(world("Root >")["Root"].der))


def test_explicit_false_is_false_and_no_fault() -> None:
    certificate = Certificate(with_explicit_false(world("Root > Leaf")["Leaf"]))
    assert certificate.basic_constraints == BasicConstraints(ca=False, path_length=None)
    assert certificate.malformed == ()


@pytest.mark.parametrize(("version", "fields"), [(1, []), (2, [tlv(0xA0, encode.integer(1))])])
def test_versions_1_and_2_have_no_extensions(version: int, fields: list[bytes]) -> None:
    root = world("Root >")["Root"]
    certificate = Certificate(altered(root, lambda found: [*fields, *found[SERIAL:EXTENSIONS]]))
    assert certificate.version == version
    assert certificate.extensions == {}
    assert {certificate.basic_constraints, certificate.key_usage, certificate.subject_key_id} == {None}
    assert certificate.self_signed


def test_unique_identifiers_are_passed_over() -> None:
    entity = world("Root > Leaf")["Leaf"]
    unique = (tlv(0x81, b"\0abc"), tlv(0x82, b"\0def"))
    certificate = Certificate(altered(entity, lambda fields: [*fields[:EXTENSIONS], *unique, fields[EXTENSIONS]]))
    assert certificate.key_usage == frozenset({"digitalSignature", "keyAgreement"})


def indefinite(encoded: bytes) -> bytes:
    return encoded[:1] + b"\x80" + der.read(encoded).value + b"\0\0"


def test_a_certificate_in_ber_is_read_as_openssl_reads_it() -> None:
    made = world("Root > Leaf")
    leaf = Certificate(made["Leaf"].der)
    long = b"\x30\x84" + len(der.read(leaf.der).value).to_bytes(4) + der.read(leaf.der).value
    for encoded in (indefinite(leaf.der), long):
        read = Certificate(encoded + b"more")
        assert read.der == encoded
        assert (read.subject, read.serial, read.extensions) == (leaf.subject, leaf.serial, leaf.extensions)
        assert read.signed_by(Certificate(made["Root"].der))
        assert read.openssl.get_serial_number() == leaf.serial


def test_a_signature_in_parts_is_one() -> None:
    made = world("Root > Leaf")
    leaf = Certificate(made["Leaf"].der)
    tbs, algorithm, _ = (child.encoded for child in der.read(leaf.der).children())
    parts = tlv(0x23, tlv(0x03, b"\0", leaf.signature))
    assert Certificate(tlv(0x30, tbs, algorithm, parts)).signed_by(Certificate(made["Root"].der))


# ---- validity


@pytest.mark.parametrize(
    ("now", "expired", "early"),
    [
        (NOW - 2 * DAY - timedelta(seconds=1), False, True),
        (NOW - 2 * DAY, False, False),
        (NOW + DAY, False, False),
        (NOW + DAY + timedelta(microseconds=999_999), False, False),
        (NOW + DAY + timedelta(seconds=1), True, False),
    ],
)
def test_a_certificate_is_valid_from_its_first_to_its_last_second(
    now: datetime, expired: object, early: object
) -> None:
    leaf = Certificate(world("Root > Leaf", Leaf={"not_before": NOW - 2 * DAY, "not_after": NOW + DAY})["Leaf"].der)
    assert leaf.expired(now) is expired
    assert leaf.not_yet_valid(now) is early
    assert leaf.valid_at(now) is (not expired and not early)


def test_some_skew_can_be_forgiven() -> None:
    leaf = Certificate(world("Root > Leaf", Leaf={"not_before": NOW, "not_after": NOW + DAY})["Leaf"].der)
    skew = timedelta(seconds=300)
    assert not leaf.not_yet_valid(NOW - skew, skew)
    assert leaf.not_yet_valid(NOW - skew - timedelta(seconds=1), skew)
    assert not leaf.expired(NOW + DAY + skew, skew)
    assert leaf.expired(NOW + DAY + skew + timedelta(seconds=1), skew)


UTC_TIME, GENERALIZED = 0x17, 0x18
TIMES = {
    "ordinary": (UTC_TIME, b"290101000000Z", "2029-01-01"),
    "last century": (UTC_TIME, b"500101000000Z", "1950-01-01"),
    "this century": (UTC_TIME, b"491231235959Z", "2049-12-31T23:59:59"),
    "generalized": (GENERALIZED, b"20500101000000Z", "2050-01-01"),
    "no well-defined end": (GENERALIZED, b"99991231235959Z", "9999-12-31T23:59:59"),
    "generalized too early": (GENERALIZED, b"20290101000000Z", "2029-01-01"),
    "without seconds": (UTC_TIME, b"2901010102Z", "2029-01-01T01:02:00"),
    "fraction": (GENERALIZED, b"20290101000000.5Z", "2029-01-01"),
    "east": (UTC_TIME, b"290101010000+0100", "2029-01-01"),
    "west": (UTC_TIME, b"281231190000-0500", "2029-01-01"),
}


@pytest.mark.parametrize("form", TIMES)
def test_times_of_all_forms(form: str) -> None:
    tag, text, expected = TIMES[form]
    assert moment(der.read(tlv(tag, text))) == at(expected)
    if form == "without seconds":
        return  # with such a one OpenSSL loads no certificate
    far = tlv(GENERALIZED, b"99991231235959Z")
    assert with_validity(tlv(tag, text), far).not_before == at(expected)
    assert with_validity(tlv(UTC_TIME, b"100101000000Z"), tlv(tag, text)).not_after == at(expected)
    assert with_validity(tlv(tag, text), far).malformed == ()


NO_TIMES = {
    "month 13": (UTC_TIME, b"291301000000Z"),
    "leap second": (UTC_TIME, b"290101000060Z"),
    "29 February": (UTC_TIME, b"290229000000Z"),
    "year 0": (GENERALIZED, b"00000101000000Z"),
    "before year 1": (GENERALIZED, b"00010101000000+0100"),
    "after year 9999": (GENERALIZED, b"99991231235959-0001"),
    "local time": (GENERALIZED, b"20290101000000"),
    "empty": (UTC_TIME, b""),
    "text": (UTC_TIME, b"tomorrow"),
    "other digits": (UTC_TIME, b"\xb2\xb90101000000Z"),
    "four digits of a year": (UTC_TIME, b"20290101000000Z"),
    "two digits of a year": (GENERALIZED, b"290101000000Z"),
    "trailing": (UTC_TIME, b"290101000000ZZ"),
    "NUL": (UTC_TIME, b"290101000000Z\0"),
}


@pytest.mark.parametrize("what", NO_TIMES)
def test_what_is_no_time_is_never_within_the_validity(what: str) -> None:
    bad, good = tlv(*NO_TIMES[what]), tlv(UTC_TIME, b"100101000000Z")
    assert moment(der.read(bad)) is None
    for begin, end in ((bad, tlv(GENERALIZED, b"99991231235959Z")), (good, bad), (bad, bad)):
        try:
            certificate = with_validity(begin, end)
        except MalformedCertificate:
            assert what in ("local time", "empty", "text", "two digits of a year")  # OpenSSL loads the others
            continue
        assert not any(certificate.valid_at(at(day)) for day in ("0001-01-02", "2010-01-01", "2030-01-01"))
        assert not certificate.valid_at(at("9999-12-31T23:59:58"))
        assert certificate.malformed == ("malformed validity",)


def test_times_to_the_end_of_the_calendar_can_be_asked_about() -> None:
    certificate = with_validity(tlv(UTC_TIME, b"100101000000Z"), tlv(GENERALIZED, b"99991231235959Z"))
    assert certificate.valid_at(at("9999-12-31T23:59:59"))


# ---- extensions

TRUE, FALSE = tlv(0x01, b"\xff"), tlv(0x01, b"\x00")
BEARING = {
    BASIC: [b"", b"\x30\x05", tlv(0x04), tlv(0x30, tlv(0x04)), tlv(0x30, TRUE, encode.integer(-1)), tlv(0x30, tlv(1))],
    USAGE: [b"", b"\x03\x00", tlv(0x04, b"\0\x80"), tlv(0x30)],
    EXTENDED: [b"", tlv(0x30, tlv(0x04)), tlv(0x30, tlv(0x06))],
    SUBJECT_KEY: [b"", tlv(0x03, b"\0")],
    AUTHORITY_KEY: [b"", tlv(0x04), b"\x30\x03\x80\x05a"],
}


@pytest.mark.parametrize(("oid", "value"), [(oid, value) for oid, values in BEARING.items() for value in values])
def test_what_bears_on_trust_and_cannot_be_read_is_named(oid: str, value: bytes) -> None:
    certificate = with_extensions(extension(oid, value), extension(ACCESS, b"\x30\x00"))
    assert certificate.malformed == (f"malformed extension {oid}",)
    facts = (certificate.basic_constraints, certificate.key_usage, certificate.extended_key_usage)
    assert {*facts, certificate.subject_key_id, certificate.authority_key_id} == {None}


@pytest.mark.parametrize("oid", BEARING)
def test_what_bears_on_trust_is_there_once(oid: str) -> None:
    value = {BASIC: tlv(0x30), USAGE: tlv(0x03, b"\x07\x80"), SUBJECT_KEY: tlv(0x04, b"a")}.get(oid, tlv(0x30))
    other = {BASIC: tlv(0x30, TRUE), USAGE: tlv(0x03, b"\x02\x04"), SUBJECT_KEY: tlv(0x04, b"b")}.get(oid, tlv(0x30))
    certificate = with_extensions(extension(oid, value), extension(oid, other))
    assert certificate.malformed == (f"extension {oid} twice",)
    assert certificate.extensions[oid].value == value


def test_other_extensions_may_be_there_twice_or_be_odd() -> None:
    certificate = with_extensions(*[extension("1.2.3.4", b"\xff\xff")] * 2, extension(ACCESS, b"junk"))
    assert certificate.malformed == ()
    assert certificate.ocsp_urls == ()


def test_what_is_malformed_does_not_depend_on_what_was_looked_at_before() -> None:
    """Fault of an earlier design: each look at an extension could add to what was wrong."""
    encoded = with_extensions(extension(SUBJECT_KEY, b""), extension(ACCESS, b"junk"), extension(USAGE, b"")).der
    looks = ("ocsp_urls", "subject_key_id", "key_usage", "malformed")
    said = set()
    for order in permutations(looks):
        certificate = Certificate(encoded)
        for look in order:
            getattr(certificate, look)
        said.add(certificate.malformed)
    assert said == {(f"malformed extension {USAGE}", f"malformed extension {SUBJECT_KEY}")}


def test_extensions_behind_a_malformed_one_are_not_found_and_it_is_said() -> None:
    for odd in (tlv(0x04), tlv(0x30), tlv(0x30, encode.oid("1.2.3"), FALSE)):
        listed = tlv(0x30, extension(USAGE, tlv(0x03, b"\x07\x80")), odd, extension(BASIC, tlv(0x30)))
        found, problems = read_all(der.read(listed))
        assert set(found) == {USAGE}
        assert problems == ("malformed extensions",)


def test_an_identifier_without_end_is_malformed() -> None:
    endless = tlv(0x30, tlv(0x06, b"\x55\xff" + b"\xff" * 300 + b"\x01"), tlv(0x04))
    certificate = with_extensions(extension(BASIC, tlv(0x30)), endless)
    assert certificate.malformed == ("malformed extensions",)


def test_whether_an_extension_is_critical() -> None:
    value = tlv(0x30)
    certificate = with_extensions(
        extension("1.2.3", value), extension("1.2.4", value, TRUE), extension("1.2.5", value, FALSE)
    )
    assert [one.critical for one in certificate.extensions.values()] == [False, True, False]


@pytest.mark.parametrize(
    ("octets", "usages"),
    [
        (b"\x07\x80", {"digitalSignature"}),
        (b"\x03\x88", {"digitalSignature", "keyAgreement"}),
        (b"\x01\x06", {"keyCertSign", "cRLSign"}),
        (b"\x07\x00\x80", {"decipherOnly"}),
        (b"\x00\x80\x00\x00\x00", {"digitalSignature"}),
        (b"\x00", set()),
        (b"\x00\xff\xff", set(KEY_USAGES)),
    ],
)
def test_key_usage_bit_by_bit(octets: bytes, usages: set[str]) -> None:
    assert with_extensions(extension(USAGE, tlv(0x03, octets))).key_usage == frozenset(usages)


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (tlv(0x30), (False, None)),
        (tlv(0x30, FALSE), (False, None)),
        (tlv(0x30, TRUE), (True, None)),
        (tlv(0x30, TRUE, encode.integer(0)), (True, 0)),
        (tlv(0x30, TRUE, encode.integer(2**70)), (True, 2**70)),
        (tlv(0x30, encode.integer(1)), (False, 1)),
    ],
)
def test_basic_constraints(value: bytes, facts: tuple[bool, int | None]) -> None:
    assert with_extensions(extension(BASIC, value)).basic_constraints == facts


def test_an_authority_key_identifier_without_a_key_identifier() -> None:
    assert with_extensions(extension(AUTHORITY_KEY, tlv(0x30, tlv(0x82, b"\x05")))).authority_key_id is None


def test_fault_51_each_ocsp_url_is_one_of_its_own() -> None:
    def access(method: str, tag: int, place: bytes) -> bytes:
        return tlv(0x30, encode.oid(method), tlv(tag, place))

    ocsp, issuers = "1.3.6.1.5.5.7.48.1", "1.3.6.1.5.5.7.48.2"
    listed = (
        access(issuers, 0x86, b"http://ca/cert"),
        access(ocsp, 0x86, b"http://a/one"),
        access(ocsp, 0xA4, tlv(0x30)),  # a directory name
        access(ocsp, 0x86, b"http://b/two"),
        access(ocsp, 0x86, b"http://\xff/"),
    )
    certificate = with_extensions(extension(ACCESS, tlv(0x30, *listed)))
    assert certificate.ocsp_urls == ("http://a/one", "http://b/two", "http://\ufffd/")
    assert with_extensions(extension(ACCESS, tlv(0x30, *listed, tlv(0x30)))).ocsp_urls == ()


# ---- keys


@pytest.mark.parametrize(
    ("kind", "strength"),
    [
        (KeyKind.SECP256R1, ("EC", 256)),
        (KeyKind.SECP384R1, ("EC", 384)),
        (KeyKind.SECP521R1, ("EC", 521)),
        (KeyKind.SECP192R1, ("EC", 192)),
        (KeyKind.ED25519, ("Ed25519", 253)),
        (KeyKind.ED448, ("Ed448", 448)),
        (KeyKind.RSA2048, ("RSA", 2048)),
        (KeyKind.RSA1024, ("RSA", 1024)),
    ],
)
def test_kinds_and_sizes_of_keys(kind: KeyKind, strength: tuple[str, int]) -> None:
    kind_found, bits = Certificate(world("Root >", Root={"key": kind})["Root"].der).key_strength
    assert kind_found == strength[0]
    assert bits in (strength[1], {253: 256, 448: 456}.get(strength[1]))  # OpenSSL counts EdDSA keys either way


def with_key(spki: bytes) -> Certificate:
    entity = world("Root > Leaf")["Leaf"]
    return Certificate(altered(entity, lambda fields: [*fields[:SPKI], spki, *fields[EXTENSIONS:]]))


def test_a_key_of_an_unknown_kind_has_no_strength() -> None:
    odd = with_key(tlv(0x30, tlv(0x30, encode.oid("1.2.3.4")), tlv(0x03, b"\0abc")))
    assert odd.key_strength == ("unknown", 0)
    assert odd.key_bits == b"abc"
    assert not odd.signed_by(odd)


def test_a_key_of_a_kind_without_signatures_is_named_by_its_number() -> None:
    x25519 = tlv(0x30, tlv(0x30, encode.oid("1.3.101.110")), tlv(0x03, b"\0", bytes(31), b"\x09"))
    kind, bits = with_key(x25519).key_strength
    assert kind.startswith("key type ")
    assert bits > 0


def test_a_key_in_explicit_parameters_signs_as_any_other(tmp_path: Path) -> None:
    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True)

    parameters = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
    (tmp_path / "config").write_text("[req]\ndistinguished_name=dn\n[dn]\n")
    common = ("-config", "config", "-nodes", "-keyout", "key", "-subj", "/CN=Root", "-days", "9999")
    openssl("req", "-x509", "-new", *parameters, *common, "-outform", "DER", "-out", "root")
    root = Certificate((tmp_path / "root").read_bytes())
    assert b"\x06\x07*\x86H\xce=\x01\x01" in root.spki  # id-prime-field: the curve is spelled out
    assert root.self_signed
    assert root.key_strength == ("EC", 256)


# ---- what is none

GOOD = world("Root >")["Root"]


def of_parts(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


TBS, SIGNATURE_ALGORITHM, SIGNATURE = (child.encoded for child in der.read(GOOD.der).children())
NONE = {
    "nothing": b"",
    "text": b"-----BEGIN",
    "no sequence": tlv(0x31, TBS, SIGNATURE_ALGORITHM, SIGNATURE),
    "empty": of_parts(),
    "no signature": of_parts(TBS, SIGNATURE_ALGORITHM),
    "empty TBSCertificate": of_parts(tlv(0x30), SIGNATURE_ALGORITHM, SIGNATURE),
    "TBSCertificate of a version": of_parts(tlv(0x30, tlv(0xA0, b"\x02\x01\x02")), SIGNATURE_ALGORITHM, SIGNATURE),
    "empty signature": of_parts(TBS, SIGNATURE_ALGORITHM, tlv(0x03)),
    "truncated": GOOD.der[:-1],
    "too large": GOOD.der + bytes(module.MAX_CERTIFICATE_BYTES),
}
MEMBERS = {
    "empty version": (VERSION, tlv(0xA0)),
    "a version that is no number": (VERSION, tlv(0xA0, tlv(0x04))),
    "a serial that is no number": (SERIAL, tlv(0x04, b"a")),
    "an issuer that is no name": (ISSUER, tlv(0x31)),
    "one time": (VALIDITY, tlv(0x30, tlv(0x17, b"290101000000Z"))),
    "a subject that is no name": (SUBJECT, tlv(0x04)),
    "a subject in which is no attribute": (SUBJECT, tlv(0x30, tlv(0x31, tlv(0x30)))),
    "a key that is none": (SPKI, tlv(0x30)),
    "empty extensions": (EXTENSIONS, tlv(0xA3)),
}


@pytest.mark.parametrize("what", NONE)
def test_what_is_no_certificate(what: str) -> None:
    with pytest.raises(MalformedCertificate):
        Certificate(NONE[what])


@pytest.mark.parametrize("what", MEMBERS)
def test_a_member_that_is_not_what_it_should_be(what: str) -> None:
    at_, member = MEMBERS[what]
    encoded = altered(GOOD, lambda fields: [*fields[:at_], member, *fields[at_ + 1 :]])
    with pytest.raises(crypto.Error):
        crypto.load_certificate(crypto.FILETYPE_ASN1, encoded)
    with pytest.raises(MalformedCertificate):
        Certificate(encoded)


@pytest.mark.parametrize("which", [ISSUER, SUBJECT])
def test_a_name_that_does_not_say_it_is_constructed_is_read_as_openssl_does(which: int) -> None:
    """It is a name that cannot be shown, and nobody's but its own."""
    encoded = altered(GOOD, lambda fields: [*fields[:which], b"\x10" + fields[which][1:], *fields[which + 1 :]])
    crypto.load_certificate(crypto.FILETYPE_ASN1, encoded)
    certificate = Certificate(encoded)
    assert (certificate.issuer_name if which == ISSUER else certificate.name).startswith("#10")
    assert not certificate.self_issued


def test_a_certificate_shows_no_more_of_itself_than_may_be_logged() -> None:
    leaf = world("Root > Leaf", Leaf={"subject": name(CN="a\nFATAL: b")})["Leaf"]
    assert repr(Certificate(leaf.der)).startswith("<Certificate CN=a?FATAL: b serial ")


# ---- what is remembered


def test_what_a_certificate_remembers_of_those_that_did_not_sign_it_has_a_bound() -> None:
    made = world("Root > Leaf", "Other >")
    root, leaf, other = (Certificate(made[holder].der) for holder in ("Root", "Leaf", "Other"))
    for last in range(module.MAX_CONFIRMATIONS + 10):
        assert not leaf.signed_by(Certificate(other.der[:-1] + bytes((last,))))
    assert leaf.signed_by(root)
    assert len(leaf._strangers) == module.MAX_CONFIRMATIONS
    assert leaf._signers == (root.fingerprint,)


def kept(certificate: Certificate) -> int:
    """Octets that a certificate keeps, but for what it shares with others."""
    slots = [slot for slot in Certificate.__slots__ if slot not in ("__weakref__", "_facts")]
    return sum(map(sys.getsizeof, (certificate, *(getattr(certificate, slot) for slot in slots))))


def test_a_certificate_that_was_read_listed_and_verified_keeps_little_beside_its_der() -> None:
    made = world("Root > Sub > Leaf1", "Sub > Leaf2")
    root, sub, *leaves = (Certificate(made[holder].der) for holder in ("Root", "Sub", "Leaf1", "Leaf2"))
    forest, trust = Forest([root, sub, *leaves]), TrustStore([root])
    for leaf in leaves:
        assert forest.id_of(leaf) is not None
        assert (leaf.basic_constraints, leaf.ocsp_urls, leaf.name, leaf.key_strength) is not None
        verify(leaf, intermediates=[sub], trust=trust, policy=Policy((LeafCertificateType.V2G,)), now=NOW)
        assert not hasattr(leaf, "__dict__")
        assert kept(leaf) < len(leaf.der) + 1200
    one, other = leaves
    assert one._facts is other._facts
    assert one._signers[0] is other._signers[0] is sub.fingerprint
    assert one.key_strength is other.key_strength


def test_openssl_keeps_the_certificates_used_last_and_no_large_ones() -> None:
    encoded = world("Root >")["Root"].der
    before = sum(type(one) is crypto.X509 for one in gc.get_objects())
    certificates = [Certificate(encoded[:-2] + bytes((1, last))) for last in range(3 * MAX_LOADED)]
    assert sum(type(one) is crypto.X509 for one in gc.get_objects()) <= before + MAX_LOADED
    assert certificates[-1].openssl is certificates[-1].openssl
    large = with_extensions(extension("1.2.3.4", bytes(MAX_LOADED_BYTES)))
    assert large.openssl is not large.openssl


def test_one_certificate_in_many_files_is_read_once_and_forgotten_with_the_last() -> None:
    encoded = world("Root > Leaf")["Leaf"].der
    first = certificate_of(encoded)
    assert certificate_of(bytes(bytearray(encoded))) is first
    assert certificate_of(encoded + b"\n") is first
    assert certificate_of(encoded[:-1] + bytes((encoded[-1] ^ 1,))) != first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
    assert certificate_of(encoded).der == encoded


# ---- faults of the reference


def test_fault_48_identity_and_parenthood_do_not_depend_on_the_clock() -> None:
    made = world(
        "Root > Sub > Old", "Root > Sub > Coming", Sub={"not_after": NOW - YEAR / 2},
        Old={"not_before": NOW - YEAR, "not_after": NOW - DAY}, Coming={"not_before": NOW + DAY},
    )  # fmt: skip
    sub = Certificate(made["Sub"].der)
    assert all(Certificate(made[holder].der).signed_by(sub) for holder in ("Old", "Coming"))
    assert sub.signed_by(Certificate(made["Root"].der))


def test_fault_35_a_root_with_a_forged_signature_is_not_self_signed() -> None:
    forged = Certificate(world("Root >", Root={"signed_by": "Mallory"})["Root"].der)
    assert forged.self_issued
    assert not forged.self_signed


def test_a_certificate_of_its_own_name_by_another_key_is_not_self_signed() -> None:
    made = world("Root > New >", New={"subject": name(CN="Root", O="Test")})
    new = Certificate(made["New"].der)
    assert new.subject == new.issuer
    assert not new.self_issued  # the key identifiers say so
    bare = {"authority_key_identifier": KeyIdentifier.ABSENT, "subject_key_identifier": KeyIdentifier.ABSENT}
    made = world("Root > New >", New={"subject": name(CN="Root", O="Test"), **bare}, Root=bare)
    new = Certificate(made["New"].der)
    assert new.self_issued
    assert not new.self_signed
    assert new.signed_by(Certificate(made["Root"].der))


def test_version_1_roots_are_read(tmp_path: Path) -> None:
    certificate = Certificate(as_version_1(world("Root >")["Root"]))
    assert certificate.self_signed
    (tmp_path / "root.pem").write_text(pem_of(certificate.der))
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "root.pem"), "-noout", "-text"], capture_output=True, check=True
    ).stdout
    assert b"Version: 1 " in shown


def test_unknown_critical_extensions_are_read() -> None:
    leaf = world("Root > Leaf", Leaf={"more_extensions": (unknown_extension(),), "key_usage": frozenset(KeyUse)})[
        "Leaf"
    ]
    certificate = Certificate(leaf.der)
    assert certificate.extensions["1.3.6.1.4.1.99999.1"] == (True, b"\x05\x00")
    assert isinstance(leaf.certificate.extensions, x509.Extensions)

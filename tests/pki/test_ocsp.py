"""What an OCSP response must be to be believed, RFC 6960 §3.2 and §4.2.2.2."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponderEncoding, OCSPResponseStatus
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from evse_security.errors import (
    NotBase64,
    OcspBadSignature,
    OcspMalformed,
    OcspNotCurrent,
    OcspOtherCertificate,
    OcspRefused,
    OcspUnknown,
    OcspUnsuccessful,
    TooLarge,
)
from evse_security.lab.authority import Entity, KeyUse, name
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response, unsuccessful_response
from evse_security.lab.resign import contents, members, resign, tlv
from evse_security.pki import encode
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.pki.ocsp import MAX_RESPONSE_BYTES, OcspStatus, believe, current, decode, peek, turns
from evse_security.pki.ocsp import about as answer_about
from tests.builders import DAY, NOW, YEAR, World, at, key, world

HOUR = timedelta(hours=1)
ID_DIGESTS = [
    hashes.SHA1(),  # noqa: S303  what most responders name certificates by, RFC 5019 §2.1.1
    hashes.SHA256(),
    hashes.SHA384(),
    hashes.SHA512(),
]
GOOD = ResponseTemplate(this_update=NOW - HOUR, next_update=NOW + DAY)


def station(**changes: Any) -> World:
    return world(
        "Root > SubCA > SECC",
        "SubCA > Other",
        "SubCA > Responder",
        "Root > Stranger",
        **{
            "Responder": {"role": "responder"} | changes.pop("Responder", {}),
            "Stranger": {"role": "responder"},
            **changes,
        },
    )


PLAIN = station()


def facts(entity: Entity) -> Certificate:
    return Certificate(entity.der)


def response(made: World = PLAIN, about: str = "SECC", by: str = "Responder", **changes: Any) -> bytes:
    return ocsp_response(made[about].certificate, made["SubCA"], made[by], replace(GOOD, **changes))


def verdict(encoded: bytes, made: World = PLAIN, now: Any = NOW) -> Any:
    return believe(encoded, facts(made["SECC"]), facts(made["SubCA"]), now)


def refusal(encoded: bytes, made: World = PLAIN, now: Any = NOW) -> OcspRefused:
    with pytest.raises(OcspRefused) as refused:
        verdict(encoded, made, now)
    assert str(refused.value)
    return refused.value


def altered(encoded: bytes, alter: Callable[[list[bytes]], list[bytes]], by: str = "Responder") -> bytes:
    """The response with other members of its ResponseData, signed again."""
    status, response_bytes = members(encoded)
    kind, octets = members(members(response_bytes)[0])
    basic = resign(contents(octets), PLAIN[by].key, alter)
    return tlv(0x30, status, tlv(0xA0, tlv(0x30, kind, tlv(0x04, basic))))


# ---- what is believed


@pytest.mark.parametrize("by", ["Responder", "SubCA"])
@pytest.mark.parametrize("digest", ID_DIGESTS, ids=lambda digest: digest.name)
@pytest.mark.parametrize("named", list(OCSPResponderEncoding))
def test_good_from_issuer_and_delegate(by: str, digest: Any, named: OCSPResponderEncoding) -> None:
    answer = verdict(response(by=by, hash_algorithm=digest, responder_id=named))
    assert (answer.status, answer.revoked_at) == (OcspStatus.good, None)
    assert (answer.this_update, answer.next_update) == (NOW - HOUR, NOW + DAY)
    assert answer.produced_at == NOW - HOUR
    key_hash = hashlib.sha1(facts(PLAIN[by]).key_bits, usedforsecurity=False).hexdigest()
    assert answer.responder == (f"CN={by}, O=Test" if named is OCSPResponderEncoding.NAME else key_hash)


@pytest.mark.parametrize("kind", [kind for kind in KeyKind if kind not in (KeyKind.RSA1024, KeyKind.SECP192R1)])
def test_every_kind_of_key_may_sign(kind: KeyKind) -> None:
    made = station(Responder={"key": kind})
    assert verdict(response(made), made).status is OcspStatus.good


def test_a_revocation_is_the_truth_and_believed() -> None:
    answer = verdict(response(status=OCSPCertStatus.REVOKED, revoked_at=NOW - DAY))
    assert (answer.status, answer.revoked_at) == (OcspStatus.revoked, NOW - DAY)


def test_the_issuers_own_certificate_may_be_sent_along() -> None:
    encoded = response(by="SubCA", embedded=(PLAIN["SubCA"].certificate,))
    assert verdict(encoded).status is OcspStatus.good


def test_a_renewed_certificate_of_the_issuer_is_the_issuer() -> None:
    made = world("Root > SubCA > SECC", "Root > Renewed", Renewed={"same_as": "SubCA", "role": "sub_ca"})
    encoded = response(made, by="SubCA", embedded=(made["Renewed"].certificate,))
    assert verdict(encoded, made).status is OcspStatus.good


def test_the_right_one_of_several_certificates_sent_along_is_found() -> None:
    sent = (PLAIN["Root"].certificate, PLAIN["Stranger"].certificate, PLAIN["Responder"].certificate)
    assert verdict(response(embedded=sent)).status is OcspStatus.good


def test_a_responder_signing_with_pss() -> None:
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        assert verdict(signed_with_pss(digest), RSA_WORLD).status is OcspStatus.good


# ---- 1. form


@pytest.mark.parametrize("junk", [b"", b"\x30", b"\x30\x00", b"not DER at all", b"\x30\x80\x00\x00", bytes(64)])
def test_junk_is_malformed(junk: bytes) -> None:
    assert isinstance(refusal(junk), OcspMalformed)
    assert peek(junk) == ()


def test_nothing_may_follow() -> None:
    assert isinstance(refusal(response() + b"\x00"), OcspMalformed)


def test_a_cut_response_is_malformed() -> None:
    assert isinstance(refusal(response()[:-1]), OcspMalformed)


def test_an_enormous_response_is_not_read() -> None:
    assert "larger" in str(refusal(bytes(MAX_RESPONSE_BYTES + 1)))


@given(position=st.integers(0, 10_000), octet=st.integers(0, 255))
def test_fault_37_no_altered_response_is_believed(position: int, octet: int) -> None:
    """Whatever octet is changed, the answer is a refusal, or what was signed in the first place."""
    genuine = ALTERED
    at_ = position % len(genuine)
    damaged = genuine[:at_] + bytes((octet,)) + genuine[at_ + 1 :]
    peek(damaged)
    try:
        answer = verdict(damaged)
    except OcspRefused:
        return
    assert answer == verdict(genuine)


ALTERED = response()


def extension(identifier: str, *, critical: bool) -> bytes:
    flag = tlv(0x01, b"\xff") if critical else b""
    one = tlv(0x30, encode.oid(identifier), flag, tlv(0x04, b"\x05\x00"))
    return tlv(0xA1, tlv(0x30, one))


@pytest.mark.parametrize("where", ["response", "single"])
def test_a_critical_extension_that_nobody_understands(where: str) -> None:
    def add(*, critical: bool, identifier: str = "1.3.6.1.4.1.99999.1") -> bytes:
        added = extension(identifier, critical=critical)

        def alter(parts: list[bytes]) -> list[bytes]:
            if where == "response":
                return [*parts, added]
            (single,) = members(parts[-1])
            return [*parts[:-1], tlv(0x30, tlv(0x30, *members(single), added))]

        return altered(response(), alter)

    assert verdict(add(critical=False)).status is OcspStatus.good
    assert verdict(add(critical=True, identifier="1.3.6.1.5.5.7.48.1.2")).status is OcspStatus.good  # a nonce
    refused = refusal(add(critical=True))
    assert isinstance(refused, OcspMalformed)
    assert "1.3.6.1.4.1.99999.1" in str(refused)


def test_a_responder_that_goes_by_a_name_is_not_taken_for_extensions() -> None:
    encoded = response(responder_id=OCSPResponderEncoding.NAME)  # byName has the tag of the extensions, [1]
    assert verdict(encoded).status is OcspStatus.good


# ---- 2. success


@pytest.mark.parametrize("status", [one for one in OCSPResponseStatus if one is not OCSPResponseStatus.SUCCESSFUL])
def test_a_responder_without_an_answer(status: OCSPResponseStatus) -> None:
    refused = refusal(unsuccessful_response(status))
    assert isinstance(refused, OcspUnsuccessful)
    assert refused.status == status.name.lower().replace("_", " ")
    assert peek(unsuccessful_response(status)) == ()


# ---- 3. the certificate


def test_a_response_about_another_certificate() -> None:
    refused = refusal(response(about="Other"))
    assert isinstance(refused, OcspOtherCertificate)
    assert "CN=SECC" in str(refused)


def test_a_response_about_the_same_serial_of_another_issuer() -> None:
    serial = PLAIN["SECC"].certificate.serial_number
    encoded = ocsp_response(serial, PLAIN["Root"], PLAIN["Root"], GOOD)
    assert isinstance(refusal(encoded), OcspOtherCertificate)


def test_a_response_about_an_issuer_of_the_same_name_with_another_key() -> None:
    made = world(
        "Root > SubCA > SECC", "Root > Double", Double={"subject": name(CN="SubCA", O="Test"), "role": "sub_ca"}
    )
    encoded = ocsp_response(made["SECC"].certificate.serial_number, made["Double"], made["Double"], GOOD)
    assert isinstance(refusal(encoded, made), OcspOtherCertificate)


def single_of(encoded: bytes) -> bytes:
    """The one SingleResponse of a response."""
    basic = contents(members(members(members(encoded)[1])[0])[1])
    (single,) = members(members(members(basic)[0])[-1])
    return single


def together(*singles: bytes) -> bytes:
    return altered(response(), lambda parts: [*parts[:-1], tlv(0x30, *singles)])


def test_one_of_several_single_responses_is_found() -> None:
    others = [single_of(response(about=about)) for about in ("Other", "Responder")]
    both = altered(response(), lambda parts: [*parts[:-1], tlv(0x30, *others, *members(parts[-1]))])
    assert verdict(both).status is OcspStatus.good
    assert isinstance(refusal(altered(both, lambda parts: [*parts[:-1], tlv(0x30, *others)])), OcspOtherCertificate)


@pytest.mark.parametrize("order", [tuple, reversed])
def test_of_contradicting_single_responses_the_newest_counts_then_the_revocation(order: Any) -> None:
    good, older = single_of(response()), single_of(response(this_update=NOW - 2 * HOUR))
    revoked = single_of(response(status=OCSPCertStatus.REVOKED))
    revoked_before = single_of(response(status=OCSPCertStatus.REVOKED, this_update=NOW - 2 * HOUR))
    assert verdict(together(*order((good, revoked)))).status is OcspStatus.revoked
    assert verdict(together(*order((good, revoked_before)))).status is OcspStatus.good
    assert verdict(together(*order((older, revoked)))).status is OcspStatus.revoked


@pytest.mark.parametrize(
    "identifier",
    [bytes.fromhex("0609608648016503040204"), bytes.fromhex("06052b0e03021b")],
    ids=["SHA-224", "unknown digest"],
)
def test_a_certificate_id_under_a_digest_that_ocsp_does_not_use(identifier: bytes) -> None:
    def alter(parts: list[bytes]) -> list[bytes]:
        (single,) = members(parts[-1])
        certificate_id, *rest = members(single)
        _, *hashes_and_serial = members(certificate_id)
        strange = tlv(0x30, tlv(0x30, identifier, b"\x05\x00"), *hashes_and_serial)
        return [*parts[:-1], tlv(0x30, tlv(0x30, strange, *rest))]

    encoded = altered(response(), alter)
    assert isinstance(refusal(encoded), OcspOtherCertificate)
    assert shown(encoded) is None


# ---- 4. the signature


def test_fault_37_a_forged_signature() -> None:
    refused = refusal(response(signed_by=key("Mallory")))
    assert isinstance(refused, OcspBadSignature)
    assert "does not confirm" in str(refused)


def test_fault_37_a_response_that_an_attacker_signed_with_a_certificate_of_his_own() -> None:
    made = world("Root > SubCA > SECC", "Evil > Responder", Responder={"role": "responder"})
    assert "not issued by" in str(refusal(response(made), made))


def test_a_delegate_of_another_ca_has_no_say() -> None:
    assert "not issued by" in str(refusal(response(by="Stranger")))


def test_a_delegate_whose_name_says_the_issuer_but_whose_signature_is_forged() -> None:
    made = station(Responder={"signed_by": "Mallory"})
    assert "not issued by" in str(refusal(response(made), made))


def test_a_responder_that_is_not_sent_along() -> None:
    refused = refusal(response(embedded=()))
    assert isinstance(refused, OcspBadSignature)
    assert "neither the issuer nor sent along" in str(refused)


@pytest.mark.parametrize("named", list(OCSPResponderEncoding))
def test_a_responder_id_that_is_not_the_signers(named: OCSPResponderEncoding) -> None:
    encoded = response(embedded=(PLAIN["Responder"].certificate,), responder_id=named)

    def alter(parts: list[bytes]) -> list[bytes]:
        other = name(CN="Somebody").public_bytes() if named is OCSPResponderEncoding.NAME else tlv(0x04, bytes(20))
        return [tlv(parts[0][0], other), *parts[1:]]

    assert "neither the issuer nor sent along" in str(refusal(altered(encoded, alter)))


def test_another_leaf_of_the_issuer_is_no_responder() -> None:
    assert "OCSPSigning" in str(refusal(response(by="Other")))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"extended_key_usage": ()}, "OCSPSigning"),
        ({"extended_key_usage": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, "OCSPSigning"),
        ({"key_usage": frozenset({KeyUse.KEY_AGREEMENT})}, "digitalSignature"),
        ({"not_after": NOW - timedelta(seconds=301)}, "expired"),
        ({"not_before": NOW + timedelta(seconds=301)}, "not yet valid"),
        ({"key": KeyKind.RSA1024}, "RSA 1024"),
        ({"key": KeyKind.SECP192R1}, "EC 192"),
    ],
)
def test_a_delegate_that_may_not_sign(changes: dict[str, Any], problem: str) -> None:
    made = station(Responder=changes)
    refused = refusal(response(made), made)
    assert isinstance(refused, OcspBadSignature)
    assert problem in str(refused)


@pytest.mark.parametrize(
    "changes",
    [
        {"key_usage": None},
        {"key_usage": frozenset({KeyUse.CONTENT_COMMITMENT})},
        {"not_after": NOW - timedelta(seconds=300)},
        {"not_before": NOW + timedelta(seconds=300)},
        {"extended_key_usage": (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING)},
    ],
)
def test_a_delegate_that_may_sign(changes: dict[str, Any]) -> None:
    made = station(Responder=changes)
    assert verdict(response(made), made).status is OcspStatus.good


def test_a_delegate_whose_certificate_is_signed_with_a_weak_digest() -> None:
    sha1 = bytes.fromhex("06072a8648ce3d0401")  # ecdsa-with-SHA1
    sha256 = bytes.fromhex("06082a8648ce3d040302")
    fields = members(PLAIN["Responder"].certificate.tbs_certificate_bytes)
    weak = tlv(0x30, *(tlv(0x30, sha1) if one == tlv(0x30, sha256) else one for one in fields))
    issuer_key = PLAIN["SubCA"].key
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    signature = sha1_signed(issuer_key, weak)
    delegate = tlv(0x30, weak, tlv(0x30, sha1), tlv(0x03, b"\0", signature))
    encoded = response(embedded=(x509.load_der_x509_certificate(delegate),))
    assert "weak" in str(refusal(encoded))


def sha1_signed(private_key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA over a SHA-1 that is computed apart, since libraries refuse to sign with it."""
    digest = int.from_bytes(hashlib.sha1(message, usedforsecurity=False).digest())
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    nonce = ec.derive_private_key(0x1234567, ec.SECP256R1())
    r = nonce.public_key().public_numbers().x % order
    secret = private_key.private_numbers().private_value
    return encode_dss_signature(r, pow(0x1234567, -1, order) * (digest + r * secret) % order)


def with_algorithm(encoded: bytes, identifier: bytes, signature: bytes | None = None) -> bytes:
    """The response with another signatureAlgorithm, and perhaps another signature."""
    status, response_bytes = members(encoded)
    kind, octets = members(members(response_bytes)[0])
    tbs, _, signed, *rest = members(contents(octets))
    bits = signed if signature is None else tlv(0x03, b"\0", signature)
    return tlv(0x30, status, tlv(0xA0, tlv(0x30, kind, tlv(0x04, tlv(0x30, tbs, identifier, bits, *rest)))))


@pytest.mark.parametrize(
    "dotted", ["1.2.840.10045.4.1", "1.2.840.113549.1.1.5", "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.10"]
)
def test_signatures_made_with_weak_digests(dotted: str) -> None:
    refused = refusal(with_algorithm(response(), tlv(0x30, encode.oid(dotted))))
    assert isinstance(refused, OcspBadSignature)
    assert dotted in str(refused)


def test_a_signature_algorithm_that_is_not_of_the_key() -> None:
    sha256_rsa = tlv(0x30, encode.oid("1.2.840.113549.1.1.11"), b"\x05\x00")
    assert "does not confirm" in str(refusal(with_algorithm(response(), sha256_rsa)))


RSA_WORLD = station(Responder={"key": KeyKind.RSA2048})
PSS_OIDS: dict[str, str] = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
    "sha224": "2.16.840.1.101.3.4.2.4",
}


def pss_algorithm(digest: str) -> bytes:
    """AlgorithmIdentifier of RSASSA-PSS, RFC 4055 §3.1."""
    hashed = tlv(0x30, encode.oid(PSS_OIDS[digest]), b"\x05\x00")
    masked = tlv(0x30, encode.oid("1.2.840.113549.1.1.8"), hashed)
    parameters = tlv(0x30, tlv(0xA0, hashed), tlv(0xA1, masked), tlv(0xA2, encode.integer(32)))
    return tlv(0x30, encode.oid("1.2.840.113549.1.1.10"), parameters)


def signed_with_pss(digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> bytes:
    encoded = response(RSA_WORLD)
    private_key = RSA_WORLD["Responder"].key
    assert isinstance(private_key, rsa.RSAPrivateKey)
    tbs = members(contents(members(members(members(encoded)[1])[0])[1]))[0]
    signature = private_key.sign(tbs, padding.PSS(padding.MGF1(digest), 32), digest)
    return with_algorithm(encoded, pss_algorithm(digest.name), signature)


def test_pss_with_another_digest_and_pss_with_the_default_which_is_sha1() -> None:
    only_salt = tlv(0x30, tlv(0xA2, encode.integer(32)))
    for weak in (pss_algorithm("sha224"), tlv(0x30, encode.oid("1.2.840.113549.1.1.10"), only_salt)):
        assert "weak" in str(refusal(with_algorithm(response(RSA_WORLD), weak), RSA_WORLD))


def test_an_empty_signature_algorithm_is_malformed() -> None:
    assert isinstance(refusal(with_algorithm(response(), tlv(0x30))), OcspMalformed)


def test_the_first_responder_that_fits_the_name_need_not_be_the_right_one() -> None:
    made = world(
        "Root > SubCA > SECC",
        "SubCA > Responder",
        "SubCA > Old",
        Responder={"role": "responder"},
        Old={"role": "responder", "subject": name(CN="Responder", O="Test")},
    )
    sent = (made["Old"].certificate, made["Responder"].certificate)
    named = OCSPResponderEncoding.NAME
    assert verdict(response(made, embedded=sent, responder_id=named), made).status is OcspStatus.good
    assert "does not confirm" in str(refusal(response(made, embedded=sent[:1], responder_id=named), made))


# ---- 5. time


@pytest.mark.parametrize(
    ("this_update", "next_update", "problem"),
    [
        (timedelta(seconds=300), timedelta(days=1), None),
        (timedelta(seconds=301), timedelta(days=1), "lies ahead"),
        (-DAY, timedelta(seconds=-300), None),
        (-DAY, timedelta(seconds=-301), "nextUpdate was 2029-12-31 23:54:59Z"),
        (-YEAR, timedelta(seconds=1), None),
        (-7 * DAY - timedelta(seconds=300), None, None),
        (-7 * DAY - timedelta(seconds=301), None, "over 7 days ago"),
        (timedelta(0), None, None),
    ],
)
def test_currency(this_update: timedelta, next_update: timedelta | None, problem: str | None) -> None:
    until = None if next_update is None else NOW + next_update
    encoded = response(this_update=NOW + this_update, next_update=until)
    [(*_, seen)] = peek(encoded)
    assert current(seen, NOW) is (problem is None)
    if problem is None:
        assert verdict(encoded).next_update == until
    else:
        refused = refusal(encoded)
        assert isinstance(refused, OcspNotCurrent)
        assert problem in str(refused)


@pytest.mark.parametrize("until", [NOW + DAY, None])
def test_it_turns_where_it_begins_and_ceases_to_be_current(until: datetime | None) -> None:
    [(*_, answer)] = peek(response(this_update=NOW, next_update=until))
    begin, end = turns(answer)
    tick = timedelta(microseconds=1)
    assert not current(answer, begin - tick)
    assert current(answer, begin)
    assert current(answer, end - tick)
    assert not current(answer, end)


@pytest.mark.parametrize("until", [datetime.max.replace(tzinfo=UTC), None])
def test_what_begins_or_ends_with_the_calendar_does_not_turn_there(until: datetime | None) -> None:
    [(*_, answer)] = peek(response(this_update=NOW, next_update=NOW + DAY))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert list(turns(replace(answer, this_update=first if until else last, next_update=until))) == (
        [] if until else [last - timedelta(seconds=300)]
    )


def test_a_next_update_before_the_this_update() -> None:
    def alter(parts: list[bytes]) -> list[bytes]:
        (single,) = members(parts[-1])
        certificate_id, status, *_ = members(single)
        later = tlv(0x18, b"20300101000400Z")
        earlier = tlv(0xA0, tlv(0x18, b"20300101000300Z"))
        return [*parts[:-1], tlv(0x30, tlv(0x30, certificate_id, status, later, earlier))]

    assert "before thisUpdate" in str(refusal(altered(response(), alter)))


# ---- 6. known


def test_a_responder_that_does_not_know_the_certificate() -> None:
    encoded = response(status=OCSPCertStatus.UNKNOWN)
    assert isinstance(refusal(encoded), OcspUnknown)
    [(*_, seen)] = peek(encoded)
    assert seen.status is OcspStatus.unknown


# ---- looking without believing


def test_peek_shows_what_nobody_believes() -> None:
    [(*_, seen)] = peek(response(signed_by=key("Mallory"), status=OCSPCertStatus.REVOKED))
    assert (seen.status, seen.revoked_at) == (OcspStatus.revoked, NOW - HOUR)


def shown(encoded: bytes, about: str = "SECC", issuer: str = "SubCA") -> OcspStatus | None:
    found = answer_about(peek(encoded), certificate_id(facts(PLAIN[about]), facts(PLAIN[issuer])))
    return None if found is None else found.status


@pytest.mark.parametrize("digest", ID_DIGESTS, ids=lambda digest: digest.name)
def test_what_is_shown_about_a_certificate_is_about_that_one_whatever_comes_first(digest: Any) -> None:
    revoked = single_of(response(about="Other", status=OCSPCertStatus.REVOKED, hash_algorithm=digest))
    both = together(revoked, single_of(response(hash_algorithm=digest)))
    assert (shown(both, "Other"), shown(both)) == (OcspStatus.revoked, OcspStatus.good)
    assert shown(both, "Responder") is None
    assert answer_about((), certificate_id(facts(PLAIN["SECC"]), facts(PLAIN["SubCA"]))) is None


def test_one_serial_number_of_another_issuer_is_told_apart_where_the_digests_are_the_same() -> None:
    assert shown(response(hash_algorithm=hashes.SHA256()), issuer="Root") is None
    assert shown(response(hash_algorithm=hashes.SHA384()), issuer="Root") is OcspStatus.good


@pytest.mark.parametrize("order", [tuple, reversed])
def test_what_is_shown_of_contradictions_is_what_is_believed(order: Any) -> None:
    good, older = single_of(response()), single_of(response(this_update=NOW - 2 * HOUR))
    revoked = single_of(response(status=OCSPCertStatus.REVOKED))
    revoked_before = single_of(response(status=OCSPCertStatus.REVOKED, this_update=NOW - 2 * HOUR))
    for singles in ((good, revoked), (good, revoked_before), (older, revoked)):
        encoded = together(*order(singles))
        assert shown(encoded) is verdict(encoded).status


# ---- base64


def test_behaviour_23_6_base64_becomes_der() -> None:
    """The reference stores the text as it is, which no TLS stack can staple ."""
    encoded = response()
    text = base64.b64encode(encoded).decode()
    wrapped = base64.encodebytes(encoded).decode()
    for form in (text, wrapped, wrapped.replace("\n", "\r\n"), f"  {text}\t\n"):
        assert decode(form) == encoded


@pytest.mark.parametrize(
    "text",
    [
        *("", "  \n", "=", "Q", "QQ", "QQ=", "QQ===", "QR==", "QQ==QQ==", "QQ==.", "-----BEGIN"),
        *("aGVs-bG8=", "aGVs_bG8=", "Q\u00fcQ=", "Q\u2003Q==", "QUJD\x00", "QUJD\x0b"),
    ],
)
def test_fault_60_text_that_is_not_base64_is_refused_rather_than_cut(text: str) -> None:
    with pytest.raises(NotBase64) as refused:
        decode(text)
    assert "OCSP response" in str(refused.value)


def test_an_enormous_text() -> None:
    assert decode(base64.b64encode(bytes(MAX_RESPONSE_BYTES)).decode()) == bytes(MAX_RESPONSE_BYTES)
    for size in (MAX_RESPONSE_BYTES + 1, MAX_RESPONSE_BYTES + 2, 2 * MAX_RESPONSE_BYTES):
        with pytest.raises(TooLarge):
            decode(base64.b64encode(bytes(size)).decode())


@given(st.binary(min_size=1, max_size=300))
def test_all_octets_come_back(octets: bytes) -> None:
    assert decode(base64.encodebytes(octets).decode()) == octets


# ---- the real world


def test_a_real_response_is_shown_and_refused_for_a_foreign_certificate(realworld: Path) -> None:
    (file,) = (realworld / "ocsp").glob("*.der")
    encoded = file.read_bytes()
    [(*_, seen)] = peek(encoded)
    assert (seen.status, seen.this_update) == (OcspStatus.good, at("2024-04-18T04:45:01"))
    assert current(seen, at("2024-04-20"))
    assert not current(seen, NOW)
    assert isinstance(refusal(encoded), OcspOtherCertificate)

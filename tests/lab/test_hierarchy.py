from __future__ import annotations

import re
from dataclasses import fields
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.ocsp import OCSPCertStatus, OCSPRequestBuilder, OCSPResponseStatus, load_der_ocsp_response
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from evse_security.lab.authority import Template
from evse_security.lab.hierarchy import ALL_PLACES, PLACES, Edition, Pki, Tier, Variant, make_pki, responder_of
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import IdHash, ResponseTemplate, certificate_id
from tests.builders import DAY, NOW, key, key_source, signing_request
from tests.lab.conftest import OpenSsl

LEAVES = [holder for holder, place in PLACES.items() if place.tier is Tier.LEAF]
SUB_CAS = [holder for holder, place in PLACES.items() if place.tier in (Tier.SUB_CA1, Tier.SUB_CA2)]


@cache
def pki(edition: Edition, variant: Variant = Variant.ORDINARY, key_kind: KeyKind | None = None) -> Pki:
    return make_pki(edition, now=NOW, variant=variant, key_kind=key_kind, keys=key_source)


def verify(openssl: OpenSsl, of: Pki, leaf: str, *, roots: list[str] | None = None) -> str:
    """What openssl says about a leaf whose own chain is sent along."""
    path = of[leaf].path()
    trusted = path[-1].pem if roots is None else "".join(of[root].pem for root in roots)
    return openssl.verify(path[0].pem, roots=trusted, sub_cas="".join(entity.pem for entity in path[1:-1]))


@pytest.mark.parametrize("key_kind", [None, KeyKind.ED448])
@pytest.mark.parametrize("edition", Edition)
def test_every_leaf_and_responder_verifies(openssl: OpenSsl, edition: Edition, key_kind: KeyKind | None) -> None:
    whole = pki(edition, key_kind=key_kind)
    said = {holder: verify(openssl, whole, holder) for holder in whole if whole[holder].issuer}
    assert set(said.values()) == {""}, said


REFUSED = {
    Variant.EXPIRED_LEAF: ("10", "0"),
    Variant.EXPIRED_SUB_CA: ("10", "2"),
    Variant.EXPIRED_ROOT: ("10", "3"),
    Variant.FUTURE_LEAF: ("9", "0"),
}


@pytest.mark.parametrize("variant", REFUSED)
def test_what_is_out_of_its_validity_is_refused_where_it_stands(openssl: OpenSsl, variant: Variant) -> None:
    said = verify(openssl, pki(Edition.ISO15118_2, variant), "SECC_LEAF")
    assert re.findall(r"error (\d+) at (\d+) depth", said)[0] == REFUSED[variant], said


@pytest.mark.parametrize("variant", REFUSED)
def test_the_contract_chain_shares_the_fate_of_the_secc_chain(openssl: OpenSsl, variant: Variant) -> None:
    assert verify(openssl, pki(Edition.ISO15118_2, variant), "CONTRACT_LEAF") != ""


def test_a_cross_signed_sub_ca_leads_to_either_root(openssl: OpenSsl) -> None:
    whole = pki(Edition.ISO15118_2, Variant.CROSS_SIGNED)
    sub_ca, cross = whole["CPO_SUB_CA1"], whole["CPO_SUB_CA1_CROSS"]
    assert sub_ca.certificate.subject == cross.certificate.subject
    assert sub_ca.certificate.public_key() == cross.certificate.public_key()
    below = whole["CPO_SUB_CA2"].pem
    ways = {("V2G_ROOT_CA", "CPO_SUB_CA1"): True, ("V2G_ROOT_CA_2", "CPO_SUB_CA1_CROSS"): True}
    ways |= {("V2G_ROOT_CA", "CPO_SUB_CA1_CROSS"): False, ("V2G_ROOT_CA_2", "CPO_SUB_CA1"): False}
    verified = {
        (root, middle): openssl.verify(
            whole["SECC_LEAF"].pem, roots=whole[root].pem, sub_cas=below + whole[middle].pem
        ) == ""
        for root, middle in ways
    }  # fmt: skip
    assert verified == ways


def test_of_two_roots_with_one_name_only_the_right_one_vouches(openssl: OpenSsl) -> None:
    whole = pki(Edition.ISO15118_2, Variant.SAME_NAMED_ROOTS)
    right, wrong = whole["V2G_ROOT_CA"].certificate, whole["V2G_ROOT_CA_2"].certificate
    assert right.subject == wrong.subject
    assert right.public_key() != wrong.public_key()
    assert verify(openssl, whole, "SECC_LEAF", roots=["V2G_ROOT_CA_2", "V2G_ROOT_CA"]) == ""
    assert verify(openssl, whole, "SECC_LEAF", roots=["V2G_ROOT_CA_2"]) != ""


@pytest.mark.parametrize(
    ("edition", "curve", "digest", "domain"),
    [
        (Edition.ISO15118_2, ec.SECP256R1, hashes.SHA256, "CPO"),
        (Edition.ISO15118_20, ec.SECP521R1, hashes.SHA512, "CSO"),
    ],
)
def test_the_secc_chain_has_the_profile_of_its_edition(
    edition: Edition, curve: type[ec.EllipticCurve], digest: type[hashes.HashAlgorithm], domain: str
) -> None:
    leaf, sub_ca2, sub_ca1, root = [entity.certificate for entity in pki(edition)["SECC_LEAF"].path()]
    for certificate in (leaf, sub_ca2, sub_ca1, root):
        public_key = certificate.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        assert isinstance(public_key.curve, curve)
        assert isinstance(certificate.signature_hash_algorithm, digest)
    assert [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)] == [domain]
    assert timedelta_days(leaf) in range(60, 94)
    limits = [basic_constraints(certificate) for certificate in (leaf, sub_ca2, sub_ca1, root)]
    assert limits == [(False, None), (True, 0), (True, 1), (True, None)]


def timedelta_days(certificate: x509.Certificate) -> int:
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days


def basic_constraints(certificate: x509.Certificate) -> tuple[bool, int | None]:
    extension = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert extension.critical
    return extension.value.ca, extension.value.path_length


@pytest.mark.parametrize("holder", PLACES)
def test_key_usage_is_critical_and_fits_the_tier(holder: str) -> None:
    extension = pki(Edition.ISO15118_2)[holder].certificate.extensions.get_extension_for_class(x509.KeyUsage)
    is_ca = holder not in LEAVES
    assert extension.critical
    assert (extension.value.key_cert_sign, extension.value.crl_sign) == (is_ca, is_ca)
    assert extension.value.digital_signature is not is_ca


@pytest.mark.parametrize("holder", SUB_CAS + LEAVES)
def test_every_certificate_but_a_root_names_its_responder(holder: str) -> None:
    certificate = pki(Edition.ISO15118_2)[holder].certificate
    [entry] = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert entry.access_method == AuthorityInformationAccessOID.OCSP
    assert entry.access_location.value.startswith("http://ocsp.example.com/")


def test_no_certificate_of_iso_15118_2_exceeds_its_800_octets() -> None:
    whole = pki(Edition.ISO15118_2)
    assert {holder: len(entity.der) for holder, entity in whole.items() if len(entity.der) > 800} == {}


def test_every_ca_that_issued_has_a_responder_of_its_own() -> None:
    whole = pki(Edition.ISO15118_2)
    for holder in {PLACES[holder].issuer for holder in PLACES} - {None}:
        assert whole[responder_of(str(holder))].issuer is whole[str(holder)]


def test_by_default_every_pki_and_everyone_in_it_has_a_new_key() -> None:
    keys = [entity.key_pem() for _ in range(2) for entity in make_pki(Edition.ISO15118_2, now=NOW).values()]
    assert len(set(keys)) == len(keys) == 2 * len(ALL_PLACES)


def test_the_table_changes_only_what_a_template_has() -> None:
    known = {field.name for field in fields(Template)}
    assert {change for place in ALL_PLACES.values() for change in place.changes} <= known


@pytest.mark.parametrize("holder", ["SECC_LEAF", "CSMS_LEAF"])
def test_a_signing_request_is_answered_as_that_leaf_is_issued(openssl: OpenSsl, holder: str) -> None:
    whole = pki(Edition.ISO15118_2)
    later = NOW + 100 * DAY
    answer = whole.answer(signing_request(key("station")), holder, now=later)
    leaf, *sub_cas = x509.load_pem_x509_certificates(answer.encode())
    path = whole[holder].path()
    assert sub_cas == [entity.certificate for entity in path[1:-1]]
    assert leaf.public_key() == key("station").public_key()
    assert timedelta_days(leaf) == PLACES[holder].days
    assert leaf.not_valid_before_utc <= later < leaf.not_valid_after_utc
    untrusted = "".join(entity.pem for entity in path[1:-1])
    at_that_time = ("-attime", str(int(later.timestamp())))
    assert openssl.verify(answer, roots=path[-1].pem, sub_cas=untrusted, options=at_that_time) == ""


def test_nobody_signs_for_a_root() -> None:
    with pytest.raises(ValueError, match="is a root"):
        pki(Edition.ISO15118_2).answer(signing_request(key("station")), "V2G_ROOT_CA", now=NOW)


@pytest.mark.parametrize("digest_type", [hashes.SHA1, hashes.SHA256, hashes.SHA512])
@pytest.mark.parametrize("holder", ["SECC_LEAF", "CPO_SUB_CA2", "CPO_SUB_CA1", "CONTRACT_LEAF"])
def test_the_status_of_a_certificate_is_told_by_the_responder_of_its_issuer(
    openssl: OpenSsl, holder: str, digest_type: type[IdHash]
) -> None:
    whole, digest = pki(Edition.ISO15118_2), digest_type()
    subject, issuer, *_ = path = whole[holder].path()
    name_hash, key_hash = certificate_id(issuer, digest)
    template = ResponseTemplate(this_update=NOW, next_update=NOW + 7 * DAY, hash_algorithm=digest)
    serial = f"{subject.certificate.serial_number:X}"
    response = whole.ocsp_response(name_hash.hex().upper(), key_hash.hex(), serial, template)
    done = openssl(
        "ocsp", "-respin", openssl.file("response.der", response), f"-{digest.name}",
        "-issuer", openssl.file("issuer.pem", issuer.pem), "-cert", openssl.file("cert.pem", subject.pem),
        "-CAfile", openssl.file("root.pem", path[-1].pem),
        "-verify_other", openssl.file("others.pem", "".join(entity.pem for entity in path[1:])),
        "-attime", str(int(NOW.timestamp())), "-validity_period", "2000000000",
    )  # fmt: skip
    assert "Response verify OK" in done.stderr, done.stderr
    assert "cert.pem: good" in done.stdout


@pytest.mark.parametrize("holder", ["SECC_LEAF", "CPO_SUB_CA2", "CPO_SUB_CA1"])
def test_an_issuer_is_known_by_the_id_in_requests_about_what_it_issued(holder: str) -> None:
    subject, issuer, *_ = pki(Edition.ISO15118_2)[holder].path()
    asked = OCSPRequestBuilder().add_certificate(subject.certificate, issuer.certificate, hashes.SHA256()).build()
    assert certificate_id(issuer, hashes.SHA256()) == (asked.issuer_name_hash, asked.issuer_key_hash)


def test_the_second_root_answers_for_itself() -> None:
    whole = pki(Edition.ISO15118_2, Variant.CROSS_SIGNED)
    cross = whole["CPO_SUB_CA1_CROSS"]
    name_hash, key_hash = certificate_id(whole["V2G_ROOT_CA_2"], hashes.SHA256())
    template = ResponseTemplate(
        this_update=NOW, next_update=None, hash_algorithm=hashes.SHA256(), status=OCSPCertStatus.REVOKED
    )
    serial = f"{cross.certificate.serial_number:x}"
    response = load_der_ocsp_response(whole.ocsp_response(name_hash.hex(), key_hash.hex(), serial, template))
    assert response.certificate_status is OCSPCertStatus.REVOKED
    assert response.serial_number == cross.certificate.serial_number


def test_a_stranger_to_the_pki_gets_no_answer() -> None:
    template = ResponseTemplate(this_update=NOW, next_update=None)
    response = pki(Edition.ISO15118_2).ocsp_response("00" * 20, "00" * 20, "1", template)
    assert load_der_ocsp_response(response).response_status is OCSPResponseStatus.UNAUTHORIZED

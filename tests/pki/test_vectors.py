"""Other people's certificates: the vectors of `cryptography`, and NIST's path tests (PKITS) among them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from OpenSSL import crypto

from evse_security.errors import ChainRefused
from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.extensions import KEY_USAGES
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import Policy, TrustStore, verify
from evse_security.vocabulary import LeafCertificateType
from tests.builders import NOW

VECTORS = Path(cryptography_vectors.__file__).parent / "x509"
PKITS = VECTORS / "PKITS_data" / "certs"


def openssl_loads() -> Iterator[tuple[Path, crypto.X509]]:
    """Every file of the vectors that OpenSSL reads as a certificate."""
    for path in sorted(VECTORS.rglob("*")):
        if path.suffix in (".pem", ".der", ".crt", ".cer"):
            for form in (crypto.FILETYPE_PEM, crypto.FILETYPE_ASN1):
                try:
                    yield path, crypto.load_certificate(form, path.read_bytes())
                except crypto.Error:
                    continue


@pytest.fixture(scope="module")
def loaded() -> list[tuple[Path, Certificate]]:
    """The first certificate of each of these files, as we read it."""
    found = []
    for path, known in openssl_loads():
        certificates = [block.certificate for block in pem.blocks(path.read_bytes()) if block.certificate]
        assert certificates, f"{path} is not read"
        assert certificates[0].der == crypto.dump_certificate(crypto.FILETYPE_ASN1, known), path
        found.append((path, certificates[0]))
    return found


def test_what_openssl_loads_is_loaded(loaded: list[tuple[Path, Certificate]]) -> None:
    assert len(loaded) > 500
    assert {path.relative_to(VECTORS).name for path, certificate in loaded if certificate.malformed} == MALFORMED


MALFORMED = {
    "badasn1time.pem",  # notAfter without an end
    "two_basic_constraints.pem",  # twice
}
"""Those that nobody must be trusted with."""

Fact = tuple[Callable[[Certificate], object], Callable[[x509.Certificate], object]]


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    return next((one.value for one in certificate.extensions if isinstance(one.value, kind)), None)


def _key_usage(certificate: x509.Certificate) -> object:
    usage = _extension(certificate, x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage):
        return None
    bits = [usage.digital_signature, usage.content_commitment, usage.key_encipherment, usage.data_encipherment]
    bits += [usage.key_agreement, usage.key_cert_sign, usage.crl_sign]
    bits += [usage.key_agreement and usage.encipher_only, usage.key_agreement and usage.decipher_only]
    return frozenset(name for name, bit in zip(KEY_USAGES, bits, strict=True) if bit)


def _basic_constraints(certificate: x509.Certificate) -> object:
    value = _extension(certificate, x509.BasicConstraints)
    return (value.ca, value.path_length) if isinstance(value, x509.BasicConstraints) else None


def _extended_usage(certificate: x509.Certificate) -> object:
    value = _extension(certificate, x509.ExtendedKeyUsage)
    return frozenset(one.dotted_string for one in value) if isinstance(value, x509.ExtendedKeyUsage) else None


def _subject_key_id(certificate: x509.Certificate) -> object:
    value = _extension(certificate, x509.SubjectKeyIdentifier)
    return value.digest if isinstance(value, x509.SubjectKeyIdentifier) else None


def _authority_key_id(certificate: x509.Certificate) -> object:
    value = _extension(certificate, x509.AuthorityKeyIdentifier)
    return value.key_identifier if isinstance(value, x509.AuthorityKeyIdentifier) else None


def _ocsp_urls(certificate: x509.Certificate) -> object:
    value = _extension(certificate, x509.AuthorityInformationAccess)
    return tuple(
        one.access_location.value
        for one in (value if isinstance(value, x509.AuthorityInformationAccess) else ())
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    )


FACTS: dict[str, Fact] = {
    "subject": (lambda c: c.subject, lambda c: c.subject.public_bytes()),
    "issuer": (lambda c: c.issuer, lambda c: c.issuer.public_bytes()),
    "serial": (lambda c: c.serial, lambda c: c.serial_number),
    "version": (lambda c: c.version, lambda c: c.version.value + 1),
    "notBefore": (lambda c: c.not_before, lambda c: c.not_valid_before_utc),
    "notAfter": (lambda c: c.not_after, lambda c: c.not_valid_after_utc),
    "signed part": (lambda c: c.tbs, lambda c: c.tbs_certificate_bytes),
    "signature": (lambda c: c.signature, lambda c: c.signature),
    "public key": (lambda c: c.public_key(), lambda c: c.public_key()),
    "extensions": (
        lambda c: [(oid, one.critical) for oid, one in c.extensions.items()],
        lambda c: [(one.oid.dotted_string, one.critical) for one in c.extensions],
    ),
    "key usage": (lambda c: c.key_usage, _key_usage),
    "basic constraints": (lambda c: c.basic_constraints, _basic_constraints),
    "extended key usage": (lambda c: c.extended_key_usage, _extended_usage),
    "subject key identifier": (lambda c: c.subject_key_id, _subject_key_id),
    "authority key identifier": (lambda c: c.authority_key_id, _authority_key_id),
    "OCSP responders": (lambda c: c.ocsp_urls, _ocsp_urls),
}


@pytest.mark.parametrize("fact", FACTS)
def test_facts_are_those_that_cryptography_finds(fact: str, loaded: list[tuple[Path, Certificate]]) -> None:
    """Where it finds any: on some certificates it raises, of which we must not."""
    ours, theirs = FACTS[fact]
    compared, differing = 0, set()
    for path, certificate in loaded:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                known = theirs(x509.load_der_x509_certificate(certificate.der))
        except Exception:  # noqa: S112  every class of error occurs
            continue
        compared += 1
        if ours(certificate) != known:
            differing.add(path.name)
    assert compared > 450
    assert differing == set()


def test_all_can_be_shown_and_compared(loaded: list[tuple[Path, Certificate]]) -> None:
    for path, certificate in loaded:
        assert certificate.name.isprintable(), path
        assert repr(certificate)
        assert certificate.self_signed in (True, False)
        assert certificate.key_strength
        assert token_of_certificate(certificate)


# ---- NIST's Public Key Interoperability Test Suite

FREE = Policy((LeafCertificateType.MO,))


def _verdicts() -> dict[str, bool]:
    """Whether each end entity verifies; all CA certificates of the suite are at hand, so every way up is tried."""
    certificates = {path.stem: Certificate(path.read_bytes()) for path in sorted(PKITS.glob("*.crt"))}
    trust = TrustStore([certificates["TrustAnchorRootCertificate"]])
    authorities = [certificate for name, certificate in certificates.items() if not name.endswith("EE")]
    verdicts = {}
    for name, certificate in certificates.items():
        if name.startswith(("Valid", "Invalid")) and name.endswith("EE"):
            try:
                verify(certificate, intermediates=authorities, trust=trust, policy=FREE, now=NOW)
                verdicts[name.removesuffix("EE")] = True
            except ChainRefused:
                verdicts[name.removesuffix("EE")] = False
    return verdicts


def test_paths_of_pkits() -> None:
    """Signatures, validity, chaining of names, constraints, usages: as the name of each test says."""
    verdicts = _verdicts()
    assert len(verdicts) > 200
    wrong = {name for name, valid in verdicts.items() if valid is not name.startswith("Valid")}
    assert wrong == {name for names in OTHERWISE.values() for name in names.split()}
    for section in BASIC:
        assert any(section in name for name in verdicts)


BASIC = ("Signature", "notBefore", "NameChaining", "basicConstraints", "pathLen", "keyUsage", "DNnameConstraints")

OTHERWISE = {
    "only a revocation list says that it is invalid, and these are not asked for": """
        InvalidBadCRLIssuerNameTest5 InvalidBadCRLSignatureTest4 InvalidBasicSelfIssuedCRLSigningKeyTest7
        InvalidBasicSelfIssuedNewWithOldTest5 InvalidBasicSelfIssuedOldWithNewTest2 InvalidIDPwithindirectCRLTest23
        InvalidIDPwithindirectCRLTest26 InvalidLongSerialNumberTest18 InvalidMissingCRLTest1
        InvalidNegativeSerialNumberTest15 InvalidOldCRLnextUpdateTest11 InvalidRevokedCATest2 InvalidRevokedEETest3
        InvalidSeparateCertificateandCRLKeysTest20 InvalidSeparateCertificateandCRLKeysTest21
        InvalidUnknownCRLEntryExtensionTest8 InvalidUnknownCRLExtensionTest10 InvalidUnknownCRLExtensionTest9
        InvalidWrongCRLTest6 InvalidcRLIssuerTest27 InvalidcRLIssuerTest31 InvalidcRLIssuerTest32
        InvalidcRLIssuerTest34 InvalidcRLIssuerTest35 InvaliddeltaCRLIndicatorNoBaseTest1 InvaliddeltaCRLTest10
        InvaliddeltaCRLTest3 InvaliddeltaCRLTest4 InvaliddeltaCRLTest6 InvaliddeltaCRLTest9
        InvaliddistributionPointTest2 InvaliddistributionPointTest3 InvaliddistributionPointTest6
        InvaliddistributionPointTest8 InvaliddistributionPointTest9 InvalidkeyUsageCriticalcRLSignFalseTest4
        InvalidkeyUsageNotCriticalcRLSignFalseTest5 InvalidonlyContainsAttributeCertsTest14
        InvalidonlyContainsCACertsTest12 InvalidonlySomeReasonsTest15 InvalidonlySomeReasonsTest16
        InvalidonlySomeReasonsTest17 InvalidonlySomeReasonsTest20 InvalidonlySomeReasonsTest21
        Invalidpre2000CRLnextUpdateTest12
        """,
    "only certificate policies say that it is invalid, and no command names any": """
        InvalidMappingFromanyPolicyTest7 InvalidMappingToanyPolicyTest8 InvalidPolicyMappingTest10
        InvalidPolicyMappingTest2 InvalidPolicyMappingTest4 InvalidSelfIssuedinhibitAnyPolicyTest8
        InvalidSelfIssuedinhibitPolicyMappingTest10 InvalidSelfIssuedinhibitPolicyMappingTest11
        InvalidSelfIssuedinhibitPolicyMappingTest8 InvalidSelfIssuedinhibitPolicyMappingTest9
        InvalidSelfIssuedrequireExplicitPolicyTest7 InvalidSelfIssuedrequireExplicitPolicyTest8
        InvalidinhibitAnyPolicyTest1 InvalidinhibitAnyPolicyTest4 InvalidinhibitAnyPolicyTest5
        InvalidinhibitAnyPolicyTest6 InvalidinhibitPolicyMappingTest1 InvalidinhibitPolicyMappingTest3
        InvalidinhibitPolicyMappingTest5 InvalidinhibitPolicyMappingTest6 InvalidrequireExplicitPolicyTest3
        InvalidrequireExplicitPolicyTest5
        """,
    "its leaf is a CA certificate": """
        ValidonlyContainsCACertsTest13 ValidpathLenConstraintTest14 ValidpathLenConstraintTest8
        """,
    "DSA is no algorithm of charging stations": "ValidDSAParameterInheritanceTest5 ValidDSASignaturesTest4",
}
"""Where our verdict is another, and why. The table must be exact."""

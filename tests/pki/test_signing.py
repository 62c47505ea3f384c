"""Whether one key signed one certificate: every algorithm, whatever it is worth; and never yes without a look."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from evse_security.lab.authority import unknown_extension
from evse_security.lab.keys import KeyKind, key_pem
from evse_security.lab.resign import tlv
from evse_security.pki import algorithm, der, encode, pem
from evse_security.pki.certificate import Certificate
from tests.builders import altered, as_version_1, key, world

Issue = Callable[..., tuple[Certificate, Certificate, Certificate]]

SIGNATURES = {
    "PKCS #1, SHA-1": ("rsa:2048", ["-sha1"]),
    "PKCS #1, SHA-224": ("rsa:2048", ["-sha224"]),
    "PKCS #1, SHA-384": ("rsa:2048", ["-sha384"]),
    "PKCS #1, SHA-512": ("rsa:2048", ["-sha512"]),
    "PKCS #1, MD5": ("rsa:2048", ["-md5"]),
    "PKCS #1, SHA3-256": ("rsa:2048", ["-sha3-256"]),
    "PSS, SHA-256": ("rsa:2048", ["-sha256", "-sigopt", "rsa_padding_mode:pss"]),
    "PSS, SHA-512, salt 20": (
        "rsa:2048",
        ["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"],
    ),
    "PSS, SHA-1": ("rsa:2048", ["-sha1", "-sigopt", "rsa_padding_mode:pss"]),
    "PSS, SHA-256 with a mask by SHA-1": (
        "rsa:2048",
        ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_mgf1_md:sha1"],
    ),
    "ECDSA, SHA-1": ("P-256", ["-sha1"]),
    "ECDSA, SHA-224": ("P-224", ["-sha224"]),
    "ECDSA, SHA-256": ("P-256", ["-sha256"]),
    "ECDSA, SHA-384 on P-521": ("P-521", ["-sha384"]),
    "ECDSA, SHA-512 on brainpool": ("brainpoolP384r1", ["-sha512"]),
    "ECDSA, SHA3-256": ("P-256", ["-sha3-256"]),
    "ECDSA on a curve with explicit parameters": ("P-256 explicit", ["-sha256"]),
    "Ed25519": ("ed25519", []),
    "Ed448": ("ed448", []),
}
NEW_KEY = {
    "ed25519": ["ed25519"],
    "ed448": ["ed448"],
    "P-256 explicit": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit"],
}
CONFIGURATION = """
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
subjectKeyIdentifier = hash
[strange]
1.3.6.1.4.1.99999.1 = critical,DER:0500
"""


@pytest.fixture
def issue(tmp_path: Path) -> Issue:
    """A root, another of its name, and a leaf of the first one, made by the openssl program."""

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True)

    def issue(kind: str, options: list[str], section: str = "ca") -> tuple[Certificate, Certificate, Certificate]:
        new = NEW_KEY.get(kind, ["ec", "-pkeyopt", f"ec_paramgen_curve:{kind}"])
        (tmp_path / "config").write_text(CONFIGURATION)
        common = ["-config", "config", "-days", "999"]
        for root in ("root", "other"):
            if kind == "rsa:2048":  # takes long to make
                (tmp_path / f"{root}.key").write_text(key_pem(key(root, KeyKind.RSA2048)))
                made = ["-key", f"{root}.key"]
            else:
                made = ["-newkey", *new, "-keyout", f"{root}.key"]
            named = ["-subj", "/CN=Root", "-extensions", "ca", "-out", root]
            run("req", "-x509", "-nodes", *made, *options, *common, *named)
        signed = ["-CA", "root", "-CAkey", "root.key", "-extensions", section, "-subj", "/CN=Leaf"]
        run("req", "-x509", "-nodes", "-newkey", "ed25519", *options, *common, *signed, "-keyout", "k", "-out", "leaf")
        first, second, third = (pem.single((tmp_path / name).read_text(), name) for name in ("root", "other", "leaf"))
        return first, second, third

    return issue


@pytest.mark.parametrize("signature", SIGNATURES)
def test_signatures_of_all_kinds(issue: Issue, signature: str) -> None:
    root, other, leaf = issue(*SIGNATURES[signature])
    assert root.subject == other.subject == leaf.issuer
    assert [certificate.self_signed for certificate in (root, other, leaf)] == [True, True, False]
    assert leaf.signed_by(root)
    assert not leaf.signed_by(other)
    assert not root.signed_by(other)
    changed = leaf.der[:-1] + bytes((leaf.der[-1] ^ 1,))
    assert not Certificate(changed).signed_by(root)
    changed = root.der[:-1] + bytes((root.der[-1] ^ 1,))
    assert not Certificate(changed).self_signed


@pytest.mark.parametrize("signature", ["PSS, SHA-1", "PKCS #1, SHA3-256", "ECDSA, SHA-256"])
def test_critical_extensions_bear_on_trust_not_on_who_signed(issue: Issue, signature: str) -> None:
    """OpenSSL, which is asked about some algorithms, stops at such extensions before it verifies the signature."""
    root, other, leaf = issue(*SIGNATURES[signature], section="strange")
    assert leaf.signed_by(root)
    assert not leaf.signed_by(other)


def test_a_forged_copy_of_an_issuer_takes_nothing_from_the_genuine_one(issue: Issue) -> None:
    """OpenSSL, where it is asked, looks at more of an issuer than its key."""
    root, _, leaf = issue(*SIGNATURES["PSS, SHA-256 with a mask by SHA-1"])
    forged = Certificate(root.der[:-1] + bytes((root.der[-1] ^ 1,)))
    assert not leaf.signed_by(forged)
    assert leaf.signed_by(root)


@pytest.mark.parametrize("kind", KeyKind)
def test_keys_of_all_kinds(kind: KeyKind) -> None:
    made = world("Root > Leaf", "Other > Sub >", Root={"key": kind}, Other={"key": kind})
    root, leaf, other = (Certificate(made[holder].der) for holder in ("Root", "Leaf", "Other"))
    assert leaf.signed_by(root)
    assert root.self_signed
    assert not leaf.signed_by(other)
    assert not leaf.signed_by(leaf)


def test_a_signature_is_confirmed_by_keys_of_one_kind_only() -> None:
    made = world("Root > Leaf", "Other >", Root={"key": KeyKind.RSA2048}, Other={"key": KeyKind.ED25519})
    assert not Certificate(made["Leaf"].der).signed_by(Certificate(made["Other"].der))
    assert not Certificate(made["Other"].der).signed_by(Certificate(made["Root"].der))


def test_the_algorithm_is_named_alike_inside_and_outside() -> None:
    """RFC 5280 §4.1.1.2; OpenSSL refuses the difference, too."""
    made = world("Root > Leaf")
    other = tlv(0x30, encode.oid("1.2.840.10045.4.3.4"))
    leaf = Certificate(altered(made["Leaf"], lambda fields: [*fields[:2], other, *fields[3:]]))
    assert not leaf.signed_by(Certificate(made["Root"].der))


def with_algorithm(encoded: bytes, algorithm: bytes) -> Certificate:
    """Another algorithm named inside and outside; the signature stays what it was."""
    tbs, _, signature = der.read(encoded).children()
    members = [child.encoded for child in tbs.children()]
    at = 2 if members[0][0] == 0xA0 else 1
    members[at] = algorithm
    return Certificate(tlv(0x30, tlv(0x30, *members), algorithm, signature.encoded))


UNKNOWN = tlv(0x30, encode.oid("1.3.6.1.4.1.99999.7"))


def test_a_curve_that_is_spelled_out_is_the_named_one_of_its_points() -> None:
    """Whether `cryptography` reads such a key depends on its version."""
    explicit = tlv(0x30, encode.oid("1.2.840.10045.2.1"), tlv(0x30, b"\x02\x01\x01"))  # parameters that say nothing
    for kind in (KeyKind.SECP256R1, KeyKind.SECP521R1):
        made = world("Root > Leaf", Root={"key": kind})
        root = Certificate(made["Root"].der)
        spelled_out = tlv(0x30, explicit, tlv(0x03, b"\0", root.key_bits))
        assert algorithm.public_key(spelled_out) == root.public_key()
    for spki in (
        tlv(0x30, explicit, tlv(0x03, b"\0\x04" + bytes(64))),
        tlv(0x30, tlv(0x30, encode.oid("1.2.3")), tlv(0x03, b"\0" + root.key_bits)),
        tlv(0x30, tlv(0x30, encode.oid("1.2.3"))),
        tlv(0x30, tlv(0x30, encode.oid("1.2.840.113549.1.1.1"), tlv(0x05)), tlv(0x03, b"\0junk")),
    ):
        with pytest.raises((ValueError, UnsupportedAlgorithm)):
            algorithm.public_key(spki)


def test_an_unknown_algorithm_confirms_nothing() -> None:
    made = world("Root > Leaf", "Lone >", Leaf={"more_extensions": (unknown_extension(),)})
    root = Certificate(made["Root"].der)
    assert not with_algorithm(made["Leaf"].der, UNKNOWN).signed_by(root)
    assert not with_algorithm(made["Root"].der, UNKNOWN).self_signed
    assert not with_algorithm(as_version_1(made["Lone"]), UNKNOWN).self_signed


def test_an_anchor_that_openssl_trusts_without_a_look_is_not_self_signed() -> None:
    """With a key identifier of another key OpenSSL takes it for issued elsewhere, and verifies nothing."""
    made = world("Root >", Root={"authority_key_identifier": b"other", "signed_by": "Mallory"})
    assert not with_algorithm(made["Root"].der, UNKNOWN).signed_by(with_algorithm(made["Root"].der, UNKNOWN))


def test_a_signature_that_cannot_be_changed_for_a_trial_confirms_nothing() -> None:
    """An indefinite length ends with octets that are no signature."""
    made = world("Root > Leaf")
    leaf = with_algorithm(made["Leaf"].der, UNKNOWN)
    assert not Certificate(b"\x30\x80" + der.read(leaf.der).value + b"\0\0").signed_by(Certificate(made["Root"].der))


def test_an_algorithm_that_cannot_be_read_confirms_nothing() -> None:
    made = world("Root > Leaf")
    pss_of_nothing = tlv(0x30, encode.oid("1.2.840.113549.1.1.10"), tlv(0x30, tlv(0xA0)))
    assert not with_algorithm(made["Leaf"].der, pss_of_nothing).signed_by(Certificate(made["Root"].der))


def test_a_signature_that_is_no_der_confirms_nothing() -> None:
    made = world("Root > Leaf")
    tbs, algorithm, _ = (child.encoded for child in der.read(made["Leaf"].der).children())
    for octets in (b"\0", b"\0\x30", b"\0" + bytes(70), b"\x03\xf8"):
        forged = Certificate(tlv(0x30, tbs, algorithm, tlv(0x03, octets)))
        assert not forged.signed_by(Certificate(made["Root"].der))


def test_fault_63_confirmations_are_of_one_key_whatever_the_certificate() -> None:
    """A sub-CA under two roots, or renewed: what it issued is the issue of either certificate."""
    made = world("Root > Sub > Leaf", "Other > Cross >", Cross={"same_as": "Sub"})
    leaf = Certificate(made["Leaf"].der)
    assert leaf.signed_by(Certificate(made["Sub"].der))
    assert leaf.signed_by(Certificate(made["Cross"].der))

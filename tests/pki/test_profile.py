"""ISO 15118: a chain that keeps every rule, and each rule broken alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from evse_security.errors import ProfileViolated
from evse_security.lab.authority import Entity, KeyUse, name, self_signed
from evse_security.lab.hierarchy import EDITION_KEY, Edition, Variant, template_of
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import tlv
from evse_security.pki import encode, profile
from evse_security.pki.certificate import Certificate
from evse_security.pki.path import Policy, TrustStore, verify
from evse_security.pki.profile import ProfileName, algorithms
from evse_security.vocabulary import LeafCertificateType as Leaf
from tests.builders import NOW, altered, key, world

SECC = ("V2G_ROOT_CA", "CPO_SUB_CA1", "CPO_SUB_CA2", "SECC_LEAF")
CONTRACT = ("MO_ROOT_CA", "MO_SUB_CA1", "MO_SUB_CA2", "CONTRACT_LEAF")
Changes = Mapping[str, Mapping[str, Any]]


def chain(edition: Edition, *places: str, **changes: Mapping[str, Any]) -> tuple[Certificate, ...]:
    """The certificates of these places, leaf first, with the fields of `Template` changed and a "key" of any kind."""
    above: Entity | None = None
    found = []
    for number, place in enumerate(places or SECC):
        fields = dict(changes.get(place, {}))
        private_key = key(place, fields.pop("key", EDITION_KEY[edition]))
        base = replace(template_of(place, edition, Variant.ORDINARY, now=NOW), serial_number=number + 1)
        template = replace(base, **fields)
        above = self_signed(private_key, template) if above is None else above.issue(private_key, template)
        found.append(Certificate(above.der))
    return tuple(reversed(found))


def check(path: tuple[Certificate, ...], *types: Leaf) -> None:
    profile.check(ProfileName.ISO15118, path, types or (Leaf.V2G,))


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize(("places", "leaf_type"), [(SECC, Leaf.V2G), (CONTRACT, Leaf.MO)])
def test_a_chain_that_keeps_every_rule(edition: Edition, places: tuple[str, ...], leaf_type: Leaf) -> None:
    found = chain(edition, *places)
    check(found, leaf_type)
    policy = Policy((leaf_type,), ProfileName.ISO15118)
    verify(found[0], intermediates=found[1:3], trust=TrustStore(found[3:]), policy=policy, now=NOW)


def test_edition_20_may_use_ed448() -> None:
    check(chain(Edition.ISO15118_20, **{place: {"key": KeyKind.ED448} for place in SECC}))
    check(chain(Edition.ISO15118_20, SECC_LEAF={"key": KeyKind.ED448}))


@pytest.mark.parametrize("edition", Edition)
def test_two_sub_cas_at_most_and_fewer_will_do(edition: Edition) -> None:
    check(chain(edition, "V2G_ROOT_CA", "CPO_SUB_CA1", "SECC_LEAF"))
    check(chain(edition, "V2G_ROOT_CA", "SECC_LEAF"))
    with pytest.raises(ProfileViolated, match="at most two sub-CAs"):
        check(chain(edition, "V2G_ROOT_CA", "CPO_SUB_CA1", "CPO_SUB_CA1", "CPO_SUB_CA2", "SECC_LEAF"))


SIGN, AGREE = KeyUse.DIGITAL_SIGNATURE, KeyUse.KEY_AGREEMENT
BOTH, ONLY_2, ONLY_20 = tuple(Edition), (Edition.ISO15118_2,), (Edition.ISO15118_20,)
LONG = ("http://ocsp.example.com/" + "x" * 400,)


def secc(domain: str) -> dict[str, Any]:
    return {"subject": name(CN="DEEVSE000001", O="Lab", DC=domain)}


BROKEN: dict[str, tuple[tuple[Edition, ...], Changes, str]] = {
    "root without keyUsage": (BOTH, {"V2G_ROOT_CA": {"key_usage": None}}, "keyCertSign and cRLSign"),
    "root without cRLSign": (BOTH, {"V2G_ROOT_CA": {"key_usage": frozenset({KeyUse.KEY_CERT_SIGN})}}, "cRLSign"),
    "sub-CA without cRLSign": (BOTH, {"CPO_SUB_CA2": {"key_usage": frozenset({KeyUse.KEY_CERT_SIGN})}}, "cRLSign"),
    "leaf without keyUsage": (BOTH, {"SECC_LEAF": {"key_usage": None}}, "leaf holds digitalSignature"),
    "leaf without digitalSignature": (BOTH, {"SECC_LEAF": {"key_usage": frozenset({AGREE})}}, "digitalSignature"),
    "leaf without keyAgreement": (ONLY_2, {"SECC_LEAF": {"key_usage": frozenset({SIGN})}}, "keyAgreement"),
    "leaf without DC": (ONLY_2, {"SECC_LEAF": {"subject": name(CN="a", O="b")}}, "DC=CPO"),
    "leaf with DC=CSO": (ONLY_2, {"SECC_LEAF": secc("CSO")}, "DC=CPO"),
    "leaf with DC=cpo": (ONLY_2, {"SECC_LEAF": secc("cpo")}, "DC=CPO"),
    "-20: leaf without DC": (ONLY_20, {"SECC_LEAF": {"subject": name(CN="a", O="b")}}, "ends in CSO"),
    "-20: leaf with DC=CPO": (ONLY_20, {"SECC_LEAF": secc("CPO")}, "ends in CSO"),
    "leaf names no responder": (BOTH, {"SECC_LEAF": {"responder_urls": ()}}, "OCSP responder"),
    "sub-CA 1 names no responder": (BOTH, {"CPO_SUB_CA1": {"responder_urls": ()}}, "OCSP responder"),
    "sub-CA 2 names no responder": (BOTH, {"CPO_SUB_CA2": {"responder_urls": ()}}, "OCSP responder"),
    "leaf on another curve": (BOTH, {"SECC_LEAF": {"key": KeyKind.SECP384R1}}, "the leaf's key is"),
    "leaf of another kind": (BOTH, {"SECC_LEAF": {"key": KeyKind.RSA2048}}, "the leaf's key is"),
    "sub-CA on another curve": (BOTH, {"CPO_SUB_CA1": {"key": KeyKind.SECP384R1}}, "keys are"),
    "root of another kind": (BOTH, {"V2G_ROOT_CA": {"key": KeyKind.RSA2048}}, "keys are"),
    "sub-CA of edition 20": (ONLY_2, {"CPO_SUB_CA2": {"key": KeyKind.SECP521R1}}, "keys are secp256r1"),
    "sub-CA of edition 2": (ONLY_20, {"CPO_SUB_CA2": {"key": KeyKind.SECP256R1}}, "keys are secp521r1"),
    "another digest": (ONLY_2, {"SECC_LEAF": {"hash_algorithm": hashes.SHA384()}}, "ECDSA with SHA-256"),
    "-20: another digest": (ONLY_20, {"CPO_SUB_CA1": {"hash_algorithm": hashes.SHA256()}}, "SHA-512"),
    "leaf of more than 800 bytes": (ONLY_2, {"SECC_LEAF": {"responder_urls": LONG}}, "800 bytes"),
    "sub-CA of more than 800 bytes": (ONLY_2, {"CPO_SUB_CA1": {"responder_urls": LONG}}, "800 bytes"),
}


@pytest.mark.parametrize(("broken", "edition"), [(one, each) for one, (some, _, _) in BROKEN.items() for each in some])
def test_each_rule_broken_alone(broken: str, edition: Edition) -> None:
    _, changes, rule = BROKEN[broken]
    found = chain(edition, **changes)
    with pytest.raises(ProfileViolated) as refused:
        check(found)
    assert rule in refused.value.rule
    [place] = changes
    at = 3 - SECC.index(place)
    # another kind of key breaks the rule about signatures one step below, which comes first
    assert refused.value.certificate == found[at - 1 if "key" in changes[place] and at > 0 else at].name
    profile.check(ProfileName.LENIENT, found, (Leaf.V2G,))


def test_every_rule_is_broken_by_some_case() -> None:
    told = set()
    for editions, changes, _ in BROKEN.values():
        for edition in editions:
            with pytest.raises(ProfileViolated) as refused:
                check(chain(edition, **changes))
            told.add(refused.value.rule.rpartition(" (ISO")[0])
    assert told >= {rule.text for rule in profile.RULES}


NOT_BROKEN: dict[str, tuple[tuple[Edition, ...], Changes]] = {
    "root names no responder": (BOTH, {"V2G_ROOT_CA": {"responder_urls": ()}}),
    "large root": (ONLY_2, {"V2G_ROOT_CA": {"responder_urls": LONG}}),
    "large leaf": (ONLY_20, {"SECC_LEAF": {"responder_urls": LONG}}),
    "-20: leaf without keyAgreement": (ONLY_20, {"SECC_LEAF": {"key_usage": frozenset({SIGN})}}),
    "-20: a prefixed domain": (ONLY_20, {"SECC_LEAF": secc("DE.CSO")}),
    "more usages": (BOTH, {"SECC_LEAF": {"key_usage": frozenset({SIGN, AGREE, KeyUse.KEY_ENCIPHERMENT})}}),
    "more domain components": (ONLY_2, {"SECC_LEAF": {"subject": name(CN="a", DC=["com", "CPO"])}}),
}


@pytest.mark.parametrize(("kept", "edition"), [(one, each) for one, (some, _) in NOT_BROKEN.items() for each in some])
def test_what_no_rule_forbids(kept: str, edition: Edition) -> None:
    check(chain(edition, **NOT_BROKEN[kept][1]))


@pytest.mark.parametrize("edition", Edition)
def test_contracts_need_neither_responder_nor_domain(edition: Edition) -> None:
    bare = {"responder_urls": (), "subject": name(CN="DEEVSC1")}
    found = chain(edition, *CONTRACT, CONTRACT_LEAF=bare)
    check(found, Leaf.MO)
    check(found, Leaf.MO, Leaf.V2G)  # what is a contract of either domain keeps the rules that both have
    with pytest.raises(ProfileViolated):
        check(found, Leaf.V2G)
    with pytest.raises(ProfileViolated, match="digitalSignature"):
        check(chain(edition, *CONTRACT, CONTRACT_LEAF={"key_usage": frozenset({AGREE})}), Leaf.MO)


def test_nobody_else_is_bound() -> None:
    found = tuple(Certificate(made.der) for made in world("Root > Leaf").values())[::-1]
    for leaf_type in (Leaf.CSMS, Leaf.MF):
        check(found, leaf_type)
    with pytest.raises(ProfileViolated):
        check(found, Leaf.V2G)


def test_a_violation_says_who_what_and_where_it_is_written() -> None:
    with pytest.raises(ProfileViolated) as refused:
        check(chain(Edition.ISO15118_2, SECC_LEAF=secc("CSO")))
    assert str(refused.value) == (
        "CN=DEEVSE000001, O=Lab, DC=CSO violates the certificate profile: "
        "the SECC leaf has DC=CPO (ISO 15118-2 Annex F)"
    )


def test_a_subject_that_cannot_be_read_breaks_the_rule_and_nothing_else() -> None:
    """An endless identifier in it was an error of Python's once."""
    entity = world("Root > Leaf", Leaf={"responder_urls": ("http://a/",)})["Leaf"]
    odd = tlv(0x30, tlv(0x31, tlv(0x30, tlv(0x06, b"\x55" + b"\xff" * 9000 + b"\x01"), tlv(0x0C, b"CPO"))))
    leaf = Certificate(altered(entity, lambda fields: [*fields[:5], odd, *fields[6:]]))
    assert entity.issuer is not None
    with pytest.raises(ProfileViolated, match="DC=CPO"):
        check((leaf, Certificate(entity.issuer.der)))


def test_algorithms_are_read_as_named() -> None:
    made = world("Root > Leaf", Leaf={"key": KeyKind.RSA2048})
    root, leaf = Certificate(made["Root"].der), Certificate(made["Leaf"].der)
    assert algorithms(root) == ("1.2.840.10045.2.1", "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2")
    assert algorithms(leaf) == ("1.2.840.113549.1.1.1", None, "1.2.840.10045.4.3.2")
    endless = tlv(0x30, tlv(0x30, tlv(0x06, b"\x55" + b"\xff" * 300 + b"\x01")), tlv(0x03, b"\0a"))
    odd = Certificate(altered(made["Leaf"], lambda fields: [*fields[:6], endless, *fields[7:]]))
    assert algorithms(odd) == ("", None, "")
    explicit = tlv(0x30, tlv(0x30, encode.oid("1.2.840.10045.2.1"), tlv(0x30)), tlv(0x03, b"\0a"))
    odd = Certificate(altered(made["Leaf"], lambda fields: [*fields[:6], explicit, *fields[7:]]))
    assert algorithms(odd).curve is None


def test_cas_are_bound_by_path_length_too_but_openssl_sees_to_that() -> None:
    """So no rule here repeats it."""
    unlimited = x509.BasicConstraints(ca=True, path_length=None)
    check(chain(Edition.ISO15118_2, CPO_SUB_CA1={"basic_constraints": unlimited}))

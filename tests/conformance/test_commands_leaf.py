"""generate_certificate_signing_request, update_leaf_certificate, verify_certificate: how a leaf comes to be."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from evse_security.lab.authority import KeyIdentifier, KeyUse
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, World, csms, world
from tests.conformance.kit import NEW, OLD, PASSWORD, RANDOM, WAYS, Bench, Revision, Way, bench, standard

W = standard()
CA = {"basic_constraints": x509.BasicConstraints(ca=True, path_length=None)}
BAD = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
V2G_BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"


def rooted(tmp_path: Path, *roots: str, made: World = W, **config: Any) -> Bench:
    """A station with these roots of the V2G and CSMS domains."""
    b = bench(tmp_path, **config)
    for bundle in (V2G_BUNDLE, "ca/csms/CSMS_ROOT_CA.pem"):
        b.put(bundle, made.pem(*(roots or ("V2GRoot",))))
    return b


# ---- generate_certificate_signing_request

ASKED = {"country": "DE", "organization": "Bäder & Söhne", "common": "DE*ABC*E1"}


def requested(b: Bench, revision: Revision, way: Way, **changes: Any) -> tuple[str, str]:
    """Status and request of either revision."""
    arguments = {"certificate_type": "V2G", **ASKED, **changes}
    if revision == OLD:
        return "Accepted", b.ask("generate_certificate_signing_request", revision, way, **arguments)
    answer = b.ask("generate_certificate_signing_request", revision, way, use_tpm=False, **arguments)
    return answer["status"], answer["csr"]


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize(
    ("kind", "name", "domain"),
    [("V2G", rf"client/cso/SECC_LEAF_{RANDOM}\.key", ["CPO"]), ("CSMS", rf"client/csms/CSMS_LEAF_{RANDOM}\.key", [])],
)
def test_a_request_and_its_key(
    tmp_path: Path, kind: str, name: str, domain: list[str], revision: Revision, way: Way
) -> None:
    b = bench(tmp_path)
    with b.watched() as change:
        status, csr = requested(b, revision, way, certificate_type=kind)
    assert status == "Accepted"
    assert change.is_like(added=(name,))
    assert change.updates == []
    request = x509.load_pem_x509_csr(csr.encode())
    assert request.is_signature_valid
    assert [a.rfc4514_attribute_name for a in request.subject] == ["C", "O", "CN", "DC"][: 3 + len(domain)]
    assert [a.value for a in request.subject] == [*ASKED.values(), *domain]
    usage = request.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_agreement
    constraints = request.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    [path] = [tmp_path / one for one in change.added]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    private = load_pem_private_key(path.read_bytes(), None)
    assert private.public_key() == request.public_key()


KINDS: dict[str, tuple[type, int]] = {
    "secp256r1": (ec.EllipticCurvePublicKey, 256),
    "secp384r1": (ec.EllipticCurvePublicKey, 384),
    "secp521r1": (ec.EllipticCurvePublicKey, 521),
    "ed25519": (ed25519.Ed25519PublicKey, 0),
    "ed448": (ed448.Ed448PublicKey, 0),
    "rsa2048": (rsa.RSAPublicKey, 2048),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_lives_a_whole_life(tmp_path: Path, kind: str) -> None:
    b = rooted(tmp_path, csr_key_type=kind, private_key_password=PASSWORD)
    csr = b.request()
    expected, bits = KINDS[kind]
    public = x509.load_pem_x509_csr(csr.encode()).public_key()
    assert isinstance(public, expected)
    assert getattr(public, "key_size", 0) == bits
    assert b.update(csms(W, "Sub2").answer(csr)) == "Accepted"
    info = b.info()["info"]
    assert info["password"] == PASSWORD
    with pytest.raises(TypeError):
        load_pem_private_key(Path(info["key"]).read_bytes(), None)
    assert load_pem_private_key(Path(info["key"]).read_bytes(), PASSWORD.encode()).public_key() == public


def test_alternative_names(tmp_path: Path) -> None:
    b = bench(tmp_path, csr_dns_names=("secc.example",), csr_ip_addresses=("192.0.2.1", "2001:db8::1"))
    request = x509.load_pem_x509_csr(b.request().encode())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["secc.example", "192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"certificate_type": "MF"}, "InvalidRequestedType"),
        ({"certificate_type": "MO"}, "InvalidRequestedType"),
        ({"use_tpm": True}, "KeyGenError"),
        ({"country": "DEU"}, "GenerationError"),
        ({"country": "D"}, "GenerationError"),
        ({"country": "ÄÖ"}, "GenerationError"),
        ({"organization": ""}, "GenerationError"),
        ({"organization": "x" * 65}, "GenerationError"),
        ({"common": ""}, "GenerationError"),
        ({"common": "x" * 65}, "GenerationError"),
        ({"common": "a\0b"}, "GenerationError"),
        ({"common": "a\nb"}, "GenerationError"),
    ],
)
def test_a_request_that_cannot_be_made_leaves_no_key(tmp_path: Path, changes: dict[str, Any], status: str) -> None:
    b = bench(tmp_path)
    for way in Way:
        with b.watched() as change:
            arguments = {"certificate_type": "V2G", "use_tpm": False, **ASKED, **changes}
            assert b.ask("generate_certificate_signing_request", NEW, way, **arguments) == {"status": status}
        assert change.nothing


@pytest.mark.filterwarnings("ignore:Attribute's length")  # cryptography counts octets
@pytest.mark.parametrize("common", ["ÄÖÜß" * 16, "充電" * 32, "🔌" * 64], ids=["latin", "cjk", "emoji"])
def test_characters_are_counted_not_octets(tmp_path: Path, common: str) -> None:
    csr = bench(tmp_path).request(common=common)
    [attribute] = x509.load_pem_x509_csr(csr.encode()).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert attribute.value == common


def test_pending_requests_survive_a_restart_and_other_requests(tmp_path: Path) -> None:
    csrs = [rooted(tmp_path).request() for _ in range(3)]
    for csr in reversed(csrs):
        b = bench(tmp_path)
        assert len(b.station.overview().pending_keys) == csrs.index(csr) + 1
        assert b.update(csms(W, "Sub2").answer(csr)) == "Accepted"


# ---- update_leaf_certificate and verify_certificate


class Chain(NamedTuple):
    situation: str
    chain: tuple[str, ...]
    installed: str
    verified: str
    roots: tuple[str, ...] = ("V2GRoot",)


NOT_TLS = {"extended_key_usage": (ExtendedKeyUsageOID.EMAIL_PROTECTION,)}
DIGITAL = frozenset({KeyUse.DIGITAL_SIGNATURE})
MADE = world(
    "V2GRoot > Sub1 > Sub2 > SECC",
    "V2GRoot > SECC0",
    "Sub2 > Expired",
    "Sub2 > Future",
    "Sub2 > Forged",
    "Sub2 > Encipher",
    "Sub2 > Mail",
    "Sub2 > WeakRsa",
    "Sub2 > Bare",
    "V2GRoot > OldSub > UnderOldSub",
    "V2GRoot > NewSub > UnderNewSub",
    "V2GRoot > NoSign > UnderNoSign",
    "V2GRoot > NotCa > UnderNotCa",
    "V2GRoot > ForgedSub > UnderForgedSub",
    "V2GRoot > Short > TooDeep > UnderTooDeep",
    "OldRoot > UnderOldRoot",
    "NewRoot > UnderNewRoot",
    "Stranger > StrangeSub > Strange",
    "Lonely",
    Expired={"not_after": NOW - DAY, "not_before": NOW - 2 * DAY},
    Future={"not_before": NOW + DAY, "not_after": NOW + 9 * DAY},
    Forged={"signed_by": "Mallory"},
    Encipher={"key_usage": frozenset({KeyUse.KEY_ENCIPHERMENT})},
    Mail=NOT_TLS,
    WeakRsa={"key": KeyKind.RSA1024},
    Bare={"key_usage": None, "basic_constraints": None},
    OldSub={"not_after": NOW - DAY},
    NewSub={"not_before": NOW + DAY},
    NoSign={"key_usage": frozenset({KeyUse.CRL_SIGN})},
    NotCa={"basic_constraints": x509.BasicConstraints(ca=False, path_length=None)},
    ForgedSub={"signed_by": "Mallory"},
    Short={"path_length": 0},
    OldRoot={"not_after": NOW - DAY},
    NewRoot={"not_before": NOW + DAY},
    Lonely={"role": "leaf"},
)
SUBS = ("Sub2", "Sub1")
GOOD = [
    Chain("leaf first", ("SECC", *SUBS), "Accepted", "Valid"),
    Chain("sub-CAs out of order", ("SECC", "Sub1", "Sub2"), "Accepted", "Valid"),
    Chain("with its root", ("SECC", *SUBS, "V2GRoot"), "Accepted", "Valid"),
    Chain("with strangers", ("SECC", "Strange", "Stranger", *SUBS, "OldSub"), "Accepted", "Valid"),
    Chain("with copies", ("SECC", *SUBS, *SUBS), "Accepted", "Valid"),
    Chain("directly under the root", ("SECC0",), "Accepted", "Valid"),
    Chain("sub-CAs installed", ("SECC",), "Accepted", "Valid", ("V2GRoot", "Sub1", "Sub2")),
    Chain("valid later", ("Future", *SUBS), "Accepted", "Valid"),
    Chain("without usages", ("Bare", *SUBS), "Accepted", "Valid"),
    Chain("an expired root beside a valid one", ("SECC", *SUBS), "Accepted", "Valid", ("OldRoot", "V2GRoot")),
]
WRONG = [
    Chain("expired", ("Expired", *SUBS), "Expired", "Expired"),
    Chain("expired, also without a root", ("Expired", *SUBS), "Expired", "Expired", ()),
    Chain("forged", ("Forged", *SUBS), "InvalidSignature", "InvalidSignature"),
    Chain("a forged sub-CA", ("UnderForgedSub", "ForgedSub"), "InvalidSignature", "InvalidSignature"),
    Chain("no digitalSignature", ("Encipher", *SUBS), "InvalidCertificateChain", "InvalidChain"),
    Chain("not for TLS", ("Mail", *SUBS), "InvalidCertificateChain", "InvalidChain"),
    Chain("a weak key", ("WeakRsa", *SUBS), "InvalidCertificateChain", "InvalidChain"),
    Chain("an expired sub-CA", ("UnderOldSub", "OldSub"), "Expired", "Expired"),
    Chain("a future sub-CA", ("UnderNewSub", "NewSub"), "Expired", "Expired"),
    Chain("a sub-CA that may not sign", ("UnderNoSign", "NoSign"), "InvalidCertificateChain", "InvalidChain"),
    Chain("a sub-CA that is none", ("UnderNotCa", "NotCa"), "InvalidCertificateChain", "InvalidChain"),
    Chain("too long", ("UnderTooDeep", "TooDeep", "Short"), "InvalidCertificateChain", "InvalidChain"),
    Chain("an expired root", ("UnderOldRoot",), "Expired", "Expired", ("OldRoot",)),
    Chain("a future root", ("UnderNewRoot",), "Expired", "Expired", ("NewRoot",)),
    Chain("a gap", ("SECC", "Sub1"), "NoRootCertificateInstalled", "IssuerNotFound"),
    Chain("an unknown root", ("Strange", "StrangeSub"), "NoRootCertificateInstalled", "IssuerNotFound"),
    Chain("its own root", ("Strange", "StrangeSub", "Stranger"), "NoRootCertificateInstalled", "IssuerNotFound"),
    Chain("no root at all", ("SECC", *SUBS), "NoRootCertificateInstalled", "IssuerNotFound", ()),
    Chain("self-signed", ("Lonely",), "NoRootCertificateInstalled", "IssuerNotFound"),
    Chain("a sub-CA as leaf", ("Sub2", "Sub1"), "InvalidCertificateChain", "InvalidChain"),
    Chain("the root as leaf", ("V2GRoot",), "InvalidCertificateChain", "InvalidChain"),
    Chain("a sub-CA first", ("Sub2", "SECC", "Sub1"), "InvalidCertificateChain", "InvalidChain"),
]


def with_keys(b: Bench, row: Chain, place: str = "client/cso") -> None:
    leaf = MADE[row.chain[0]]
    b.put(f"{place}/SECC_LEAF_by_hand.key", leaf.key_pem())


@pytest.mark.parametrize("kind", ["V2G", "CSMS"])
@pytest.mark.parametrize("row", [*GOOD, *WRONG], ids=lambda row: row.situation)
def test_verified_and_installed(tmp_path: Path, row: Chain, kind: str) -> None:
    place, names = {"V2G": ("client/cso", "SECC"), "CSMS": ("client/csms", "CSMS")}[kind]
    b = rooted(tmp_path, *row.roots, made=MADE) if row.roots else bench(tmp_path)
    with_keys(b, row, place)
    chain = MADE.pem(*row.chain)
    with b.watched() as change:
        for way in Way:
            one = b.ask("verify_certificate", OLD, way, certificate_chain=chain, certificate_type=kind)
            assert one == row.installed
            many = b.ask("verify_certificate", NEW, way, certificate_chain=chain, certificate_types=[kind])
            assert many == row.verified
    assert change.nothing
    with b.watched() as change:
        assert b.update(chain, kind) == row.installed
    if row.installed != "Accepted":
        assert change.nothing
        return
    assert change.updates == [("Installed", kind)]
    live = {name for name in change.added if "/der/" not in name}
    alone = row.chain == ("SECC0",)
    single, chained = f"{place}/{names}_LEAF_{RANDOM}\\.pem", f"{place}/CPO_CERT_{names}_LEAF_CHAIN_{RANDOM}\\.pem"
    change.added = live
    assert change.is_like(added=(single,) if alone else (rf"{single}|{chained}",) * 2)
    texts = {name.startswith(f"{place}/CPO"): (tmp_path / name).read_text() for name in live}
    assert texts[False] == MADE[row.chain[0]].pem
    assert alone or texts[True] == MADE.pem(row.chain[0], *SUBS)
    with b.watched() as change:
        assert b.update(chain, kind) == "Accepted"
    assert change.nothing


@pytest.mark.parametrize("command", ["update_leaf_certificate", "verify_certificate"])
@pytest.mark.parametrize(
    ("text", "installed", "verified"),
    [
        ("", "InvalidFormat", "Unknown"),
        ("text", "InvalidFormat", "Unknown"),
        (BAD, "InvalidFormat", "Unknown"),
        (W.pem("SECC", "Sub2", "Sub1") + BAD, "InvalidFormat", "Unknown"),
        (BAD + W.pem("SECC", "Sub2", "Sub1"), "InvalidFormat", "Unknown"),
        (W["Sub1"].pem * 101, "InvalidFormat", "Unknown"),
    ],
)
@pytest.mark.parametrize(("revision", "way"), WAYS)
def test_malformed_chains(
    tmp_path: Path, command: str, text: str, installed: str, verified: str, revision: Revision, way: Way
) -> None:
    b = rooted(tmp_path)
    with b.watched() as change:
        if command == "verify_certificate" and revision == NEW:
            answer = b.ask(command, revision, way, certificate_chain=text, certificate_types=["V2G"])
            assert answer == verified
        else:
            assert b.ask(command, revision, way, certificate_chain=text, certificate_type="V2G") == installed
    assert change.nothing


def test_leaves_that_the_station_does_not_keep(tmp_path: Path) -> None:
    b = rooted(tmp_path)
    chain = W.pem("SECC", "Sub2", "Sub1")
    for revision, way in WAYS:
        with b.watched() as change:
            assert b.ask("update_leaf_certificate", revision, way, certificate_chain=chain, certificate_type="MF") == (
                "WriteError"
            )
        assert change.nothing
    assert b.update(chain, "MO") == "WriteError"


@pytest.mark.parametrize("elsewhere", [None, "client/csms/CSMS_LEAF_x.key", "client/cso/SECC_LEAF_x.txt"])
def test_a_leaf_without_its_key(tmp_path: Path, elsewhere: str | None) -> None:
    b = rooted(tmp_path)
    b.put("client/cso/other.key", W["Sub1"].key_pem())
    if elsewhere:
        b.put(elsewhere, W["SECC"].key_pem())
    with b.watched() as change:
        assert b.update(W.pem("SECC", "Sub2", "Sub1")) == "WriteError"
    assert change.nothing


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_the_key_in_a_directory_of_its_own(tmp_path: Path, password: str | None) -> None:
    b = rooted(tmp_path, secc_leaf_key_directory="keys", private_key_password=password)
    b.put("keys/deep/any.key", W["SECC"].key_pem(password))
    with b.watched() as change:
        assert b.update(W.pem("SECC", "Sub2", "Sub1")) == "Accepted"
    pem = sorted(name for name in change.added if "/der/" not in name)
    assert all(name.startswith("client/cso/") for name in pem)
    info = b.info()["info"]
    assert info["key"] == str(tmp_path / "keys/deep/any.key")
    assert info.get("password") == password


@pytest.mark.parametrize(
    ("types", "chain", "answer"),
    [
        ([], ("SECC", *SUBS), "IssuerNotFound"),
        (["CSMS"], ("SECC", *SUBS), "IssuerNotFound"),
        (["CSMS", "V2G"], ("SECC", *SUBS), "Valid"),
        (["V2G", "V2G"], ("SECC", *SUBS), "Valid"),
        (["MO", "MF"], ("SECC", *SUBS), "IssuerNotFound"),
        (["V2G"], ("Future", *SUBS), "Valid"),
        (["V2G", "CSMS"], ("Future", *SUBS), "Valid"),
        (["V2G", "MO"], ("Future", *SUBS), "Expired"),
        (["V2G", "MO"], ("Mail", *SUBS), "Valid"),
        (["V2G", "CSMS"], ("Mail", *SUBS), "InvalidChain"),
    ],
)
def test_verification_for_several_domains(
    tmp_path: Path, types: list[str], chain: tuple[str, ...], answer: str
) -> None:
    b = bench(tmp_path)
    b.put(V2G_BUNDLE, MADE["V2GRoot"].pem)
    for way in Way:
        asked = b.ask("verify_certificate", NEW, way, certificate_chain=MADE.pem(*chain), certificate_types=types)
        assert asked == answer


def test_a_contract_that_is_not_valid_yet_is_not_valid(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/mo/MO_ROOT_CA.pem", MADE["V2GRoot"].pem)
    for chain, answer in ((("Future", *SUBS), "Expired"), (("SECC", *SUBS), "Valid")):
        asked = b.ask("verify_certificate", certificate_chain=MADE.pem(*chain), certificate_types=["MO"])
        assert asked == answer


CROSSED = world(
    "A > Sub > Leaf", "B > Cross >", "Twin > x", Cross={"same_as": "Sub"}, Twin={"same_as": "A", "key": KeyKind.ED25519}
)


@pytest.mark.parametrize("root", ["A", "B"])
@pytest.mark.parametrize("order", [("Sub", "Cross"), ("Cross", "Sub")])
def test_cross_signed_sub_cas_in_either_order(tmp_path: Path, root: str, order: tuple[str, str]) -> None:
    b = rooted(tmp_path, root, made=CROSSED)
    b.put("client/cso/a.key", CROSSED["Leaf"].key_pem())
    assert b.update(CROSSED.pem("Leaf", *order)) == "Accepted"
    chain = Path(b.info()["info"]["certificate"]).read_text()
    assert chain == CROSSED.pem("Leaf", {"A": "Sub", "B": "Cross"}[root])


def test_several_roots_of_one_name_without_key_identifiers(tmp_path: Path) -> None:
    bare = {"subject_key_identifier": KeyIdentifier.ABSENT, "authority_key_identifier": KeyIdentifier.ABSENT}
    same = world("One > First", One=bare, First=bare)
    other = world("One > Second", One={**bare, "key": KeyKind.SECP384R1}, Second=bare)
    for order in ((same, other), (other, same)):
        b = bench(tmp_path / str(order[0]["One"].certificate.serial_number))
        b.put(V2G_BUNDLE, order[0]["One"].pem + order[1]["One"].pem)
        for chain in (same["First"].pem, other["Second"].pem):
            assert b.ask("verify_certificate", certificate_chain=chain, certificate_types=["V2G"]) == "Valid"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({}, "Accepted"),
        ({"responder_urls": ()}, "InvalidCertificateChain"),
        ({"key_usage": frozenset({KeyUse.DIGITAL_SIGNATURE})}, "InvalidCertificateChain"),
    ],
)
def test_the_profile_of_iso_15118(tmp_path: Path, changes: dict[str, Any], answer: str) -> None:
    b = rooted(tmp_path, certificate_profile="iso15118")
    chain = csms(W, "Sub2").answer(b.request(), **{"responder_urls": ("http://ocsp.example/",), **changes})
    report = b.station.check(chain, ["V2G"])  # type: ignore[list-item]
    assert (report.reason is None) is (answer == "Accepted")
    if report.reason is not None:
        assert "15118" in str(report.reason)
    assert b.update(chain) == answer


def test_renewal_keeps_the_old_one_and_uses_the_new_one(tmp_path: Path) -> None:
    b = rooted(tmp_path)
    b.renew(W)
    old = b.info()["info"]
    b.set_clock(NOW + 30 * DAY)
    b.renew(W, not_before=NOW + 29 * DAY, not_after=NOW + 90 * DAY)
    new = b.info()["info"]
    assert new["key"] != old["key"]
    assert all(Path(old[name]).exists() for name in ("key", "certificate", "certificate_single"))


def test_the_critical_extension_that_nobody_knows(tmp_path: Path) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    made = world(
        "V2GRoot > SECC",
        SECC={"more_extensions": (x509.Extension(unknown.oid, True, unknown),)},
    )
    b = rooted(tmp_path, made=made)
    assert b.ask("verify_certificate", certificate_chain=made["SECC"].pem, certificate_types=["V2G"]) == "InvalidChain"


@pytest.mark.parametrize(
    ("profile", "kind", "domain"),
    [
        ("iso15118", "secp521r1", "CSO"),
        ("iso15118", "ed448", "CSO"),
        ("iso15118", "secp256r1", "CPO"),
        ("lenient", "secp521r1", "CPO"),
    ],
)
def test_a_request_asks_for_the_domain_component_that_its_profile_wants(
    tmp_path: Path, profile: str, kind: str, domain: str
) -> None:
    b = bench(tmp_path, certificate_profile=profile, csr_key_type=kind)
    _, csr = requested(b, NEW, WAYS[0][1])
    subject = x509.load_pem_x509_csr(csr.encode()).subject
    assert [one.value for one in subject.get_attributes_for_oid(x509.NameOID.DOMAIN_COMPONENT)] == [domain]

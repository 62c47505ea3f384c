"""Certificates, chains, OCSP responses and `.hash` files with one thing or several changed, and what holds of them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache

from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import strategies as st
from OpenSSL import crypto

from evse_security.errors import ChainRefused, MalformedCertificate, NotBase64, OcspRefused, TooLarge
from evse_security.lab.keys import KeyKind, PrivateKey, sign
from evse_security.lab.resign import tlv
from evse_security.pki import hashdata, names, ocsp, pem
from evse_security.pki.certificate import MAX_CERTIFICATE_BYTES, Certificate
from evse_security.pki.demands import why_not_ca
from evse_security.pki.forest import Forest
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy, TrustStore, verify
from evse_security.pki.profile import ProfileName
from evse_security.vocabulary import HashAlgorithm, LeafCertificateType
from tests.builders import NOW, World, as_version_1, ocsp_answer, with_explicit_false, world
from tests.hostile.target import Target
from tests.hostile.trees import Node, altered_octets, altered_trees, change, parse

# ---- what is changed


@cache
def seeds() -> World:
    """A hierarchy with all extensions that are read."""
    leaf = {
        "responder_urls": ("http://ocsp.example.com/a", "http://ocsp.example.com/b"),
        "extended_key_usage": (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    }
    kinds = {"RSA": {"key": KeyKind.RSA2048}, "Edwards": {"key": KeyKind.ED448}}
    return world(
        "Root > Sub > Leaf", "Sub > Responder", "RSA > LeafRSA", "Edwards > LeafEdwards",
        Leaf=leaf, Sub={"path_length": 0}, Responder={"role": "responder"}, **kinds,
    )  # fmt: skip


@cache
def certificates() -> tuple[bytes, ...]:
    made = seeds()
    odd = (as_version_1(made["Root"]), with_explicit_false(made["Leaf"]))
    return (*(made[holder].der for holder in made), *odd)


@cache
def responses() -> tuple[bytes, ...]:
    return (ocsp_answer(seeds(), "Leaf"), ocsp_answer(seeds(), "Leaf", "Responder"))


def _either(encodings: Callable[[], tuple[bytes, ...]]) -> st.SearchStrategy[bytes]:
    some = st.deferred(lambda: st.sampled_from(encodings()))
    return st.one_of(altered_trees(some), altered_octets(some))


# ---- altered, and signed again


@st.composite
def certificates_signed_again(draw: st.DrawFn, signers: Callable[[], tuple[Signer, ...]]) -> bytes:
    """A certificate with other contents, whose signature its issuer's key confirms all the same."""
    encoded, key = draw(st.sampled_from(signers()))
    whole = parse(encoded)
    tbs, algorithm, _ = _inside(whole)
    change(draw, tbs)
    signed = tbs.encoded()
    return tlv(0x30, signed, algorithm.encoded(), tlv(0x03, b"\0", sign(key, signed)))


@st.composite
def responses_signed_again(draw: st.DrawFn) -> bytes:
    """An OCSP response with other contents, whose signature its responder's key confirms all the same."""
    encoded, holder = draw(st.sampled_from(tuple(zip(responses(), ("Sub", "Responder"), strict=True))))
    whole = parse(encoded)
    basic = _inside(_inside(_inside(_inside(whole)[1])[0])[1])[0]
    tbs = _inside(basic)[0]
    change(draw, tbs)
    signed = tbs.encoded()
    _inside(basic)[2:3] = [parse(tlv(0x03, b"\0", sign(seeds()[holder].key, signed)))]
    return whole.encoded()


def _inside(node: Node) -> list[Node]:
    assert isinstance(node.inside, list)
    return node.inside


Signer = tuple[bytes, PrivateKey]
"""A certificate, and the key that signs it."""


@cache
def signers() -> tuple[Signer, ...]:
    return tuple((entity.der, (entity.issuer or entity).key) for entity in seeds().values())


def _text(encoded: bytes) -> bytes:
    return b"# comment\n-----BEGIN CERTIFICATE-----\n" + b64encode(encoded) + b"\n-----END CERTIFICATE-----\n"


def pem_texts() -> tuple[bytes, ...]:
    chain = (seeds()["Leaf"].der, seeds()["Sub"].der)
    return (b"".join(map(_text, chain)), seeds().pem("Leaf", "Sub").replace("\n", "\r\n").encode(), certificates()[0])


def _hash_files() -> tuple[bytes, ...]:
    root = Certificate(seeds()["Root"].der)
    return tuple(hashdata.certificate_id(root, root, algorithm).lines for algorithm in HashAlgorithm)


# ---- what must hold


def check_signed_again(encoded: bytes) -> None:
    """Whatever is signed: it can be looked at, and what we hold for valid, OpenSSL does."""
    certificate = _loaded(encoded)
    if certificate is None:
        return
    _look_at(certificate)
    leaf = Certificate(seeds()["Leaf"].der)
    for first, intermediates in ((certificate, _sub_cas()), (leaf, (certificate,))):
        for policy in POLICIES:
            with suppress(ChainRefused):
                found = verify(first, intermediates=intermediates, trust=_trusts()[0], policy=policy, now=NOW)
                assert openssl_agrees(found.path, NOW)
    with suppress(ChainRefused):
        own = TrustStore([certificate] if certificate.self_signed else [])
        assert openssl_agrees(verify(leaf, intermediates=_sub_cas(), trust=own, policy=POLICIES[0], now=NOW).path, NOW)


def openssl_agrees(path: Sequence[Certificate], now: datetime) -> bool:
    """Whether OpenSSL, told to trust the last certificate alone, holds a path for valid at that time."""
    leaf, *others, anchor = (crypto.load_certificate(crypto.FILETYPE_ASN1, one.der) for one in path)
    store = crypto.X509Store()
    store.add_cert(anchor)
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(max(now, path[0].not_before))  # a leaf may be one that becomes valid later
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def _loaded(encoded: bytes) -> Certificate | None:
    """What OpenSSL loads is loaded, else it is malformed."""
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, encoded)
        openssl_loads = True
    except crypto.Error:
        openssl_loads = False
    try:
        certificate = Certificate(encoded)
    except MalformedCertificate as error:
        assert str(error).isprintable()
        assert not openssl_loads or len(encoded) > MAX_CERTIFICATE_BYTES, "OpenSSL loads it"
        return None
    assert encoded.startswith(certificate.der)
    return certificate


def check_certificate(encoded: bytes) -> None:
    """What OpenSSL loads is loaded, else it is malformed; facts never raise; nothing altered is believed."""
    certificate = _loaded(encoded)
    if certificate is None:
        return
    _look_at(certificate)
    originals = {Certificate(original).tbs for original in certificates()}
    if certificate.self_signed:
        assert certificate.tbs in originals
    for policy in POLICIES:
        for trust in _trusts():
            try:
                verify(certificate, intermediates=_sub_cas(), trust=trust, policy=policy, now=NOW)
            except ChainRefused as refusal:
                assert str(refusal)
            else:
                assert certificate.tbs in originals
    try:
        leaf = Certificate(seeds()["Leaf"].der)
        verify(leaf, intermediates=[certificate], trust=_trusts()[0], policy=POLICIES[0], now=NOW)
    except ChainRefused:
        return
    assert certificate.tbs in originals


POLICIES = (
    Policy((LeafCertificateType.V2G,), leaf_start=LeafStart.NOW_OR_LATER),
    Policy((LeafCertificateType.MO,), ProfileName.ISO15118),
)


@cache
def _trusts() -> tuple[TrustStore, ...]:
    roots = [Certificate(seeds()[holder].der) for holder in ("Root", "RSA", "Edwards")]
    return (TrustStore(roots),)


@cache
def _sub_cas() -> tuple[Certificate, ...]:
    return (Certificate(seeds()["Sub"].der),)


def _look_at(certificate: Certificate) -> None:
    """Ask everything that listing, deleting and installing ask."""
    assert certificate.name.isprintable()
    assert certificate.issuer_name.isprintable()
    assert repr(certificate)
    assert certificate.valid_at(NOW) in (True, False)
    facts = (certificate.basic_constraints, certificate.key_usage, certificate.extended_key_usage)
    assert isinstance(facts, tuple)
    assert certificate.malformed == certificate.malformed
    assert why_not_ca(certificate) != ""
    assert all(isinstance(url, str) for url in certificate.ocsp_urls)
    assert certificate.subject_hash >= 0
    assert certificate.key_strength
    assert token_of_certificate(certificate)
    assert pem.single(certificate.pem, "it") == certificate
    forest = Forest([certificate, *_sub_cas(), *_trusts()[0].anchors])
    cert_id = forest.id_of(certificate)
    if cert_id is not None:
        assert certificate in forest.identified(cert_id)
        assert hashdata.asked_for(cert_id.hash_data) in (cert_id, None)
    assert names.key(certificate.subject) == certificate.subject_key


def check_text(text: bytes) -> None:
    """Blocks lie one behind the other; each is a certificate or says what is wrong, or what others may read."""
    end = 0
    for block in pem.blocks(text):
        assert end <= block.start <= block.end <= len(text)
        assert bool(block.problem or (block.flaw and not block.certificate)) is (block.certificate is None)
        end = block.end


def check_response(encoded: bytes) -> None:
    """A response is refused, or says what the responder signed."""
    assert _believed(encoded) in (None, ocsp.OcspStatus.good)
    with suppress(NotBase64, TooLarge):
        ocsp.decode(encoded.decode("latin-1"))


def check_response_signed_again(encoded: bytes) -> None:
    """A response is refused, or says something."""
    assert _believed(encoded) in (None, ocsp.OcspStatus.good, ocsp.OcspStatus.revoked)


def _believed(encoded: bytes) -> ocsp.OcspStatus | None:
    cert_id = hashdata.certificate_id(*_leaf_and_issuer())
    about = ocsp.about(ocsp.peek(encoded), cert_id)
    assert about is None or ocsp.current(about, NOW) in (True, False)
    try:
        return ocsp.believe(encoded, *_leaf_and_issuer(), NOW).status
    except OcspRefused as refusal:
        assert str(refusal)
        return None


@cache
def _leaf_and_issuer() -> tuple[Certificate, Certificate]:
    return Certificate(seeds()["Leaf"].der), Certificate(seeds()["Sub"].der)


def check_hash_file(content: bytes) -> None:
    """A `.hash` file is an identity that reads back, or none."""
    cert_id = hashdata.from_lines(content)
    assert cert_id is None or hashdata.from_lines(cert_id.lines) == cert_id


hash_files = altered_octets(st.deferred(lambda: st.sampled_from(_hash_files())))
texts = altered_octets(st.deferred(lambda: st.sampled_from(pem_texts())))

TARGETS: dict[str, Target] = {
    "certificate": Target(_either(certificates), check_certificate),
    "certificate signed again": Target(certificates_signed_again(signers), check_signed_again),
    "text": Target(texts, check_text),
    "OCSP response": Target(_either(responses), check_response),
    "OCSP response signed again": Target(responses_signed_again(), check_response_signed_again),
    ".hash file": Target(hash_files, check_hash_file),
}

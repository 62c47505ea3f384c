"""Hostile input: valid certificates, chains, OCSP responses and `.hash` files with one thing or several changed.

What must hold of it is in the `check_…` functions. A test tries the same few hundred in every run; `make fuzz` tries
others for as long as one likes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import strategies as st
from OpenSSL import crypto

from evse_security.errors import ChainRefused, MalformedCertificate, NotBase64, OcspRefused, TooLarge
from evse_security.lab.keys import KeyKind
from evse_security.lab.resign import members, tlv
from evse_security.pki import hashdata, names, ocsp, pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.forest import Forest
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import LeafStart, Policy, TrustStore, verify, why_not_ca
from evse_security.pki.profile import ProfileName
from evse_security.vocabulary import HashAlgorithm, LeafCertificateType
from tests.builders import NOW, World, as_version_1, ocsp_answer, with_explicit_false, world

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


# ---- how


@dataclass
class Node:
    """An element whose contents are others, or octets."""

    tag: int
    inside: list[Node] | bytes
    prefix: bytes = b""
    """The count of unused bits of a BIT STRING that holds an element."""

    def encoded(self) -> bytes:
        inside = self.inside if isinstance(self.inside, bytes) else b"".join(node.encoded() for node in self.inside)
        return tlv(self.tag, self.prefix, inside)


def parse(element: bytes) -> Node:
    """The tree of an element in DER, strings that hold elements taken apart as well."""
    [whole] = members(tlv(0x30, element))
    contents = whole[len(whole) - _length(whole) :]
    prefix = b"\0" if whole[0] == 0x03 and contents[:1] == b"\0" else b""
    if whole[0] & 0x20 or (whole[0] in (0x03, 0x04) and _is_sequence(contents[len(prefix) :])):
        return Node(whole[0], [parse(one) for one in members(tlv(0x30, contents[len(prefix) :]))], prefix)
    return Node(whole[0], contents)


def _length(element: bytes) -> int:
    if element[1] < 0x80:
        return element[1]
    return int.from_bytes(element[2 : 2 + (element[1] & 0x7F)])


def _is_sequence(octets: bytes) -> bool:
    return (
        len(octets) > 1 and octets[0] == 0x30 and len(tlv(0x30, octets[len(octets) - _length(octets) :])) == len(octets)
    )


def places(node: Node) -> Iterator[tuple[list[Node], int]]:
    """Every node below, as its siblings and its place among them."""
    if isinstance(node.inside, list):
        for at, inner in enumerate(node.inside):
            yield node.inside, at
            yield from places(inner)


Change = Callable[[st.DrawFn, list[Node], int], None]


def _retag(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at].tag = draw(st.one_of(st.integers(0, 255), st.sampled_from([0x80, 0xA0, 0x30, 0x24, 0x23, 0x17, 0x18])))


def _cut(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    inside = siblings[at].inside
    siblings[at].inside = inside[: draw(st.integers(0, max(len(inside) - 1, 0)))]


def _extend(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = Node(siblings[at].tag, siblings[at].encoded()[2:] + draw(st.binary(min_size=1, max_size=20)))


def _replace(draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = Node(siblings[at].tag, draw(st.binary(max_size=40)))


def _wrap(_draw: st.DrawFn, siblings: list[Node], at: int) -> None:
    siblings[at] = Node(siblings[at].tag | 0x20, [siblings[at]])


CHANGES: tuple[Change, ...] = (
    lambda _draw, siblings, at: siblings.__delitem__(at),
    lambda _draw, siblings, at: siblings.insert(at, siblings[at]),
    lambda _draw, siblings, _at: siblings.reverse(),
    _retag,
    _cut,
    _extend,
    _replace,
    _wrap,
)


@st.composite
def altered_trees(draw: st.DrawFn, encodings: st.SearchStrategy[bytes]) -> bytes:
    """An encoding of DER with one to three of its elements changed, lengths put right around them."""
    whole = Node(0x30, [parse(draw(encodings))])
    for _ in range(draw(st.integers(1, 3))):
        everywhere = list(places(whole))
        if everywhere:
            siblings, at = everywhere[draw(st.integers(0, len(everywhere) - 1))]
            draw(st.sampled_from(CHANGES))(draw, siblings, at)
    return b"".join(node.encoded() for node in whole.inside if isinstance(node, Node))


@st.composite
def altered_octets(draw: st.DrawFn, texts: st.SearchStrategy[bytes]) -> bytes:
    """Octets of which some are deleted, doubled or replaced, wherever that is."""
    octets = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(octets)))
        end = min(len(octets), begin + draw(st.integers(0, 40)))
        between = draw(st.one_of(st.binary(max_size=8), st.just(octets[begin:end] * 2), st.just(b"-----BEGIN CERTIFI")))
        octets = octets[:begin] + between + octets[end:]
    return octets


def _either(encodings: Callable[[], tuple[bytes, ...]]) -> st.SearchStrategy[bytes]:
    some = st.deferred(lambda: st.sampled_from(encodings()))
    return st.one_of(altered_trees(some), altered_octets(some))


def _text(encoded: bytes) -> bytes:
    return b"# comment\n-----BEGIN CERTIFICATE-----\n" + b64encode(encoded) + b"\n-----END CERTIFICATE-----\n"


def _texts() -> tuple[bytes, ...]:
    chain = (seeds()["Leaf"].der, seeds()["Sub"].der)
    return (b"".join(map(_text, chain)), seeds().pem("Leaf", "Sub").replace("\n", "\r\n").encode(), certificates()[0])


def _hash_files() -> tuple[bytes, ...]:
    root = Certificate(seeds()["Root"].der)
    return tuple(hashdata.certificate_id(root, root, algorithm).lines for algorithm in HashAlgorithm)


# ---- what must hold


def check_certificate(encoded: bytes) -> None:
    """What OpenSSL loads is loaded, else it is malformed; facts never raise; nothing altered is believed."""
    try:
        crypto.load_certificate(crypto.FILETYPE_ASN1, encoded)
        openssl_loads = True
    except crypto.Error:
        openssl_loads = False
    try:
        certificate = Certificate(encoded)
    except MalformedCertificate as error:
        assert str(error).isprintable()
        assert not openssl_loads, "OpenSSL loads it"
        return
    assert encoded.startswith(certificate.der)
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
    ocsp.peek(encoded)
    leaf, sub = (Certificate(seeds()[holder].der) for holder in ("Leaf", "Sub"))
    try:
        answer = ocsp.believe(encoded, leaf, sub, NOW)
    except OcspRefused as refusal:
        assert str(refusal)
    else:
        assert answer.status is ocsp.OcspStatus.good
    with suppress(NotBase64, TooLarge):
        ocsp.decode(encoded.decode("latin-1"))


def check_hash_file(content: bytes) -> None:
    """A `.hash` file is an identity that reads back, or none."""
    cert_id = hashdata.from_lines(content)
    assert cert_id is None or hashdata.from_lines(cert_id.lines) == cert_id


TARGETS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[bytes], None]]] = {
    "certificate": (_either(certificates), check_certificate),
    "text": (altered_octets(st.deferred(lambda: st.sampled_from(_texts()))), check_text),
    "OCSP response": (_either(responses), check_response),
    ".hash file": (altered_octets(st.deferred(lambda: st.sampled_from(_hash_files()))), check_hash_file),
}

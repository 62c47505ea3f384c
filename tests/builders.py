"""Short ways to the certificates a test needs, at a fixed time: world("V2GRoot > SubCA1 > SubCA2 > SECC")["SECC"].pem.

Key pairs depend on their name alone: the elliptic ones are the same in every process and run, the RSA ones are made
once per process. Every certificate built has a serial number of its own, so no two tests share an identity by accident.
"""

from __future__ import annotations

import hashlib
import itertools
import textwrap
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from evse_security.lab.authority import LEAF, OCSP_RESPONDER, ROOT_CA, SUB_CA, Entity, name, self_signed
from evse_security.lab.keys import CURVES, KeyKind, PrivateKey, generate_key, natural_hash
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.lab.resign import SEQUENCE, Alteration, members, resign, tlv
from evse_security.pki import encode


def at(text: str) -> datetime:
    """An aware time from ISO 8601 text, UTC unless it says otherwise: at("2030-01-01"), at("2030-01-01T12:00:00")."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


NOW = at("2030-01-01")
"""The present, for all tests."""
DAY = timedelta(days=1)
YEAR = 365 * DAY

_ROLES = {
    "root": replace(ROOT_CA, not_before=NOW - 10 * YEAR, not_after=NOW + 30 * YEAR),
    "sub_ca": replace(SUB_CA, not_before=NOW - YEAR, not_after=NOW + 4 * YEAR),
    "leaf": replace(LEAF, not_before=NOW - DAY, not_after=NOW + 60 * DAY),
    "responder": replace(OCSP_RESPONDER, not_before=NOW - DAY, not_after=NOW + 30 * DAY),
}
_numbers = itertools.count(1)


def key(holder: str, kind: KeyKind = KeyKind.SECP256R1) -> PrivateKey:
    """The private key of that kind which belongs to that name; the same object at every call."""
    return _key(kind, holder)


@cache
def _key(kind: KeyKind, holder: str) -> PrivateKey:
    seed = hashlib.shake_256(f"{kind}:{holder}".encode()).digest(66)
    if kind in CURVES:
        curve = CURVES[kind]
        # One bit less than the curve has is below the order of its group, whichever of the curves it is.
        return ec.derive_private_key(int.from_bytes(seed) % (1 << (curve.key_size - 1)), curve)
    if kind is KeyKind.ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
    if kind is KeyKind.ED448:
        return ed448.Ed448PrivateKey.from_private_bytes(seed[:57])
    return generate_key(kind)


key_source = _key
"""The KeySource of the tests: `key`, with the arguments as `evse_security.lab` passes them."""


@dataclass(frozen=True)
class World(Mapping[str, Entity]):
    """Entities by name, in the order they were made."""

    entities: dict[str, Entity] = field(default_factory=dict)

    def __getitem__(self, holder: str) -> Entity:
        return self.entities[holder]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def pem(self, *holders: str) -> str:
        """The certificates of those entities as one PEM text, in that order."""
        return "".join(self[holder].pem for holder in holders)


def world(*paths: str, **changes: Mapping[str, Any]) -> World:
    """A public-key infrastructure drawn as paths: world("Root > Sub > Leaf", "Root > Sub > Other").

    The first name of a path is a self-signed root, the last a leaf, those between are sub-CAs; a path that ends in ">"
    has no leaf. A name met before is the entity made then, so paths branch by repeating it. Each name's certificate can
    be changed by a keyword of that name, with a dictionary of:

    - any field of `Template`: world("Root > Leaf", Leaf={"not_after": NOW, "key_usage": None})
    - "role": "root", "sub_ca", "leaf" or "responder" instead of the one by position
    - "key": a KeyKind, or a private key
    - "same_as": the name of the entity whose subject and key it has too. This cross-signs Sub:
      world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"})
    - "path_length": 0
    - "signed_by": "Mallory": forged, with the key of that name
    """
    made = World()
    for path in paths:
        issuer: Entity | None = None
        holders = [part.strip() for part in path.split(">")]
        for position, holder in enumerate(holders):
            if holder and holder not in made:
                role = "root" if position == 0 else "leaf" if position == len(holders) - 1 else "sub_ca"
                made.entities[holder] = _entity(made, holder, role, issuer, changes.get(holder, {}))
            issuer = made[holder] if holder else None
    unused = set(changes) - set(made)
    if unused:
        raise ValueError(f"changes for {sorted(unused)}, who are on no path")
    return made


def _entity(made: World, holder: str, role: str, issuer: Entity | None, changes: Mapping[str, Any]) -> Entity:
    fields = {"subject": name(CN=holder, O="Test"), "serial_number": next_serial(holder), **changes}
    twin = made[fields.pop("same_as")] if "same_as" in fields else None
    chosen = fields.pop("key", KeyKind.SECP256R1 if twin is None else twin.key)
    private_key = key(holder, chosen) if isinstance(chosen, KeyKind) else chosen
    template = _ROLES[fields.pop("role", role)]
    if twin is not None:
        fields["subject"] = twin.certificate.subject
    if "path_length" in fields:
        fields["basic_constraints"] = x509.BasicConstraints(ca=True, path_length=fields.pop("path_length"))
    if isinstance(fields.get("signed_by"), str):
        fields["signed_by"] = key(fields["signed_by"])
    template = replace(template, **fields)
    return self_signed(private_key, template) if issuer is None else issuer.issue(private_key, template)


def next_serial(holder: str) -> int:
    """A positive serial number of 16 octets that no other certificate of this process has."""
    return int.from_bytes(hashlib.sha256(f"{next(_numbers)}:{holder}".encode()).digest()[:16]) | 1 << 120


def chain_pem(made: World, *holders: str) -> str:
    """The certificates of those entities as one PEM text, in that order: chain_pem(w, "SECC", "SubCA2", "SubCA1")."""
    return made.pem(*holders)


@dataclass(frozen=True)
class Csms:
    """The other side of SignCertificate.req and CertificateSigned.req: has signing requests answered by a CA."""

    authority: Entity

    def answer(self, csr_pem: str, **changes: Any) -> str:
        """The chain for a request, leaf first and without the root; `changes` are fields of `Template`."""
        template = replace(_ROLES["leaf"], serial_number=next_serial("answer"))
        return self.authority.answer(csr_pem, replace(template, **changes))


def csms(made: World, authority: str) -> Csms:
    """A CSMS whose requests that CA signs: csms(w, "SubCA2").answer(csr)."""
    return Csms(made[authority])


def ocsp_answer(made: World, subject: str, responder: str | None = None, **changes: Any) -> bytes:
    """The DER of an OCSP response about that entity, signed by its issuer or by the responder of that name.

    Good, from an hour ago for a week; `changes` are fields of `ResponseTemplate`.
    """
    entity = made[subject]
    issuer = entity.issuer or entity
    template = replace(ResponseTemplate(this_update=NOW - DAY / 24, next_update=NOW + 7 * DAY), **changes)
    return ocsp_response(entity.certificate, issuer, made[responder] if responder else issuer, template)


def altered(entity: Entity, alter: Alteration) -> bytes:
    """The DER of the entity's certificate with other contents, signed by its issuer all the same."""
    return resign(entity.der, (entity.issuer or entity).key, alter)


def signed_with_rsa(world: World, holder: str, issuer: str, algorithm: str, digest: hashes.HashAlgorithm) -> bytes:
    """The holder's certificate signed by the issuer with PKCS #1 and any digest, which `cryptography` makes none of.

    `algorithm` is the dotted identifier that names it; both certificates keep their names.
    """
    identifier = tlv(0x30, encode.oid(algorithm), tlv(0x05))
    fields = members(world[holder].certificate.tbs_certificate_bytes)
    signed = tlv(0x30, *fields[:2], identifier, *fields[3:])
    private_key = world[issuer].key
    assert isinstance(private_key, rsa.RSAPrivateKey)
    signature = private_key.sign(signed, padding.PKCS1v15(), digest)
    return tlv(0x30, signed, identifier, tlv(0x03, b"\0", signature))


def as_version_1(entity: Entity) -> bytes:
    """The certificate as X.509 version 1: without version number and extensions (RFC 5280 §4.1.2.1)."""
    return altered(entity, lambda fields: [field for field in fields if field[0] not in (0xA0, 0xA3)])


def with_serial_number(entity: Entity, serial_number: int) -> bytes:
    """The certificate with any serial number: zero, negative, longer than the 20 octets of RFC 5280 §4.1.2.2."""
    octets = serial_number.to_bytes(serial_number.bit_length() // 8 + 1, signed=True)
    return altered(entity, lambda fields: [tlv(0x02, octets) if field[0] == 0x02 else field for field in fields])


def with_explicit_false(entity: Entity) -> bytes:
    """An end-entity certificate whose basic constraints spell out cA:FALSE, the default, which DER forbids."""
    return altered(entity, lambda fields: [*fields[:-1], _explicit_false(fields[-1])])


def _explicit_false(extensions: bytes) -> bytes:
    def alter(extension: bytes) -> bytes:
        *head, value = members(extension)
        return (
            tlv(SEQUENCE, *head, tlv(0x04, tlv(SEQUENCE, tlv(0x01, b"\x00"))))
            if value == b"\x04\x02\x30\x00"
            else extension
        )

    [listed] = members(extensions)
    return tlv(0xA3, tlv(SEQUENCE, *map(alter, members(listed))))


def pem_of(der: bytes) -> str:
    """A certificate's DER as PEM text."""
    body = "\n".join(textwrap.wrap(b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


def signing_request(private_key: PrivateKey, subject: x509.Name | None = None) -> str:
    """A PKCS #10 request in PEM, made by hand rather than by the code under test."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or name(CN="SECC", O="Test", DC="CPO"))
    request = builder.sign(private_key, natural_hash(private_key))
    return request.public_bytes(Encoding.PEM).decode("ascii")

"""A whole public-key infrastructure around a charging station, in the shape of ISO 15118-2 or ISO 15118-20.

Who is in it stands in one table, PLACES: the V2G root with the charge point operator's and the provisioning service's
sub-CAs, the mobility operator, the car maker, the CSMS and the charger's manufacturer, and one OCSP responder for each
CA that issues. Each variant goes wrong, or is unusual, in one way.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.x509.ocsp import OCSPResponseStatus
from cryptography.x509.oid import ExtendedKeyUsageOID

from evse_security.lab.authority import (
    LEAF,
    OCSP_RESPONDER,
    ROOT_CA,
    SUB_CA,
    Entity,
    KeyUse,
    Template,
    name,
    self_signed,
)
from evse_security.lab.keys import KeyKind, KeySource, fresh_key
from evse_security.lab.ocsp import ResponseTemplate, certificate_id, ocsp_response, unsuccessful_response


class Edition(StrEnum):
    """The part of ISO 15118 whose certificate profiles are followed."""

    ISO15118_2 = "iso15118-2"
    ISO15118_20 = "iso15118-20"


class Variant(StrEnum):
    """How a PKI differs from the ordinary one."""

    ORDINARY = "ordinary"
    EXPIRED_LEAF = "expired-leaf"
    EXPIRED_SUB_CA = "expired-sub-ca"
    EXPIRED_ROOT = "expired-root"
    FUTURE_LEAF = "future-leaf"
    CROSS_SIGNED = "cross-signed"
    """CPO_SUB_CA1 also has a certificate from a second V2G root: CPO_SUB_CA1_CROSS by V2G_ROOT_CA_2."""
    SAME_NAMED_ROOTS = "same-named-roots"
    """V2G_ROOT_CA_2 has the name of V2G_ROOT_CA and another key."""


class Tier(Enum):
    """Where in a hierarchy a certificate stands; its value is what such certificates have in common."""

    ROOT = ROOT_CA
    SUB_CA1 = replace(SUB_CA, basic_constraints=x509.BasicConstraints(ca=True, path_length=1))
    SUB_CA2 = replace(SUB_CA, basic_constraints=x509.BasicConstraints(ca=True, path_length=0))
    LEAF = LEAF
    RESPONDER = OCSP_RESPONDER


class Place(NamedTuple):
    """One holder of a certificate: who issues to it, its common name and domain component, and for how long."""

    issuer: str | None
    tier: Tier
    common_name: str
    domain: str | None
    days: int
    changes: Mapping[str, Any] = {}
    """Fields of Template in which it differs from its tier."""
    key_kind: KeyKind | None = None
    """None: the edition's."""


SIGNS = frozenset({KeyUse.DIGITAL_SIGNATURE})
CONTRACT_USES = frozenset(
    {KeyUse.DIGITAL_SIGNATURE, KeyUse.CONTENT_COMMITMENT, KeyUse.KEY_ENCIPHERMENT, KeyUse.KEY_AGREEMENT}
)
TLS_CLIENT: Mapping[str, Any] = {"extended_key_usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}
TLS_SERVER: Mapping[str, Any] = {
    "extended_key_usage": (ExtendedKeyUsageOID.SERVER_AUTH,),
    "alternative_names": (x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))),
}
OPERATOR = "<CPO>"  # the domain component of an SECC leaf depends on the edition
OPERATOR_DOMAIN = {Edition.ISO15118_2: "CPO", Edition.ISO15118_20: "CSO"}
EDITION_KEY = {Edition.ISO15118_2: KeyKind.SECP256R1, Edition.ISO15118_20: KeyKind.SECP521R1}

# Domain components, key usages, path lengths and lifetimes after ISO 15118-2:2014 Annex F. What no part of ISO 15118
# rules (CSMS, manufacturer) has a key that every peer understands.
PLACES: Mapping[str, Place] = {
    "V2G_ROOT_CA": Place(None, Tier.ROOT, "V2G Root CA", "V2G", 40 * 365),
    "CPO_SUB_CA1": Place("V2G_ROOT_CA", Tier.SUB_CA1, "CPO Sub-CA 1", "V2G", 4 * 365),
    "CPO_SUB_CA2": Place("CPO_SUB_CA1", Tier.SUB_CA2, "CPO Sub-CA 2", "V2G", 2 * 365),
    "SECC_LEAF": Place("CPO_SUB_CA2", Tier.LEAF, "DEEVSE000001", OPERATOR, 80),
    "CPS_SUB_CA1": Place("V2G_ROOT_CA", Tier.SUB_CA1, "CPS Sub-CA 1", "V2G", 4 * 365),
    "CPS_SUB_CA2": Place("CPS_SUB_CA1", Tier.SUB_CA2, "CPS Sub-CA 2", "V2G", 2 * 365),
    "CPS_LEAF": Place("CPS_SUB_CA2", Tier.LEAF, "Provisioning Service", "CPS", 80, {"key_usage": SIGNS}),
    "MO_ROOT_CA": Place(None, Tier.ROOT, "MO Root CA", "MO", 40 * 365),
    "MO_SUB_CA1": Place("MO_ROOT_CA", Tier.SUB_CA1, "MO Sub-CA 1", "MO", 4 * 365),
    "MO_SUB_CA2": Place("MO_SUB_CA1", Tier.SUB_CA2, "MO Sub-CA 2", "MO", 2 * 365),
    "CONTRACT_LEAF": Place("MO_SUB_CA2", Tier.LEAF, "DEEVSC00000001", "MO", 365, {"key_usage": CONTRACT_USES}),
    "OEM_ROOT_CA": Place(None, Tier.ROOT, "OEM Root CA", "OEM", 40 * 365),
    "OEM_SUB_CA1": Place("OEM_ROOT_CA", Tier.SUB_CA1, "OEM Sub-CA 1", "OEM", 10 * 365),
    "OEM_SUB_CA2": Place("OEM_SUB_CA1", Tier.SUB_CA2, "OEM Sub-CA 2", "OEM", 10 * 365),
    "OEM_LEAF": Place("OEM_SUB_CA2", Tier.LEAF, "WMIEVSE0000000001", "OEM", 4 * 365),
    "CSMS_ROOT_CA": Place(None, Tier.ROOT, "CSMS Root CA", None, 20 * 365, key_kind=KeyKind.SECP256R1),
    "CSMS_SUB_CA": Place("CSMS_ROOT_CA", Tier.SUB_CA2, "CSMS Sub-CA", None, 4 * 365, key_kind=KeyKind.SECP256R1),
    "CSMS_LEAF": Place("CSMS_SUB_CA", Tier.LEAF, "DEEVSE000001", None, 365, TLS_CLIENT, KeyKind.SECP256R1),
    "CSMS_SERVER": Place("CSMS_SUB_CA", Tier.LEAF, "csms.example.com", None, 365, TLS_SERVER, KeyKind.SECP256R1),
    "MF_ROOT_CA": Place(None, Tier.ROOT, "MF Root CA", None, 20 * 365, key_kind=KeyKind.SECP256R1),
    "FIRMWARE_LEAF": Place(
        "MF_ROOT_CA", Tier.LEAF, "Firmware Signing", None, 4 * 365, {"key_usage": SIGNS}, KeyKind.SECP256R1
    ),
}


def _responders() -> dict[str, Place]:
    """One delegated responder for each CA that issues, valid as long as the CA (RFC 6960 §4.2.2.2)."""
    authorities = {place.issuer: PLACES[place.issuer] for place in PLACES.values() if place.issuer}
    return {
        responder_of(holder): Place(
            holder, Tier.RESPONDER, f"{ca.common_name} OCSP", ca.domain, ca.days, key_kind=ca.key_kind
        )
        for holder, ca in authorities.items()
    }


def responder_of(authority: str) -> str:
    """The name in a Pki of the OCSP responder of one of its CAs."""
    return f"{authority}_OCSP"


def responder_url(authority: str) -> str:
    """The URL that certificates of that CA name for their status; nobody listens there."""
    return f"http://ocsp.example.com/{authority.lower()}"


@dataclass(frozen=True)
class Pki(Mapping[str, Entity]):
    """The entities of a PKI by the names of PLACES and responder_of; issuers before those they issued to."""

    edition: Edition
    variant: Variant
    entities: Mapping[str, Entity]

    def __getitem__(self, holder: str) -> Entity:
        return self.entities[holder]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entities)

    def __len__(self) -> int:
        return len(self.entities)

    def answer(self, csr_pem: str, holder: str, *, now: datetime) -> str:
        """The chain for a signing request by one that stands where that leaf stands (SECC_LEAF, CSMS_LEAF, …).

        Leaf first, without the root; the validity begins at `now` and is the place's, in the PKI's variant.
        """
        place = PLACES[holder]
        if place.issuer is None:
            raise ValueError(f"{holder} is a root: nobody signs for it")
        return self[place.issuer].answer(csr_pem, template_of(holder, self.edition, self.variant, now=now))

    def ocsp_response(
        self, issuer_name_hash: str, issuer_key_hash: str, serial_number: str, template: ResponseTemplate
    ) -> bytes:
        """The DER of the OCSP response about a certificate known by its CertID, in hexadecimal as OCPP writes it.

        The hashes are of the template's algorithm. Every serial number is taken for issued; a CA that is not in this
        PKI makes the response UNAUTHORIZED (RFC 5019 §2.2.3).
        """
        wanted = bytes.fromhex(issuer_name_hash), bytes.fromhex(issuer_key_hash)
        for holder, entity in self.items():
            if certificate_id(entity, template.hash_algorithm) == wanted:
                responder = self.get(responder_of(holder), entity)
                return ocsp_response(int(serial_number, 16), entity, responder, template)
        return unsuccessful_response(OCSPResponseStatus.UNAUTHORIZED)


def make_pki(
    edition: Edition,
    *,
    now: datetime,
    variant: Variant = Variant.ORDINARY,
    key_kind: KeyKind | None = None,
    keys: KeySource = fresh_key,
) -> Pki:
    """A new PKI, everyone's key from `keys`; key_kind replaces the edition's (Ed448 is lawful in ISO 15118-20)."""
    entities: dict[str, Entity] = {}
    for holder, place in ALL_PLACES.items():
        key = keys(place.key_kind or key_kind or EDITION_KEY[edition], holder)
        template = template_of(holder, edition, variant, now=now)
        above = entities[place.issuer] if place.issuer else None
        entities[holder] = above.issue(key, template) if above else self_signed(key, template)
    root, sub_ca = entities["V2G_ROOT_CA"], entities["CPO_SUB_CA1"]
    if variant in (Variant.CROSS_SIGNED, Variant.SAME_NAMED_ROOTS):
        template = template_of("V2G_ROOT_CA", edition, variant, now=now)
        if variant is Variant.CROSS_SIGNED:
            template = replace(template, subject=_subject("V2G Root CA 2", "V2G"))
        root = self_signed(keys(key_kind or EDITION_KEY[edition], "V2G_ROOT_CA_2"), template)
        entities["V2G_ROOT_CA_2"] = root
    if variant is Variant.CROSS_SIGNED:
        entities["CPO_SUB_CA1_CROSS"] = root.issue(sub_ca.key, template_of("CPO_SUB_CA1", edition, variant, now=now))
    return Pki(edition, variant, entities)


def template_of(holder: str, edition: Edition, variant: Variant, *, now: datetime) -> Template:
    """What the certificate of that place says if it is issued at `now`."""
    place = ALL_PLACES[holder]
    domain = OPERATOR_DOMAIN[edition] if place.domain == OPERATOR else place.domain
    not_before, not_after = _validity(place, variant, now)
    template = replace(
        place.tier.value,
        subject=_subject(place.common_name, domain),
        not_before=not_before,
        not_after=not_after,
        responder_urls=(responder_url(place.issuer),) if place.issuer and place.tier is not Tier.RESPONDER else (),
    )
    return replace(template, **place.changes)


def _subject(common_name: str, domain: str | None) -> x509.Name:
    attributes = {"CN": common_name, "O": "EVSE Security Lab", "C": "DE"}
    return name(**attributes, **({"DC": domain} if domain else {}))


DAY = timedelta(days=1)
_CAS = (Tier.SUB_CA1, Tier.SUB_CA2)
_EXPIRED = {Variant.EXPIRED_ROOT: (Tier.ROOT,), Variant.EXPIRED_SUB_CA: _CAS, Variant.EXPIRED_LEAF: (Tier.LEAF,)}
_FUTURE = {Variant.FUTURE_LEAF: (Tier.LEAF,)}


def _validity(place: Place, variant: Variant, now: datetime) -> tuple[datetime, datetime]:
    """From a day ago on; if the variant says so, until a day ago or from tomorrow on."""
    lifetime = place.days * DAY
    if place.tier in _EXPIRED.get(variant, ()):
        return now - DAY - lifetime, now - DAY
    start = now + DAY if place.tier in _FUTURE.get(variant, ()) else now - DAY
    return start, start + lifetime


ALL_PLACES: Mapping[str, Place] = {**PLACES, **_responders()}

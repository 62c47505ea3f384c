"""A station with its desk, and a CSMS on the package `ocpp` over websockets with TLS on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from evse_security import Station, StationConfig
from evse_security.adapters.ocpp import CertificatePolicy, Edition
from evse_security.adapters.ocpp.desk import Desk
from evse_security.lab.authority import Entity, name
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, World, at, csms, world

SERIAL = "CS-0001"
ORGANIZATION = "Operator"
SECC = "DE-ICE-S-0001"
SERVER = {
    "extended_key_usage": (ExtendedKeyUsageOID.SERVER_AUTH,),
    "alternative_names": (x509.DNSName("localhost"),),
}
LONG = {"not_before": at("2020-01-02"), "not_after": at("2050-01-01")}
"""TLS asks the machine what time it is."""


KEY_OF_20 = {"key": KeyKind.SECP521R1, **LONG}


def pki(*more: str, **changes: Mapping[str, Any]) -> World:
    """A CSMS, a V2G and an MF hierarchy, and a stranger's; and more of them."""
    long = ("CsmsSub", "Next", "Other", "Third", "CpoSub1", "CpoSub2", "MoSub", "Firmware", "StrangerSub")
    server: Mapping[str, Any] = {"subject": name(CN="localhost", O="Operator"), **SERVER, **LONG}
    return world(
        "CsmsRoot > CsmsSub > Server",
        "CsmsRoot > Next > NextServer",
        "CsmsRoot > Other >",
        "CsmsRoot > CsmsSub > Expired",
        "CsmsRoot > CsmsSub > Elsewhere",
        "CsmsRoot > CsmsSub > Wildcard",
        "Next > Third >",
        "V2GRoot > CpoSub1 > CpoSub2 > Old",
        "MORoot > MoSub > Contract",
        "MFRoot > Firmware",
        "Stranger > StrangerSub > StrangerLeaf",
        *more,
        **{
            **dict.fromkeys(long, LONG),
            "Server": server,
            "NextServer": server,
            "Expired": {"subject": name(CN="localhost"), **SERVER, **LONG, "not_after": at("2021-01-01")},
            "Elsewhere": {**SERVER, **LONG, "alternative_names": (x509.DNSName("elsewhere.example"),)},
            "Wildcard": {**SERVER, **LONG, "alternative_names": (x509.DNSName("*.charging.example"),)},
            **changes,
        },
    )


def pki_of_both(responder: str = "") -> World:
    """The same with a V2G hierarchy of ISO 15118-20; sub-CAs for cars may name an OCSP responder."""
    named = {"responder_urls": (responder,)} if responder else {}
    of_2 = {one: {**LONG, **named} for one in ("CpoSub1", "CpoSub2")}
    of_20 = {one: {**KEY_OF_20, **named} for one in ("CsoSub1", "CsoSub2")}
    return pki("V2G20Root > CsoSub1 > CsoSub2 >", V2G20Root=KEY_OF_20, **of_2, **of_20)


def hash_data(holder: Entity) -> dict[str, str]:
    """What names a root with a key on an elliptic curve, computed by hand."""
    certificate = holder.certificate
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(point).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def root_of(holder: Entity) -> Entity:
    """The top of a hierarchy."""
    return holder if holder.issuer is None else root_of(holder.issuer)


def policy(edition: Edition, **changes: Any) -> CertificatePolicy:
    named: dict[str, Any] = {"organization": ORGANIZATION, "serial_number": SERIAL, "secc_id": SECC, "country": "DE"}
    return CertificatePolicy(edition=edition, **{**named, **changes})


@dataclass
class Time:
    """A clock that tests turn."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Bench:
    """A station and its desk, without a connection."""

    certs: Path
    edition: Edition = Edition.V201
    time: Time = field(default_factory=Time)
    changes: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    made: World = field(default_factory=pki)
    installed: Mapping[str, str] = field(default_factory=lambda: {"CSMS": "CsmsRoot", "V2G": "V2GRoot", "MF": "MFRoot"})

    def __post_init__(self) -> None:
        self.state = self.certs.parent / "state"
        self.reopened()
        for kind, holder in self.installed.items():
            arguments = {"certificate": self.made[holder].pem, "certificate_type": kind}
            assert self.station.dispatch("install_ca_certificate", arguments) == "Accepted"

    def reopened(self) -> None:
        """The station and its desk as in another process."""
        self.station = Station.open(StationConfig.under(self.certs, clock=self.time, **self.config))
        self.desk = self.restarted()

    def restarted(self) -> Desk:
        """The desk as after a power cut."""
        self.desk = Desk(self.station, policy(self.edition, **self.changes), self.state)
        return self.desk

    def answer(self, action: str, **payload: Any) -> Any:
        found = self.desk.answer(action, payload)
        return None if found is None else found.payload

    def trigger(self, wanted: str) -> str:
        """Have a signing request made, as a CSMS does. Returns the request."""
        action = "ExtendedTriggerMessage" if self.edition is Edition.V16 else "TriggerMessage"
        found = self.desk.answer(action, {"requestedMessage": wanted})
        assert found is not None and found.payload == {"status": "Accepted"}
        assert found.then.sign is not None
        self.desk.renewals.trigger(found.then.sign)
        [request] = self.desk.renewals.look().requests
        self.desk.renewals.asked(request.use, None)
        csr: str = request.payload["csr"]
        return csr

    def chain(self, csr: str, authority: str = "CsmsSub", **changes: Any) -> str:
        """What a CA answers to a request."""
        times = {"not_before": self.time.now - DAY, "not_after": self.time.now + 60 * DAY}
        return csms(self.made, authority).answer(csr, **{**times, **changes})

    @property
    def events(self) -> list[str]:
        return [one.type for one in self.desk.memory.waiting]

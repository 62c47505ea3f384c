"""What a station asks certificates for, in OCPP's words and ours: tables alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from evse_security.adapters.ocpp.editions import Edition
from evse_security.vocabulary import LeafCertificateType


class SigningUse(StrEnum):
    """What a signing request is for. Those of one kind of leaf are called like it (`LeafCertificateType`)."""

    CSMS = "CSMS"
    """The client certificate."""
    V2G = "V2G"
    """The SECC leaf; in OCPP 2.1 that of ISO 15118-2."""
    V2G20 = "V2G20"
    """The SECC leaf of ISO 15118-20, which has another kind of key (OCPP 2.1)."""
    COMBINED = "combined"
    """One certificate for the CSMS and for cars (OCPP 2.x): a request without a type."""

    @property
    def kinds(self) -> tuple[LeafCertificateType, ...]:
        """Of which kinds the leaf is. The client certificate comes last: once that is there, the station reconnects."""
        return _KINDS.get(self, (LeafCertificateType.V2G,))

    @property
    def is_client(self) -> bool:
        """Whether the station shows it to the CSMS."""
        return LeafCertificateType.CSMS in self.kinds

    @property
    def is_secc(self) -> bool:
        """Whether the station shows it to cars."""
        return LeafCertificateType.V2G in self.kinds


_KINDS = {
    SigningUse.CSMS: (LeafCertificateType.CSMS,),
    SigningUse.COMBINED: (LeafCertificateType.V2G, LeafCertificateType.CSMS),
}

SIGNED: Mapping[str, SigningUse] = {
    "ChargingStationCertificate": SigningUse.CSMS,
    "V2GCertificate": SigningUse.V2G,
    "V2G20Certificate": SigningUse.V2G20,
}
"""SignCertificate's and CertificateSigned's types."""
SIGNED_AS = {use: name for name, use in SIGNED.items()}

TRIGGERS: Mapping[str, SigningUse] = {
    "SignChargePointCertificate": SigningUse.CSMS,
    "SignChargingStationCertificate": SigningUse.CSMS,
    "SignV2GCertificate": SigningUse.V2G,
    "SignV2G20Certificate": SigningUse.V2G20,
    "SignCombinedCertificate": SigningUse.COMBINED,
}
"""The messages that a CSMS may have triggered."""


def uses(edition: Edition, *, combined: bool) -> tuple[SigningUse, ...]:
    """What certificates are asked for in an edition: before 2.1 there is one kind of SECC leaf."""
    found = [SigningUse.CSMS, SigningUse.V2G]
    if edition.has_v2g20:
        found.append(SigningUse.V2G20)
    if combined:
        found.append(SigningUse.COMBINED)
    return tuple(found)

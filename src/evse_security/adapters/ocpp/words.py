"""OCPP's words for types of certificates and results, and ours: tables alone."""

from __future__ import annotations

from collections.abc import Mapping

from evse_security.adapters.ocpp.editions import Edition
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateType,
    InstallCertificateResult,
)

_V2_ROOTS = {
    "V2GRootCertificate": CaCertificateType.V2G,
    "MORootCertificate": CaCertificateType.MO,
    "CSMSRootCertificate": CaCertificateType.CSMS,
    "ManufacturerRootCertificate": CaCertificateType.MF,
}
_V16_ROOTS = {
    "CentralSystemRootCertificate": CaCertificateType.CSMS,
    "ManufacturerRootCertificate": CaCertificateType.MF,
}
ROOTS: Mapping[Edition, Mapping[str, CaCertificateType]] = {
    Edition.V16: _V16_ROOTS,
    Edition.V201: _V2_ROOTS,
    Edition.V201_2025: _V2_ROOTS,
    Edition.V21: _V2_ROOTS,
}
"""InstallCertificate's types and whose roots they are. Others (OEMRootCertificate) are refused with a reason."""

PNC_ROOTS = {name: _V2_ROOTS[name] for name in ("V2GRootCertificate", "MORootCertificate")}
"""Those that OCPP 1.6 has in its DataTransfer messages for Plug & Charge."""

_V2_LISTED = {
    "V2GRootCertificate": CertificateType.V2GRootCertificate,
    "MORootCertificate": CertificateType.MORootCertificate,
    "CSMSRootCertificate": CertificateType.CSMSRootCertificate,
    "V2GCertificateChain": CertificateType.V2GCertificateChain,
    "ManufacturerRootCertificate": CertificateType.MFRootCertificate,
}
_V16_LISTED = {
    "CentralSystemRootCertificate": CertificateType.CSMSRootCertificate,
    "ManufacturerRootCertificate": CertificateType.MFRootCertificate,
}
LISTED: Mapping[Edition, Mapping[str, CertificateType]] = {
    Edition.V16: _V16_LISTED,
    Edition.V201: _V2_LISTED,
    Edition.V201_2025: _V2_LISTED,
    Edition.V21: _V2_LISTED,
}
"""GetInstalledCertificateIds' types."""
PNC_LISTED = {name: _V2_LISTED[name] for name in ("V2GRootCertificate", "MORootCertificate", "V2GCertificateChain")}
"""Those of OCPP 1.6 for Plug & Charge."""
LISTED_AS = {ours: name for name, ours in _V2_LISTED.items()}

INSTALLED: Mapping[InstallCertificateResult, str] = {
    **dict.fromkeys(InstallCertificateResult, "Rejected"),  # M05.FR.06, .07
    InstallCertificateResult.Accepted: "Accepted",
    InstallCertificateResult.WriteError: "Failed",  # M05.FR.03
}
"""InstallCertificate's status."""

REASON_CODES: Mapping[str, str] = {
    "TooLarge": "TooLargeElement",
    "StoreFull": "OutOfStorage",
    "NotWritable": "InternalError",
    "KeyNotGenerated": "InternalError",
    "MalformedRequest": "InvalidValue",
    "InvalidConfiguration": "InvalidValue",
    "AttributeNotEncodable": "InvalidCSR",
    "NotSignedByPredecessor": "NotSignedByOldRoot",
    "CertificateRevoked": "Revoked",
}
"""Our codes that OCPP's appendix has a word for, or that are longer than 20 characters. Others go as they are."""
LONGEST_REASON = 20

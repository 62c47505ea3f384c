"""OCPP's words for types of certificates and results, and ours: tables alone."""

from __future__ import annotations

from collections.abc import Mapping

from evse_security.adapters.ocpp.editions import Edition
from evse_security.additions import AddedCaType, AddedCertificateType, AnyCaType, AnyCertificateType
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateType,
    InstallCertificateResult,
)

_V2_ROOTS: Mapping[str, AnyCaType] = {
    "V2GRootCertificate": CaCertificateType.V2G,
    "MORootCertificate": CaCertificateType.MO,
    "CSMSRootCertificate": CaCertificateType.CSMS,
    "ManufacturerRootCertificate": CaCertificateType.MF,
}
_V21_ROOTS: Mapping[str, AnyCaType] = {**_V2_ROOTS, "OEMRootCertificate": AddedCaType.OEM}
_V16_ROOTS: Mapping[str, AnyCaType] = {
    "CentralSystemRootCertificate": CaCertificateType.CSMS,
    "ManufacturerRootCertificate": CaCertificateType.MF,
}
ROOTS: Mapping[Edition, Mapping[str, AnyCaType]] = {
    Edition.V16: _V16_ROOTS,
    Edition.V201: _V2_ROOTS,
    Edition.V201_2025: _V2_ROOTS,
    Edition.V21: _V21_ROOTS,
}
"""InstallCertificate's types and whose roots they are. Others are refused with a reason."""

PNC_ROOTS = {name: _V2_ROOTS[name] for name in ("V2GRootCertificate", "MORootCertificate")}
"""Those that OCPP 1.6 has in its DataTransfer messages for Plug & Charge."""

_V2_LISTED: Mapping[str, AnyCertificateType] = {
    "V2GRootCertificate": CertificateType.V2GRootCertificate,
    "MORootCertificate": CertificateType.MORootCertificate,
    "CSMSRootCertificate": CertificateType.CSMSRootCertificate,
    "V2GCertificateChain": CertificateType.V2GCertificateChain,
    "ManufacturerRootCertificate": CertificateType.MFRootCertificate,
}
_V21_LISTED = {**_V2_LISTED, "OEMRootCertificate": AddedCertificateType.OEMRootCertificate}
_V16_LISTED: Mapping[str, AnyCertificateType] = {
    "CentralSystemRootCertificate": CertificateType.CSMSRootCertificate,
    "ManufacturerRootCertificate": CertificateType.MFRootCertificate,
}
LISTED: Mapping[Edition, Mapping[str, AnyCertificateType]] = {
    Edition.V16: _V16_LISTED,
    Edition.V201: _V2_LISTED,
    Edition.V201_2025: _V2_LISTED,
    Edition.V21: _V21_LISTED,
}
"""GetInstalledCertificateIds' types."""
PNC_LISTED = {name: _V2_LISTED[name] for name in ("V2GRootCertificate", "MORootCertificate", "V2GCertificateChain")}
"""Those of OCPP 1.6 for Plug & Charge."""
LISTED_AS = {ours: name for name, ours in _V21_LISTED.items()}

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

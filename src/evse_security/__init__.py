"""The security module of an EV charging station: EVerest's `evse_security` interface on a directory of certificates."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evse_security.config import StationConfig
    from evse_security.errors import (
        CommandRefused,
        EvseSecurityError,
        InvalidConfiguration,
        MalformedRequest,
        Refusal,
    )
    from evse_security.station import Station, SweepReport
    from evse_security.vocabulary import (
        CaCertificateType,
        CertificateHashData,
        CertificateHashDataChain,
        CertificateInfo,
        CertificateOCSP,
        CertificateStoreUpdate,
        CertificateStoreUpdateOperation,
        CertificateType,
        CertificateValidationResult,
        DeleteCertificateResult,
        EncodingFormat,
        GetCertificateFullInfoResult,
        GetCertificateInfoResult,
        GetCertificateInfoStatus,
        GetCertificateSignRequestResult,
        GetCertificateSignRequestStatus,
        GetInstalledCertificatesResult,
        GetInstalledCertificatesStatus,
        GetKeyPairResult,
        GetKeyPairStatus,
        HashAlgorithm,
        InstallCertificateResult,
        KeyPair,
        LeafCertificateType,
        OCSPRequestData,
        OCSPRequestDataList,
    )

__version__ = "0.1.0"

_HOME = {
    "StationConfig": "config",
    "Station": "station",
    "SweepReport": "station",
    "CommandRefused": "errors",
    "EvseSecurityError": "errors",
    "InvalidConfiguration": "errors",
    "MalformedRequest": "errors",
    "Refusal": "errors",
}

__all__ = [
    "CaCertificateType",
    "CertificateHashData",
    "CertificateHashDataChain",
    "CertificateInfo",
    "CertificateOCSP",
    "CertificateStoreUpdate",
    "CertificateStoreUpdateOperation",
    "CertificateType",
    "CertificateValidationResult",
    "CommandRefused",
    "DeleteCertificateResult",
    "EncodingFormat",
    "EvseSecurityError",
    "GetCertificateFullInfoResult",
    "GetCertificateInfoResult",
    "GetCertificateInfoStatus",
    "GetCertificateSignRequestResult",
    "GetCertificateSignRequestStatus",
    "GetInstalledCertificatesResult",
    "GetInstalledCertificatesStatus",
    "GetKeyPairResult",
    "GetKeyPairStatus",
    "HashAlgorithm",
    "InstallCertificateResult",
    "InvalidConfiguration",
    "KeyPair",
    "LeafCertificateType",
    "MalformedRequest",
    "OCSPRequestData",
    "OCSPRequestDataList",
    "Refusal",
    "Station",
    "StationConfig",
    "SweepReport",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `--help` does not wait for OpenSSL."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME.get(name, 'vocabulary')}")
    value = getattr(module, name)
    globals()[name] = value
    return value

"""Security events: their names in each edition, which are critical, and the queue in which they wait for the CSMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.editions import Edition, Payload

MOST_WAITING = 400
"""Events that are kept for a CSMS that is not there. The oldest uncritical ones go first."""
_LONGEST_TECH_INFO = 255
_V2 = frozenset(Edition) - {Edition.V16}


class _Facts(NamedTuple):
    """One event."""

    v16: str
    """Its name in 1.6."""
    v2: str
    """Its name since 2.0.1."""
    critical: frozenset[Edition]
    """The editions that call it critical: then it must reach the CSMS (A04.FR.01, .02)."""


class SecurityEvent(Enum):
    """The events of OCPP's lists that have to do with certificates, and those that users raise beside them."""

    FIRMWARE_UPDATED = _Facts("FirmwareUpdated", "FirmwareUpdated", frozenset(Edition))
    FAILED_TO_AUTHENTICATE_AT_CSMS = _Facts(
        "FailedToAuthenticateAtCentralSystem", "FailedToAuthenticateAtCsms", frozenset()
    )
    CSMS_FAILED_TO_AUTHENTICATE = _Facts("CentralSystemFailedToAuthenticate", "CsmsFailedToAuthenticate", frozenset())
    SETTING_SYSTEM_TIME = _Facts("SettingSystemTime", "SettingSystemTime", frozenset(Edition))
    STARTUP = _Facts("StartupOfTheDevice", "StartupOfTheDevice", frozenset(Edition))
    RESET_OR_REBOOT = _Facts("ResetOrReboot", "ResetOrReboot", frozenset(Edition))
    SECURITY_LOG_CLEARED = _Facts("SecurityLogWasCleared", "SecurityLogWasCleared", frozenset(Edition))
    PARAMETERS_CHANGED = _Facts(
        "ReconfigurationOfSecurityParameters", "ReconfigurationOfSecurityParameters", frozenset()
    )
    MEMORY_EXHAUSTION = _Facts("MemoryExhaustion", "MemoryExhaustion", frozenset(Edition))
    INVALID_MESSAGES = _Facts("InvalidMessages", "InvalidMessages", frozenset())
    ATTEMPTED_REPLAY = _Facts("AttemptedReplayAttacks", "AttemptedReplayAttacks", frozenset())
    TAMPER_DETECTION = _Facts("TamperDetectionActivated", "TamperDetectionActivated", frozenset(Edition))
    INVALID_FIRMWARE_SIGNATURE = _Facts("InvalidFirmwareSignature", "InvalidFirmwareSignature", frozenset())
    INVALID_FIRMWARE_CERTIFICATE = _Facts("InvalidFirmwareSigningCertificate", "InvalidFirmwareSigningCertificate", _V2)
    INVALID_CSMS_CERTIFICATE = _Facts("InvalidCentralSystemCertificate", "InvalidCsmsCertificate", _V2)
    INVALID_STATION_CERTIFICATE = _Facts("InvalidChargePointCertificate", "InvalidChargingStationCertificate", _V2)
    INVALID_TLS_VERSION = _Facts("InvalidTLSVersion", "InvalidTLSVersion", _V2)
    INVALID_TLS_CIPHER_SUITE = _Facts("InvalidTLSCipherSuite", "InvalidTLSCipherSuite", _V2)
    DISCARDED_RENEWED_CERTIFICATE = _Facts(
        "DiscardedRenewedClientCertificate", "DiscardedRenewedClientCertificate", frozenset({Edition.V21})
    )
    CSR_GENERATION_FAILED = _Facts("CSRGenerationFailed", "CSRGenerationFailed", frozenset())

    def name_in(self, edition: Edition) -> str:
        """What an edition calls it."""
        return self.value.v16 if edition is Edition.V16 else self.value.v2

    def is_critical(self, edition: Edition) -> bool:
        """Whether an edition calls it critical."""
        return edition in self.value.critical


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event on its way to the CSMS."""

    type: str
    timestamp: str
    tech_info: str
    critical: bool

    @classmethod
    def of(cls, event: SecurityEvent, edition: Edition, tech_info: str, now: datetime) -> Waiting:
        """As an edition says it. `tech_info` is cut to what OCPP takes."""
        time = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return cls(event.name_in(edition), time, tech_info[:_LONGEST_TECH_INFO], event.is_critical(edition))

    @property
    def payload(self) -> Payload:
        """SecurityEventNotification."""
        payload: Payload = {"type": self.type, "timestamp": self.timestamp}
        return {**payload, "techInfo": self.tech_info} if self.tech_info else payload


def queued(waiting: Sequence[Waiting], event: Waiting) -> tuple[Waiting, ...]:
    """The queue with one more event. A full one drops its oldest uncritical event; of critical ones none is lost.

    Unless there are so many of those that no disk of a station should hold them: then the new one is dropped.
    """
    if len(waiting) < MOST_WAITING:
        return (*waiting, event)
    place = next((number for number, one in enumerate(waiting) if not one.critical), None)
    if place is None:
        return tuple(waiting)
    return (*waiting[:place], *waiting[place + 1 :], event)


def to_json(waiting: Sequence[Waiting]) -> list[dict[str, Any]]:
    """The queue as it is written down."""
    return [
        {"type": one.type, "timestamp": one.timestamp, "techInfo": one.tech_info, "critical": one.critical}
        for one in waiting
    ]


def from_json(written: object) -> tuple[Waiting, ...]:
    """The queue as it was written down. Raises ValueError."""
    if not isinstance(written, list) or len(written) > MOST_WAITING:
        raise ValueError("no list of events")
    return tuple(map(_one, written))


def _one(written: object) -> Waiting:
    if not isinstance(written, Mapping):
        raise ValueError("an event is no object")
    kind, timestamp, info = (_text(written.get(name)) for name in ("type", "timestamp", "techInfo"))
    return Waiting(kind, timestamp, info, critical=written.get("critical") is True)


def _text(written: object) -> str:
    if not isinstance(written, str) or len(written) > _LONGEST_TECH_INFO:
        raise ValueError("an event has no type, timestamp or techInfo")
    return written

"""Security events: their names in each edition, which are critical, and the queue in which they wait for the CSMS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.editions import Edition, Payload

MOST_WAITING = 400
"""Events that are kept for a CSMS that is not there, beside one that tells of those that were dropped."""
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


class Dropped(NamedTuple):
    """Events that there was no room for: how many, and the times of the earliest and the latest."""

    number: int
    first: str
    last: str

    def with_another(self, event: Waiting) -> Dropped:
        """And one more."""
        return Dropped(self.number + 1, min(self.first, event.timestamp), max(self.last, event.timestamp))


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event on its way to the CSMS."""

    type: str
    timestamp: str
    tech_info: str
    critical: bool
    dropped: Dropped | None = None
    """Those that it tells of, if it is one that does."""

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
    """The queue with one more event. From a full one another is dropped, and told of by its last one."""
    found = [one for one in (*waiting, event) if one.dropped is None]
    if len(found) <= MOST_WAITING:
        return (*waiting, event)
    gone = found.pop(_dispensable(found))
    before = next((one.dropped for one in waiting if one.dropped), Dropped(0, gone.timestamp, gone.timestamp))
    return (*found, _telling(before.with_another(gone), event.timestamp))


def _dispensable(found: Sequence[Waiting]) -> int:
    """The place of the event that is dropped: the oldest that is not critical.

    Of critical ones alone it is of the kind that there is most of, and of that the last but one: whoever floods the
    queue, to hide what was done, displaces neither another kind nor how it began, and the CSMS sees that it goes on.
    """
    uncritical = next((number for number, one in enumerate(found) if not one.critical), None)
    if uncritical is not None:
        return uncritical
    [(most, _)] = Counter(one.type for one in found).most_common(1)
    return [number for number, one in enumerate(found) if one.type == most][-2:][0]


def _telling(dropped: Dropped, timestamp: str) -> Waiting:
    """The event that tells of those that were dropped: it must reach the CSMS in their place."""
    kind = SecurityEvent.MEMORY_EXHAUSTION.value
    info = f"{dropped.number} events were dropped, of {dropped.first} to {dropped.last}: {MOST_WAITING} others waited"
    return Waiting(kind.v2, timestamp, info[:_LONGEST_TECH_INFO], critical=True, dropped=dropped)


def to_json(waiting: Sequence[Waiting]) -> list[dict[str, Any]]:
    """The queue as it is written down."""
    return [
        {
            "type": one.type,
            "timestamp": one.timestamp,
            "techInfo": one.tech_info,
            "critical": one.critical,
            **({"dropped": one.dropped._asdict()} if one.dropped else {}),
        }
        for one in waiting
    ]


def from_json(written: object) -> tuple[Waiting, ...]:
    """The queue as it was written down. Raises ValueError."""
    if not isinstance(written, list) or len(written) > MOST_WAITING + 1:
        raise ValueError("no list of events")
    return tuple(map(_one, written))


def _one(written: object) -> Waiting:
    if not isinstance(written, Mapping):
        raise ValueError("an event is no object")
    kind, timestamp, info = (_text(written.get(name)) for name in ("type", "timestamp", "techInfo"))
    return Waiting(kind, timestamp, info, written.get("critical") is True, _dropped(written.get("dropped")))


def _dropped(written: object) -> Dropped | None:
    if written is None:
        return None
    number = written.get("number") if isinstance(written, Mapping) else None
    if not isinstance(written, Mapping) or type(number) is not int or number < 1:
        raise ValueError("an event does not say how many it tells of")
    return Dropped(number, _text(written.get("first")), _text(written.get("last")))


def _text(written: object) -> str:
    if not isinstance(written, str) or len(written) > _LONGEST_TECH_INFO:
        raise ValueError("an event has no type, timestamp or techInfo")
    return written

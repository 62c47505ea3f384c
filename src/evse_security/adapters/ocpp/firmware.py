"""What is wrong with a firmware update (L01): its signing certificate, or the file that was downloaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.refusals import tech_info
from evse_security.errors import EvseSecurityError
from evse_security.station import Station
from evse_security.vocabulary import LeafCertificateType

MOST_BYTES = 4 << 30
"""Of a firmware file. A sparse one has any size for nothing."""
_LONGEST_SIGNATURE = 800


class Flaw(NamedTuple):
    """Why a file is not to be installed, and the event that this is."""

    event: SecurityEvent
    info: str
    reason: EvseSecurityError | None = None


def of_certificate(station: Station, firmware: Mapping[str, Any]) -> Flaw | None:
    """Why the signing certificate is not to be trusted now, be it that it was revoked since the request."""
    report = station.check(_text(firmware, "signingCertificate"), (LeafCertificateType.MF,))
    if report.reason is None:
        return None
    return Flaw(SecurityEvent.INVALID_FIRMWARE_CERTIFICATE, tech_info(report.reason), report.reason)


def of_file(station: Station, path: Path, firmware: Mapping[str, Any], most: int = MOST_BYTES) -> Flaw | None:
    """Why a file is not what the signing certificate's key signed. One of more than `most` bytes is not read."""
    problem = _why_not_read(path, most)
    if problem is None and not _is_signed(station, path, firmware):
        problem = "is not what was signed, or its signature is none"
    return None if problem is None else Flaw(SecurityEvent.INVALID_FIRMWARE_SIGNATURE, f"{path.name} {problem}")


def _why_not_read(path: Path, most: int) -> str | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'no path'}"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    return f"has {found.st_size} bytes, more than {most}" if found.st_size > most else None


def _is_signed(station: Station, path: Path, firmware: Mapping[str, Any]) -> bool:
    signature = _text(firmware, "signature")
    if not 0 < len(signature) <= _LONGEST_SIGNATURE:
        return False
    return station.interface().verify_file_signature(
        file_path=str(path), signing_certificate=_text(firmware, "signingCertificate"), signature=signature
    )


def _text(firmware: Mapping[str, Any], name: str) -> str:
    """A member by its name on the wire, or as the handlers of `ocpp` get it; empty where it is no text."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    found = firmware.get(name, firmware.get(snake))
    return found if isinstance(found, str) else ""

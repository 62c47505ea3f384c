"""The editions of OCPP, and where they differ over certificates."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Payload = dict[str, Any]
"""The payload of a message as it is on the wire: the names of OCPP, in camelCase."""


class Edition(StrEnum):
    """An edition whose rules a station follows."""

    V16 = "1.6"
    """OCPP 1.6 with the security whitepaper, edition 3."""
    V201 = "2.0.1"
    """OCPP 2.0.1, its base text."""
    V201_2025 = "2.0.1-2025-01"
    """OCPP 2.0.1 with the errata of 2025-01."""
    V21 = "2.1"

    @property
    def has_status_info(self) -> bool:
        """Whether an answer can say why (`statusInfo`)."""
        return self is not Edition.V16

    @property
    def longest_info(self) -> int:
        """Characters of `statusInfo.additionalInfo`."""
        return 1024 if self is Edition.V21 else 512

    @property
    def has_request_ids(self) -> bool:
        """Whether a signing request has a number that its answer repeats (A02.FR.24)."""
        return self is Edition.V21

    @property
    def has_v2g20(self) -> bool:
        """Whether the leaves of ISO 15118-2 and of -20 are two types of certificates."""
        return self is Edition.V21


class Takeover(StrEnum):
    """When a renewed client certificate takes over from the one before."""

    at_its_start = "at its start"
    """It may begin later; from its notBefore on it is used, and the old one stays a month (1.6, base 2.0.1)."""
    at_once = "at once"
    """It is valid now; the station reconnects, and discards the one that does not serve (A02.FR.10, .28, .29)."""


TAKEOVER = {
    Edition.V16: Takeover.at_its_start,
    Edition.V201: Takeover.at_its_start,
    Edition.V201_2025: Takeover.at_once,
    Edition.V21: Takeover.at_once,
}
"""What each edition demands."""

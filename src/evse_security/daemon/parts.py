"""Which parts run: what the configuration asks for."""

from __future__ import annotations

from collections.abc import Sequence

from evse_security.service.parts import Part
from evse_security.service.service import Service


def assemble(service: Service) -> Sequence[Part]:
    """The transports and agents of a service. Raises `InvalidConfiguration` where what they need is not installed."""
    return []

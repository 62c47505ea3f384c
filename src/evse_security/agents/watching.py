"""What watches over a station beside renewal: OCSP, the clock, what expires, what others place, and garbage."""

from __future__ import annotations

from evse_security.agents.clockwatch import ClockWatch
from evse_security.agents.expiry import ExpiryWatch
from evse_security.agents.ocsp import OcspAgent
from evse_security.agents.placed import PlacedWatch
from evse_security.agents.sweeping import SweepAgent
from evse_security.service.parts import Part
from evse_security.service.service import Service


def watching(service: Service) -> tuple[Part, ...]:
    """The parts that the service's configuration asks for."""
    ocsp = (OcspAgent(service),) if service.config.ocsp != "off" else ()
    return (ClockWatch(service), PlacedWatch(service), ExpiryWatch(service), SweepAgent(service), *ocsp)

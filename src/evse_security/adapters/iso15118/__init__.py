"""ISO 15118 from the store: TLS that a car accepts, and contracts.

    context = server_context(station)
    server = await asyncio.start_server(session, "::", 64109, ssl=context)

See docs/iso15118.md.
"""

from __future__ import annotations

from evse_security.adapters.iso15118.contracts import ExiLimit, exi_from_ocpp, exi_to_ocpp, verify_contract
from evse_security.adapters.tls.choice import Choice, Offer, Withheld
from evse_security.adapters.tls.client import client_context
from evse_security.adapters.tls.server import SeccContext, server_context
from evse_security.chains import Chain, Edition
from evse_security.contracts import ContractReport, ContractStatus

__all__ = [
    "Chain",
    "Choice",
    "ContractReport",
    "ContractStatus",
    "Edition",
    "ExiLimit",
    "Offer",
    "SeccContext",
    "Withheld",
    "client_context",
    "exi_from_ocpp",
    "exi_to_ocpp",
    "server_context",
    "verify_contract",
]

"""ISO 15118 from the store: TLS that a car accepts, and contracts.

    context = server_context(station, oem_roots=Path("oem.pem"))
    server = await asyncio.start_server(session, "::", 64109, ssl=context)

See docs/iso15118.md.
"""

from __future__ import annotations

from evse_security.adapters.tls_choice import Choice, Offer, Withheld
from evse_security.adapters.tls_client import client_context
from evse_security.adapters.tls_server import SeccContext, server_context
from evse_security.chains import Chain, Edition

__all__ = [
    "Chain",
    "Choice",
    "Edition",
    "Offer",
    "SeccContext",
    "Withheld",
    "client_context",
    "server_context",
]

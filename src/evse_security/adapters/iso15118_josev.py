"""PyPI `iso15118` (Josev) in the same process: its SECC serves TLS from the store.

Josev 0.31 has no setting for this, so the function that makes its contexts is replaced where its server calls it. As
ours always gives one, the branch in which its server goes on in plain text for want of a context is never taken.
"""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable

from evse_security.adapters.tls_server import SeccContext
from evse_security.errors import InvalidConfiguration

SERVER, MAKER = "iso15118.secc.transport.tcp_server", "get_ssl_context"


def serve_josev(context: SeccContext) -> Callable[[], None]:
    """Have Josev's SECC in this process serve every car with this context. Returns how to undo that.

    Call it before the SECC starts. Josev enforces TLS by its own SECC_ENFORCE_TLS. Raises `InvalidConfiguration` where
    it is not installed, or has no such function any more.
    """
    try:
        server = importlib.import_module(SERVER)
    except ImportError as missing:
        raise InvalidConfiguration("iso15118", f"cannot be imported: {missing}") from None
    before = getattr(server, MAKER, None)
    if not callable(before):
        raise InvalidConfiguration("iso15118", f"has no {SERVER}.{MAKER}: this version is not known here")

    def made(server_side: bool) -> ssl.SSLContext:  # noqa: FBT001  as Josev calls it
        if not server_side:
            raise ValueError("this is the context of a SECC")
        return context

    setattr(server, MAKER, made)
    return lambda: setattr(server, MAKER, before)

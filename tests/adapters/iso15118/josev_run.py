"""Josev's own TCP server with the context of a station: a car gets through TLS, and is never served in plain text.

    python -m tests.adapters.iso15118.josev_run DIRECTORY      # in an environment with iso15118 and evse-security

DIRECTORY is a PKI in EVerest's layout (`evse-security pki DIRECTORY`). Its server is told to listen on loopback.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118_josev import serve_josev


async def run(certs: Path) -> None:
    """Start the server, visit it, and stop it."""
    from iso15118.secc.transport import tcp_server  # type: ignore[import-not-found,unused-ignore]

    async def loopback(port: int, _interface: str) -> tuple[Any, ...]:
        return "::1", port, 0, 0

    tcp_server.get_link_local_full_addr = loopback
    with Station.open(StationConfig.under(certs)) as station:
        serve_josev(server_context(station))
        visitors: asyncio.Queue[Any] = asyncio.Queue()
        server, ready = tcp_server.TCPServer(visitors, "lo"), asyncio.Event()
        running = asyncio.create_task(server.start_tls(ready))
        await ready.wait()
        assert server.is_tls_enabled
        car = ssl.create_default_context(cafile=str(certs / "ca/v2g/V2G_ROOT_CA.pem"))
        car.check_hostname = False
        _, writer = await asyncio.open_connection("::1", server.port, ssl=car)
        await visitors.get()
        print(writer.get_extra_info("cipher"))
        writer.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))

"""A SECC's TLS server: answers cars with the chain that they can verify, from the store of the station.

    evse-security pki /tmp/pki            # or certificates of your own, in EVerest's layout
    python examples/secc_tls.py /tmp/pki

    openssl s_client -connect '[::1]:64109' -status -tls1_2 -CAfile /tmp/pki/ca/v2g/V2G_ROOT_CA.pem

Renew a leaf, add a root, cache an OCSP response: the next car is served with it.
"""

import argparse
import asyncio
import logging
from pathlib import Path

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import server_context


async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Where V2GTP messages would be read; only cars that got through TLS come here."""
    secured = writer.get_extra_info("ssl_object")
    logging.info("a car is here: %s, %s", secured.version(), secured.cipher()[0])
    try:
        await asyncio.wait_for(reader.read(8), timeout=60)  # the header of a V2GTP message
    except (OSError, TimeoutError) as problem:
        logging.info("the car is gone: %s", problem)
    finally:
        writer.close()


async def serve(options: argparse.Namespace) -> None:
    """Serve until stopped."""
    with Station.open(StationConfig.under(options.certs.absolute())) as station:
        context = server_context(
            station,
            secc_id=options.secc_id,
            require_ocsp=options.require_ocsp,
        )
        server = await asyncio.start_server(session, options.host, options.port, ssl=context)
        async with server:
            logging.info("listening on %s", ", ".join(str(one.getsockname()[:2]) for one in server.sockets))
            await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("certs", type=Path, help="the station's directory of certificates")
    parser.add_argument("--host", default="::1")
    parser.add_argument("--port", type=int, default=64109)
    parser.add_argument("--secc-id", help="show leaves of this common name only")
    parser.add_argument("--require-ocsp", action="store_true", help="show no chain without good OCSP responses")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(serve(parser.parse_args()))

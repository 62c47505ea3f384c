"""The CA beside a station that is served: it answers OCSP requests over HTTP, and signs what the station asks for."""

from __future__ import annotations

import asyncio
import base64
import binascii
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from evse_security.clock import Clock
from evse_security.demo.cast import MINUTE, Cast
from evse_security.errors import EvseSecurityError
from evse_security.lab.hierarchy import Pki
from evse_security.lab.responder import respond
from evse_security.service.events import EventKind
from evse_security.service.service import Service

LARGEST_REQUEST = 4096
THINKING = 3.0
"""Seconds that it takes to sign, so that a pending request can be seen."""
HOLDERS = {"V2G": "SECC_LEAF", "CSMS": "CSMS_LEAF"}
"""Which place of the PKI a kind of leaf has."""


@contextmanager
def responder(pki: Pki, clock: Clock) -> Iterator[str]:
    """Answer OCSP requests on a free port of the loopback interface: gives its URL.

    It is a proxy too, as far as that goes: it answers whatever host a request names, as the PKI's responders do not
    exist.
    """

    class Responder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answer(self.rfile.read(min(length, LARGEST_REQUEST)))

        def do_GET(self) -> None:
            try:
                self._answer(base64.b64decode(unquote(self.path.rpartition("/")[2])))
            except binascii.Error:
                self.send_error(400)

        def _answer(self, request: bytes) -> None:
            response = respond(pki, request, clock().replace(microsecond=0) - MINUTE)
            self.send_response(200)
            self.send_header("Content-Type", "application/ocsp-response")
            self.send_header("Content-Length", str(len(response)))
            self.end_headers()
            self.wfile.write(response)

        def log_message(self, *_: object) -> None:
            """Say nothing: the station says what it got."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Signer:
    """Answers signing requests that the service publishes, as the OCPP side does with the help of a CSMS."""

    name = "demo CA"

    def __init__(self, service: Service, pki: Pki) -> None:
        self._service = service
        self._pki = pki

    async def run(self, ready: Callable[[], None]) -> None:
        """Sign what is asked for."""
        requests = self._service.events.listen(after=0)
        ready()
        async for event in requests:
            if event.kind is EventKind.certificate_signing_request:
                await asyncio.sleep(THINKING)
                await self._sign(event.data["leaf_certificate_type"], event.data["csr"])

    async def _sign(self, kind: str, csr: str) -> None:
        chain = Cast(self._pki, self._service.clock()).sign(csr, HOLDERS[kind])
        arguments = {"certificate_chain": chain, "certificate_type": kind}
        try:
            await self._service.call("update_leaf_certificate", arguments, caller="demo:CA")
        except EvseSecurityError as refused:
            self._service.events.publish(EventKind.warning, {"text": f"the demo CA's chain was refused: {refused}"})


def ageing(pki: Pki, csr: str, clock: Clock) -> str:
    """The chain for a request of the SECC whose leaf expires in ten days: it is to be renewed."""
    return Cast(pki, clock() - timedelta(days=69)).sign(csr, HOLDERS["V2G"])

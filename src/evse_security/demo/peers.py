"""The two ends of a TLS connection over the loopback interface."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import NamedTuple

TIMEOUT = 10.0
"""Seconds that either end waits for the other."""
ISO15118_2_SUITE = "ECDHE-ECDSA-AES128-SHA256"
"""TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, the suite that every EVCC and SECC has (ISO 15118-2:2014, 7.7.3)."""

OCPP_SUITE = "ECDHE-ECDSA-AES128-GCM-SHA256"
"""TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, which every CSMS and station has (OCPP 2.0.1 A00.FR.318)."""


class Files(NamedTuple):
    """What an end shows of itself: a certificate chain and its key."""

    certificate: str | Path
    key: str | Path
    password: str | None = None


def secc(own: Files) -> ssl.SSLContext:
    """A charging station that serves cars as ISO 15118-2 asks: TLS 1.2, one suite, no certificate from the car."""
    context = _iso15118_2(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own)
    return context


def car(root: str) -> ssl.SSLContext:
    """An EVCC that trusts one V2G root (PEM) and nobody else. In ISO 15118 a SECC has no host name."""
    context = _iso15118_2(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=root)
    return context


def csms(own: Files, root: str) -> ssl.SSLContext:
    """An OCPP server that asks for a certificate below a root (PEM): security profile 3."""
    context = _ocpp(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*own)
    context.load_verify_locations(cadata=root)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def ocpp_client(own: Files, roots: str) -> ssl.SSLContext:
    """A charging station that calls its CSMS and trusts the roots in a file."""
    context = _ocpp(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(*own)
    context.load_verify_locations(cafile=roots)
    return context


def _iso15118_2(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ISO15118_2_SUITE)
    return context


def _ocpp(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(OCPP_SUITE)
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> str:
    """Connect, exchange a word, and say what was agreed on: version and suite.

    `name` is the server's, for clients that check it. Raises ssl.SSLError or another OSError.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        answering = threading.Thread(target=_answer, args=(listener, server), daemon=True)
        answering.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), TIMEOUT) as plain,
                client.wrap_socket(plain, server_hostname=name) as secured,
            ):
                secured.sendall(b"?")
                if secured.recv(1) != b"!":
                    raise ConnectionError("the other end closed the connection")
                return f"{secured.version()} {(secured.cipher() or ('no cipher',))[0]}"
        finally:
            answering.join(TIMEOUT)


def _answer(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Serve one connection. What goes wrong here, the client sees as an alert."""
    try:
        plain, _ = listener.accept()
        plain.settimeout(TIMEOUT)
        with plain, context.wrap_socket(plain, server_side=True) as secured:
            if secured.recv(1):
                secured.sendall(b"!")
    except OSError:
        return

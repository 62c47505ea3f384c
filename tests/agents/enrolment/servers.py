"""An EST server for tests: RFC 7030 on `http.server`, certificates by the laboratory, messages by `openssl crl2pkcs7`.

No EST server is to be had from PyPI, npm or Debian, so this one is ours; what it sends is made by OpenSSL, and TLS is
real. CMP is tested against OpenSSL's own server.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.agents.enrolment.asking import pki
from tests.builders import DAY, NOW, World, csms, world

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    csr: str
    client: str
    """Common name of its certificate."""


@dataclass
class EstServer:
    """A server that is up."""

    url: str
    ca: Path
    pki: World
    directory: Path
    asked: list[Asked] = field(default_factory=list)
    reply: Callable[[Asked], Reply] | None = None
    """Instead of a certificate."""

    def signed_leaf(self, asked: Asked) -> str:
        """The leaf for a request (PEM)."""
        chain = csms(self.pki, "SubCA").answer(asked.csr, not_before=NOW - DAY, not_after=NOW + 90 * DAY)
        return chain[: chain.index("-----BEGIN", 1)]

    def message(self, *certificates: str) -> bytes:
        """A certs-only message (DER) made by OpenSSL, without a file: two may ask at once."""
        command = ["openssl", "crl2pkcs7", "-nocrl", "-certfile", "/dev/stdin", "-outform", "DER"]
        return subprocess.run(command, input="".join(certificates).encode(), capture_output=True, check=True).stdout

    def answer(self, asked: Asked) -> Reply:
        if self.reply is not None:
            return self.reply(asked)
        return 200, {"Content-Transfer-Encoding": "base64"}, b64encode(self.message(self.signed_leaf(asked)))


@contextmanager
def est_server(directory: Path, made: World | None = None) -> Iterator[EstServer]:
    """An EST server on loopback that asks for client certificates of the V2G root, and answers until the end."""
    directory.mkdir(exist_ok=True)
    known = made or pki()
    (directory / "clients.pem").write_text(known["V2GRoot"].pem)
    context = _tls(directory)
    context.load_verify_locations(directory / "clients.pem")
    context.verify_mode = ssl.CERT_OPTIONAL

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = x509.load_der_x509_csr(b64decode(body))
            pem = request.public_bytes(Encoding.PEM).decode()
            asked = Asked(self.path, dict(self.headers.items()), pem, _common_name(self.connection))
            server.asked.append(asked)
            status, headers, content = server.answer(asked)
            self.send_response(status)
            for each, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(each, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            plain, address = self.socket.accept()
            plain.settimeout(5)
            try:
                return context.wrap_socket(plain, server_side=True), address
            except BaseException:
                plain.close()
                raise

    with Server(("127.0.0.1", 0), Handler) as listening:
        port = listening.server_address[1]
        server = EstServer(f"https://localhost:{port}", directory / "est-root.pem", known, directory)
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def _tls(directory: Path) -> ssl.SSLContext:
    """TLS of a server named localhost, whose root is put into `est-root.pem`."""
    tls = world("EstRoot > localhost", localhost=_server_leaf(), EstRoot={"not_after": NOW + 9000 * DAY})
    (directory / "est-root.pem").write_text(tls["EstRoot"].pem)
    (directory / "est.pem").write_text(tls["localhost"].pem)
    (directory / "est.key").write_text(tls["localhost"].key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "est.pem", directory / "est.key")
    return context


@contextmanager
def tls_front(directory: Path, port: int) -> Iterator[tuple[int, Path]]:
    """A port whose TLS connections are carried on to another without; and the root to verify it with."""
    context = _tls(directory)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def carry() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                plain.settimeout(5)
                try:
                    with (
                        context.wrap_socket(plain, server_side=True) as client,
                        socket.create_connection(("localhost", port)) as server,
                    ):
                        back = threading.Thread(target=_copy, args=(server, client))
                        back.start()
                        _copy(client, server)
                        back.join()
                except OSError:
                    plain.close()

        thread = threading.Thread(target=carry)
        thread.start()
        try:
            yield listening.getsockname()[1], directory / "est-root.pem"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _server_leaf() -> dict[str, Any]:
    # TLS goes by the machine's time
    return {
        "alternative_names": (x509.DNSName("localhost"),),
        "not_before": NOW - 9000 * DAY,
        "not_after": NOW + 9000 * DAY,
    }


def _common_name(connection: Any) -> str:
    certificate = connection.getpeercert() or {}
    return next((value for rdn in certificate.get("subject", ()) for key, value in rdn if key == "commonName"), "")


@contextmanager
def silent_server() -> Iterator[int]:
    """A port on which connections are taken and nothing is said."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@contextmanager
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, nor can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def proxy_server(seen: list[bytes]) -> Iterator[int]:
    """An HTTP proxy that tunnels one connection (RFC 9110 §9.3.6), and remembers what it was told."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def tunnel() -> None:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = client.recv(4096)
                    if not piece:
                        return
                    head += piece
                seen.append(head)
                host, port = head.split()[1].decode().split(":")
                with socket.create_connection((host, int(port))) as server:
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    other = threading.Thread(target=_copy, args=(server, client))
                    other.start()
                    _copy(client, server)
                    other.join()

        thread = threading.Thread(target=tunnel)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

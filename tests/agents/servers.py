"""Real counterparts on this machine: `openssl ocsp`, and servers that misbehave in one way each."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from evse_security.lab.authority import Entity


class Asked(NamedTuple):
    """What a server was asked."""

    method: str
    path: str
    request: bytes
    headers: dict[str, str]


class Said(NamedTuple):
    """What it answers."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/ocsp-response"),)


Answer = Callable[[Asked], Said]


@contextmanager
def serving(answer: Answer) -> Iterator[tuple[str, list[Asked]]]:
    """An HTTP server on loopback: its address, and what it was asked."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def do_GET(self) -> None:
            encoded = self.path.rpartition("/")[2]
            self._respond(b64decode(unquote(encoded)) if "%" in encoded or len(encoded) > 40 else b"")

        def _respond(self, request: bytes) -> None:
            asked.append(Asked(self.command, self.path, request, dict(self.headers.items())))
            said = answer(asked[-1])
            self.send_response(said.status)
            for name, value in said.headers:
                self.send_header(name, value)
            if not any(name == "Content-Length" for name, _ in said.headers):
                self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(script: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what the script does; it is closed at the end."""
    listening = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            held.append(connection)
            threading.Thread(target=_run, args=(script, connection), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for connection in held:
            connection.close()


def _run(script: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError):
        script(connection)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


@contextmanager
def openssl_responder(
    directory: Path, issuer: Entity, signer: Entity, index: dict[int, str], *options: str
) -> Iterator[str]:
    """`openssl ocsp` that answers for an issuer: `V` or `R` by serial number, others are unknown to it."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl program")
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{status}\t400101000000Z\t{'261115000000Z' if status == 'R' else ''}\t{_hex(serial)}\tunknown\t/CN=x\n"
        for serial, status in index.items()
    ]
    (directory / "index.txt").write_text("".join(lines))
    (directory / "ca.pem").write_text(issuer.pem)
    (directory / "signer.pem").write_text(signer.pem)
    (directory / "signer.key").write_text(signer.key_pem())
    files = ("-index", "index.txt", "-CA", "ca.pem", "-rsigner", "signer.pem", "-rkey", "signer.key")
    process = subprocess.Popen(
        [program, "ocsp", "-port", "0", *files, *(options or ("-ndays", "4"))],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        accepting = process.stdout.readline()  # ACCEPT [::]:40027 PID=2552
        assert accepting.startswith("ACCEPT"), accepting
        yield f"http://127.0.0.1:{accepting.split()[1].rpartition(':')[2]}/"
    finally:
        process.kill()
        process.communicate()


def _hex(serial: int) -> str:
    text = f"{serial:X}"
    return text.zfill(len(text) + len(text) % 2)

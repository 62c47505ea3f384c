"""OpenSSL's own CMP server, which sends the certificate that it is given."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evse_security.agents.enrolment.cmp import CmpPort, CmpServer
from evse_security.agents.enrolment.port import Answer, Request
from evse_security.lab.authority import LEAF
from tests.agents.enrolment.asking import enrol
from tests.builders import DAY, NOW, World

VALID: Any = {"not_before": NOW - 3650 * DAY, "not_after": NOW + 3650 * DAY}


@dataclass
class Mock:
    """The files that server and client need."""

    directory: Path
    pki: World

    def file(self, name: str, content: str) -> Path:
        path = self.directory / name
        path.write_text(content)
        return path

    def leaf(self, asked: Request, serial: int | None = None) -> list[str]:
        """Options that make the server send the leaf for a request, with its sub-CA."""
        chain = self.pki["SubCA"].answer(asked.csr, replace(LEAF, **VALID, serial_number=serial))
        end = chain.index("-----BEGIN", 1)
        return [
            "-rsp_cert",
            str(self.file("new.pem", chain[:end])),
            "-rsp_extracerts",
            str(self.file("sub.pem", chain[end:])),
        ]

    def secret(self) -> list[str]:
        return ["-srv_ref", "station", "-srv_secret", f"file:{self.file('secret', 's3cret')}"]

    def signing(self) -> list[str]:
        """Options that make the server sign what it sends, and believe who leads to the V2G root."""
        return [
            "-srv_cert", str(self.file("ra.pem", self.pki["RA"].pem)),
            "-srv_key", str(self.file("ra.key", self.pki["RA"].key_pem())),
            "-srv_trusted", str(self.file("root.pem", self.pki["V2GRoot"].pem)),
            "-srv_untrusted", str(self.file("sub.pem", self.pki["SubCA"].pem)),
        ]  # fmt: skip

    @contextmanager
    def up(self, options: Sequence[str], port: int = 0) -> Iterator[str]:
        """The server; its URL. It can only listen on all addresses."""
        path = self.directory / "server.log"
        command = ["openssl", "cmp", "-config", "", "-port", str(port), *options]
        with path.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                while (found := re.search(r"ACCEPT \S+:(\d+)", path.read_text())) is None:
                    assert server.poll() is None, path.read_text()
                    time.sleep(0.02)
                yield f"http://localhost:{found[1]}/pkix/"
            finally:
                server.kill()

    def ask(self, url: str, asked: Request, *, by_secret: bool = True, seconds: float = 20) -> Answer:
        secret = self.directory / "secret" if by_secret else None
        root = self.file("trusted.pem", self.pki["V2GRoot"].pem)
        return enrol(CmpPort(CmpServer.at(url, root, "station" if by_secret else "", secret, ""), seconds), asked)

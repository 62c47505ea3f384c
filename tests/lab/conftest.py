"""The openssl program as the second opinion on everything the lab makes."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from evse_security.lab.keys import KeyKind
from tests.builders import NOW

QUICK_KINDS = [kind for kind in KeyKind if kind not in (KeyKind.RSA3072, KeyKind.RSA4096)]
"""The kinds of key that are made in no time."""
NOW_SECONDS = str(int(NOW.timestamp()))


@dataclass(frozen=True)
class OpenSsl:
    """Runs openssl on texts and octets, kept as files in one directory."""

    program: str
    directory: Path

    def file(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False, timeout=60)

    def verify(self, leaf: str, *, roots: str, sub_cas: str = "", options: tuple[str, ...] = ()) -> str:
        """'' if the leaf verifies at NOW under those roots, else what openssl says."""
        trusted, untrusted = self.file("roots.pem", roots), self.file("sub_cas.pem", sub_cas)
        offered = ("-untrusted", untrusted) if sub_cas else ()
        done = self(
            "verify", "-attime", NOW_SECONDS, "-no-CApath", "-CAfile", trusted, *offered, *options,
            self.file("leaf.pem", leaf),
        )  # fmt: skip
        return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture
def openssl(tmp_path: Path) -> OpenSsl:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl program")
    directory = tmp_path / "openssl"
    directory.mkdir()
    return OpenSsl(program, directory)

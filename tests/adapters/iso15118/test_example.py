"""The example, as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import evse_security
from tests.adapters.secc import P256, Site, pki, s_client

EXAMPLE = Path(__file__).parents[3] / "examples" / "secc_tls.py"


def test_it_serves_a_car(site: Site) -> None:
    site.stock(P256)
    command = [sys.executable, str(EXAMPLE), str(site.certs), "--host", "127.0.0.1", "--port", "0"]
    path = {**os.environ, "PYTHONPATH": str(Path(evse_security.__file__).parents[1])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=path) as running:
        try:
            assert running.stderr is not None
            port = next(found[1] for line in running.stderr if (found := re.search(r"listening on .*, (\d+)\)", line)))
            said = s_client(int(port), "-CAfile", site.root_file(pki(P256)["V2G_ROOT_CA"]), ending="Q\n")
        finally:
            running.terminate()
    assert "Verify return code: 0 (ok)" in said


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60

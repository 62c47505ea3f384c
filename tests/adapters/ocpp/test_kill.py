"""A station that is killed between CertificateSigned and the reconnect has both certificates, and tries the new one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from evse_security.adapters.ocpp import Edition
from tests.adapters.ocpp.kit import Bench

CHILD = """
import os, signal, sys
from pathlib import Path
from evse_security.adapters.ocpp import Edition
from tests.adapters.ocpp.kit import Bench
from tests.builders import DAY, NOW

bench = Bench(Path(sys.argv[1]), Edition.V21)
for days in (60, 90):
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"), not_after=NOW + days * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    print(bench.desk.memory.accepted["CSMS"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_between_certificate_signed_and_reconnect(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    command = [sys.executable, "-c", CHILD, str(certs)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert child.returncode == -signal.SIGKILL, child.stderr
    old, new = child.stdout.split()
    renewals = Bench(certs, Edition.V21, installed={}).desk.renewals
    first = renewals.client_certificate()
    assert first is not None and first.fingerprint == new
    renewals.failed(new)
    second = renewals.client_certificate()
    assert second is not None and second.fingerprint == old
    assert renewals.connected(old) is True

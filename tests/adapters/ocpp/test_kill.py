"""A station that is killed after CertificateSigned has what it agreed to, and goes on where it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.pki import profile
from tests.adapters.ocpp.kit import Bench, pki_of_both
from tests.adapters.ocpp.test_two_editions import BOTH, OTHER, SIGNERS, V2G

EDITIONS = {SigningUse.V2G: profile.Edition.ISO15118_2, SigningUse.V2G20: profile.Edition.ISO15118_20}

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


TWO = """
import os, signal, sys
from pathlib import Path
from evse_security.adapters.ocpp import SigningUse
from tests.adapters.ocpp.test_two_editions import BOTH, SIGNERS, asked, bench_of_both, enrolled
from tests.builders import DAY, NOW

bench = enrolled(bench_of_both(Path(sys.argv[1])))
chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
requests = asked(bench, *BOTH, SigningUse.CSMS)
for use in (SigningUse(sys.argv[2]), SigningUse.CSMS):
    chain = bench.chain(requests[use]["csr"], SIGNERS.get(use, "CsmsSub"), not_after=NOW + 90 * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    print(bench.desk.memory.accepted[use], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("use", BOTH)
def test_kill_after_one_of_two_secc_leaves_was_renewed(tmp_path: Path, use: SigningUse) -> None:
    """Beside it a client certificate was renewed, which is on trial, and the other request waits."""
    command = [sys.executable, "-c", TWO, str(tmp_path), use.value]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert child.returncode == -signal.SIGKILL, child.stderr
    leaf, client = child.stdout.split()
    bench = Bench(tmp_path / "certs", Edition.V21, made=pki_of_both(), installed={})
    first = bench.desk.renewals.client_certificate()
    assert first is not None and first.fingerprint == client
    assert bench.desk.renewals.look().requests == ()  # what was answered is not asked for, what waits not yet again
    waiting = bench.desk.memory.renewal(OTHER[use])
    assert waiting.csr is not None and bench.desk.memory.renewal(use).csr is None
    renewed = bench.station.renewal.facts(V2G, edition=EDITIONS[use]).leaf
    assert renewed is not None and renewed.fingerprint == leaf
    assert len(bench.station.chains(V2G).chains) == 3
    chain = bench.chain(waiting.csr, SIGNERS[OTHER[use]])
    answer = bench.answer("CertificateSigned", certificateChain=chain, requestId=waiting.number)
    assert answer == {"status": "Accepted"}
    assert len(bench.station.chains(V2G).chains) == 4

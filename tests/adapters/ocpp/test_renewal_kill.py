"""A station that is killed at any step of a renewal: it always has something to show, and what it agreed to holds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.pki import pem
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.killing import killed_at
from tests.adapters.ocpp.kit import Bench, pki
from tests.builders import DAY, NOW

CSMS = LeafCertificateType.CSMS
COMBINED = {"combined": True, "secc_id": ""}


def changes(use: SigningUse) -> dict[str, Any]:
    return COMBINED if use is SigningUse.COMBINED else {}


def trigger(use: SigningUse) -> str:
    return "SignCombinedCertificate" if use is SigningUse.COMBINED else "SignChargingStationCertificate"


def bench_of(certs: Path, use: SigningUse, **more: Any) -> Bench:
    return Bench(certs, Edition.V21, made=more.pop("made"), changes=changes(use), **more)


def renew(bench: Bench, use: SigningUse, reached: Callable[[str], object]) -> None:
    """A trigger, a request, its answer, and a connection with it, or with the one before."""
    renewals = bench.desk.renewals
    renewals.trigger(use)
    reached("triggered")
    [request] = renewals.look().requests
    reached("request " + request.payload["csr"])
    renewals.asked(use, None)
    chain = bench.chain(request.payload["csr"], not_after=NOW + 90 * DAY)
    reached("chain " + chain)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    reached("accepted " + chain)
    certificate = renewals.client_certificate()
    assert certificate is not None
    if bench.time.now == NOW:
        renewals.connected(certificate.fingerprint)
    else:
        renewals.failed(certificate.fingerprint)
        second = renewals.client_certificate()
        assert second is not None
        assert renewals.connected(second.fingerprint, tell=lambda: reached("told ")) is True
    reached("over")


def check(bench: Bench, use: SigningUse, old: str, reached: str) -> None:
    """There is something to connect with; a trigger and a chain that came are not lost; and a renewal can be made."""
    what, _, text = reached.partition(" ")
    renewals = bench.desk.renewals
    shown = renewals.client_certificate()
    assert shown is not None
    requests = renewals.look().requests
    if what == "triggered":
        assert [one.use for one in requests] == [use]
    if what == "request":
        assert [one.payload["csr"] for one in requests] in ([text], [])
    if what in ("chain", "accepted"):  # whoever got no answer sends it again
        new = pem.chain(text, "it")[0].fingerprint
        answer = bench.answer("CertificateSigned", certificateChain=text)
        is_there = bench.station.renewal.leaf_info(CSMS, new) is not None
        assert (answer["status"] == "Accepted") == is_there
        assert is_there or what == "accepted"  # and then discarded, as the old one connected
        shown = renewals.client_certificate()
        assert shown is not None and shown.fingerprint in (old, new)
        if what == "chain":
            assert shown.fingerprint == new
            renewals.failed(new)
            second = renewals.client_certificate()
            assert second is not None and second.fingerprint == old
            assert renewals.connected(old) is True
    chain = bench.chain(bench.trigger(trigger(use)), not_after=NOW + 120 * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    shown = renewals.client_certificate()
    assert shown is not None and shown.fingerprint == bench.desk.memory.accepted[use]
    renewals.connected(shown.fingerprint)
    assert renewals.client_certificate() == shown
    assert bench.desk.memory.trial is None and bench.desk.memory.installing == ""


def kill_everywhere(folder: Path, use: SigningUse, *, fails: bool) -> None:
    made = pki("V2GRoot > Combined >")
    installed = {"CSMS": "CsmsRoot", "V2G": "CsmsRoot"}
    first = bench_of(folder / "before" / "certs", use, made=made, installed=installed)
    chain = first.chain(first.trigger(trigger(use)))
    assert first.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    old = first.desk.memory.accepted[use]
    first.station.close()
    for number in range(1000):
        shutil.copytree(folder / "before", folder / "now")
        certs, note = folder / "now" / "certs", folder / "now" / "reached"
        bench = bench_of(certs, use, made=made, installed={})
        bench.time.now += DAY / 24 * fails
        killed_at(number, partial(renew, bench, use, note.write_text))
        _, status = os.wait()
        again = bench_of(certs, use, made=made, installed={})
        again.time.now = bench.time.now
        reached = note.read_text() if note.exists() else ""
        try:
            check(again, use, old, reached)
        except AssertionError:
            print("at", number, reached[:12])
            raise
        shutil.rmtree(folder / "now")
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(number)
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("use", "fails"), [(SigningUse.CSMS, False), (SigningUse.CSMS, True), (SigningUse.COMBINED, True)]
)
def test_killed_at_every_step(tmp_path: Path, use: SigningUse, *, fails: bool) -> None:
    command = [sys.executable, "-m", "tests.adapters.ocpp.test_renewal_kill", use.value, str(int(fails))]
    place = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3], env=place)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(ran.stdout) > 20  # steps


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        kill_everywhere(Path(place), SigningUse(sys.argv[1]), fails=sys.argv[2] == "1")

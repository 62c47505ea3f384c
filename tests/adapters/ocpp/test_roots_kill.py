"""A station that is killed at any step of a change of CSMS roots: it always trusts a root, and the change can go on."""

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

from evse_security.adapters.ocpp.root_trial import Failure
from tests.adapters.ocpp.killing import killed_at
from tests.adapters.ocpp.kit import Bench, pki
from tests.adapters.ocpp.test_roots import CHECKED, fingerprint, install, listed, named, trusted


def change(bench: Bench, reached: Callable[[str], object]) -> None:
    """A new root, a CSMS that is not under it yet, and then is."""
    assert install(bench, "Next") == {"status": "Accepted"}
    reached("installed")
    trust = bench.desk.trust
    trust.failed(trust.roots(), Failure.UNVERIFIED)
    trust.connected(trust.roots(), "")
    reached("fallen back")
    assert trusted(bench) == ["Next"]
    reached("connecting")
    trust.connected(trust.roots(), "")
    reached("over")


def check(bench: Bench, reached: str) -> None:
    """Whoever was under a trusted root before is so still; and the change can be made to its end."""
    installed = bench.station.inventory().cas["CSMS"]  # type: ignore[index]
    assert trusted(bench)
    if reached in ("", "installed", "fallen back"):
        assert fingerprint(bench, "CsmsRoot") in installed
    if fingerprint(bench, "Next") not in installed:
        assert trusted(bench) == ["CsmsRoot"]
    assert install(bench, "Next") == {"status": "Accepted"}
    while trusted(bench) != ["Next"]:
        bench.desk.trust.connected(bench.desk.trust.roots(), "")
    bench.desk.trust.connected(bench.desk.trust.roots(), "")
    assert trusted(bench) == ["Next"]
    assert listed(bench) == [named(bench, "Next")]


def kill_everywhere(folder: Path) -> None:
    made = pki()
    Bench(folder / "before" / "certs", made=made, config=CHECKED).station.close()
    for number in range(1000):
        shutil.copytree(folder / "before", folder / "now")
        certs, note = folder / "now" / "certs", folder / "now" / "reached"
        bench = Bench(certs, made=made, config=CHECKED, installed={})
        killed_at(number, partial(change, bench, note.write_text))
        _, status = os.wait()
        check(
            Bench(certs, made=made, config=CHECKED, installed={}),
            note.read_text() if note.exists() else "",
        )
        shutil.rmtree(folder / "now")
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(number)
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def test_killed_at_every_step(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.adapters.ocpp.test_roots_kill"]
    place = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3], env=place)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 10  # steps


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        kill_everywhere(Path(place))

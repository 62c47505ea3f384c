"""The unit for systemd: that it is one, and what its analysis says of it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evse_security.cli import main
from evse_security.daemon.unit import systemd_unit

SYSTEMD_ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="systemd-analyze is not installed")


def test_the_program_that_was_called_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ExecStart=/bin/true serve --config" in systemd_unit("/bin/true")
    assert "-m evse_security serve --config" in systemd_unit("/nowhere/evse-security")
    assert main(["serve", "--systemd-unit"]) == 0
    printed = capsys.readouterr().out
    assert "Type=notify\n" in printed
    assert "StartLimitIntervalSec=0\n" in printed.partition("[Service]")[0]  # it is never given up
    assert "@PROGRAM@" not in printed


@needs_systemd
def test_it_is_exposed_to_little(tmp_path: Path) -> None:
    unit = tmp_path / "evse-security.service"
    unit.write_text(systemd_unit("/bin/true"))
    assert SYSTEMD_ANALYZE is not None
    said = subprocess.run(
        [SYSTEMD_ANALYZE, "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
    assert found is not None, said.stderr
    assert float(found[1]) <= 2.0
    verified = subprocess.run([SYSTEMD_ANALYZE, "verify", unit], capture_output=True, text=True, check=False)
    assert unit.name not in verified.stderr

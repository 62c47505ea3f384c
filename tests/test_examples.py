"""The examples run as they are, and are short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_a_station_enrols_itself_with_the_csms_of_the_example() -> None:
    for package in ("ocpp", "websockets"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    program = EXAMPLES / "ocpp_station.py"
    assert len(program.read_text().splitlines()) < 80
    command = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    asked, *shown = done.stdout.splitlines()
    assert asked == "CSMS: asked to sign CN=CS1,O=O"
    assert any("CN=CS1, O=O (in use" in line for line in shown), shown

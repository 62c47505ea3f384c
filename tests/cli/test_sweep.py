"""`evse-security sweep`: what goes, or would."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evse_security import Station
from evse_security.cli import main
from tests.builders import NOW
from tests.cli.conftest import Run


@pytest.fixture
def key(run: Run, certs: Path) -> Path:
    """A key that waits for its certificate for two hours."""
    subject = ["--certificate-type", "V2G", "--country", "DE", "--organization", "O", "--common", "CN"]
    before = set((certs / "client/cso").glob("*.key"))
    assert run("--certs", certs, "call", "generate_certificate_signing_request", *subject, "--no-use-tpm").code == 0
    (made,) = set((certs / "client/cso").glob("*.key")) - before
    os.utime(made, (NOW.timestamp() - 7200,) * 2)
    return made


def test_a_dry_run_says_what_would_go_and_changes_nothing(run: Run, certs: Path, key: Path) -> None:
    ran = run("--certs", certs, "sweep", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"would remove {key}: no certificate came for it\n"
    assert key.exists()


def test_sweeping_says_what_went(run: Run, certs: Path, key: Path) -> None:
    ran = run("--certs", certs, "sweep")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"removed {key}: no certificate came for it\n"
    assert not key.exists()
    again = run("--certs", certs, "sweep")
    assert (again.code, again.out, again.err) == (0, "nothing to sweep\n", "")


def test_what_is_kept_is_configured(run: Run, certs: Path, key: Path) -> None:
    ran = run("--certs", certs, "sweep", "--csr-lifetime", "7201")
    assert (ran.code, ran.out) == (0, "nothing to sweep\n")
    assert key.exists()


def test_nothing_is_swept_by_a_clock_that_cannot_be_right(
    capsys: pytest.CaptureFixture[str], certs: Path, key: Path
) -> None:
    boot = datetime(1970, 1, 1, tzinfo=UTC)
    code = main(
        ["--certs", str(certs), "sweep"],
        environment={},
        opener=lambda config: Station.open(replace(config, clock=lambda: boot)),
    )
    captured = capsys.readouterr()
    assert (code, captured.out) == (1, "")
    assert captured.err.startswith("evse-security: nothing swept: the clock shows 1970-01-01 00:00:00Z, ")
    assert key.exists()

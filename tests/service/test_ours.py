"""A directory that others may write in, or that is somebody else's, is not relied upon."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from evse_security import Station, StationConfig
from evse_security.adapters.ocpp import Edition
from evse_security.adapters.ocpp.desk import Desk
from evse_security.service.config import ServiceConfig
from evse_security.service.ours import fault, insist, warn_of_others
from evse_security.service.service import Service
from tests.adapters.ocpp.kit import policy


def give_away(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of another user than the one that asks."""
    if os.geteuid() == 0:
        os.chown(directory, 4242, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o775, 0o2770])
def test_ours_are_relied_upon(tmp_path: Path, mode: int) -> None:
    assert fault(tmp_path / "not there") is None
    tmp_path.chmod(mode)
    assert fault(tmp_path) is None
    insist(tmp_path)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_one_that_everybody_may_write_in_is_not(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError, match=rf"writable by everybody \(mode {mode:04o}\): chmod go-w it"):
        insist(tmp_path)


def test_that_of_another_user_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_away(tmp_path, monkeypatch)
    with pytest.raises(PermissionError, match=r"belongs to user \d+: chown it to user \d+, or run this as its owner"):
        insist(tmp_path)


def test_roots_is_relied_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert fault(Path("/")) is None


def test_a_group_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o755)
    warn_of_others("it", tmp_path)
    warn_of_others("it", tmp_path / "not there")
    assert caplog.text == ""
    tmp_path.chmod(0o775)
    warn_of_others("it", tmp_path)
    assert f"it: {tmp_path}: it is writable by its group: chmod g-w it" in caplog.text


@pytest.mark.parametrize("key", ["state_directory", "iso15118_export_directory"])
def test_a_service_says_so_when_it_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture, key: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    with Station.open(StationConfig.under(tmp_path / "certs")) as station:
        Service(station, ServiceConfig(**{key: place})).close()  # type: ignore[arg-type]
    assert f"{key}: {place}: it is writable by everybody (mode 0777)" in caplog.text


def test_what_is_remembered_for_a_csms_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o777)
    with Station.open(StationConfig.under(tmp_path / "certs")) as station, caplog.at_level(logging.WARNING):
        Desk(station, policy(Edition.V21), place)
    assert f"what is remembered for the CSMS: {place}: it is writable by everybody" in caplog.text

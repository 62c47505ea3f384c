"""From start to end in a process of its own: ready, reloaded, ended, and what systemd is told meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evse_security.daemon.life import STUCK, Signals, Told

PATIENCE = 30
QUIET = {"renewal_v2g": "off", "renewal_csms": "off", "ocsp": "off"}


class Manager:
    """A service manager: hears what the service tells it."""

    def __init__(self, directory: Path) -> None:
        self.address = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.socket.settimeout(PATIENCE)

    def hear(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")

    def hear_until(self, word: str) -> list[str]:
        while True:
            heard = self.hear()
            if heard[0] == word:
                return heard


def configure(directory: Path, **keys: object) -> Path:
    lines = ['certs = "certs"', "http_listen = []"]
    lines += [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in keys.items()]
    path = directory / "station.toml"
    path.write_text("\n".join(lines))
    return path


@contextmanager
def served(directory: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Manager]]:
    manager = Manager(directory)
    command = [sys.executable, "-m", "evse_security", "serve", "--config", str(directory / "station.toml")]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": manager.address, **environment},
    )
    try:
        yield process, manager
    finally:
        process.kill()
        process.communicate()
        manager.socket.close()


def test_ready_reloaded_and_ended(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path) as (process, manager):
        assert manager.hear()[0] == "READY=1"
        configure(tmp_path, **QUIET, sweep_interval=3600)
        process.send_signal(signal.SIGHUP)
        heard = manager.hear()
        assert heard[0] == "RELOADING=1"
        assert heard[1].startswith("MONOTONIC_USEC=")
        assert manager.hear()[0] == "READY=1"
        process.send_signal(signal.SIGTERM)
        assert manager.hear() == ["STOPPING=1"]
        assert process.wait(PATIENCE) == 0


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path) as (process, manager):
        assert manager.hear()[0] == "READY=1"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    assert f"there is no directory {tmp_path / 'certs'}" in said


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    (tmp_path / "certs").touch()
    with served(tmp_path) as (process, _):
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert said == f"evse-security: configuration certs: {tmp_path / 'certs'} is no directory\n"


def test_a_reload_changes_how_it_logs(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path) as (process, manager):
        assert manager.hear()[0] == "READY=1"
        configure(tmp_path, **QUIET, log_format="json")
        process.send_signal(signal.SIGHUP)
        manager.hear_until("READY=1")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    assert "ending" in [json.loads(line)["message"] for line in said.splitlines() if line.startswith("{")]


def test_a_broker_that_is_not_there_does_not_keep_it_from_being_ready(tmp_path: Path) -> None:
    """A service manager ends what is not ready in time: nothing would be renewed until the broker is back."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        configure(tmp_path, **QUIET, mqtt_broker=f"mqtt://127.0.0.1:{nobody.getsockname()[1]}")
        with served(tmp_path) as (process, manager):
            assert manager.hear()[0] == "READY=1"
            process.send_signal(signal.SIGTERM)
            assert manager.hear() == ["STOPPING=1"]
            assert process.wait(PATIENCE) == 0


def test_a_new_configuration_that_is_wrong_is_said_and_the_old_one_kept(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path) as (process, manager):
        assert manager.hear()[0] == "READY=1"
        configure(tmp_path, **QUIET, sweep_interval=1)
        process.send_signal(signal.SIGHUP)
        assert manager.hear()[0] == "RELOADING=1"
        assert manager.hear() == ["READY=1", "STATUS=serving; the new configuration was refused"]
        configure(tmp_path, **QUIET, csms_leaf_cert_directory=str(tmp_path / "station.toml"))
        process.send_signal(signal.SIGHUP)
        assert manager.hear()[0] == "RELOADING=1"
        assert manager.hear()[0] == "READY=1"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    assert "sweep_interval: must be a whole number from 60" in said
    assert "csms_leaf_cert_directory" in said
    assert process.returncode == 0


def test_an_end_does_not_wait_for_a_storm_of_reloads() -> None:
    async def run() -> list[Told]:
        signals, done = Signals(), []
        for what in (Told.RELOAD, Told.RELOAD, Told.RELOAD):
            signals.tell(what)
        done.append(await signals.next())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(signals.next(), 0.01)
        for what in (Told.RELOAD, Told.END, Told.RELOAD):
            signals.tell(what)
        return [*done, await signals.next(), await signals.next()]

    assert asyncio.run(run()) == [Told.RELOAD, Told.END, Told.END]


HANGING = """
import asyncio, sys, time
from pathlib import Path
from evse_security import StationConfig
from evse_security.daemon import life
from evse_security.daemon.notify import Notifier
from evse_security.service.config import ServiceConfig

class Hangs:
    name = "hangs"
    def __init__(self, service):
        self.service = service
    async def run(self, ready):
        asking = asyncio.ensure_future(self.service.ask(lambda station: time.sleep(600), caller=self.name))
        await asyncio.sleep(0)
        ready()
        await asking

life.LONGEST_END = 0.2
read = lambda: life.Configuration(StationConfig.under(Path(sys.argv[1])), ServiceConfig())
asyncio.run(life.live(read, lambda service, ready: [Hangs(service)], Notifier(sys.argv[2])))
"""


def test_a_disk_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", HANGING, str(tmp_path / "certs"), manager.address])
    try:
        manager.hear_until("READY=1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == STUCK
    finally:
        process.kill()
        process.wait()
        manager.socket.close()


def test_a_first_configuration_that_is_wrong_ends_it_in_one_line(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET, sweep_interval=1)
    with served(tmp_path) as (process, _):
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert said.startswith("evse-security: configuration sweep_interval: must be a whole number from 60")
    assert said.count("\n") == 1


def test_the_watchdog_is_fed_while_the_store_answers(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path, WATCHDOG_USEC="400000") as (process, manager):
        manager.hear_until("WATCHDOG=1")
        manager.hear_until("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        manager.hear_until("STOPPING=1")


def test_the_memory_is_shielded(tmp_path: Path) -> None:
    """No core dump, and a file in /proc that belongs to root when the process may not be looked into."""
    configure(tmp_path, **QUIET)
    with served(tmp_path) as (process, manager):
        assert manager.hear()[0] == "READY=1"
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_logged_is_a_line_each(tmp_path: Path, form: str) -> None:
    configure(tmp_path, **QUIET, log_format=form)
    with served(tmp_path) as (process, manager):
        manager.hear()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    lines = said.splitlines()
    assert any("ready" in line for line in lines)
    assert all(line.startswith("{") is (form == "json") for line in lines)


def test_a_journal_is_given_priorities(tmp_path: Path) -> None:
    configure(tmp_path, **QUIET)
    with served(tmp_path, JOURNAL_STREAM="8:1") as (process, manager):
        manager.hear()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE)
    assert all(line[0] == "<" and line[2] == ">" for line in said.splitlines())

"""A real mosquitto for tests, on a free port of this machine or a socket."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from evse_security.mqtt.broker import BrokerAddress, Transport

_MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def mosquitto() -> str:
    """The program, or skip the test."""
    if _MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    return _MOSQUITTO


def free_port() -> int:
    """A port of this machine's that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Mosquitto:
    """A broker that can be stopped and started again at the same address."""

    directory: Path
    address: BrokerAddress
    lines: tuple[str, ...] = ("allow_anonymous true",)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        at = f"0 {self.address.host}" if self.address.transport is Transport.unix else f"{self.address.port} 127.0.0.1"
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text(
            "\n".join([f"listener {at}", "set_tcp_nodelay true", "persistence false", "user root", *self.lines])
        )
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([mosquitto(), "-c", configuration], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.01)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def log(self) -> str:
        return (self.directory / "mosquitto.log").read_text()

    def _answers(self) -> bool:
        unix = self.address.transport is Transport.unix
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            return not probe.connect_ex(self.address.host if unix else ("127.0.0.1", self.address.port))


@contextmanager
def broker(directory: Path, *lines: str, transport: Transport = Transport.tcp) -> Iterator[Mosquitto]:
    """A running broker, by default one that lets everybody in."""
    directory.mkdir(parents=True, exist_ok=True)
    if transport is Transport.unix:
        address = BrokerAddress(transport, str(directory / "socket"))
    else:
        address = BrokerAddress(transport, "localhost", free_port())
    running = Mosquitto(directory, address, lines or ("allow_anonymous true",))
    running.start()
    try:
        yield running
    finally:
        running.stop()

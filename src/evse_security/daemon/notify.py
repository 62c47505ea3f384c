"""What systemd is told: ready, reloading, stopping, still alive (sd_notify(3))."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Tells the service manager, if there is one."""

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        """`address` is that of a datagram socket; `watchdog` the seconds within which it wants to hear of us."""
        self._address = address
        self.watchdog = watchdog

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Notifier:
        """What the environment says. A watchdog that is meant for another process is none."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watchdog = int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) and meant else None
        return cls(environment.get("NOTIFY_SOCKET"), watchdog)

    def ready(self, status: str) -> None:
        """The service can be used."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read anew."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The service answers."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.connect(address)
                to.sendall("\n".join(line.replace("\n", " ") for line in lines).encode())
        except OSError as problem:
            log.warning("the service manager cannot be told %s: %s", lines[0], problem.strerror)

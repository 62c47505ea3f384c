"""Where HTTP is served: the addresses of the configuration, how far each reaches, and sockets that listen there."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from evse_security.errors import InvalidConfiguration

KEY = "http_listen"
UNIX = "unix:"
SOCKET_MODE = 0o600
LONGEST_UNIX_PATH = 107
"""Bytes of a path that fits into sockaddr_un (unix(7)), with its NUL."""
BACKLOG = 64


class Reach(StrEnum):
    """From where an address can be reached, which decides whether its callers must say who they are."""

    socket = "socket"
    """A Unix socket of mode 0600: by the service's own user."""
    loopback = "loopback"
    """From this machine."""
    network = "network"
    """From anywhere."""


@dataclass(frozen=True, slots=True)
class Address:
    """One place to listen at: an IP address and a port, or the path of a Unix socket."""

    host: str
    port: int
    path: Path | None = None

    @property
    def reach(self) -> Reach:
        """From where it can be reached."""
        if self.path is not None:
            return Reach.socket
        return Reach.loopback if ipaddress.ip_address(self.host).is_loopback else Reach.network

    def __str__(self) -> str:
        if self.path is not None:
            return f"{UNIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def addresses(listen: Iterable[str]) -> tuple[Address, ...]:
    """The addresses that `http_listen` names. Raises `InvalidConfiguration`."""
    found = tuple(map(_address, listen))
    if len(set(found)) != len(found):
        raise InvalidConfiguration(KEY, "names an address twice")
    return found


def _address(text: str) -> Address:
    if text.startswith(UNIX):
        path = Path(text.removeprefix(UNIX))
        if not path.is_absolute() or "\0" in text or len(os.fsencode(path)) > LONGEST_UNIX_PATH:
            raise InvalidConfiguration(KEY, f"{text}: expected unix:/PATH of at most {LONGEST_UNIX_PATH} bytes")
        return Address("", 0, path)
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    with suppress(ValueError):
        address = ipaddress.ip_address(bare)
        if port.isascii() and port.isdigit() and int(port) < 1 << 16 and (address.version == 6) == (bare != host):
            return Address(bare, int(port))
    # No names: what they lead to may change, and with it whether callers must say who they are.
    raise InvalidConfiguration(KEY, f"{text}: expected IP-ADDRESS:PORT, [IPV6-ADDRESS]:PORT or unix:/PATH")


def listen_at(address: Address) -> socket.socket:
    """A socket that listens there. Raises `InvalidConfiguration`."""
    try:
        return _unix_socket(address.path) if address.path is not None else _tcp_socket(address)
    except OSError as problem:
        raise InvalidConfiguration(KEY, f"cannot listen at {address}: {problem.strerror or problem}") from None


def stop_listening(listening: socket.socket, address: Address) -> None:
    """Close a socket, and remove a Unix socket's name unless somebody else listens there by now."""
    listening.close()
    if address.path is not None and _is_socket(address.path) and not _is_answered(address.path):
        with suppress(OSError):
            address.path.unlink()


def _tcp_socket(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once what says TCP
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind((address.host, address.port))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _unix_socket(path: Path) -> socket.socket:
    """A Unix socket that nobody else may open at any moment; one that a dead process left is replaced."""
    if _is_socket(path) and not _is_answered(path):
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), SOCKET_MODE)  # before it has a name: Linux gives that the mode of the socket
        made.setblocking(False)
        made.bind(str(path))
        path.chmod(SOCKET_MODE)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _is_socket(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISSOCK(path.lstat().st_mode)
    return False


def _is_answered(path: Path) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True

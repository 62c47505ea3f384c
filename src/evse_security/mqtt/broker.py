"""Which MQTT broker to connect to, and as whom."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from evse_security.errors import InvalidConfiguration
from evse_security.service.config import ServiceConfig
from evse_security.settings import at_once

LONGEST_PASSWORD = 1 << 16
"""Bytes of a password: MQTT has no room for more."""


class Transport(StrEnum):
    """What a connection goes over. The value is the scheme of an address."""

    tcp = "mqtt"
    tls = "mqtts"
    unix = "unix"


_PORTS = {Transport.tcp: 1883, Transport.tls: 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is: a host and port, or the path of a socket."""

    transport: Transport
    host: str
    """The host; the path of a unix socket."""
    port: int = 0

    @classmethod
    def parse(cls, text: str, key: str = "mqtt_broker") -> Self:
        """Read `mqtt://HOST[:PORT]`, `mqtts://HOST[:PORT]` or `unix:/PATH`. Raises `InvalidConfiguration`."""
        if text.startswith("unix:/"):
            return cls(Transport.unix, text.removeprefix("unix:"))
        try:
            url = urlsplit(text)
            transport = Transport(url.scheme)
            host, port = url.hostname or "", url.port
        except ValueError:
            raise InvalidConfiguration(key, _EXPECTED) from None
        if "@" in url.netloc:  # it is not repeated here: it may hold a password
            raise InvalidConfiguration(key, "holds a user: that is mqtt_user, the password mqtt_password_file")
        if transport is Transport.unix or not host or url.path.strip("/") or url.query or url.fragment or port == 0:
            raise InvalidConfiguration(key, _EXPECTED)
        return cls(transport, host, port or _PORTS[transport])

    @property
    def is_private(self) -> bool:
        """Whether nobody between here and there can read what is sent: it is encrypted, or stays on this machine."""
        if self.transport is not Transport.tcp or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.transport is Transport.unix:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


_EXPECTED = "expected mqtt://HOST:PORT, mqtts://HOST:PORT or unix:/PATH"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker, and what it asks of its clients. Files are read anew for each connection: they may be renewed."""

    address: BrokerAddress
    user: str | None = None
    password_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of(cls, config: ServiceConfig) -> Self | None:
        """The configured broker; None: there is none. Raises `InvalidConfiguration`."""
        if not config.mqtt_broker:
            return None
        address = BrokerAddress.parse(config.mqtt_broker)
        if address.transport is not Transport.tls:
            for key in ("mqtt_ca", "mqtt_certificate", "mqtt_key"):
                if getattr(config, key) is not None:
                    raise InvalidConfiguration(key, f"is of no use: {address} is not mqtts")
        if (config.mqtt_certificate is None) != (config.mqtt_key is None):
            raise InvalidConfiguration("mqtt_key", "a client certificate and its key must both be given")
        if config.mqtt_password_file is not None and not config.mqtt_user:
            raise InvalidConfiguration("mqtt_password_file", "is of no use without mqtt_user")
        return cls(
            address,
            config.mqtt_user or None,
            config.mqtt_password_file,
            config.mqtt_ca,
            config.mqtt_certificate,
            config.mqtt_key,
        )

    def password(self) -> str | None:
        """What the password file holds. Raises `InvalidConfiguration`."""
        if self.password_file is None:
            return None
        try:
            with open(self.password_file, "rb", opener=at_once) as file:
                content = file.read(LONGEST_PASSWORD)
            password = content.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
            raise InvalidConfiguration("mqtt_password_file", f"cannot be read: {reason}") from None
        if not password:
            raise InvalidConfiguration("mqtt_password_file", "is empty")
        return password

    def tls(self) -> ssl.SSLContext | None:
        """How to speak TLS: the broker's name is checked. None without TLS. Raises `InvalidConfiguration`."""
        if self.address.transport is not Transport.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ValueError) as problem:
            raise InvalidConfiguration("mqtt_ca", f"cannot be read: {_why(problem)}") from None
        if self.certificate is not None:
            try:
                # Without a password given, OpenSSL would ask the terminal for that of an encrypted key.
                context.load_cert_chain(self.certificate, self.key, password=lambda: "")
            except (OSError, ValueError) as problem:
                raise InvalidConfiguration("mqtt_certificate", f"cannot be used: {_why(problem)}") from None
        return context


def _why(problem: OSError | ValueError) -> str:
    if isinstance(problem, ssl.SSLError):
        return problem.reason or "not PEM, or the key is encrypted"
    return (problem.strerror if isinstance(problem, OSError) else None) or type(problem).__name__

"""What EVerest's manager tells a module when it starts it: variables of the environment, no arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evse_security.errors import InvalidConfiguration
from evse_security.everest.wire import Generation
from evse_security.mqtt.broker import BrokerAddress, Transport
from evse_security.mqtt.connection import is_topic

GENERATION = "EVSE_SECURITY_EVEREST_GENERATION"
"""Variable that says which generation of the protocol is spoken, where that cannot be seen: `A`, `B` or `C`."""
FRAMEWORK = "EVSE_SECURITY_EVEREST_FRAMEWORK"
"""Variable that says through what: `mqtt` (our own) or `everestpy`."""

TOPICS = "everest/"

_LIBRARIES = ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "lib/arm-linux-gnueabihf")
_LARGEST_LIBRARY = 256 << 20


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Which module of which EVerest this is, and where it talks."""

    module: str
    """Its id in the configuration of EVerest."""
    prefix: Path
    """Where EVerest is installed."""
    broker: BrokerAddress
    topics: str = TOPICS
    """What all topics begin with."""
    generation: Generation | None = None
    """Of the protocol, where the user says so."""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment. Raises `InvalidConfiguration` naming the variable."""
        return cls(
            module=_segment("EV_MODULE", environment),
            prefix=_prefix(environment),
            broker=_broker(environment),
            topics=_topics(environment),
            generation=_generation(environment),
        )

    @property
    def certs(self) -> Path:
        """Where relative paths of the configuration begin."""
        etc = Path("/etc") if self.prefix == Path("/usr") else self.prefix / "etc"
        return etc / "everest" / "certs"

    def generation_installed(self) -> Generation | None:
        """Which generation the framework beside us speaks, by the names of messages in its library; None: unknown."""
        for directory in _LIBRARIES:
            for library in sorted((self.prefix / directory).glob("libframework.so*")):
                if library.is_file() and library.stat().st_size <= _LARGEST_LIBRARY:
                    return Generation.named_in(library.read_bytes())
        return None


def _prefix(environment: Mapping[str, str]) -> Path:
    prefix = Path(environment.get("EV_PREFIX") or "")
    if not prefix.is_absolute():
        raise InvalidConfiguration("EV_PREFIX", "must be an absolute path: EVerest's manager sets it")
    return prefix


def _topics(environment: Mapping[str, str]) -> str:
    topics = environment.get("EV_MQTT_EVEREST_PREFIX") or TOPICS
    if not is_topic(topics):
        raise InvalidConfiguration("EV_MQTT_EVEREST_PREFIX", "is no beginning of topics")
    return topics


def _broker(environment: Mapping[str, str]) -> BrokerAddress:
    socket = environment.get("EV_MQTT_BROKER_SOCKET_PATH")
    if socket:
        return BrokerAddress(Transport.unix, socket)
    host = environment.get("EV_MQTT_BROKER_HOST")
    if not host:
        older = "; EVerest before 2024.11 has another way to start modules" if "EV_CONF_FILE" in environment else ""
        raise InvalidConfiguration("EV_MQTT_BROKER_HOST", f"is not set: EVerest's manager does that{older}")
    port = environment.get("EV_MQTT_BROKER_PORT") or "1883"
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise InvalidConfiguration("EV_MQTT_BROKER_PORT", "is no port")
    return BrokerAddress(Transport.tcp, host, int(port))


def _segment(variable: str, environment: Mapping[str, str]) -> str:
    name = environment.get(variable, "")
    if not name or not name.isprintable() or set(name) & set("/+#"):
        raise InvalidConfiguration(variable, "must name the module: EVerest's manager sets it")
    return name


def _generation(environment: Mapping[str, str]) -> Generation | None:
    name = environment.get(GENERATION)
    if not name:
        return None
    try:
        return Generation(name)
    except ValueError:
        raise InvalidConfiguration(GENERATION, f"must be one of {', '.join(Generation)}") from None

"""Addresses of brokers, and what is refused as configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evse_security.errors import InvalidConfiguration
from evse_security.mqtt.broker import Broker, BrokerAddress, Transport
from evse_security.service.config import ServiceConfig


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mqtt://broker.example", BrokerAddress(Transport.tcp, "broker.example", 1883)),
        ("mqtt://10.0.0.1:11883/", BrokerAddress(Transport.tcp, "10.0.0.1", 11883)),
        ("mqtts://[::1]", BrokerAddress(Transport.tls, "::1", 8883)),
        ("unix:/run/mosquitto/socket", BrokerAddress(Transport.unix, "/run/mosquitto/socket")),
    ],
)
def test_addresses_are_read_and_written(text: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(text) == address
    assert BrokerAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "broker",
        "http://x",
        "mqtt://",
        "mqtt://h:0",
        "mqtt://h:99999",
        "mqtt://h/topic",
        "mqtt://h?x",
        "unix:socket",
        "mqtt://[",
    ],
)
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(InvalidConfiguration, match="expected mqtt://HOST:PORT"):
        BrokerAddress.parse(text)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidConfiguration, match="mqtt_password_file") as refused:
        BrokerAddress.parse("mqtt://me:hidden@h")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "private"),
    [("mqtt://localhost", True), ("mqtt://127.0.0.2", True), ("mqtt://[::1]", True), ("unix:/x", True),
     ("mqtts://h", True),
     ("mqtt://h", False), ("mqtt://10.1.1.1", False)],
)  # fmt: skip
def test_whether_anybody_can_read_what_is_sent(text: str, *, private: bool) -> None:
    assert BrokerAddress.parse(text).is_private is private


def test_without_a_broker_there_is_none() -> None:
    assert Broker.of(ServiceConfig()) is None


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"mqtt_broker": "mqtt://h", "mqtt_ca": "/ca.pem"}, "mqtt_ca"),
        ({"mqtt_broker": "mqtts://h", "mqtt_key": "/key.pem"}, "mqtt_key"),
        ({"mqtt_broker": "mqtts://h", "mqtt_password_file": "/password"}, "mqtt_password_file"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        Broker.of(ServiceConfig(**keys))
    assert refused.value.key == key


def test_files_that_cannot_be_used_are_named_by_their_key(tmp_path: Path) -> None:
    address = BrokerAddress.parse("mqtts://h")
    text = tmp_path / "text"
    text.write_text("no certificate")
    for broker, key in (
        (Broker(address, password_file=tmp_path / "absent"), "mqtt_password_file"),
        (Broker(address, ca=tmp_path / "absent"), "mqtt_ca"),
        (Broker(address, ca=text), "mqtt_ca"),
        (Broker(address, certificate=text, key=text), "mqtt_certificate"),
    ):
        with pytest.raises(InvalidConfiguration) as refused:
            broker.password()
            broker.tls()
        assert refused.value.key == key
    text.write_text("secret\n")
    assert Broker(address, password_file=text).password() == "secret"
    text.write_text("\n")
    with pytest.raises(InvalidConfiguration, match="empty"):
        Broker(address, password_file=text).password()

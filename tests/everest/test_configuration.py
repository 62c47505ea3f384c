"""EVerest's configuration of the module becomes a station's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evse_security.config import DEFAULT_PATHS
from evse_security.errors import InvalidConfiguration
from evse_security.everest.configuration import configured, everest_keys, is_valid
from evse_security.everest.surroundings import Surroundings
from evse_security.mqtt.broker import BrokerAddress

CERTS = Path("/opt/everest/etc/everest/certs")


def test_the_defaults_of_the_manifest_are_ours_but_for_what_everest_does_itself() -> None:
    found = configured({key.name: key.default for key in everest_keys()}, CERTS)
    assert found == configured({}, CERTS)
    assert {name: getattr(found.station, name) for name in DEFAULT_PATHS} == {
        name: CERTS / path for name, path in DEFAULT_PATHS.items()
    }
    assert (found.service.http_listen, found.service.renewal_v2g, found.service.ocsp) == ((), "off", "off")
    assert found.station.audit_log == CERTS / "audit" / "audit.jsonl"


def test_what_is_given_is_taken() -> None:
    values = {
        "v2g_ca_bundle": "/elsewhere/v2g",
        "mo_ca_bundle": "",
        "private_key_password": "123456",
        "csr_dns_names": "a.example, b.example",
        "max_store_entries": 7,
        "audit_log": "none",
        "audit_log_sync": True,
        "http_listen": "127.0.0.1:8866",
        "certificate_store_max_length": 3,
        "a_key_of_tomorrow": 1,
    }
    station, service = configured(values, CERTS)
    assert station.v2g_ca_bundle == Path("/elsewhere/v2g")
    assert station.mo_ca_bundle == CERTS / "ca/mo/MO_ROOT_CA.pem"
    assert station.private_key_password == "123456"
    assert station.csr_dns_names == ("a.example", "b.example")
    assert (station.max_store_entries, station.certificate_store_max_length) == (7, 3)
    assert (station.audit_log, station.audit_log_sync) == (None, True)
    assert service.http_listen == ("127.0.0.1:8866",)


@pytest.mark.parametrize(
    ("name", "value"),
    [("v2g_ca_bundle", 1), ("max_store_entries", "7"), ("max_store_entries", 0), ("audit_log_sync", "true"),
     ("csr_key_type", "dsa"), ("private_key_password", 123456), ("csr_dns_names", ["a"]), ("v2g_ca_bundle", "a\0b")],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        configured({name: value}, CERTS)
    assert refused.value.key == name
    assert "123456" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [("csr_key_type", "secp384r1", True), ("csr_key_type", "dsa", False), ("keep_newest", "3", True),
     ("keep_newest", "three", False), ("private_key_password", "x", True), ("mo_ca_bundle", "x.pem", True),
     ("nothing", "", False), ("audit_log", "", True), ("sweep_interval", "1", False)],
)  # fmt: skip
def test_values_that_could_be(name: str, value: str, *, valid: bool) -> None:
    assert is_valid(name, value, CERTS) is valid


@pytest.mark.parametrize(
    ("prefix", "certs"),
    [("/opt/everest", "/opt/everest/etc/everest/certs"), ("/usr", "/etc/everest/certs")],
)
def test_where_relative_paths_begin(prefix: str, certs: str) -> None:
    surroundings = Surroundings("evse_security", Path(prefix), BrokerAddress.parse("mqtt://localhost"))
    assert surroundings.certs == Path(certs)


def test_the_environment_of_the_manager() -> None:
    environment = {
        "EV_MODULE": "evse_security", "EV_PREFIX": "/opt/everest", "EV_MQTT_EXTERNAL_PREFIX": "",
        "EV_MQTT_EVEREST_PREFIX": "mine/", "EV_MQTT_BROKER_HOST": "localhost", "EV_MQTT_BROKER_PORT": "11883",
    }  # fmt: skip
    found = Surroundings.of(environment)
    assert found == Surroundings(
        "evse_security", Path("/opt/everest"), BrokerAddress.parse("mqtt://localhost:11883"), "mine/"
    )
    socket = Surroundings.of({**environment, "EV_MQTT_BROKER_SOCKET_PATH": "/run/mosquitto"})
    assert str(socket.broker) == "unix:/run/mosquitto"
    with pytest.raises(InvalidConfiguration, match=r"before 2024\.11"):
        Surroundings.of({"EV_MODULE": "x", "EV_PREFIX": "/x", "EV_CONF_FILE": "/x.yaml"})

"""What a policy and an endpoint may say: what could not work is refused where it is written."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import CertificateHandlers201, CertificatePolicy, Certificates, Edition, SigningUse
from evse_security.adapters.ocpp.connector import Endpoint
from evse_security.errors import InvalidConfiguration
from tests.adapters.ocpp.kit import Bench, policy


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("edition", "2.0.1", "must be an Edition: 1.6, 2.0.1, 2.0.1-2025-01, 2.1"),
        ("edition", None, "must be an Edition"),
        ("takeover", "at once", "must be a Takeover"),
        ("organization", 5, "must be a text"),
        ("secc_id", None, "must be a text"),
        ("country", None, "must be a text"),
        ("days", "30", "must be a whole number"),
        ("repeats", True, "must be a whole number"),
        ("plug_and_charge", "no", "must be True or False"),
        ("combined", "yes", "must be True or False"),
        ("secc_ids", {"1": "DE*ABC*E1"}, "'1' is no number of an EVSE"),
        ("secc_ids", {1: "x" * 65}, "must be a line"),
        ("enrol", SigningUse.V2G, "is none of what is asked for: CSMS, V2G"),
        ("enrol", {"SECC"}, "'SECC' is none of what is asked for"),
        ("enrol", {SigningUse.V2G20}, "is none of what is asked for"),
        ("enrol", {SigningUse.COMBINED}, "is none of what is asked for"),
    ],
)
def test_a_policy_that_could_not_work_is_refused_and_the_field_named(field: str, value: Any, why: str) -> None:
    with pytest.raises(InvalidConfiguration) as refused:
        policy(**{"edition": Edition.V201, field: value})
    assert str(refused.value).startswith(f"configuration {field}: ")
    assert why in str(refused.value)


def test_uses_may_be_written_as_texts() -> None:
    texts: Any = {"CSMS", "V2G20"}
    assert SigningUse.V2G20 in policy(Edition.V21, enrol=texts).enrol
    assert isinstance(policy(Edition.V201, combined=True, enrol={SigningUse.COMBINED}), CertificatePolicy)


@pytest.mark.parametrize(
    ("field", "value"), [("url", "wss://"), ("url", "wss:///CS1"), ("first_wait", 0), ("longest_wait", -1.0)]
)
def test_an_endpoint_that_could_not_work_or_would_storm_the_csms(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfiguration, match=field):
        Endpoint(**{"url": "wss://csms.example/CS1", field: value})


@pytest.mark.parametrize(("identity", "user"), [("", "CS 1"), ("other", "other")])
def test_who_logs_in_is_who_the_url_says(identity: str, user: str) -> None:
    endpoint = Endpoint(url="wss://csms.example/ocpp/CS%201", profile=2, identity=identity, password="secret")
    pair = base64.b64decode(endpoint.headers["Authorization"].removeprefix("Basic "))
    assert pair.decode() == f"{user}:secret"


def test_the_bases_of_a_station_have_an_order() -> None:
    v201 = pytest.importorskip("ocpp.v201", reason="the package ocpp is not installed")
    type("Station", (CertificateHandlers201, v201.ChargePoint), {})
    with pytest.raises(TypeError, match="Station: the CertificateHandlers come before ChargePoint"):
        type("Station", (v201.ChargePoint, CertificateHandlers201), {})


def test_the_directory_may_be_a_text(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    certificates = Certificates(bench.station, policy=policy(Edition.V201), directory=str(tmp_path / "state"))
    certificates.close()

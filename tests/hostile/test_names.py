"""Files whose names are no text, or would act on a terminal: used like others, and shown escaped."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from evse_security import Station, StationConfig
from evse_security.cli import main
from tests.builders import NOW
from tests.hostile.home import pki

NAMES = (b"\xff\xfe", b"a\nb", b"\x1b[2J", b"\xe2\x80\xaeabc", b"\xed\xa0\x80", b"%s{}", b"-n")


@pytest.fixture(params=NAMES, ids=ascii)
def certs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    w = pki()
    name: bytes = request.param
    for place, content in (
        (b"ca/v2g/" + b"V2G_ROOT_CA.pem", w.pem("V2GRoot")),
        (b"client/cso/" + name + b".pem", w.pem("SECC", "Sub2", "Sub1")),
        (b"client/cso/" + name + b".key", w["SECC"].key_pem()),
        (b"client/cso/" + name + b"x.pem", "garbage -----BEGIN CERTIFICATE-----"),
        (b"client/cso/" + name + b"x.key", "garbage"),
        (b"client/cso/" + name + b"/" + name + b".key", w["Next"].key_pem()),
    ):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + place))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def opened(config: StationConfig) -> Station:
    return Station.open(replace(config, clock=lambda: NOW))


def test_they_are_used_like_others(certs: Path) -> None:
    with opened(StationConfig.under(certs)) as station:
        for encoding in ("PEM", "DER"):
            asked = {"certificate_type": "V2G", "encoding": encoding, "include_ocsp": True}
            answer = station.dispatch("get_leaf_certificate_info", asked)
            assert answer["status"] == "Accepted"
            assert Path(json.loads(json.dumps(answer))["info"]["key"]).is_file()
        asked = {"certificate_chain": pki().pem("Next", "Sub2", "Sub1"), "certificate_type": "V2G"}
        assert station.dispatch("update_leaf_certificate", asked) == "Accepted"
        assert len(station.overview().problems) >= 2
        station.sweep()


@pytest.mark.parametrize(
    "argv",
    [
        ["show"],
        ["show", "--json"],
        ["sweep"],
        ["doctor"],
        ["doctor", "--json"],
        ["explain", "V2G"],
        ["call", "get_leaf_certificate_info", "--certificate-type=V2G", "--encoding=DER", "--include-ocsp"],
    ],
    ids=" ".join,
)
def test_they_are_shown_escaped(certs: Path, argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--certs", str(certs), *argv], environment={}, opener=opened) < 64  # doctor says in it how bad it is
    said = capfd.readouterr()
    assert said.out
    assert all(line.isprintable() for line in (said.out + said.err).split("\n"))

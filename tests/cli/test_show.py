"""`evse-security show`: what is installed, as trees."""

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from evse_security import Station
from evse_security.cli import main
from evse_security.lab.authority import name
from evse_security.lab.hierarchy import Pki
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from tests.builders import DAY, NOW, world
from tests.cli.conftest import Run

TREES = """\
V2G  CERTS/ca/v2g/V2G_ROOT_CA.pem (file)
└─ root CN=V2G Root CA, O=EVSE Security Lab, C=DE, DC=V2G: valid until 2069-12-21, EC 256; trusted as a root
   └─ sub-CA CN=CPO Sub-CA 1, O=EVSE Security Lab, C=DE, DC=V2G: valid until 2033-12-30, EC 256, no OCSP response; \
used to build chains
      └─ sub-CA CN=CPO Sub-CA 2, O=EVSE Security Lab, C=DE, DC=V2G: valid until 2031-12-31, EC 256, no OCSP response; \
used to build chains
         └─ leaf CN=DEEVSE000001, O=EVSE Security Lab, C=DE, DC=CPO: serial SERIAL..., \
in CPO_CERT_CHAIN.pem and SECC_LEAF.pem, valid until 2030-03-21, EC 256, no OCSP response; \
in use: the newest that is valid and has its key
"""


def test_the_trees_lead_from_root_to_leaf(run: Run, certs: Path, pki: Pki) -> None:
    ran = run("--certs", certs, "show")
    assert (ran.code, ran.err) == (0, "")
    serial = f"{pki['SECC_LEAF'].certificate.serial_number:x}"[:16]
    told = ran.out.replace(str(certs), "CERTS").replace(f"{serial}...", "SERIAL...")
    assert told[: len(TREES)] == TREES
    assert re.search(r"\n11 files, \d+ bytes\n$", ran.out)


def test_an_empty_store_says_so_and_stays_empty(run: Run, tmp_path: Path) -> None:
    ran = run("--certs", tmp_path / "certs", "show")
    assert (ran.code, ran.err) == (0, f"evse-security: nothing is installed: there is no directory {tmp_path}/certs\n")
    assert ran.out.count(": nothing installed\n") == 4
    assert ran.out.endswith("\n0 files, 0 bytes\n")
    assert not list(tmp_path.iterdir())


def test_what_waits_what_cannot_be_used_and_what_is_dangerous_comes_last(run: Run, certs: Path) -> None:
    key = certs / "client/cso/SECC_LEAF.key"
    key.chmod(0o644)
    (certs / "client/cso/broken.pem").write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    (certs / "client/cso/SECC_LEAF.pem").unlink()
    (certs / "client/cso/CPO_CERT_CHAIN.pem").unlink()
    lines = run("--certs", certs, "show").out.splitlines()
    waiting, unusable, dangerous = (
        lines.index(f"{title}:") for title in ("waiting for their certificate", "cannot be used", "dangerous")
    )
    assert lines[waiting + 1] == f"   {key}"
    assert lines[unusable + 1].startswith(f"   {certs}/client/cso/broken.pem: ")
    assert lines[dangerous + 1] == f"   {key}: private key readable by others (mode 0644)"


def test_expired_and_future_certificates_say_so(run: Run, tmp_path: Path) -> None:
    expired = world("Old > x", Old={"not_before": NOW - 9 * DAY, "not_after": NOW - DAY})["Old"]
    future = world("New > x", New={"not_before": NOW + DAY, "not_after": NOW + 9 * DAY})["New"]
    bundle = tmp_path / "ca/mo/MO_ROOT_CA.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(expired.pem + future.pem)
    out = run("--certs", tmp_path, "show").out
    assert "├─ root CN=Old, O=Test: expired 2029-12-31, EC 256; not trusted: expired\n" in out
    assert "└─ root CN=New, O=Test: valid from 2030-01-02 to 2030-01-10, EC 256; not trusted: not yet valid\n" in out


@pytest.mark.parametrize(
    ("answered", "until", "said"),
    [
        (NOW, NOW + 7 * DAY, "OCSP good until 2030-01-08;"),
        (NOW, None, "OCSP good;"),
        (NOW - 7 * DAY, NOW - DAY, "OCSP good until 2029-12-31 (out of date);"),
    ],
)
def test_the_cached_ocsp_response_is_told(
    run: Run, certs: Path, pki: Pki, answered: datetime, until: datetime | None, said: str
) -> None:
    listed = run("--certs", certs, "call", "get_v2g_ocsp_request_data").json
    leaf = listed["ocsp_request_data_list"][0]["certificate_hash_data"]
    template = ResponseTemplate(this_update=answered, next_update=until, hash_algorithm=SHA256())
    issuer = pki["CPO_SUB_CA2"]
    response = ocsp_response(pki["SECC_LEAF"].certificate, issuer, issuer, template)
    arguments = {"certificate_hash_data": leaf, "ocsp_response": base64.b64encode(response).decode()}
    call = ["call", "update_ocsp_cache", "--json", json.dumps(arguments)]
    # Out of date ones are not taken any more, but may be there from earlier.
    assert run("--certs", certs, *call, "--ocsp-check", "unchecked").code == 0
    assert f"valid until 2030-03-21, EC 256, {said} in use: " in run("--certs", certs, "show").out


def test_a_clock_that_is_not_believed_is_said(capsys: pytest.CaptureFixture[str], certs: Path) -> None:
    boot = datetime(1970, 1, 1, tzinfo=UTC)
    main(
        ["--certs", str(certs), "show"],
        environment={},
        opener=lambda config: Station.open(replace(config, clock=lambda: boot)),
    )
    assert "\nclock not believed: the clock shows 1970-01-01 00:00:00Z, " in capsys.readouterr().out


def test_names_cannot_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = world("Evil > x", Evil={"subject": name(CN="\x1b[2J\u202eroot")})["Evil"]
    bundle = tmp_path / "ca/mo/MO_ROOT_CA.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(evil.pem)
    out = run("--certs", tmp_path, "show").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[2J" in out


def test_which_chain_cars_are_shown_is_told(run: Run, certs: Path, pki: Pki) -> None:
    ran = run("--certs", certs, "show")
    leaf = pki["SECC_LEAF"].certificate
    assert "shown to cars:\n   ISO 15118-2 over TLS 1.2: CN=DEEVSE000001, " in ran.out
    assert f"serial {leaf.serial_number:x}, under CN=V2G Root CA" in ran.out
    told = run("--certs", certs, "show", "--json").json["shown_to_cars"]
    assert [one["edition"] for one in told["editions"]] == ["ISO 15118-2", "ISO 15118-20"]
    assert told["editions"][0]["fingerprint"] == leaf.fingerprint(SHA256()).hex()
    assert told["others"] == []


def test_json_has_the_same_trees_with_files_and_fingerprints(run: Run, certs: Path, pki: Pki) -> None:
    ran = run("--certs", certs, "show", "--json")
    assert (ran.code, ran.err) == (0, "")
    v2g, mo, csms, mf, oem = ran.json["domains"]
    assert [each["domain"] for each in (v2g, mo, csms, mf, oem)] == ["V2G", "MO", "CSMS", "MF", "OEM"]
    (root,) = v2g["trees"]
    assert root["not_after"] == "2069-12-21T00:00:00Z"
    assert root["files"] == [str(certs / "ca/v2g/V2G_ROOT_CA.pem")]
    assert root["private_key"] is None
    leaf = root["children"][0]["children"][0]["children"][0]
    assert (leaf["role"], leaf["used"], leaf["private_key"]) == ("leaf", True, str(certs / "client/cso/SECC_LEAF.key"))
    assert ran.json["clock"] is None

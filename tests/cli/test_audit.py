"""`evse-security audit`: what was done to the store, and whether the log of it is whole."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def log(run: Run, certs: Path) -> Path:
    """Three entries: a request for a signature, a certificate that is none, a sweep that is refused nothing."""
    subject = ["--certificate-type", "V2G", "--country", "DE", "--organization", "O", "--common", "CN"]
    assert run("--certs", certs, "call", "generate_certificate_signing_request", *subject, "--no-use-tpm").code == 0
    for text in ("nothing", "\x1b[31m"):
        arguments = ["--certificate", text, "--certificate-type", "V2G"]
        assert run("--certs", certs, "call", "install_ca_certificate", *arguments).code == 1
    return certs / "audit/audit.jsonl"


def test_it_shows_what_was_done(run: Run, certs: Path, log: Path) -> None:
    ran = run("--certs", certs, "audit", "show")
    assert (ran.code, ran.err) == (0, "")
    first, second, _ = ran.out.splitlines()
    assert first.startswith("1 2030-01-01T00:00:00.000Z uid ")
    assert first.endswith(": generate_certificate_signing_request V2G: done")
    assert second.endswith("install_ca_certificate V2G: refused, no certificate in the certificate")
    assert run("--certs", certs, "audit", "show", "-n", "1").out == ran.out.splitlines(keepends=True)[-1]


def test_as_json_it_is_as_it_was_written(run: Run, certs: Path, log: Path) -> None:
    ran = run("--certs", certs, "audit", "show", "--json", "-n", "0")
    assert ran.out == log.read_text()  # to the byte: the hash of an entry is that of its line


def test_a_whole_log_is_said_to_be_whole_with_what_to_note(run: Run, certs: Path, log: Path) -> None:
    ran = run("--certs", certs, "audit", "verify")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("whole: 3 entries; the last is 3:")
    noted = ran.out.split()[-1]
    assert run("--certs", certs, "audit", "verify", "--noted", noted).code == 0
    assert run("--certs", certs, "audit", "verify", "--noted", f"3:{'0' * 64}").code == 1
    for nonsense in ("nonsense", f"x:{'0' * 64}", "3:00"):
        refused = run("--certs", certs, "audit", "verify", "--noted", nonsense)
        assert refused.code == 2
        assert "not NUMBER:HASH as verify prints it" in refused.err
    assert "'-3' is no number of entries" in run("--certs", certs, "audit", "show", "-n", "-3").err


def test_what_was_deleted_is_named_by_its_serial_number(run: Run, certs: Path, log: Path) -> None:
    listed = run("--certs", certs, "call", "get_installed_certificates", "--certificate-types", "V2GRootCertificate")
    data = listed.json["certificate_hash_data_chain"][0]["certificate_hash_data"]
    run("--certs", certs, "call", "delete_certificate", "--json", json.dumps({"certificate_hash_data": data}))
    ran = run("--certs", certs, "audit", "show", "-n", "1")
    assert f": delete_certificate serial {data['serial_number']}" in ran.out


def test_a_removed_line_is_found(run: Run, certs: Path, log: Path) -> None:
    first, _, last = log.read_text().splitlines(keepends=True)
    log.write_text(first + last)
    ran = run("--certs", certs, "audit", "verify")
    assert (ran.code, ran.out) == (1, "audit.jsonl, line 2: 1 entry is missing before entry 3\n")


def test_lines_of_others_do_not_steer_the_terminal(run: Run, certs: Path, log: Path) -> None:
    entry = {"n": 9, "time": "\x1b[31m", "given": [{"name": "\u202e"}], "prev": "", "command": 7}
    with log.open("a") as file:
        file.write(json.dumps(entry)[:-1] + f',"hash":"{"0" * 64}"}}\n')
    ran = run("--certs", certs, "audit", "show")
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_there_is_no_log(run: Run, tmp_path: Path) -> None:
    for action in ("show", "verify"):
        ran = run("--certs", tmp_path, "audit", action)
        assert (ran.code, ran.out) == (2, "")
        assert "audit" in ran.err
        off = run("--certs", tmp_path, "audit", action, "--audit-log", "none")
        assert off.code == 2
    off = run("--certs", tmp_path, "--audit-log", "none", "audit", "verify")
    assert (off.code, "none is kept" in off.err) == (2, True)

"""`evse-security export iso15118`: what PyPI iso15118 reads, all at once or not at all."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from evse_security.lab.hierarchy import Pki
from tests.cli.conftest import Run


def test_what_josev_reads(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    to = tmp_path / "josev"
    ran = run("--certs", certs, "export", "iso15118", to)
    assert (ran.code, ran.err) == (0, "")
    assert "DEEVSE000001" in ran.out
    found = to / "iso15118_2/certs"
    stems = {
        "seccLeaf": "SECC_LEAF",
        "cpoSubCA1": "CPO_SUB_CA1",
        "cpoSubCA2": "CPO_SUB_CA2",
        "v2gRootCA": "V2G_ROOT_CA",
    }
    stems |= {"moRootCA": "MO_ROOT_CA", "oemRootCA": "OEM_ROOT_CA"}
    for stem, holder in stems.items():
        assert (found / f"{stem}Cert.der").read_bytes() == pki[holder].der
        assert ssl.PEM_cert_to_DER_cert((found / f"{stem}Cert.pem").read_text()) == pki[holder].der
    keys = to / "iso15118_2/private_keys"
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.iterdir()} == {0o600}
    password = (keys / "seccLeafPassword.txt").read_text().rstrip()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(found / "cpoCertChain.pem", keys / "seccLeaf.key", password)


def test_the_password_of_the_key_goes_with_it(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    (certs / "client/cso/SECC_LEAF.key").write_text(pki["SECC_LEAF"].key_pem("secret"))
    (tmp_path / "password").write_text("secret")
    ran = run(
        "--certs", certs, "export", "--private-key-password-file", tmp_path / "password", "iso15118", tmp_path / "to"
    )
    assert ran.code == 0
    assert (tmp_path / "to/iso15118_2/private_keys/seccLeafPassword.txt").read_text() == "secret\n"
    assert "secret" not in ran.out + ran.err


def test_nothing_is_exported_into_the_store(run: Run, certs: Path) -> None:
    """It would read the copy of the key as one of its own."""
    before = sorted(certs.rglob("*"))
    ran = run("--certs", certs, "export", "iso15118", certs / "client/cso")
    assert ran.code != 0
    assert "lies in the directory of secc_leaf_cert_directory" in ran.err
    assert sorted(certs.rglob("*")) == before


def test_a_file_is_no_place_for_an_export(run: Run, certs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("--certs", certs, "export", "iso15118", tmp_path / "file")
    assert (ran.code, ran.err) == (2, f"evse-security: {tmp_path}/file is no directory\n")


def test_a_new_export_replaces_the_whole(run: Run, certs: Path, tmp_path: Path) -> None:
    to = tmp_path / "josev"
    assert run("--certs", certs, "export", "iso15118", to).code == 0
    before = os.readlink(to / "iso15118_2")
    (certs / "ca/mo/MO_ROOT_CA.pem").unlink()
    assert run("--certs", certs, "export", "iso15118", to).code == 0
    assert os.readlink(to / "iso15118_2") != before
    assert not (to / "iso15118_2/certs/moRootCACert.pem").exists()
    assert {path.name for path in to.iterdir()} == {"iso15118_2", os.readlink(to / "iso15118_2")}


@pytest.mark.parametrize("edition", ["2", "20"])
def test_without_a_chain_what_was_exported_stays(run: Run, certs: Path, tmp_path: Path, edition: str) -> None:
    to = tmp_path / "josev"
    assert run("--certs", certs, "export", "iso15118", to).code == 0
    before = os.readlink(to / "iso15118_2")
    (certs / "ca/v2g/V2G_ROOT_CA.pem").unlink()
    ran = run("--certs", certs, "export", "iso15118", to, "--edition", edition)
    assert (ran.code, ran.out) == (1, "")
    assert "can be exported: CN=DEEVSE000001" in ran.err
    assert os.readlink(to / "iso15118_2") == before


def test_a_file_of_oem_roots_is_copied_instead_of_the_stores(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "oem.pem").write_text(pki["MO_ROOT_CA"].pem)
    ran = run("--certs", certs, "export", "iso15118", tmp_path / "to", "--oem-roots", tmp_path / "oem.pem")
    assert (ran.code, ran.err) == (0, "")
    assert (tmp_path / "to/iso15118_2/certs/oemRootCACert.der").read_bytes() == pki["MO_ROOT_CA"].der


def test_of_oem_roots_that_cannot_be_read_none_is_copied_and_that_is_said(
    run: Run, certs: Path, tmp_path: Path
) -> None:
    with (certs / "ca/oem/OEM_ROOT_CA.pem").open("a") as bundle:
        bundle.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    ran = run("--certs", certs, "export", "iso15118", tmp_path / "to")
    assert ran.code == 0
    assert "no OEM root is copied: " in ran.err and "cannot be read in full" in ran.err
    assert not (tmp_path / "to/iso15118_2/certs/oemRootCACert.der").exists()


def test_what_others_put_there_is_not_replaced(run: Run, certs: Path, tmp_path: Path) -> None:
    (tmp_path / "iso15118_2").mkdir()
    ran = run("--certs", certs, "export", "iso15118", tmp_path)
    assert ran.code == 1
    assert "was not exported from a station" in ran.err
    assert run("--certs", certs, "export", "iso15118", tmp_path / "x", "--oem-roots", tmp_path / "none").code == 2

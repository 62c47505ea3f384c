"""`evse-security explain`: why each certificate is or is not used, and what commands would make of a file."""

import os
from pathlib import Path

import pytest

from evse_security.lab.hierarchy import Edition, Pki, Variant, make_pki
from evse_security.lab.layouts import write_everest
from tests.builders import NOW, key_source
from tests.cli.conftest import Run
from tests.laws import children

LEAF = "CN=DEEVSE000001, O=EVSE Security Lab, C=DE, DC=CPO"
SUB1, SUB2 = (f"CN=CPO Sub-CA {n}, O=EVSE Security Lab, C=DE, DC=V2G" for n in (1, 2))
ROOT = "CN=V2G Root CA, O=EVSE Security Lab, C=DE, DC=V2G"


def serial(pki: Pki, holder: str) -> str:
    return f"{pki[holder].certificate.serial_number:x}"


def test_a_domain_with_its_leaf_and_its_path(run: Run, certs: Path, pki: Pki) -> None:
    ran = run("--certs", certs, "explain", "V2G")
    assert (ran.code, ran.err) == (0, "")
    place = certs / "client/cso"
    assert ran.out.splitlines() == [
        f"leaf {LEAF}, serial {serial(pki, 'SECC_LEAF')}: in use: the newest that is valid and has its key [InUse]",
        f"   in {place}/CPO_CERT_CHAIN.pem and {place}/SECC_LEAF.pem",
        f"   key {place}/SECC_LEAF.key",
        "   valid from 2029-12-31 00:00:00Z to 2030-03-21 00:00:00Z",
        f"   path {LEAF} <- {SUB2} <- {SUB1} <- {ROOT}: taken",
        f"root {ROOT}, serial {serial(pki, 'V2G_ROOT_CA')}, in V2G_ROOT_CA.pem: trusted as a root [TrustedRoot]",
        *(
            f"sub-CA {name}, serial {serial(pki, holder)}, in CPO_CERT_CHAIN.pem: used to build chains [BuildsChains]"
            for name, holder in ((SUB2, "CPO_SUB_CA2"), (SUB1, "CPO_SUB_CA1"))
        ),
    ]


def test_without_the_root_the_path_says_where_it_ends(run: Run, certs: Path) -> None:
    bundle = certs / "ca/v2g/V2G_ROOT_CA.pem"
    bundle.write_text((certs / "ca/mo/MO_ROOT_CA.pem").read_text())
    ran = run("--certs", certs, "explain", "V2G")
    assert ran.code == 1
    reason = f"no certificate of the issuer {ROOT} of {SUB1} was sent along or is installed as a CA"
    assert f": in use for want of a better one, but peers will refuse it: {reason} [IssuerNotFound]\n" in ran.out
    assert f"   path {LEAF}: refused: {reason} [IssuerNotFound]\n" in ran.out


@pytest.mark.parametrize(("domain", "code"), [("V2G", 0), ("CSMS", 0), ("MO", 0), ("MF", 0), ("OEM", 0)])
def test_the_exit_code_of_each_domain(run: Run, certs: Path, domain: str, code: int) -> None:
    assert run("--certs", certs, "explain", domain).code == code


@pytest.mark.parametrize("domain", ["V2G", "CSMS", "MO", "MF", "OEM"])
def test_of_an_empty_domain_nothing_is_used(run: Run, tmp_path: Path, domain: str) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "client").mkdir()
    ran = run("--certs", tmp_path, "explain", domain)
    assert ran.code == 1
    assert ran.out.endswith(": nothing installed\n")


def test_json_has_stable_codes(run: Run, certs: Path, pki: Pki) -> None:
    told = run("--certs", certs, "explain", "V2G", "--json").json
    assert (told["domain"], told["newest_by"], told["clock"]) == ("V2G", "not_after", None)
    [leaf] = told["leaves"]
    assert leaf["reason"] == {"code": "InUse", "text": "in use: the newest that is valid and has its key"}
    assert leaf["paths"][0]["taken"] is True
    assert leaf["files"] == [str(certs / "client/cso/CPO_CERT_CHAIN.pem"), str(certs / "client/cso/SECC_LEAF.pem")]
    assert {each["reason"]["code"] for each in told["authorities"]} == {"TrustedRoot", "BuildsChains"}


def test_what_could_not_be_read_is_told(run: Run, certs: Path) -> None:
    leaf, bundle = certs / "client/cso/DAMAGED.pem", certs / "ca/v2g/V2G_ROOT_CA.pem"
    leaf.write_text((certs / "client/cso/SECC_LEAF.pem").read_text().replace("M", "!", 1))
    assert run("--certs", certs, "explain", "V2G").out.splitlines()[-1].startswith(f"cannot be read: {leaf}: ")
    assert "cannot be read" not in run("--certs", certs, "explain", "CSMS").out
    bundle.unlink()
    bundle.symlink_to(bundle)
    assert f"cannot be read: {bundle}: " in run("--certs", certs, "explain", "V2G").out


@children.forks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_directories_that_are_closed_are_told(run: Run, certs: Path) -> None:
    for path in (certs.parent, certs, *certs.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    certs.parent.parent.chmod(0o755)
    (certs / "client/cso").chmod(0o700)

    def as_nobody() -> None:
        os.setgid(65534)
        os.setuid(65534)
        ran = run("--certs", certs, "explain", "V2G")
        assert f"cannot be read: {certs / 'client/cso'}: Permission denied" in ran.out
        assert ran.code == 1

    assert children.run(as_nobody) == 0


def test_a_file_says_what_each_command_would_make_of_it(run: Run, certs: Path) -> None:
    chain = certs / "client/cso/CPO_CERT_CHAIN.pem"
    before = {path: path.lstat().st_mtime_ns for path in certs.rglob("*")}
    ran = run("--certs", certs, "explain", chain)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == f"certificate 1: {LEAF}; installed in {chain} and {certs}/client/cso/SECC_LEAF.pem"
    assert lines[3:] == [
        "install_ca_certificate V2G, MO, CSMS, MF, OEM: no: exactly one certificate expected, 3 found [NotExactlyOne]",
        "update_leaf_certificate V2G: yes: it would be accepted [Accepted]",
        f"update_leaf_certificate CSMS: no: no certificate of the issuer {ROOT} of {SUB1} was sent along or is "
        "installed as a CA [IssuerNotFound]",
        "verify_certificate V2G: yes: it would be accepted [Accepted]",
        f"   path {LEAF} <- {SUB2} <- {SUB1} <- {ROOT}: taken",
        f"verify_certificate MO, CSMS, MF: no: no certificate of the issuer {ROOT} of {SUB1} was sent along or is "
        "installed as a CA [IssuerNotFound]",
    ]
    assert {path: path.lstat().st_mtime_ns for path in certs.rglob("*")} == before


def test_a_file_that_no_command_would_take(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "contract.der"
    file.write_bytes(pki["CONTRACT_LEAF"].der)
    ran = run("--certs", certs, "explain", file)
    assert ran.code == 1
    assert "install_ca_certificate V2G, MO, CSMS, MF, OEM: no: " in ran.out
    assert "[NotACa]" in ran.out


def test_a_key_that_cannot_be_opened_may_be_the_one(run: Run, certs: Path, pki: Pki) -> None:
    (certs / "client/cso/SECC_LEAF.key").write_text(pki["SECC_LEAF"].key_pem("secret-of-the-tests"))
    assert "   key missing; 1 of the keys there cannot be opened\n" in run("--certs", certs, "explain", "V2G").out


def test_a_path_is_told_once_for_all_domains(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(pki["OEM_ROOT_CA"].pem)
    paths = [
        line for line in run("--certs", certs, "explain", tmp_path / "root.pem").out.splitlines() if "path" in line
    ]
    assert paths
    assert len(paths) == len(set(paths))


def test_a_file_that_is_not_there_and_one_that_is_none(run: Run, certs: Path, tmp_path: Path) -> None:
    missing = run("--certs", certs, "explain", tmp_path / "gone.pem")
    assert (missing.code, missing.err) == (
        2, f"evse-security: {tmp_path}/gone.pem cannot be read: {os.strerror(2)}\n",
    )  # fmt: skip
    (tmp_path / "text.pem").write_text("hello\n")
    ran = run("--certs", certs, "explain", tmp_path / "text.pem")
    assert (ran.code, ran.out) == (1, "any command: no: no certificate in the file [NoCertificate]\n")


def test_the_path_above_an_expired_leaf_is_not_called_valid_as_a_whole(run: Run, tmp_path: Path) -> None:
    write_everest(make_pki(Edition.ISO15118_2, now=NOW, variant=Variant.EXPIRED_LEAF, keys=key_source), tmp_path)
    ran = run("--certs", tmp_path, "explain", "V2G")
    assert ran.code == 1
    [refused, above] = [line for line in ran.out.splitlines() if line.startswith("   path")]
    assert refused.endswith("[Expired]")
    assert above.endswith(": valid above the leaf")

"""`evse-security pki`: throw-away PKIs on the disk, and the tree that says where everything is. The clock is real."""

import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from evse_security import LeafCertificateType, Station, StationConfig
from evse_security.cli import pki as command
from evse_security.lab.hierarchy import Edition, Variant
from evse_security.lab.keys import KeyKind
from evse_security.lab.layouts import load
from evse_security.vocabulary import EncodingFormat
from tests.cli.conftest import Run

TOO_WEAK = {KeyKind.RSA1024, KeyKind.SECP192R1}


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def printed_paths(out: str) -> list[str]:
    """The paths in the tree, {pem,key} spelled out."""
    words = re.findall(r"\S+\.(?:pem|key|\{pem,key\})(?=\s)", out)
    return [
        path for word in words for path in dict.fromkeys(word.replace("{pem,key}", suffix) for suffix in ("pem", "key"))
    ]


def test_the_words_of_the_options_are_those_of_the_lab() -> None:
    assert list(command.EDITIONS.values()) == list(Edition)
    assert list(command.VARIANTS) == list(Variant)
    assert list(command.KEYS) == [kind for kind in KeyKind if kind not in TOO_WEAK]


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("layout", command.LAYOUTS)
def test_every_path_of_the_tree_is_a_file(run: Run, tmp_path: Path, layout: str, variant: str) -> None:
    ran = run("pki", tmp_path / "new", "--layout", layout, "--variant", variant)
    assert (ran.code, ran.err) == (0, "")
    paths = printed_paths(ran.out)
    assert len(paths) >= 2 * 15
    assert [path for path in paths if not (tmp_path / "new" / path).is_file()] == []


def test_the_first_line_says_what_was_made(run: Run, tmp_path: Path) -> None:
    ran = run("pki", tmp_path, "--edition", "20", "--variant", "future-leaf", "--key", "ed448", "--layout", "iso15118")
    assert ran.out.splitlines()[0] == f"{tmp_path}: iso15118-20, future-leaf, ed448, layout iso15118"


def test_the_tree_is_the_pki(run: Run, tmp_path: Path) -> None:
    lines = run("pki", tmp_path).out.splitlines()
    assert [line.split("  20")[0].rstrip() for line in lines[1:5]] == [
        "├─ V2G_ROOT_CA",
        "│  ├─ CPO_SUB_CA1",
        "│  │  └─ CPO_SUB_CA2",
        "│  │     └─ SECC_LEAF",
    ]
    assert len(lines) == 1 + len([holder for holder in load(tmp_path / "lab") if not holder.endswith("_OCSP")])


def test_a_station_can_take_everests_layout_over(run: Run, tmp_path: Path) -> None:
    assert run("pki", tmp_path).code == 0
    with Station.open(StationConfig.under(tmp_path)) as station:
        chain = (tmp_path / "client/cso/CPO_CERT_CHAIN.pem").read_text()
        assert station.check(chain, [LeafCertificateType.V2G]).reason is None
        assert station.leaf_expiry_days(LeafCertificateType.CSMS) == 363


def test_a_variant_is_wrong_as_it_says(run: Run, tmp_path: Path) -> None:
    assert run("pki", tmp_path, "--variant", "expired-sub-ca").code == 0
    with Station.open(StationConfig.under(tmp_path)) as station:
        chain = (tmp_path / "client/cso/CPO_CERT_CHAIN.pem").read_text()
        assert station.check(chain, [LeafCertificateType.V2G]).result == "Expired"


def test_the_key_is_the_editions_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    assert run("pki", tmp_path / "20", "--edition", "20").code == 0
    assert run("pki", tmp_path / "ed", "--edition", "20", "--key", "ed448").code == 0
    keys = {
        name: x509.load_pem_x509_certificate((tmp_path / name / "client/cso/SECC_LEAF.pem").read_bytes()).public_key()
        for name in ("20", "ed")
    }
    assert isinstance(keys["20"], ec.EllipticCurvePublicKey)
    assert keys["20"].curve.name == "secp521r1"
    assert isinstance(keys["ed"], ed448.Ed448PublicKey)


def test_a_directory_that_holds_something_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ran = run("pki", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"evse-security: {tmp_path} is not empty: take another directory, or --force\n"
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_force_replaces_files_of_the_same_names_only(run: Run, tmp_path: Path) -> None:
    assert run("pki", tmp_path).code == 0
    (tmp_path / "mine.txt").write_text("mine")
    before = contents(tmp_path)
    assert run("pki", tmp_path, "--force").code == 0
    after = contents(tmp_path)
    assert before.keys() == after.keys()
    assert sorted(name for name in before if before[name] == after[name]) == ["lab/pki.json", "mine.txt"]


def test_the_password_of_a_file_encrypts_the_leaves_keys(run: Run, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    certs = tmp_path / "certs"
    ran = run("pki", certs, "--password-file", password)
    assert (ran.code, "correct horse" in ran.out) == (0, False)
    assert "BEGIN ENCRYPTED PRIVATE KEY" in (certs / "client/cso/SECC_LEAF.key").read_text()
    with Station.open(StationConfig.under(certs, private_key_password="correct horse")) as station:
        found = station.interface("2023-10").get_key_pair(
            certificate_type=LeafCertificateType.V2G, encoding=EncodingFormat.PEM
        )
        assert (found.status, found.key_pair and found.key_pair.password) == ("Accepted", "correct horse")


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_password_is_a_mistake(run: Run, tmp_path: Path, content: str) -> None:
    password = tmp_path / "password"
    password.write_text(content)
    ran = run("pki", tmp_path / "certs", "--password-file", password)
    assert (ran.code, ran.out, ran.err) == (2, "", f"evse-security: {password} is empty\n")
    assert not (tmp_path / "certs").exists()


def test_a_place_that_cannot_be_written_is_told_by_its_path(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = run("pki", tmp_path / "file" / "below")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"evse-security: {tmp_path}/file/below/client/cso cannot be written: Not a directory\n"

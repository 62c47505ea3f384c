"""install_ca_certificate, is_ca_certificate_installed, get_verify_file, get_verify_location."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evse_security.lab.authority import KeyUse
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, as_version_1, pem_of, world
from tests.conformance.kit import RANDOM, WAYS, ReadOnly, Revision, Way, bench

W = world("V2GRoot > Sub1 > Sub2 > SECC")
ODD = world(
    "Expired > a",
    "Future > b",
    "JustExpired > c",
    "JustFuture > d",
    "Forged > e",
    "NoSign > f",
    "NotCa > g",
    "Rsa1024 > h",
    "Strange > NoIssuer >",
    "V2GRoot > ForgedSub >",
    "P521 > k",
    "Ed448 > l",
    "Ed25519 > m",
    "Rsa > n",
    Expired={"not_after": NOW - DAY},
    Future={"not_before": NOW + DAY},
    JustExpired={"not_after": NOW - DAY / 480},
    JustFuture={"not_before": NOW + DAY / 480},
    Forged={"signed_by": "Mallory"},
    NoSign={"key_usage": frozenset({KeyUse.CRL_SIGN})},
    NotCa={"role": "leaf"},
    Rsa1024={"key": KeyKind.RSA1024},
    ForgedSub={"signed_by": "Mallory"},
    P521={"key": KeyKind.SECP521R1},
    Ed448={"key": KeyKind.ED448},
    Ed25519={"key": KeyKind.ED25519},
    Rsa={"key": KeyKind.RSA2048},
)
ROOT = W["V2GRoot"].pem
BAD = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"
BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"
INSTALLED = [("Installed", "V2G")]


class Row(NamedTuple):
    situation: str
    certificate: str
    answer: str
    there: str = ""
    """What the bundle holds before."""


REFUSED = [
    Row("nothing", "", "InvalidFormat"),
    Row("no block", "just text", "InvalidFormat"),
    Row("a malformed block", BAD, "InvalidFormat"),
    Row("one good and one malformed", ROOT + BAD, "InvalidFormat"),
    Row("two certificates", ROOT + W["Sub1"].pem, "InvalidFormat"),
    Row("one certificate twice", ROOT + ROOT, "InvalidFormat"),
    Row("a private key", KEY, "InvalidFormat"),
    Row("bare base64", "".join(ROOT.splitlines()[1:-1]), "InvalidFormat"),
    Row("literal newlines", ROOT.replace("\n", "\\n"), "InvalidFormat"),
    Row("lower-case labels", ROOT.replace("BEGIN", "begin"), "InvalidFormat"),
    Row("a leaf", W["SECC"].pem, "InvalidCertificateChain", ROOT),
    Row("a self-signed leaf", ODD["NotCa"].pem, "InvalidCertificateChain"),
    Row("a CA that may not sign", ODD["NoSign"].pem, "InvalidCertificateChain"),
    Row("a root with a weak key", ODD["Rsa1024"].pem, "InvalidCertificateChain"),
    Row("a root with a broken signature", ODD["Forged"].pem, "InvalidSignature"),
    Row("a sub-CA without its issuer", W["Sub1"].pem, "NoRootCertificateInstalled"),
    Row("a sub-CA whose issuer's issuer is there", W["Sub2"].pem, "NoRootCertificateInstalled", ROOT),
    Row("a forged sub-CA", ODD["ForgedSub"].pem, "InvalidSignature", ODD["V2GRoot"].pem),
    Row("expired", ODD["Expired"].pem, "Expired"),
    Row("not yet valid", ODD["Future"].pem, "Expired"),
    Row("malformed beside good ones", BAD, "InvalidFormat", ROOT),
]

TAKEN = [
    Row("a root", ROOT, "Accepted"),
    Row("a sub-CA after its root", W["Sub1"].pem, "Accepted", ROOT),
    Row("a second root", ODD["P521"].pem, "Accepted", ROOT),
    Row("a root on P-521", ODD["P521"].pem, "Accepted"),
    Row("a root on Ed448", ODD["Ed448"].pem, "Accepted"),
    Row("a root on Ed25519", ODD["Ed25519"].pem, "Accepted"),
    Row("an RSA root", ODD["Rsa"].pem, "Accepted"),
    Row("a v1 root", pem_of(as_version_1(W["V2GRoot"])), "Accepted"),
    Row("expired within the skew", ODD["JustExpired"].pem, "Accepted"),
    Row("future within the skew", ODD["JustFuture"].pem, "Accepted"),
    Row("CRLF", ROOT.replace("\n", "\r\n"), "Accepted"),
    Row("a byte order mark", "\ufeff" + ROOT, "Accepted"),
    Row("a comment and a key around it", f"Subject: x\n{KEY}{ROOT}{KEY}end", "Accepted"),
    Row("unwrapped", re.sub(r"(?<=[^-])\n(?=[^-])", "", ROOT), "Accepted"),
    Row("no last newline", ROOT.rstrip(), "Accepted"),
    Row("beside a malformed one", ROOT, "Accepted", BAD),
    Row("beside a malformed one without newline", ROOT, "Accepted", "# mine\n" + BAD.rstrip()),
]


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.situation)
def test_refused_and_nothing_changed(tmp_path: Path, row: Row, revision: Revision, way: Way) -> None:
    b = bench(tmp_path)
    if row.there:
        b.put(BUNDLE, row.there)
    with b.watched() as change:
        arguments = {"certificate": row.certificate, "certificate_type": "V2G"}
        assert b.ask("install_ca_certificate", revision, way, **arguments) == row.answer
    assert change.nothing


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row.situation)
def test_taken_into_a_bundle(tmp_path: Path, row: Row) -> None:
    b = bench(tmp_path)
    if row.there:
        b.put(BUNDLE, row.there)
    with b.watched() as change:
        assert b.install(row.certificate) == row.answer
    assert change.is_like(**{"altered" if row.there else "added": (BUNDLE,)})
    assert change.updates == INSTALLED
    content = (tmp_path / BUNDLE).read_text()
    assert content.startswith(row.there)
    assert KEY not in content
    assert b.ask("is_ca_certificate_installed", certificate_type="V2G") is ("skew" not in row.situation)
    with b.watched() as change:
        assert b.install(row.certificate) == "Accepted"
    assert change.nothing


@pytest.mark.parametrize(("revision", "way"), WAYS)
@pytest.mark.parametrize(("kind", "place"), [("V2G", "v2g"), ("MO", "mo"), ("CSMS", "csms"), ("MF", "mf")])
def test_each_domain_has_its_bundle(tmp_path: Path, kind: str, place: str, revision: Revision, way: Way) -> None:
    b = bench(tmp_path)
    path = f"ca/{place}/{kind}_ROOT_CA.pem"
    with b.watched() as change:
        assert b.ask("install_ca_certificate", revision, way, certificate=ROOT, certificate_type=kind) == "Accepted"
    assert change.is_like(added=(path,))
    assert change.updates == [("Installed", kind)]
    for one in ("V2G", "MO", "CSMS", "MF"):
        with b.watched() as change:
            here = str(tmp_path / path) if one == kind else ""
            assert b.ask("is_ca_certificate_installed", revision, way, certificate_type=one) is (one == kind)
            assert b.ask("get_verify_file", revision, way, certificate_type=one) == here
            assert b.ask("get_verify_location", certificate_type=one) == here
        assert change.nothing


def directory(tmp_path: Path, *made: str) -> Path:
    place = tmp_path / "ca" / "v2g"
    place.mkdir(parents=True)
    for number, pem in enumerate(made):
        (place / f"old{number}.pem").write_text(pem)
    return place


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row.situation)
def test_taken_into_a_directory(tmp_path: Path, row: Row) -> None:
    directory(tmp_path, row.there)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    with b.watched() as change:
        assert b.install(row.certificate) == "Accepted"
    assert change.is_like(added=(rf"ca/v2g/V2G_ROOT_{RANDOM}\.pem",))
    assert change.updates == INSTALLED
    with b.watched() as change:
        assert b.install(row.certificate) == "Accepted"
    assert change.nothing


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.situation)
def test_refused_by_a_directory(tmp_path: Path, row: Row) -> None:
    directory(tmp_path, row.there)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    with b.watched() as change:
        assert b.install(row.certificate) == row.answer
    assert change.nothing


def test_a_place_that_is_not_there_yet(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="deep/down/roots", mo_ca_bundle="else/where/mo.pem")
    with b.watched() as change:
        assert b.install(ROOT, "V2G") == "Accepted"
        assert b.install(ROOT, "MO") == "Accepted"
    assert change.is_like(added=(rf"deep/down/roots/V2G_ROOT_{RANDOM}\.pem|else/where/mo\.pem",) * 2)


def test_a_bundle_of_any_extension(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="roots.crt")
    assert b.install(ROOT) == "Accepted"
    assert b.ask("is_ca_certificate_installed", certificate_type="V2G")


def test_one_bundle_for_two_domains(tmp_path: Path) -> None:
    b = bench(tmp_path, csms_ca_bundle=BUNDLE)
    assert b.install(ROOT, "CSMS") == "Accepted"
    for kind in ("V2G", "CSMS"):
        assert b.ask("is_ca_certificate_installed", certificate_type=kind)
    with b.watched() as change:
        assert b.install(ROOT, "V2G") == "Accepted"
    assert change.nothing
    [entry] = b.listed("V2GRootCertificate")
    with b.watched() as change:
        assert b.delete(entry["certificate_hash_data"]) == "Accepted"
    assert change.updates == [("Deleted", "V2G")]
    assert not b.ask("is_ca_certificate_installed", certificate_type="CSMS")


def test_in_der_beside_pem(tmp_path: Path) -> None:
    place = directory(tmp_path)
    (place / "root.der").write_bytes(W["V2GRoot"].der)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    assert b.ask("is_ca_certificate_installed", certificate_type="V2G")
    with b.watched() as change:
        assert b.install(W["Sub1"].pem) == "Accepted"
    assert change.is_like(added=(rf"ca/v2g/V2G_ROOT_{RANDOM}\.pem",))


@pytest.mark.parametrize(
    ("config", "answers"),
    [
        ({"max_store_entries": 2}, ["Accepted", "Accepted", "CertificateStoreMaxLengthExceeded"]),
        ({"certificate_store_max_length": 2}, ["Accepted", "Accepted", "CertificateStoreMaxLengthExceeded"]),
        ({"max_store_bytes": len(ROOT) + 20}, ["Accepted", *["CertificateStoreMaxLengthExceeded"] * 2]),
    ],
)
def test_full(tmp_path: Path, config: dict[str, Any], answers: list[str]) -> None:
    directory(tmp_path)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g", **config)
    assert [b.install(pem) for pem in (ROOT, ODD["P521"].pem, ODD["Ed448"].pem)] == answers
    with b.watched() as change:
        assert b.install(ROOT) == "Accepted"
        assert b.install(ODD["Rsa"].pem) == "CertificateStoreMaxLengthExceeded"
    assert change.nothing


def test_full_of_what_can_be_swept(tmp_path: Path) -> None:
    b = bench(tmp_path, max_store_entries=2)
    b.request()
    b.request()
    b.set_clock(NOW + DAY)
    with b.watched() as change:
        assert b.install(ROOT) == "Accepted"
    assert change.is_like(added=(BUNDLE,), removed=(r"client/cso/SECC_LEAF_.*\.key",) * 2)
    assert change.updates == INSTALLED


def test_a_place_that_is_none(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/v2g", "a file where a directory should be")
    with b.watched() as change:
        assert b.install(ROOT) == "WriteError"
    assert change.nothing
    assert b.ask("get_verify_file", certificate_type="V2G") == ""


def test_a_new_csms_root_must_succeed_the_old_one(tmp_path: Path) -> None:
    w = world("Old > New >", "Old > Newer >", "Stranger > x", "New > Newest >", New={"path_length": None})
    b = bench(tmp_path, additional_root_certificate_check=True)
    assert b.install(w["Old"].pem, "CSMS") == "Accepted"
    with b.watched() as change:
        assert b.install(w["Stranger"].pem, "CSMS") == "InvalidCertificateChain"
    assert change.nothing
    assert b.install(w["New"].pem, "CSMS") == "Accepted"
    assert b.install(w["Newest"].pem, "CSMS") == "Accepted"
    content = (tmp_path / "ca/csms/CSMS_ROOT_CA.pem").read_text()
    assert content == w.pem("New", "Newest")
    assert b.install(w["Stranger"].pem, "V2G") == "Accepted"


# ---- what is handed out to verify with


@pytest.mark.parametrize("path", [BUNDLE, "ca/v2g"])
@pytest.mark.parametrize(
    ("there", "offered"),
    [
        ((), False),
        (("Expired",), False),
        (("Future",), False),
        (("NotCa",), False),
        (("Forged",), False),
        (("NoIssuer",), False),
        (("Expired", "P521"), True),
        (("Strange", "NoIssuer"), True),
    ],
)
def test_valid_roots_only_count(tmp_path: Path, path: str, *, there: tuple[str, ...], offered: bool) -> None:
    b = bench(tmp_path, v2g_ca_bundle=path)
    if path != BUNDLE:
        directory(tmp_path, *(ODD[name].pem for name in there))
    elif there:
        b.put(BUNDLE, ODD.pem(*there))
    assert b.ask("is_ca_certificate_installed", certificate_type="V2G") is offered
    assert bool(b.ask("get_verify_file", certificate_type="V2G")) is offered
    assert b.ask("get_verify_location", certificate_type="V2G") == (str(tmp_path / path) if offered else "")


def test_the_verify_file_of_a_directory_holds_all_valid_roots(tmp_path: Path) -> None:
    place = directory(tmp_path, ODD["P521"].pem, ODD["Expired"].pem, ODD["Ed448"].pem, W["Sub1"].pem)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    found = Path(b.ask("get_verify_file", certificate_type="V2G"))
    assert sorted(found.read_text().split("-----END")) == sorted(ODD.pem("P521", "Ed448").split("-----END"))
    with b.watched() as change:
        assert b.ask("get_verify_file", certificate_type="V2G") == str(found)
    assert change.nothing
    (place / "old2.pem").unlink()
    assert Path(b.ask("get_verify_file", certificate_type="V2G")).read_text() == ODD["P521"].pem


def test_the_location_is_hashed_and_the_hashing_cleans_up(tmp_path: Path) -> None:
    place = directory(tmp_path, world("A > x")["A"].pem, world("A > x")["A"].pem, world("B > x")["B"].pem)
    (place / "README").write_text("mine")
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    assert b.ask("get_verify_location", certificate_type="V2G") == str(place)
    links = {p.name: os.readlink(p) for p in place.iterdir() if p.is_symlink()}
    assert len(links) == 3
    assert sorted(name.rpartition(".")[2] for name in links) == ["0", "0", "1"]
    with b.watched() as change:
        b.ask("get_verify_location", certificate_type="V2G")
    assert change.nothing
    (place / "old0.pem").unlink()
    b.ask("get_verify_location", certificate_type="V2G")
    links = {p.name: os.readlink(p) for p in place.iterdir() if p.is_symlink()}
    assert sorted(links.values()) == ["old1.pem", "old2.pem"]
    assert all(name.endswith(".0") for name in links)
    assert (place / "README").read_text() == "mine"


def test_what_cannot_be_made_of_a_directory_is_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    directory(tmp_path, ODD["P521"].pem, ODD["Ed448"].pem)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g", files=ReadOnly())
    with b.watched() as change:
        for command in ("get_verify_file", "get_verify_location"):
            assert b.ask(command, certificate_type="V2G") == ""
            assert f"{command} refused" in caplog.text
    assert change.nothing


def test_a_bundle_with_a_bad_block_is_offered_as_openssl_reads_it(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, BAD + ROOT)
    for command in ("get_verify_file", "get_verify_location"):
        assert Path(b.ask(command, certificate_type="V2G")).read_text() == ROOT
    assert (tmp_path / BUNDLE).read_text() == BAD + ROOT
    again = bench(tmp_path / "frozen", files=ReadOnly())
    again.put(BUNDLE, BAD + ROOT)
    assert again.ask("get_verify_file", certificate_type="V2G") == str(tmp_path / "frozen" / BUNDLE)

"""Directories as EVerest's module and its users have them: taken over, worked on, and handed back."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from evse_security.lab.authority import Entity
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, csms, ocsp_answer, world
from tests.conformance.kit import NAMED, OLD, PASSWORD, RANDOM, Bench, bench, tree
from tests.conformance.test_commands_delete import hash_data
from tests.conformance.test_commands_ocsp import told

W = world(
    "V2GRoot > Sub1 > Sub2 > SECC",
    "Sub2 > Older",
    "CSMSRoot > CSMSSub > Station",
    "MORoot > MOSub >",
    "Sub2 > RsaLeaf",
    Sub1=NAMED,
    Sub2=NAMED,
    SECC=NAMED,
    Older=NAMED | {"not_before": NOW - 60 * DAY, "not_after": NOW + DAY},
    RsaLeaf={"key": KeyKind.RSA2048},
)
SUBS = ("Sub2", "Sub1")
STAMP = "M11_D22_Y2026_H11_M53_S27_i1_r175318391"
SEED_STAMP = "10_31_2023_08_15_59_{}_1804289383"


def pkcs8(entity: Entity, password: str | None = None) -> str:
    return entity.key_pem(password)


def traditional(entity: Entity, password: str | None = None) -> str:
    """SEC 1 or PKCS #1, if encrypted with the headers of RFC 1421."""
    protection = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return entity.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, protection).decode()


def lines(holder: str) -> str:
    return "\n".join(hash_data(W, holder).values()) + "\n"


class Layout(NamedTuple):
    """How somebody else left a directory."""

    files: Mapping[str, Any]
    config: dict[str, Any] = {}  # noqa: RUF012
    bundle: str = "ca/v2g/V2G_ROOT_CA.pem"


Files = dict[str, str | bytes]

BUNDLES: Files = {
    "ca/v2g/V2G_ROOT_CA.pem": W["V2GRoot"].pem,
    "ca/csms/CSMS_ROOT_CA.pem": W["CSMSRoot"].pem,
    "ca/mo/MO_ROOT_CA.pem": W.pem("MORoot", "MOSub"),
    "ca/mf/MF_ROOT_CA.pem": "",
}
CSMS_FILES: Files = {
    f"client/csms/CSMS_LEAF_{STAMP}.key": pkcs8(W["Station"]),
    f"client/csms/CSMS_LEAF_{STAMP}.pem": W["Station"].pem,
    f"client/csms/CPO_CERT_CSMS_LEAF_CHAIN_{STAMP}.pem": W.pem("Station", "CSMSSub"),
}


def secc(place: str = "client/cso", keys: str = "client/cso", key: str = "") -> Files:
    """The files of an SECC leaf as today's module names them."""
    return {
        f"{keys}/SECC_LEAF_M11_D22_Y2026_H11_M50_S00_i0_r1.key": key or pkcs8(W["SECC"]),
        f"{place}/SECC_LEAF_{STAMP}.pem": W["SECC"].pem,
        f"{place}/CPO_CERT_SECC_LEAF_CHAIN_{STAMP}.pem": W.pem("SECC", *SUBS),
    }


LAYOUTS: dict[str, Callable[[], Layout]] = {
    "today's module": lambda: Layout(BUNDLES | secc() | CSMS_FILES),
    "today's module, with a password": lambda: Layout(
        BUNDLES | secc(key=pkcs8(W["SECC"], PASSWORD)) | CSMS_FILES, {"private_key_password": PASSWORD}
    ),
    "a traditional key": lambda: Layout(BUNDLES | secc(key=traditional(W["SECC"])) | CSMS_FILES),
    "a traditional key, with a password": lambda: Layout(
        BUNDLES | secc(key=traditional(W["SECC"], PASSWORD)) | CSMS_FILES, {"private_key_password": PASSWORD}
    ),
    "keys in directories of their own": lambda: Layout(
        BUNDLES | secc("certs/secc", "keys/secc/a/b") | CSMS_FILES,
        {"secc_leaf_cert_directory": "certs/secc", "secc_leaf_key_directory": "keys/secc"},
    ),
    "directories of roots": lambda: Layout(
        {
            f"ca/v2g/V2G_ROOT_{STAMP}.pem": W["V2GRoot"].pem,
            "ca/v2g/notes.txt": "mine",
            "ca/v2g/own.der": W["MORoot"].der,
            f"ca/csms/CSMS_ROOT_{STAMP}.pem": W["CSMSRoot"].pem,
            f"ca/mo/MO_ROOT_{STAMP}.pem": W.pem("MORoot", "MOSub"),
            **secc(),
            **CSMS_FILES,
        },
        {"v2g_ca_bundle": "ca/v2g", "csms_ca_bundle": "ca/csms", "mo_ca_bundle": "ca/mo"},
        "ca/v2g",
    ),
    "one bundle for CSMS and V2G, as in 2023": lambda: Layout(
        {"ca/v2g/V2G_ROOT_CA.pem": W.pem("V2GRoot", "CSMSRoot")} | secc() | CSMS_FILES,
        {"csms_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem"},
    ),
    "one directory for all leaves": lambda: Layout(
        BUNDLES | secc("client", "client") | {name.replace("/csms/", "/"): text for name, text in CSMS_FILES.items()},
        {f"{kind}_leaf_{what}_directory": "client" for kind in ("secc", "csms") for what in ("cert", "key")},
    ),
    "names of 2023": lambda: Layout(
        BUNDLES
        | {
            f"client/cso/SECC_LEAF_{SEED_STAMP.format(1)}.key": pkcs8(W["SECC"]),
            f"client/cso/SECC_LEAF_{SEED_STAMP.format(2)}.pem": W["SECC"].pem,
            f"client/cso/CPO_CERT_CHAIN_{SEED_STAMP.format(3)}.pem": W.pem("SECC", *SUBS),
            f"client/csms/SECC_LEAF_{SEED_STAMP.format(4)}.key": pkcs8(W["Station"]),
            f"client/csms/SECC_LEAF_{SEED_STAMP.format(5)}.pem": W["Station"].pem,
            f"client/csms/CPO_CERT_CHAIN_{SEED_STAMP.format(6)}.pem": W.pem("Station", "CSMSSub"),
            "ca/v2g/ocsp/V2G_ROOT_CA.ocsp.der": ocsp_answer(W, "Sub1"),
        }
    ),
    "EVerest's certificates for tests": lambda: Layout(
        BUNDLES
        | {
            "client/cso/SECC_LEAF.key": traditional(W["SECC"], PASSWORD),
            "client/cso/SECC_LEAF.pem": W["SECC"].pem,
            "client/cso/SECC_LEAF.der": W["SECC"].der,
            "client/cso/CPO_CERT_CHAIN.pem": W.pem("SECC", *SUBS),
            "client/cso/CPO_SUB_CA1.pem": W["Sub1"].pem,
            "client/cso/CPO_SUB_CA2.pem": W["Sub2"].pem,
            "client/cso/SECC_LEAF_PASSWORD.txt": PASSWORD,
            "client/csms/CSMS_LEAF.key": pkcs8(W["Station"]),
            "client/csms/CSMS_LEAF.pem": W["Station"].pem,
            "client/csms/CSMS_LEAF.der": W["Station"].der,
            "client/csms/CPO_CERT_CHAIN.pem": W.pem("Station", "CSMSSub"),
        },
        {"private_key_password": PASSWORD},
    ),
    "edited on Windows": lambda: Layout(
        {
            name: "\ufeff" + text.replace("\n", "\r\n") if isinstance(text, str) and name.endswith(".pem") else text
            for name, text in (BUNDLES | secc() | CSMS_FILES).items()
        }
    ),
}


def taken_over(tmp_path: Path, name: str) -> tuple[Bench, Layout]:
    layout = LAYOUTS[name]()
    for place, content in layout.files.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return bench(tmp_path, **layout.config), layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_taken_over(tmp_path: Path, name: str) -> None:
    b, _ = taken_over(tmp_path, name)
    with b.watched() as change:
        for kind, leaf, subs in (("V2G", "SECC", SUBS), ("CSMS", "Station", ("CSMSSub",))):
            info = b.info(kind)["info"]
            assert Path(info["certificate_single"]).read_text().lstrip("\ufeff") == W[leaf].pem
            assert Path(info["certificate"]).read_text().lstrip("\ufeff") == W.pem(leaf, *subs)
            assert info["certificate_count"] == 1 + len(subs)
            assert b.ask("get_key_pair", OLD, certificate_type=kind, encoding="PEM")["key_pair"]["key"] == info["key"]
            [valid] = b.ask(
                "get_all_valid_certificates_info", certificate_type=kind, encoding="PEM", include_ocsp=True
            )["info"]
            assert len(valid["ocsp"]) == valid["certificate_count"]
            if kind == "V2G":
                assert ("password" in info) == ("ENCRYPTED" in Path(info["key"]).read_text())
        chains = b.listed("V2GCertificateChain")
        assert [chain["certificate_hash_data"] for chain in chains] == [hash_data(W, "SECC")]
        assert {root["certificate_hash_data"]["serial_number"] for root in b.listed("V2GRootCertificate")} >= {
            hash_data(W, "V2GRoot")["serial_number"]
        }
        assert [q["certificate_hash_data"] for q in b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]] == [
            hash_data(W, holder) for holder in ("SECC", *SUBS)
        ]
        problems = b.station.overview().problems
        assert not problems, problems
    assert change.nothing


@pytest.mark.parametrize("name", LAYOUTS)
def test_worked_on_and_handed_back(tmp_path: Path, name: str) -> None:
    b, layout = taken_over(tmp_path, name)
    foreign = tree(tmp_path)
    new = world("Sub > NewLeaf", "Another > x")
    with b.watched() as change:
        assert b.install(new["Another"].pem) == "Accepted"
        csr = b.request()
        assert b.update(csms(W, "Sub2").answer(csr, not_after=NOW + 99 * DAY)) == "Accepted"
        for holder in ("SECC", *SUBS):
            b.ask(
                "update_ocsp_cache",
                certificate_hash_data=hash_data(W, holder),
                ocsp_response=told(ocsp_answer(W, holder)),
            )
        b.info("V2G", "DER")
        b.info("CSMS", "DER")
        b.ask("get_verify_file", certificate_type="V2G")
        b.ask("get_verify_location", certificate_type="V2G")
        b.station.sweep()
    assert change.altered == (set() if "v2g_ca_bundle" in layout.config else {layout.bundle})
    assert not change.removed
    after = tree(tmp_path)
    for place, content in foreign.items():
        assert after[place][: len(content)] == content, f"{place} was rewritten"
    for place in change.added:
        _as_the_reference_has_it(tmp_path / place, after[place], b)
    assert b.info()["info"]["key"] not in {str(tmp_path / place) for place in foreign}


def _as_the_reference_has_it(path: Path, content: bytes, b: Bench) -> None:
    """Judge one new file by its name: formats of today's module, or in a place where that one does not look."""
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink():
        assert re.fullmatch(r"[0-9a-f]{8}\.\d", path.name)
        return
    if path.parent.name == "ocsp":
        if path.suffix == ".der":
            assert path.with_suffix(".hash").is_file()
            _openssl("ocsp", "-respin", str(path), "-noverify", "-resp_text")
        else:
            algorithm, *rest = content.decode().splitlines()
            assert algorithm == "SHA256"
            assert [re.fullmatch("[0-9a-f]+", line) is not None for line in rest] == [True] * 3
        return
    if path.suffix == ".key":
        assert re.fullmatch(rf"SECC_LEAF_{RANDOM}\.key", path.name)
        assert mode == 0o600
        _openssl("pkey", "-in", str(path), "-noout", "-passin", f"pass:{b.station.config.private_key_password or ''}")
        return
    if path.parent.name in ("der", "bundle"):
        assert path.suffix != ".key"
        return
    assert re.fullmatch(rf"(V2G_ROOT|SECC_LEAF|CPO_CERT_SECC_LEAF_CHAIN)_{RANDOM}\.pem", path.name), path
    assert content.count(b"BEGIN CERTIFICATE") == (3 if "CHAIN" in path.name else 1)
    assert re.fullmatch(
        rb"(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,64}\n)+-----END CERTIFICATE-----\n)+", content
    )
    _openssl("x509", "-in", str(path), "-noout")


def _openssl(*arguments: str) -> str:
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [name for name in LAYOUTS if "one directory" not in name])
def test_the_leaf_of_the_other_module_is_deleted_whole(tmp_path: Path, name: str) -> None:
    b, layout = taken_over(tmp_path, name)
    with b.watched() as change:
        assert b.delete(hash_data(W, "SECC")) == "Accepted"
    mine = {
        place
        for place, content in layout.files.items()
        if not place.startswith(("ca/", "client/csms"))
        and not place.endswith((".txt", "CPO_SUB_CA1.pem", "CPO_SUB_CA2.pem"))
    }
    assert change.removed == mine
    assert not change.altered | change.added
    assert b.info("CSMS")["status"] == "Accepted"


def test_in_one_directory_for_all_leaves_the_secc_leaf_can_go_and_the_csms_leaf_stays(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "one directory for all leaves")
    assert b.delete(hash_data(W, "Station")) == "Failed"
    with b.watched() as change:
        assert b.delete(hash_data(W, "SECC")) == "Accepted"
    assert len(change.removed) == 3
    assert all("SECC_LEAF" in place for place in change.removed)
    assert b.info("CSMS")["status"] == "Accepted"


def test_the_ocsp_cache_of_the_other_module_is_used_and_kept(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "today's module")
    pair = f"client/cso/ocsp/{STAMP}_ocsp"
    b.put(f"{pair}.hash", lines("SECC"))
    b.put(f"{pair}.der", ocsp_answer(W, "SECC"))
    assert b.info(ocsp=True)["info"]["ocsp"][0]["ocsp_path"] == str(tmp_path / f"{pair}.der")
    later = ocsp_answer(W, "SECC", this_update=NOW)
    with b.watched() as change:
        b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=told(later))
    assert change.is_like(altered=(re.escape(f"{pair}.der"),))


def test_base64_that_the_other_module_stored_as_der_is_not_offered(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "today's module")
    b.put("client/cso/ocsp/x_ocsp.hash", lines("SECC"))
    b.put("client/cso/ocsp/x_ocsp.der", told(ocsp_answer(W, "SECC")))
    assert "ocsp_path" not in b.info(ocsp=True)["info"]["ocsp"][0]
    b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=told(ocsp_answer(W, "SECC")))
    assert b.info(ocsp=True)["info"]["ocsp"][0]["ocsp_path"] == str(tmp_path / "client/cso/ocsp/x_ocsp.der")


def test_a_pending_request_of_the_other_module_is_answered(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "today's module")
    b.put(f"client/cso/SECC_LEAF_{STAMP}x.key", pkcs8(W["Older"]))
    assert b.update(W.pem("Older", *SUBS)) == "Accepted"


def test_a_symlinked_bundle_stays_one(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "today's module")
    bundle, real = tmp_path / "ca/v2g/V2G_ROOT_CA.pem", tmp_path / "elsewhere/roots.pem"
    real.parent.mkdir()
    bundle.rename(real)
    bundle.symlink_to("../../elsewhere/roots.pem")
    real.chmod(0o640)
    another = world("Another > x")["Another"]
    assert b.install(another.pem) == "Accepted"
    assert os.readlink(bundle) == "../../elsewhere/roots.pem"
    assert real.read_text() == W["V2GRoot"].pem + another.pem
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert b.delete(hash_data(W, "V2GRoot")) == "Accepted"
    assert bundle.is_symlink()
    assert real.read_text() == another.pem


def test_links_in_leaf_directories_are_followed(tmp_path: Path) -> None:
    b, _ = taken_over(tmp_path, "names of 2023")
    place = tmp_path / "client/cso"
    [chain] = place.glob("CPO_CERT_CHAIN_*")
    (place / "current.pem").symlink_to(chain.name)
    assert b.info()["status"] == "Accepted"
    assert len(b.listed("V2GCertificateChain")) == 1
    assert b.delete(hash_data(W, "SECC")) == "Accepted"
    assert not tree(place)

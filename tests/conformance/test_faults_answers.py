"""What EVerest's module does wrong, continued: security, wrong answers, operation."""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from evse_security import CommandRefused
from evse_security.lab.firmware import sign_firmware
from evse_security.lab.keys import KeyKind
from tests.builders import DAY, NOW, csms, ocsp_answer, world
from tests.conformance.kit import OLD, PASSWORD, ReadOnly, bench, tree
from tests.conformance.test_commands_delete import entry, hash_data
from tests.conformance.test_commands_ocsp import told
from tests.conformance.test_faults import BROKEN, BUNDLE, OTHER, ROOT, STAMP, STEPS, SUBS, W, living

# ---- security


def test_fault_28_private_keys_are_private(tmp_path: Path) -> None:
    b = bench(tmp_path)
    old = os.umask(0)
    try:
        b.request()
    finally:
        os.umask(old)
    [key] = tmp_path.rglob("*.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("password", [None, "wrong"])
def test_fault_29_keys_that_cannot_be_read_are_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, password: str | None
) -> None:
    b = living(tmp_path, private_key_password=password)
    b.put("client/cso/a.key", W["Soon"].key_pem(PASSWORD))
    b.put("client/cso/b.key", W["Soon"].key_pem()[:120])
    b.info()
    assert b.update(W.pem("Soon", *SUBS)) == "WriteError"
    problems = {problem.path.name: problem.text for problem in b.station.overview().problems}
    assert set(problems) == {"a.key", "b.key"}
    assert W["Soon"].key_pem().splitlines()[1][:40] not in caplog.text + "".join(problems.values())


def test_fault_30_a_password_is_told_only_where_it_is_needed(tmp_path: Path) -> None:
    b = living(tmp_path, private_key_password=PASSWORD)
    assert "password" not in b.info()["info"]


def test_fault_31_keys_are_encrypted_with_many_rounds(tmp_path: Path) -> None:
    bench(tmp_path, private_key_password=PASSWORD).request()
    [key] = tmp_path.rglob("*.key")
    content = b64decode("".join(key.read_text().splitlines()[1:-1]))
    assert bytes.fromhex("060960864801650304012a") in content  # aes256-CBC
    assert b"\x02\x03" + (100_000).to_bytes(3) in content


def test_fault_32_expired_sub_cas_verify_nothing(tmp_path: Path) -> None:
    made = world("Root > Sub > Leaf", Sub={"not_after": NOW - DAY})
    b = bench(tmp_path)
    b.put(BUNDLE, made.pem("Root", "Sub"))
    asked: dict[str, Any] = {"certificate_chain": made.pem("Leaf", "Sub"), "certificate_types": ["V2G"]}
    assert b.ask("verify_certificate", **asked) == "Expired"


def test_fault_33_a_root_is_no_leaf(tmp_path: Path) -> None:
    b = living(tmp_path)
    assert b.ask("verify_certificate", certificate_chain=ROOT, certificate_types=["V2G"]) == "InvalidChain"


def test_fault_34_weak_keys_are_refused(tmp_path: Path) -> None:
    made = world("Weak > x", Weak={"key": KeyKind.RSA1024})
    assert bench(tmp_path).install(made["Weak"].pem) == "InvalidCertificateChain"


def test_fault_35_what_is_installed_can_be_deleted(tmp_path: Path) -> None:
    b = bench(tmp_path)
    assert b.install(W["SECC"].pem) == "InvalidCertificateChain"
    assert b.install(W["Sub1"].pem) == "NoRootCertificateInstalled"
    for holder in ("V2GRoot", "Sub1", "Sub2"):
        assert b.install(W[holder].pem) == "Accepted"
    for holder in ("Sub2", "Sub1", "V2GRoot"):
        assert b.delete(hash_data(W, holder)) == "Accepted"


def test_fault_36_firmware_signed_with_eddsa(tmp_path: Path) -> None:
    made = world("Root > Signer", Signer={"key": KeyKind.ED448})
    b = bench(tmp_path)
    path = str(b.put("firmware", b"content"))
    asked: dict[str, Any] = {
        "signing_certificate": made["Signer"].pem,
        "signature": sign_firmware(b"content", made["Signer"].key),
    }
    assert b.ask("verify_file_signature", file_path=path, **asked) is True


def test_fault_37_38_39_answers_are_checked_decoded_and_found(tmp_path: Path) -> None:
    b = living(tmp_path, keys="keys", secc_leaf_key_directory="keys")
    with pytest.raises(CommandRefused):
        b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response="anything")
    response = ocsp_answer(W, "SECC")
    b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=told(response))
    assert Path(b.info(ocsp=True)["info"]["ocsp"][0]["ocsp_path"]).read_bytes() == response


def test_fault_40_answers_about_csms_and_mo_certificates(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put("ca/mo/MO_ROOT_CA.pem", W.pem("V2GRoot", "Sub1"))
    b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "Sub1"), ocsp_response=told(ocsp_answer(W, "Sub1")))
    assert len(list((tmp_path / "ca/mo/ocsp").iterdir())) == 2


def test_fault_41_strangers_are_not_stored(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    b.put("client/cso/a.key", W["SECC"].key_pem())
    junk = "".join(world(f"Stranger{n} > x")[f"Stranger{n}"].pem for n in range(50))
    assert b.update(W["SECC"].pem + junk + W.pem("Sub1", "Sub2", "V2GRoot")) == "Accepted"
    assert Path(b.info()["info"]["certificate"]).read_text() == W.pem("SECC", *SUBS)
    assert b.info()["info"]["certificate_count"] == 3


# ---- answers


def test_fault_45_a_bad_block_hides_no_root(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, ROOT + BROKEN + OTHER + BROKEN[:40])
    assert len(b.listed("V2GRootCertificate")) == 2


def test_fault_46_a_renewed_leaf_of_shorter_life_can_be_preferred(tmp_path: Path) -> None:
    b = living(tmp_path, newest_by="not_before")
    old = b.info()["info"]["key"]
    b.set_clock(NOW + DAY)
    b.renew(W, not_before=NOW + DAY / 2, not_after=NOW + 9 * DAY)
    assert b.info()["info"]["key"] != old


def test_fault_47_an_empty_file_changes_no_choice(tmp_path: Path) -> None:
    b = living(tmp_path)
    chosen = b.info()
    for name in ("0", "M", "z"):
        b.put(f"client/cso/{name}.pem", "")
    assert b.info() == chosen


@pytest.mark.parametrize("leaf", ["Old", "Soon"])
def test_fault_48_leaves_out_of_validity_can_be_deleted(tmp_path: Path, leaf: str) -> None:
    b = living(tmp_path, leaf)
    assert b.listed("V2GCertificateChain") == [entry("V2GCertificateChain", W, leaf, *SUBS)]
    assert len(b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]) == (3 if leaf == "Soon" else 0)
    assert b.delete(hash_data(W, leaf)) == "Accepted"


def test_fault_49_50_another_branch_does_not_enter_the_chain(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put(BUNDLE, W.pem("V2GRoot", "Sub1", "Sub2", "Branch"))
    assert b.listed("V2GCertificateChain") == [entry("V2GCertificateChain", W, "SECC", *SUBS)]
    assert len(b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]) == 3


def test_fault_51_one_url_each(tmp_path: Path) -> None:
    made = world("V2GRoot > Leaf", Leaf={"responder_urls": ("http://a/one", "http://b/two")})
    b = bench(tmp_path)
    b.put(BUNDLE, made["V2GRoot"].pem)
    b.put("client/cso/a.pem", made["Leaf"].pem)
    b.put("client/cso/a.key", made["Leaf"].key_pem())
    [question] = b.ask("get_v2g_ocsp_request_data")["ocsp_request_data_list"]
    assert question["responder_url"] == "http://a/one"


def test_fault_52_capitals_and_other_digests(tmp_path: Path) -> None:
    b = living(tmp_path)
    data = {name: value.upper() for name, value in hash_data(W, "SECC", hashes.SHA512()).items()}
    assert b.delete(data) == "Accepted"


def test_fault_53_a_shared_directory(tmp_path: Path) -> None:
    shared = {f"{kind}_leaf_{what}_directory": "client/cso" for kind in ("secc", "csms") for what in ("cert", "key")}
    assert living(tmp_path, **shared).delete(hash_data(W, "SECC")) == "Accepted"


def test_fault_55_subjects_are_right_or_refused(tmp_path: Path) -> None:
    b = bench(tmp_path)
    for wrong in ({"country": "DEU"}, {"common": "x" * 70}, {"organization": ""}):
        asked: dict[str, Any] = {
            "certificate_type": "CSMS",
            "country": "DE",
            "organization": "O",
            "common": "C",
            **wrong,
        }
        with pytest.raises(CommandRefused):
            b.ask("generate_certificate_signing_request", OLD, **asked)
    assert tree(tmp_path) == {}


def test_fault_57_only_valid_roots_are_offered(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, world("Root > x", Root={"not_after": NOW - DAY})["Root"].pem)
    assert b.ask("get_verify_file", certificate_type="V2G") == ""
    b.put("ca/mo/MO_ROOT_CA.pem", "")
    assert b.ask("get_verify_location", certificate_type="MO") == ""


def test_fault_58_a_hashed_directory_needs_no_writing(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    b.put("ca/v2g/two.pem", ROOT + OTHER)
    location = b.ask("get_verify_location", certificate_type="V2G")
    assert location
    assert len([path for path in (tmp_path / "ca/v2g").iterdir() if path.is_symlink()]) == 2
    frozen = bench(tmp_path, v2g_ca_bundle="ca/v2g", files=ReadOnly())
    assert frozen.ask("get_verify_location", certificate_type="V2G") == location


def test_fault_60_61_nothing_is_passed_over(tmp_path: Path) -> None:
    b = bench(tmp_path)
    made = world("Root > Signer")
    good = sign_firmware(b"", made["Signer"].key)
    asked: dict[str, Any] = {"signing_certificate": made["Signer"].pem}
    assert b.ask("verify_file_signature", file_path=str(tmp_path), signature=good, **asked) is False
    path = str(b.put("empty", b""))
    assert b.ask("verify_file_signature", file_path=path, signature=good, **asked) is True
    assert b.ask("verify_file_signature", file_path=path, signature=f"{good}-", **asked) is False


def test_fault_63_copies_of_a_sub_ca_in_any_order(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(BUNDLE, W.pem("Sub2", "Sub1", "Sub2", "V2GRoot", "Sub1"))
    assert b.listed("V2GRootCertificate") == [entry("V2GRootCertificate", W, "V2GRoot", "Sub1", "Sub2")]
    assert b.delete(hash_data(W, "Sub1")) == "Accepted"
    assert (tmp_path / BUNDLE).read_text() == ROOT


# ---- operation


def test_fault_64_65_a_full_store_makes_room_and_limits_requests_too(tmp_path: Path) -> None:
    b = bench(tmp_path, max_store_entries=3)
    b.install(ROOT)
    b.request()
    b.request()
    assert STEPS["request"][0](b) == "KeyGenError"
    assert b.install(OTHER) == "Accepted"
    b.set_clock(NOW + DAY)
    csr = b.request()
    assert len(list(tmp_path.rglob("*.key"))) <= 2
    assert csr


def test_fault_65_pending_requests_survive_a_restart(tmp_path: Path) -> None:
    bench(tmp_path).install(ROOT)
    csr = bench(tmp_path).request()
    assert bench(tmp_path).update(csms(W, "Sub2").answer(csr)) == "Accepted"


def test_fault_67_leaves_are_counted_not_files(tmp_path: Path) -> None:
    b = bench(tmp_path, keep_newest=3)
    b.install(ROOT)
    for later in range(4):
        b.renew(W, not_after=NOW + (later + 1) * DAY)
    b.set_clock(NOW + 9 * DAY)
    b.station.sweep()
    assert len(b.listed("V2GCertificateChain")) == 3


def test_fault_70_sweeping_a_leaf_is_announced(tmp_path: Path) -> None:
    b = living(tmp_path, keep_newest=1)
    b.put(f"client/cso/SECC_LEAF_{STAMP}3.pem", W["Old"].pem)
    with b.watched() as change:
        b.station.sweep()
    assert change.removed == {f"client/cso/SECC_LEAF_{STAMP}3.pem"}
    assert change.updates == [("Deleted", "V2G")]


def test_fault_74_a_bundle_may_have_any_name(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="roots.crt", mo_ca_bundle="mo.bundle")
    for kind in ("V2G", "MO"):
        assert b.install(ROOT, kind) == "Accepted"
        assert b.ask("is_ca_certificate_installed", certificate_type=kind)

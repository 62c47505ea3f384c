"""Where EVerest's module is wrong, weak or silent: one test each, at the level of the interface.

The numbers are those of the section of its description. Not here: 23.35 (events before expiry), 23.36 (messages of OCPP
2.1), 23.43 (whether a connection uses a root), 23.44 (common names), which the interface leaves to others.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from evse_security import CommandRefused, InvalidConfiguration
from evse_security.lab.authority import KeyUse
from evse_security.lab.firmware import SignatureScheme, sign_firmware
from evse_security.lab.keys import KeyKind
from evse_security.store.files import Files
from tests.builders import DAY, NOW, World, csms, ocsp_answer, world
from tests.conformance.kit import PASSWORD, Bench, bench, tree
from tests.conformance.test_commands_delete import entry, hash_data
from tests.conformance.test_commands_ocsp import told
from tests.conformance.test_faults import BROKEN, BUNDLE, OTHER, ROOT, STAMP, SUBS, FullDisk, W, living


def verdict(b: Bench, made: World, *holders: str, kind: str = "V2G") -> str:
    answer: str = b.ask("verify_certificate", certificate_chain=made.pem(*holders), certificate_types=[kind])
    return answer


# ---- trust


@pytest.mark.parametrize("changes", [{"role": "leaf"}, {"key_usage": frozenset({KeyUse.CRL_SIGN})}])
def test_23_01_what_may_not_sign_is_no_anchor(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = world("Root > Leaf", Root=changes)
    b = bench(tmp_path)
    assert b.install(made["Root"].pem) == "InvalidCertificateChain"
    b.put(BUNDLE, made["Root"].pem)
    assert verdict(b, made, "Leaf") == "IssuerNotFound"
    assert b.ask("is_ca_certificate_installed", certificate_type="V2G") is False


def test_23_02_a_forged_root_is_none(tmp_path: Path) -> None:
    made = world("Root > Leaf", Root={"signed_by": "Mallory"})
    b = bench(tmp_path)
    assert b.install(made["Root"].pem) == "InvalidSignature"
    b.put(BUNDLE, made["Root"].pem)
    assert verdict(b, made, "Leaf") != "Valid"
    assert b.listed("V2GRootCertificate") == []
    assert b.delete(hash_data(made, "Root")) == "Accepted"


@pytest.mark.parametrize("holder", ["Root", "Sub"])
@pytest.mark.parametrize("off", [{"not_after": NOW - DAY}, {"not_before": NOW + DAY}])
def test_23_14_time_is_checked_along_the_whole_path(tmp_path: Path, holder: str, off: dict[str, Any]) -> None:
    made = world("Root > Sub > Leaf", **{holder: off})
    b = bench(tmp_path)
    b.put(BUNDLE, made["Root"].pem)
    assert verdict(b, made, "Leaf", "Sub") == "Expired"


def test_23_15_a_ca_is_no_leaf(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put("client/cso/z.key", W["Sub2"].key_pem())
    assert verdict(b, W, "Sub2", "Sub1") == "InvalidChain"
    assert b.update(W.pem("Sub2", "Sub1")) == "InvalidCertificateChain"
    b.put("client/cso/z.pem", W["Sub2"].pem)
    assert b.info()["info"]["key"].endswith("0.key")


def test_23_16_cross_certificates_in_either_order(tmp_path: Path) -> None:
    made = world("A > Sub > Leaf", "B > Cross >", Cross={"same_as": "Sub"})
    b = bench(tmp_path)
    b.put(BUNDLE, made["B"].pem)
    assert verdict(b, made, "Leaf", "Sub", "Cross") == verdict(b, made, "Leaf", "Cross", "Sub") == "Valid"


def test_23_20_profiles_are_an_option(tmp_path: Path) -> None:
    made = world("Root > Sub1 > Sub2 > Sub3 > Leaf")
    b = bench(tmp_path)
    b.put(BUNDLE, made["Root"].pem)
    chain = made.pem("Leaf", "Sub3", "Sub2", "Sub1")
    assert verdict(b, made, "Leaf", "Sub3", "Sub2", "Sub1") == "Valid"
    strict = bench(tmp_path, certificate_profile="iso15118")
    report = strict.station.check(chain, ["V2G"])  # type: ignore[list-item]
    assert report.result == "InvalidChain"
    assert "15118" in str(report.reason)


# ---- identity


def test_23_09_10_any_case_any_digest(tmp_path: Path) -> None:
    b = living(tmp_path)
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        data = {name: value.upper() for name, value in hash_data(W, "SECC", digest).items()}
        b.ask("update_ocsp_cache", certificate_hash_data=data, ocsp_response=told(ocsp_answer(W, "SECC")))
    assert len(list((tmp_path / "client/cso/ocsp").iterdir())) == 2


@pytest.mark.parametrize("year", [1970, 2000, 9999])
def test_23_13_at_a_wrong_time_everything_is_still_there(tmp_path: Path, year: int) -> None:
    b = living(tmp_path)
    b.set_clock(NOW.replace(year=year))
    assert len(b.listed("V2GRootCertificate", "V2GCertificateChain")) == 2
    with b.watched() as change:
        b.station.sweep()
    assert change.nothing or year == 9999
    assert b.delete(hash_data(W, "V2GRoot")) == "Accepted"


def test_23_19_40_chains_hold_what_is_theirs_once(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put(BUNDLE, W.pem("V2GRoot", "Branch", "Sub1", "Sub1", "Sub2", "Sub2", "V2GRoot"))
    assert b.listed("V2GCertificateChain") == [entry("V2GCertificateChain", W, "SECC", *SUBS)]


@pytest.mark.parametrize("sent", [("SECC", *SUBS), ("SECC", *SUBS, "V2GRoot")])
def test_23_22_a_contract_with_its_root(tmp_path: Path, sent: tuple[str, ...]) -> None:
    b = bench(tmp_path)
    b.put("ca/mo/MO_ROOT_CA.pem", ROOT)
    asked = b.ask("get_mo_ocsp_request_data", certificate_chain=W.pem(*sent))["ocsp_request_data_list"]
    assert [one["certificate_hash_data"] for one in asked] == [hash_data(W, holder) for holder in ("SECC", *SUBS)]


# ---- deleting


def test_23_11_failed_means_that_nothing_was_deleted(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put("client/csms/copy.pem", W["SECC"].pem)
    with b.watched() as change:
        assert b.delete(hash_data(W, "SECC")) == "Failed"
    assert change.nothing


def test_23_12_no_leaf_without_a_key(tmp_path: Path) -> None:
    b = living(tmp_path)
    assert b.delete(hash_data(W, "Sub1")) == "Accepted"
    assert b.info()["status"] == "NotFound"
    assert b.station.overview().pending_keys == ()


# ---- OCSP


def test_23_06_24_what_is_kept_is_der_and_believed(tmp_path: Path) -> None:
    b = living(tmp_path)
    stale = ocsp_answer(W, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - DAY)
    for wrong in ("AAAA", told(stale), told(ocsp_answer(W, "Sub2")), told(ocsp_answer(W, "SECC"))[:-8]):
        with pytest.raises(CommandRefused):
            b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=wrong)
    assert not (tmp_path / "client/cso/ocsp").exists()
    b.put("client/cso/ocsp/x_ocsp.hash", "\n".join(hash_data(W, "SECC").values()))
    b.put("client/cso/ocsp/x_ocsp.der", stale)
    assert "ocsp_path" not in b.info(ocsp=True)["info"]["ocsp"][0]


def test_23_23_key_directories_are_not_searched_for_certificates(tmp_path: Path) -> None:
    b = living(tmp_path, keys="keys", secc_leaf_key_directory="keys", csr_lifetime=0)
    b.put("keys/decoy.pem", W["Sub2"].pem)
    b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=told(ocsp_answer(W, "SECC")))
    assert "ocsp_path" in b.info(ocsp=True)["info"]["ocsp"][0]
    b.set_clock(NOW + 30 * DAY)
    b.station.sweep()
    assert b.info()["status"] == "Accepted"


def test_23_46_half_a_pair_is_no_answer(tmp_path: Path) -> None:
    b = living(tmp_path)
    b.put("client/cso/ocsp/0_ocsp.hash", "\n".join(hash_data(W, "SECC").values()))
    b.ask("update_ocsp_cache", certificate_hash_data=hash_data(W, "SECC"), ocsp_response=told(ocsp_answer(W, "SECC")))
    assert "ocsp_path" in b.info(ocsp=True)["info"]["ocsp"][0]


# ---- requests and keys


@pytest.mark.filterwarnings("ignore:Attribute's length")
def test_23_26_utf_8_is_right(tmp_path: Path) -> None:
    request = x509.load_pem_x509_csr(bench(tmp_path).request(common="Ladesäule Łódź 充電").encode())
    [common] = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert common.value == "Ladesäule Łódź 充電"


@pytest.mark.parametrize("kind", ["secp521r1", "ed448"])
def test_23_28_keys_of_iso_15118_20(tmp_path: Path, kind: str) -> None:
    b = bench(tmp_path, csr_key_type=kind)
    b.install(ROOT)
    b.renew(W)
    assert b.info()["status"] == "Accepted"


def test_23_37_no_tpm_no_key(tmp_path: Path) -> None:
    b = bench(tmp_path, private_key_password=PASSWORD)
    asked: dict[str, Any] = {
        "certificate_type": "V2G",
        "country": "DE",
        "organization": "O",
        "common": "C",
        "use_tpm": True,
    }
    assert b.ask("generate_certificate_signing_request", **asked) == {"status": "KeyGenError"}
    assert tree(tmp_path) == {}


def test_23_45_all_roots_of_a_directory_are_offered(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    for pem in (ROOT, OTHER):
        b.put(f"ca/v2g/{len(pem)}{pem[40]}.pem", pem)
    offered = Path(b.ask("get_verify_file", certificate_type="V2G")).read_text()
    assert ROOT in offered
    assert OTHER in offered


# ---- the store


def test_23_03_05_04_foreign_files_links_and_bad_files(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    b.put("ca/v2g/foreign.der", W["V2GRoot"].der)
    b.put("ca/v2g/bad.pem", BROKEN)
    real = b.put("elsewhere.pem", OTHER)
    (tmp_path / "ca/v2g/link.pem").symlink_to(real)
    before = tree(tmp_path)
    assert b.install(W["Sub1"].pem) == "Accepted"
    assert {name: tree(tmp_path)[name] for name in before} == before
    assert len(b.listed("V2GRootCertificate")) == 2


def test_23_27_a_full_disk_leaves_all_roots(tmp_path: Path) -> None:
    living(tmp_path)
    for room in range(3):
        b = bench(tmp_path, files=FullDisk(room))
        b.install(world("One more > x")["One more"].pem)
        assert (tmp_path / BUNDLE).read_text().startswith(ROOT)


def test_23_30_directories_are_compared_by_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to("store")
    with pytest.raises(InvalidConfiguration):
        bench(tmp_path, v2g_ca_bundle="store", secc_leaf_cert_directory="link")


def test_23_31_missing_directories_are_made(tmp_path: Path) -> None:
    b = bench(tmp_path / "a/b/c")
    assert b.install(ROOT) == "Accepted"
    assert b.request()


def test_23_32_links_are_numbered_without_gaps(tmp_path: Path) -> None:
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g")
    for number in range(4):
        b.put(f"ca/v2g/{number}.pem", world("Same > x")["Same"].pem)
    b.ask("get_verify_location", certificate_type="V2G")
    links = sorted(path.suffix for path in (tmp_path / "ca/v2g").iterdir() if path.is_symlink())
    assert links == [".0", ".1", ".2", ".3"]


def test_23_33_two_processes_see_each_other_at_once(tmp_path: Path) -> None:
    one, two = bench(tmp_path), bench(tmp_path)
    for pem, by in ((ROOT, one), (OTHER, two)):
        assert by.install(pem) == "Accepted"
        assert len(one.listed("V2GRootCertificate")) == len(two.listed("V2GRootCertificate"))
    assert len(one.listed("V2GRootCertificate")) == 2


def test_23_34_old_certificates_are_never_written_again(tmp_path: Path) -> None:
    class NoReplacing(Files):
        def replace(self, source: Path, target: Path) -> None:
            if target.exists():
                raise OSError(errno.EPERM, "Operation not permitted", str(target))
            super().replace(source, target)

    bench(tmp_path).put("ca/v2g/old.pem", ROOT)
    b = bench(tmp_path, v2g_ca_bundle="ca/v2g", files=NoReplacing())
    assert b.install(OTHER) == "Accepted"


def test_23_38_a_vanished_key_directory(tmp_path: Path) -> None:
    b = living(tmp_path, secc_leaf_key_directory="gone")
    (tmp_path / f"client/cso/SECC_LEAF_{STAMP}0.key").unlink()
    assert b.info()["status"] == "PrivateKeyNotFound"
    assert b.update(W.pem("SECC", *SUBS)) == "WriteError"


def test_23_39_a_full_store_is_swept_before_it_refuses(tmp_path: Path) -> None:
    b = bench(tmp_path, max_store_entries=2)
    b.request()
    b.request()
    b.set_clock(NOW + DAY)
    assert b.install(ROOT) == "Accepted"


# ---- duties


def test_23_07_a_new_csms_root_may_have_to_be_signed_by_the_old_one(tmp_path: Path) -> None:
    made = world("Old > New >")
    b = bench(tmp_path, additional_root_certificate_check=True)
    assert b.install(made["Old"].pem, "CSMS") == "Accepted"
    assert b.install(OTHER, "CSMS") == "InvalidCertificateChain"
    assert b.install(made["New"].pem, "CSMS") == "Accepted"


def test_23_08_certificates_can_be_limited(tmp_path: Path) -> None:
    b = bench(tmp_path, certificate_store_max_length=1)
    assert [b.install(ROOT), b.install(OTHER, "MO")] == ["Accepted", "CertificateStoreMaxLengthExceeded"]


def test_23_17_chains_are_stored_in_the_order_of_tls_without_the_root(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    leaf, *_ = csms(W, "Sub2").answer(b.request()).partition(W["Sub2"].pem)
    assert b.update(leaf + W.pem("V2GRoot", "Sub1", "Sub2")) == "Accepted"
    info = b.info()["info"]
    assert Path(info["certificate"]).read_text() == leaf + W.pem("Sub2", "Sub1")
    assert info["certificate_count"] == 3


def test_23_18_der_is_honoured(tmp_path: Path) -> None:
    assert Path(living(tmp_path).info("V2G", "DER")["info"]["certificate_single"]).read_bytes() == W["SECC"].der


def test_23_29_firmware_signed_with_pss(tmp_path: Path) -> None:
    made = world("Root > Signer", Signer={"key": KeyKind.RSA2048})
    b = bench(tmp_path)
    path = str(b.put("firmware", b"content"))
    signature = sign_firmware(b"content", made["Signer"].key, SignatureScheme.RSASSA_PSS)
    asked: dict[str, Any] = {"signing_certificate": made["Signer"].pem, "signature": signature}
    assert b.ask("verify_file_signature", file_path=path, **asked) is True

"""What a CSMS asks for, answered from a real store, without a connection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.adapters.ocpp.variables import served
from evse_security.lab.authority import LEAF, accept_request, certificate_pem, name
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.kit import Bench
from tests.builders import DAY, NOW, next_serial

CSMS = LeafCertificateType.CSMS


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "certs")


def bench_of(tmp_path: Path, edition: Edition, **changes: Any) -> Bench:
    return Bench(tmp_path / "certs", edition, changes=changes)


def signed_for(bench: Bench, csr: str, **subject: str) -> str:
    """A chain for the key of a request and another subject."""
    key, template = accept_request(csr, LEAF)
    issuer = bench.made["CsmsSub"]
    other = replace(
        template,
        subject=name(**subject),
        serial_number=next_serial("other"),
        not_before=NOW - DAY,
        not_after=NOW + 60 * DAY,
    )
    return certificate_pem(issuer.certify(key, other)) + issuer.chain_pem()


# ---- CertificateSigned


def test_a_chain_for_the_pending_request_is_installed(bench: Bench) -> None:
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    answer = bench.desk.answer("CertificateSigned", {"certificateChain": chain})
    assert answer is not None and answer.payload == {"status": "Accepted"}
    assert answer.then.renewed == "CSMS"
    assert bench.events == []


def test_a_chain_nobody_asked_for_is_refused_with_the_event(bench: Bench) -> None:
    answer = bench.answer("CertificateSigned", certificateChain=bench.made.pem("StrangerLeaf", "StrangerSub"))
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "NothingPending"
    assert bench.events == ["InvalidChargingStationCertificate"]


def test_in_1_6_the_event_has_its_own_name_and_the_answer_no_reason(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V16)
    answer = bench.answer("CertificateSigned", certificateChain=bench.made.pem("StrangerLeaf"))
    assert answer == {"status": "Rejected"}
    assert bench.events == ["InvalidChargePointCertificate"]


def test_a_chain_sent_twice_is_accepted_twice_and_installed_once(bench: Bench) -> None:
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    files = {path: path.stat().st_mtime_ns for path in bench.certs.rglob("client/*/*")}
    again = bench.restarted().answer("CertificateSigned", {"certificateChain": chain})
    assert again is not None and again.payload == {"status": "Accepted"}
    assert again.then.renewed is None
    assert {path: path.stat().st_mtime_ns for path in bench.certs.rglob("client/*/*")} == files


def test_an_answer_to_a_request_that_another_one_replaced_is_refused(bench: Bench) -> None:
    late = bench.chain(bench.trigger("SignChargingStationCertificate"))
    right = bench.chain(bench.trigger("SignChargingStationCertificate"))
    assert bench.answer("CertificateSigned", certificateChain=late)["statusInfo"]["reasonCode"] == "NothingPending"
    assert bench.answer("CertificateSigned", certificateChain=right) == {"status": "Accepted"}


def test_a_request_outlives_a_power_cut(bench: Bench) -> None:
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    bench.restarted()
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


@pytest.mark.parametrize("subject", [{"CN": "CS-0002", "O": "Operator"}, {"CN": "CS-0001", "O": "Other"}])
def test_a_leaf_for_another_name_than_asked_for_is_refused(bench: Bench, subject: dict[str, str]) -> None:
    chain = signed_for(bench, bench.trigger("SignChargingStationCertificate"), C="DE", **subject)
    answer = bench.answer("CertificateSigned", certificateChain=chain)
    assert answer["status"] == "Rejected"
    assert answer["statusInfo"]["reasonCode"] == "InvalidCommonName"
    assert bench.events == ["InvalidChargingStationCertificate"]


def test_a_chain_of_a_stranger_is_refused_with_the_reason_that_check_prints(bench: Bench) -> None:
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"), "StrangerSub")
    answer = bench.answer("CertificateSigned", certificateChain=chain)
    reason = bench.station.check(chain, (CSMS,)).reason
    assert reason is not None
    assert answer["statusInfo"] == {"reasonCode": reason.code, "additionalInfo": str(reason)}
    assert bench.desk.memory.waiting[-1].tech_info == f"{reason.code}: {reason}"[:255]


def test_a_chain_longer_than_agreed_is_refused(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V201, max_chain_size=500)
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    answer = bench.answer("CertificateSigned", certificateChain=chain)
    assert answer["statusInfo"]["reasonCode"] == "TooLargeElement"


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("edition", [Edition.V201, Edition.V21])
def test_a_key_whose_certificate_takes_days_is_not_swept(tmp_path: Path, edition: Edition, *, restarts: bool) -> None:
    """Where somebody looks at each request; garbage is collected after an hour."""
    bench = bench_of(tmp_path, edition)
    wanted = {"SignChargingStationCertificate": "CsmsSub", "SignV2GCertificate": "CpoSub2"}
    requests = {bench.trigger(one): authority for one, authority in wanted.items()}
    if restarts:
        bench.reopened()
    for _ in range(3):
        bench.time.now += DAY
        bench.station.sweep()
        again = bench.desk.renewals.look().requests
        assert {one.payload["csr"] for one in again} == requests.keys(), "once a day the same request"
    for request, authority in requests.items():
        answer = bench.answer("CertificateSigned", certificateChain=bench.chain(request, authority))
        assert answer == {"status": "Accepted"}


def test_after_a_refused_chain_nothing_is_asked_until_a_trigger(bench: Bench) -> None:
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"), "StrangerSub")
    bench.answer("CertificateSigned", certificateChain=chain)
    bench.time.now += 10 * DAY
    assert bench.desk.renewals.look().requests == ()
    assert bench.trigger("SignChargingStationCertificate")


def test_a_request_number_that_is_not_known_is_refused(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V21)
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    assert bench.answer("CertificateSigned", certificateChain=chain, requestId=77)["status"] == "Rejected"
    assert bench.answer("CertificateSigned", certificateChain=chain, requestId=1)["status"] == "Accepted"


@pytest.mark.parametrize(
    ("edition", "status"),
    [(Edition.V16, "Accepted"), (Edition.V201, "Accepted"), (Edition.V201_2025, "Rejected"), (Edition.V21, "Rejected")],
)
def test_a_leaf_that_begins_later_by_edition(tmp_path: Path, edition: Edition, status: str) -> None:
    bench = bench_of(tmp_path, edition)
    wanted = "SignChargePointCertificate" if edition is Edition.V16 else "SignChargingStationCertificate"
    csr = bench.trigger(wanted)
    chain = bench.chain(csr, not_before=NOW + 2 * DAY, not_after=NOW + 90 * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == status


# ---- two-phase renewal


def renewed(bench: Bench, **changes: Any) -> tuple[str, str]:
    """A first and a renewed client certificate, by fingerprint."""
    wanted = "SignChargePointCertificate" if bench.edition is Edition.V16 else "SignChargingStationCertificate"
    found = []
    for days in (60, 90):
        times = {"not_after": NOW + days * DAY, **(changes if days == 90 else {})}
        chain = bench.chain(bench.trigger(wanted), **times)
        assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
        found.append(bench.desk.memory.accepted[SigningUse.CSMS])
    return found[0], found[1]


def in_use(bench: Bench) -> str:
    certificate = bench.desk.renewals.client_certificate()
    assert certificate is not None
    return certificate.fingerprint


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_the_new_one_connects_and_the_old_one_goes(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    old, new = renewed(bench)
    bench.restarted()  # a power cut before the reconnect
    assert in_use(bench) == new
    assert bench.desk.renewals.connected(new) is False
    assert bench.station.renewal.leaf_info(CSMS, old) is None
    assert in_use(bench) == new


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
def test_the_new_one_fails_and_the_old_one_serves(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    old, new = renewed(bench)
    bench.desk.renewals.failed(new)
    bench.restarted()
    assert in_use(bench) == old
    assert bench.desk.renewals.connected(old) is True  # discarded, which is told
    assert bench.station.renewal.leaf_info(CSMS, new) is None
    assert in_use(bench) == old


def test_while_nobody_answers_they_alternate_and_none_is_lost(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V21)
    old, new = renewed(bench)
    used = []
    for _ in range(4):
        used.append(in_use(bench))
        bench.desk.renewals.failed(used[-1])
    assert used == [new, old, new, old]
    assert bench.desk.renewals.connected(new) is False


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V201])
def test_base_editions_switch_at_the_start_and_keep_the_old_one(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    old, new = renewed(bench, not_before=NOW + 2 * DAY)
    assert in_use(bench) == old
    bench.time.now += 3 * DAY
    assert in_use(bench) == new
    assert bench.desk.renewals.connected(new) is False
    assert bench.station.renewal.leaf_info(CSMS, old) is not None


# ---- timers


def test_a_request_without_answer_is_repeated_with_doubled_pauses_and_then_once_a_day(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V201, wait=30, repeats=3)
    first = bench.trigger("SignChargingStationCertificate")
    pauses: list[int] = []
    for _ in range(5):
        begun = bench.time.now
        while not (requests := bench.desk.renewals.look().requests):
            bench.time.now += DAY / 86_400
            if (bench.time.now - begun).total_seconds() > 600:
                bench.time.now = begun + DAY
        assert requests[0].payload["csr"] == first or len(pauses) >= 3
        bench.desk.renewals.asked(requests[0].use, None)
        pauses.append(int((bench.time.now - begun).total_seconds()))
    assert pauses == [30, 60, 120, 86_400, 86_400]


def test_nothing_is_asked_for_without_a_leaf_or_a_trigger(bench: Bench) -> None:
    assert bench.desk.renewals.look().requests == ()


# ---- certificates


@pytest.mark.parametrize("edition", Edition)
def test_installing_a_leaf_as_a_root_is_rejected(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    kind = "ManufacturerRootCertificate"
    answer = bench.answer("InstallCertificate", certificateType=kind, certificate=bench.made["Server"].pem)
    assert answer["status"] == "Rejected"
    assert ("statusInfo" in answer) == (edition is not Edition.V16)


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V201, Edition.V201_2025])
def test_oem_roots_are_of_2_1_alone(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    pem = bench.made["Stranger"].pem
    answer = bench.answer("InstallCertificate", certificateType="OEMRootCertificate", certificate=pem)
    assert answer["status"] == "Rejected"
    assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "UnsupportedParam"
    arguments = {"certificate": pem, "certificate_type": "OEM"}
    assert bench.station.dispatch("install_ca_certificate", arguments, revision="2026-04-oem") == "Accepted"
    asked = {"certificateType": "ManufacturerRootCertificate"} if edition is Edition.V16 else {}
    answer = bench.answer("GetInstalledCertificateIds", **asked)
    assert "OEM" not in str(answer)
    listed = (
        {"certificateType": "OEMRootCertificate"}
        if edition is Edition.V16
        else {"certificateType": ["OEMRootCertificate"]}
    )
    assert bench.answer("GetInstalledCertificateIds", **listed) == {"status": "NotFound"}


def test_a_type_that_has_no_place_is_rejected_with_a_reason(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21, config={"oem_ca_bundle": None})
    pem = bench.made["Stranger"].pem
    answer = bench.answer("InstallCertificate", certificateType="OEMRootCertificate", certificate=pem)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "UnsupportedParam")
    assert bench.answer("GetInstalledCertificateIds", certificateType=["OEMRootCertificate"]) == {"status": "NotFound"}


def test_an_oem_root_counts_as_an_installed_certificate(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, Edition.V21)

    def entries() -> int:
        return int(next(one.value for one in served(bench.desk) if one.name == "CertificateEntries"))

    before, pem = entries(), bench.made["Stranger"].pem
    assert (
        bench.answer("InstallCertificate", certificateType="OEMRootCertificate", certificate=pem)["status"]
        == "Accepted"
    )
    assert entries() == before + 1


def test_the_last_csms_root_stays(bench: Bench) -> None:
    found = bench.answer("GetInstalledCertificateIds", certificateType=["CSMSRootCertificate"])
    [chain] = found["certificateHashDataChain"]
    data = {**chain["certificateHashData"], "serialNumber": chain["certificateHashData"]["serialNumber"].upper()}
    assert bench.answer("DeleteCertificate", certificateHashData=data)["status"] == "Failed"


def test_what_no_schema_lets_through_is_refused_and_harms_nothing(bench: Bench) -> None:
    assert bench.answer("DeleteCertificate", certificateHashData={"hashAlgorithm": "MD5"})["status"] == "Failed"
    assert bench.answer("CertificateSigned", certificateChain=7)["status"] == "Rejected"
    assert bench.answer("GetInstalledCertificateIds", certificateType=3)["status"] == "NotFound"


# ---- firmware


@pytest.mark.parametrize("edition", Edition)
def test_a_signing_certificate_is_judged_by_the_manufacturers_roots(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    action = "SignedUpdateFirmware" if edition is Edition.V16 else "UpdateFirmware"
    good, bad = bench.made["Firmware"].pem, bench.made["StrangerLeaf"].pem
    assert bench.answer(action, requestId=1, firmware={"signingCertificate": good, "signature": "AA=="}) is None
    answer = bench.answer(action, requestId=1, firmware={"signingCertificate": bad, "signature": "AA=="})
    assert answer["status"] == "InvalidCertificate"
    assert bench.events == ["InvalidFirmwareSigningCertificate"]

"""One CSMS root takes over from another, with AdditionalRootCertificateCheck (M05.FR.09–.17)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, TrustedRoots
from evse_security.adapters.ocpp.connection import failure_of
from evse_security.adapters.ocpp.messages import written
from evse_security.adapters.ocpp.root_trial import Failure, RootTrial, connected, failed
from evse_security.adapters.ocpp.uses import SigningUse
from evse_security.adapters.ocpp.variables import served
from evse_security.errors import MustStay
from evse_security.pki import pem
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.store.journal import Verdict
from evse_security.vocabulary import HashAlgorithm, LeafCertificateType
from tests.adapters.ocpp.kit import Bench, pki
from tests.builders import DAY, NOW, at, world

CHECKED = {"additional_root_certificate_check": True}
KIND = {Edition.V16: "CentralSystemRootCertificate"}


def bench_of(tmp_path: Path, edition: Edition = Edition.V201, **changes: Any) -> Bench:
    return Bench(tmp_path / "certs", edition, config=CHECKED, **changes)


def install(bench: Bench, holder: str) -> dict[str, Any]:
    kind = KIND.get(bench.edition, "CSMSRootCertificate")
    answer = bench.answer("InstallCertificate", certificateType=kind, certificate=bench.made[holder].pem)
    assert isinstance(answer, dict)
    return answer


def fingerprint(bench: Bench, holder: str) -> str:
    return pem.single(bench.made[holder].pem, holder).fingerprint


def trusted(bench: Bench) -> list[str]:
    """The holders of the roots that are trusted next."""
    holders = {fingerprint(bench, holder): holder for holder in bench.made}
    return [holders[one] for one in bench.desk.trust.roots().fingerprints]


def roots_of(bench: Bench, holder: str) -> TrustedRoots:
    return TrustedRoots((fingerprint(bench, holder),), bench.made[holder].pem)


def named(bench: Bench, holder: str, issuer: str = "CsmsRoot") -> dict[str, Any]:
    certificate, signer = (pem.single(bench.made[one].pem, one) for one in (holder, issuer))
    return written(certificate_id(certificate, signer).hash_data)


def listed(bench: Bench) -> list[dict[str, Any]]:
    kind = KIND.get(bench.edition)
    answer = bench.answer("GetInstalledCertificateIds", certificateType=kind or ["CSMSRootCertificate"])
    if bench.edition is Edition.V16:
        return list(answer["certificateHashData"])
    assert not any("childCertificateHashData" in one for one in answer["certificateHashDataChain"])
    return [one["certificateHashData"] for one in answer["certificateHashDataChain"]]


# ---- the trial by itself


def test_the_old_root_is_next_only_where_the_new_one_may_be_at_fault() -> None:
    trial = RootTrial("new", "old")
    assert trial.use == "new"
    assert failed(trial, "new", Failure.OTHER) == trial
    for failure in (Failure.UNVERIFIED, Failure.UNKNOWN):
        after = failed(trial, "new", failure)
        assert after.use == "old"
        assert failed(after, "old", failure).use == "new"
        assert failed(after, "old", Failure.OTHER).use == "old"
        assert not after.proven


def test_the_old_one_connecting_proves_nothing_and_the_new_one_is_tried_again() -> None:
    fallen_back = failed(RootTrial("new", "old"), "new", Failure.UNVERIFIED)
    assert connected(fallen_back, "old") == RootTrial("new", "old")


def test_once_proven_the_old_one_is_never_used_again() -> None:
    proven = connected(RootTrial("new", "old"), "new")
    assert failed(proven, "new", Failure.UNVERIFIED).use == "new"


# ---- M05.FR.09–.14


@pytest.mark.parametrize("edition", Edition)
def test_m05_fr_09_a_third_root_is_not_taken_while_two_are_on_trial(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    assert install(bench, "Next") == {"status": "Accepted"}
    for third in ("Third", "Other", "Stranger"):
        answer = install(bench, third)
        assert answer["status"] == "Rejected"
        assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "RootOnTrial"
    assert install(bench, "Next") == install(bench, "CsmsRoot") == {"status": "Accepted"}  # M05.FR.17
    assert listed(bench) == [named(bench, "CsmsRoot"), named(bench, "Next")]
    assert bench.events == []


@pytest.mark.parametrize("edition", Edition)
def test_m05_fr_10_11_a_root_that_the_old_one_did_not_sign_is_rejected(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    answer = install(bench, "Stranger")
    assert answer["status"] == "Rejected"
    assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "NotSignedByOldRoot"
    assert trusted(bench) == ["CsmsRoot"]
    assert len(bench.events) == 1
    assert install(bench, "Next") == {"status": "Accepted"}  # nothing is left of the attempt


@pytest.mark.parametrize("edition", Edition)
def test_m05_fr_12_the_new_root_is_used_and_the_old_one_kept(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    assert install(bench, "Next") == {"status": "Accepted"}
    for _ in range(2):
        assert trusted(bench) == ["Next"]
        assert bench.desk.trust.roots().on_trial
        bench.restarted()
    answer = bench.answer("DeleteCertificate", certificateHashData=named(bench, "CsmsRoot"))
    assert answer["status"] == "Failed"


@pytest.mark.parametrize("edition", Edition)
def test_m05_fr_13_after_a_connection_under_the_new_root_the_old_one_goes(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    install(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), "")
    bench.restarted()
    assert trusted(bench) == ["Next"]
    assert not bench.desk.trust.roots().on_trial
    assert listed(bench) == [named(bench, "Next")]
    entries = {one.name: one.value for one in served(bench.desk)}.get("CertificateEntries")
    assert entries == (None if edition is Edition.V16 else "3")
    answer = bench.answer("DeleteCertificate", certificateHashData=named(bench, "Next"))
    assert answer["status"] == "Failed"  # without the old root its name cannot be worked out: it is remembered
    assert install(bench, "Next") == {"status": "Accepted"}  # M05.FR.17, though nobody is left who signed it
    assert install(bench, "Third") == {"status": "Accepted"}  # the next succession
    assert trusted(bench) == ["Third"]
    assert listed(bench) == [named(bench, "Next"), named(bench, "Third", "Next")]


@pytest.mark.parametrize("edition", Edition)
def test_m05_fr_14_a_csms_that_does_not_verify_under_the_new_root(tmp_path: Path, edition: Edition) -> None:
    bench = bench_of(tmp_path, edition)
    install(bench, "Next")
    trust = bench.desk.trust
    assert trust.failed(trust.roots(), Failure.UNVERIFIED) == (True, True)
    trust = bench.restarted().trust
    assert trusted(bench) == ["CsmsRoot"]
    trust.connected(trust.roots(), "")
    assert listed(bench) == [named(bench, "CsmsRoot"), named(bench, "Next")]
    assert trusted(bench) == ["Next"]  # with each reconnect it is tried again
    assert trust.failed(trust.roots(), Failure.UNVERIFIED) == (True, False)  # which was told of before
    assert trust.failed(trust.roots(), Failure.UNVERIFIED) == (False, False)  # under neither: wait, and begin again
    assert trusted(bench) == ["Next"]


# ---- what is not concluded


def test_a_failure_of_the_network_is_none_of_the_root(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    install(bench, "Next")
    for _ in range(3):
        assert bench.desk.trust.failed(bench.desk.trust.roots(), Failure.OTHER) == (False, False)
    assert trusted(bench) == ["Next"]


def test_a_connection_under_both_roots_proves_nothing(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    install(bench, "Next")
    both = TrustedRoots((fingerprint(bench, "CsmsRoot"), fingerprint(bench, "Next")), "")
    bench.desk.trust.connected(both, "")
    assert bench.desk.trust.roots().on_trial


def test_without_the_check_all_roots_are_trusted_and_none_goes(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    for holder in ("Stranger", "Next"):
        assert install(bench, holder) == {"status": "Accepted"}
    assert sorted(trusted(bench)) == ["CsmsRoot", "Stranger"]  # Next is a sub-CA then
    bench.desk.trust.connected(roots_of(bench, "Next"), "")
    assert bench.desk.trust.failed(bench.desk.trust.roots(), Failure.UNVERIFIED) == (False, False)
    assert sorted(trusted(bench)) == ["CsmsRoot", "Stranger"]


def test_a_new_root_that_the_csms_takes_back(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    install(bench, "Next")
    answer = bench.answer("DeleteCertificate", certificateHashData=named(bench, "Next"))
    assert answer == {"status": "Accepted"}
    assert trusted(bench) == ["CsmsRoot"]
    assert install(bench, "Other") == {"status": "Accepted"}
    assert trusted(bench) == ["Other"]


def test_a_root_that_the_client_certificate_in_use_needs_stays_and_is_not_trusted(tmp_path: Path) -> None:
    """It would leave no way to a CSMS of security profile 3."""
    bench = bench_of(tmp_path, Edition.V21)
    leaf = renewed(bench)
    install(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), leaf)
    assert bench.station.chains(LeafCertificateType.CSMS).chains
    bench.restarted()
    assert trusted(bench) == ["Next"]
    assert install(bench, "Third")["status"] == "Rejected"
    assert bench.answer("DeleteCertificate", certificateHashData=named(bench, "Next"))["status"] == "Failed"
    leaf = renewed(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), leaf)
    assert listed(bench) == [named(bench, "Next")]


def renewed(bench: Bench, authority: str = "CsmsSub") -> str:
    """A client certificate from a CA. Returns its fingerprint."""
    days = 90 if authority == "Next" else 60
    chain = bench.chain(
        bench.trigger("SignChargingStationCertificate"), authority, not_after=bench.time.now + days * DAY
    )
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    return bench.desk.memory.accepted[SigningUse.CSMS]


def test_a_root_that_is_issued_anew_for_its_key(tmp_path: Path) -> None:
    """Self-signed, and so signed by the old one, too."""
    made = world("CsmsRoot > CsmsSub > Server", "Next >", Next={"same_as": "CsmsRoot"})
    bench = bench_of(tmp_path, made=made, installed={"CSMS": "CsmsRoot"})
    assert install(bench, "Next") == {"status": "Accepted"}
    assert trusted(bench) == ["Next"]
    assert listed(bench) == [named(bench, "CsmsRoot"), named(bench, "Next")]
    bench.desk.trust.connected(bench.desk.trust.roots(), "")
    assert listed(bench) == [named(bench, "Next")]


def test_the_last_root_is_not_retired(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    with pytest.raises(MustStay):
        bench.station.renewal.retire_root(fingerprint(bench, "CsmsRoot"))
    bench.station.renewal.retire_root("0" * 64)  # one that is not there is out
    assert trusted(bench) == ["CsmsRoot"]


# ---- a root and a client certificate on trial at once


def test_a_csms_that_did_not_verify_says_nothing_of_the_client_certificate() -> None:
    assert failure_of(ssl.SSLCertVerificationError(1, "x")) is Failure.UNVERIFIED
    assert failure_of(OSError()) is Failure.OTHER
    assert failure_of(None) is Failure.UNKNOWN


def test_certificates_are_compared_under_the_same_roots(tmp_path: Path) -> None:
    """The new one failed under the new root, the old one connects under the old: which was it?"""
    bench = bench_of(tmp_path, Edition.V21)
    renewals, old = bench.desk.renewals, renewed(bench)
    install(bench, "Next")
    new = renewed(bench, "Next")
    first, second = (fingerprint(bench, one) for one in ("Next", "CsmsRoot"))
    renewals.failed(new, first)
    assert bench.restarted().renewals.connected(old, second) is False  # nothing is known
    found = bench.desk.renewals.client_certificate()
    assert found is not None and found.fingerprint == new  # so it is tried once more
    bench.desk.renewals.failed(new, second)
    assert bench.desk.renewals.connected(old, second) is True


@pytest.mark.parametrize("damage", ["{", '{"version": 1, "trial": 7}', '{"version": 1, "named": {"x": {}}}', "[]"])
def test_damaged_memory_loses_the_trial_and_no_root(tmp_path: Path, damage: str) -> None:
    bench = bench_of(tmp_path)
    install(bench, "Next")
    (bench.state / "ocpp-roots.json").write_text(damage)
    bench.restarted()
    assert sorted(trusted(bench)) == ["CsmsRoot", "Next"]
    assert (bench.state / "ocpp-roots.json.damaged").exists()


def test_both_are_in_the_audit_log(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", config={**CHECKED, "audit_log": tmp_path / "audit"})
    install(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), "")
    assert [one["command"] for one in bench.station.audit_entries()][-2:] == ["install_ca_certificate", "retire_root"]
    assert isinstance(bench.station.verify_audit_log(), Verdict)


def test_the_doctor_misses_nobody_above_a_root_that_is_trusted_by_itself(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    install(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), "")
    assert "OrphanSubCa" not in {one.code for one in bench.station.diagnose().findings}


SPELLINGS: dict[str, Callable[[CertID], dict[str, Any]]] = {
    "no case": lambda one: {**written(one.hash_data), "serialNumber": f"{one.serial:X}"},
    "leading zeros": lambda one: {**written(one.hash_data), "serialNumber": f"00{one.serial:x}"},
    "blanks": lambda one: {**written(one.hash_data), "serialNumber": f" {one.serial:x}"},
}
"""Other words that the store knows a certificate by."""


def spelled(bench: Bench, holder: str, issuer: str) -> Iterator[dict[str, Any]]:
    certificate, signer = (pem.single(bench.made[one].pem, one) for one in (holder, issuer))
    for spelling in SPELLINGS.values():
        yield spelling(certificate_id(certificate, signer))
    for algorithm in HashAlgorithm:
        yield written(certificate_id(certificate, signer, algorithm).hash_data)


def test_no_spelling_of_its_identity_gets_the_last_root_out_and_a_strangers_in(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    for data in spelled(bench, "CsmsRoot", "CsmsRoot"):
        assert bench.answer("DeleteCertificate", certificateHashData=data)["status"] == "Failed"
        assert install(bench, "Stranger")["status"] == "Rejected"
        assert trusted(bench) == ["CsmsRoot"]


def test_no_spelling_gets_the_proven_root_out_while_the_one_before_is_kept_for_the_client(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    csr = bench.trigger("SignChargingStationCertificate")
    chain = bench.chain(csr)
    assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == "Accepted"
    install(bench, "Next")
    bench.desk.trust.connected(bench.desk.trust.roots(), pem.chain(chain, "leaf")[0].fingerprint)
    assert trusted(bench) == ["Next"]
    for data in spelled(bench, "Next", "CsmsRoot"):
        assert bench.answer("DeleteCertificate", certificateHashData=data)["status"] == "Failed"
        assert trusted(bench) == ["Next"]


def test_a_root_that_has_expired_is_none_to_be_left_with(tmp_path: Path) -> None:
    made = pki("Short >", Short={"not_before": at("2020-01-02"), "not_after": NOW + DAY})
    bench = Bench(tmp_path / "certs", made=made)
    assert install(bench, "Short") == {"status": "Accepted"}
    bench.time.now += 2 * DAY
    assert (
        bench.answer("DeleteCertificate", certificateHashData=named(bench, "CsmsRoot", "CsmsRoot"))["status"]
        == "Failed"
    )
    assert bench.answer("DeleteCertificate", certificateHashData=named(bench, "Short", "Short"))["status"] == "Accepted"

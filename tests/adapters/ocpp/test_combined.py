"""One certificate for the CSMS and for cars (SignCombinedCertificate): one key and one leaf in both directories."""

from __future__ import annotations

import asyncio
import errno
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.adapters.ocpp.trial import Trial
from evse_security.errors import InvalidConfiguration
from evse_security.store.files import Files
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.connecting import connecting
from tests.adapters.ocpp.csms import Csms, Stage, charge_point, play, real_bench, server_context, serving
from tests.adapters.ocpp.kit import SERIAL, Bench, hash_data, policy
from tests.builders import DAY, NOW

CSMS, V2G = LeafCertificateType.CSMS, LeafCertificateType.V2G
V2 = (Edition.V201, Edition.V201_2025, Edition.V21)
TRIGGER = "SignCombinedCertificate"
ONE_ROOT = {"CSMS": "CsmsRoot", "V2G": "CsmsRoot", "MF": "MFRoot"}
"""Who signs a certificate for both must be trusted for both."""


def bench_of(tmp_path: Path, edition: Edition = Edition.V21, **more: Any) -> Bench:
    return Bench(tmp_path / "certs", edition, **{"changes": {"combined": True}, "installed": ONE_ROOT, **more})


def places(bench: Bench) -> list[str]:
    """The leaves in both directories, by fingerprint: those for cars, then those for the CSMS."""
    return [one.fingerprint for kind in (V2G, CSMS) for one in bench.station.chains(kind).chains]


def enrolled(bench: Bench, *, days: int = 60) -> str:
    """A combined certificate for so many days, by fingerprint."""
    chain = bench.chain(bench.trigger(TRIGGER), not_after=bench.time.now + days * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    assert bench.desk.renewals.look().requests == ()
    return bench.desk.memory.accepted[SigningUse.COMBINED]


def in_use(bench: Bench) -> str:
    certificate = bench.desk.renewals.client_certificate()
    assert certificate is not None
    return certificate.fingerprint


# ---- asking and installing


@pytest.mark.parametrize("edition", V2)
def test_tc_a_13_a_combined_certificate_at_the_csms_request_and_again(tmp_path: Path, edition: Edition) -> None:
    bench = real_bench(tmp_path, edition, installed=ONE_ROOT)

    async def scene(stage: Stage) -> None:
        for times in (1, 2):  # the second one is a renewal: 2.1 names the root, which the CSMS checks
            assert await stage.enrol(TRIGGER) == {"status": "Accepted"}
            request = stage.csms.said("SignCertificate")[-1]
            assert "certificateType" not in request
            for kind in (CSMS, V2G):
                leaf = bench.station.renewal.facts(kind).leaf
                assert leaf is not None
                assert len(bench.station.chains(kind).chains) == times

    play(tmp_path, edition, scene, bench=bench, combined=True)


def test_one_leaf_with_one_key_serves_both(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    fingerprint = enrolled(bench)
    assert places(bench) == [fingerprint] * 2
    keys = [chain.key for kind in (CSMS, V2G) for chain in bench.station.chains(kind).chains]
    assert len(set(keys)) == 2 and len({key.read_bytes() for key in keys}) == 1
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)


@pytest.mark.parametrize(("key_type", "dc"), [("secp256r1", "CPO"), ("secp521r1", "CSO")])
def test_its_request_has_the_serial_number_and_what_cars_want(tmp_path: Path, key_type: str, dc: str) -> None:
    bench = bench_of(tmp_path, config={"csr_key_type": key_type})
    csr = x509.load_pem_x509_csr(bench.trigger(TRIGGER).encode())
    [common] = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    [component] = csr.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)
    assert (common.value, component.value) == (SERIAL, dc)


def test_as_one_for_the_csms_alone_it_is_refused(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    chain = bench.chain(bench.trigger(TRIGGER))
    payload = {"certificateChain": chain, "certificateType": "ChargingStationCertificate"}
    assert bench.answer("CertificateSigned", **payload)["statusInfo"]["reasonCode"] == "NothingPending"
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


@pytest.mark.parametrize("untrusted", ["CSMS", "V2G"])
def test_one_that_one_side_does_not_trust_is_installed_nowhere(tmp_path: Path, untrusted: str) -> None:
    bench = bench_of(tmp_path, installed={**ONE_ROOT, untrusted: "Stranger"})
    chain = bench.chain(bench.trigger(TRIGGER))
    answer = bench.answer("CertificateSigned", certificateChain=chain)
    assert answer["status"] == "Rejected"
    assert bench.events == ["InvalidChargingStationCertificate"]
    assert not list(bench.certs.rglob("client/*/*.pem"))
    bench.restarted().renewals.look()
    assert not list(bench.certs.rglob("client/*/*.pem"))


def test_a_chain_that_cannot_be_read_ends_its_request(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    bench.trigger(TRIGGER)
    assert bench.answer("CertificateSigned", certificateChain="x")["status"] == "Rejected"
    assert bench.desk.memory.renewal(SigningUse.COMBINED).outcome == "refused"


def test_1_6_has_none() -> None:
    with pytest.raises(InvalidConfiguration, match="combined"):
        policy(Edition.V16, combined=True)


# ---- renewal


def test_it_is_renewed_as_one_and_names_the_root_of_the_leaf_for_cars(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    enrolled(bench)
    bench.time.now += 45 * DAY
    [request] = bench.desk.renewals.look().requests
    assert request.use is SigningUse.COMBINED
    assert "certificateType" not in request.payload
    assert request.payload["hashRootCertificate"] == hash_data(bench.made["CsmsRoot"])


def test_two_leaves_become_one_again_when_the_first_of_them_ends(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    enrolled(bench, days=400)
    chain = bench.chain(bench.trigger("SignV2GCertificate"), not_after=NOW + 500 * DAY)
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    assert len(places(bench)) == 3
    bench.time.now += 390 * DAY
    assert [one.use for one in bench.desk.renewals.look().requests] == [SigningUse.COMBINED]


def test_a_policy_enrols_it(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, changes={"combined": True, "enrol": frozenset({SigningUse.COMBINED})})
    assert [one.use for one in bench.desk.renewals.look().requests] == [SigningUse.COMBINED]


def test_in_2_1_the_leaf_of_the_other_edition_is_asked_for_by_itself(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    chain = bench.chain(bench.trigger("SignV2G20Certificate"))
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
    bench.desk.renewals.look()
    bench.time.now += 45 * DAY
    assert [one.use for one in bench.desk.renewals.look().requests] == [SigningUse.V2G20]


# ---- the trial of a renewed one


def test_the_new_one_connects_and_serves_both(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    old, new = enrolled(bench, days=60), enrolled(bench, days=90)
    bench.restarted()
    assert in_use(bench) == new
    assert bench.desk.renewals.connected(new) is False
    assert bench.station.renewal.leaf_info(CSMS, old) is None
    assert bench.station.renewal.leaf_info(V2G, old) is not None  # as after any renewal of a leaf for cars
    leaf = bench.station.renewal.facts(V2G).leaf
    assert leaf is not None and leaf.fingerprint == new


@pytest.mark.parametrize("shared", [(), ("key",), ("cert", "key")])
def test_the_new_one_fails_and_the_old_one_serves_both(tmp_path: Path, shared: tuple[str, ...]) -> None:
    one_place = {f"{kind}_leaf_{what}_directory": f"one/{what}" for kind in ("secc", "csms") for what in shared}
    bench = bench_of(tmp_path, config=one_place)
    old, new = enrolled(bench, days=60), enrolled(bench, days=90)
    bench.desk.renewals.failed(new)
    bench.restarted()
    assert in_use(bench) == old
    assert bench.desk.renewals.connected(old) is True  # discarded, which is told
    assert places(bench) == [old, old]
    assert all(bench.station.renewal.leaf_info(kind, old) is not None for kind in (CSMS, V2G))


def test_a_first_leaf_for_cars_stays_though_the_csms_refuses_it(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    bench.answer("CertificateSigned", certificateChain=bench.chain(bench.trigger("SignChargingStationCertificate")))
    old = bench.desk.memory.accepted[SigningUse.CSMS]
    new = enrolled(bench, days=90)
    bench.desk.renewals.failed(new)
    assert bench.desk.renewals.connected(old) is True
    assert places(bench) == [new, old]


@pytest.mark.parametrize("shared", ["key", "cert"])
def test_a_leaf_that_goes_on_one_side_leaves_its_key_to_the_other(tmp_path: Path, shared: str) -> None:
    one_place = {f"{kind}_leaf_{shared}_directory": "one" for kind in ("secc", "csms")}
    bench = bench_of(tmp_path, config=one_place)
    old, new = enrolled(bench, days=60), enrolled(bench, days=90)
    assert bench.desk.renewals.connected(new) is False
    assert bench.station.renewal.leaf_info(CSMS, old) is None
    assert bench.station.renewal.leaf_info(V2G, old) is not None
    assert places(bench) == [new, old, new]


def test_the_house_has_nothing_against_it(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    enrolled(bench)
    found = {one.code for one in bench.station.diagnose().findings if one.certificate is not None}
    assert found <= {"ProfileDeviates"}  # its CA is not one of ISO 15118
    bench.time.now += 10 * DAY
    assert bench.station.sweep().removed == ()
    [chain] = bench.answer("GetInstalledCertificateIds", certificateType=["V2GCertificateChain"])[
        "certificateHashDataChain"
    ]
    answer = bench.answer("DeleteCertificate", certificateHashData=chain["certificateHashData"])
    assert answer["status"] == "Failed"  # M04.FR.06: it is the client certificate


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
@pytest.mark.parametrize("authority", ["CsmsSub", "StrangerSub"])
def test_over_tls_the_renewed_one_is_tried_at_once(tmp_path: Path, edition: Edition, authority: str) -> None:
    """Signed by one whom the station trusts for both and the CSMS does not, it goes on both sides."""
    charge_point(edition)
    bench = real_bench(tmp_path, edition, changes={"combined": True}, installed=ONE_ROOT)
    for kind in (CSMS, V2G):
        arguments = {"certificate": bench.made["Stranger"].pem, "certificate_type": kind}
        assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"
    old = enrolled(bench)

    async def run() -> None:
        csms = Csms(edition, signed={"": "CsmsSub"})
        context = server_context(bench, tmp_path / "tls", profile=3)
        async with serving(csms, context), connecting(csms, bench, profile=3, combined=True) as certificates:
            await csms.until_said("BootNotification")
            stage = Stage(csms, bench, None)
            answer = await stage.enrol(TRIGGER, authority, not_after=bench.time.now + 90 * DAY)
            assert answer == {"status": "Accepted"}
            if authority == "StrangerSub":
                await stage.event("DiscardedRenewedClientCertificate")
                assert places(bench) == [old, old]
            else:
                await csms.until_said("BootNotification", 2)
                certificate = await certificates.client_certificate()
                assert certificate is not None and certificate.fingerprint != old
                assert places(bench) == [certificate.fingerprint, old, certificate.fingerprint]

    asyncio.run(run())


# ---- a power cut between the two directories

CHILD = """
import os, signal, sys
from pathlib import Path
from evse_security.store.files import Files
from tests.adapters.ocpp.test_combined import TRIGGER, bench_of
from tests.adapters.ocpp.connecting import connecting
from tests.builders import DAY, NOW

bench = bench_of(Path(sys.argv[1]))
chain = bench.chain(bench.trigger(TRIGGER))
assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}
print(bench.desk.memory.accepted["combined"], flush=True)
chain = bench.chain(bench.trigger(TRIGGER), not_after=NOW + 90 * DAY)
left = int(sys.argv[2])
replace = Files.replace

def dying(self, source, target):
    global left
    left -= target.parent.name in ("cso", "csms")
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(self, source, target)

Files.replace = dying
print(chain, flush=True)
bench.answer("CertificateSigned", certificateChain=chain)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("steps", range(5))
def test_kill_between_the_two_directories(tmp_path: Path, steps: int) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(steps)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert child.returncode == -signal.SIGKILL, child.stderr
    old, chain = child.stdout.split("\n", 1)
    bench = Bench(tmp_path / "certs", Edition.V21, changes={"combined": True}, installed={})
    before = places(bench)
    assert len(before) == 2 + (steps > 0) + (steps > 2)
    new = in_use(bench)  # the first thing that a station wants to know
    assert new != old
    assert sorted(places(bench)) == sorted([old, new] * 2)
    assert bench.desk.memory.installing == ""
    assert bench.answer("CertificateSigned", certificateChain=chain) == {
        "status": "Accepted"
    }  # its answer was not sent
    bench.desk.renewals.failed(new)
    assert in_use(bench) == old
    assert bench.desk.renewals.connected(old) is True
    assert places(bench) == [old, old]


def test_a_disk_that_takes_one_half_alone_has_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_of(tmp_path)
    old = enrolled(bench)
    chain = bench.chain(bench.trigger(TRIGGER), not_after=NOW + 90 * DAY)
    with monkeypatch.context() as full:
        full.setattr(Files, "replace", no_room_for_the_csms(Files.replace))
        assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == "Rejected"
        assert places(bench) == [old, old]
        assert bench.desk.memory.installing == ""
        # A station that is killed here, and finds the disk still full, waits until there is room.
        bench.desk.memory.installing = chain
        assert in_use(bench) == old
        assert bench.desk.memory.installing == chain
    bench.desk.renewals.look()
    assert len(places(bench)) == 4


def no_room_for_the_csms(replace: Callable[[Files, Path, Path], None]) -> Callable[[Files, Path, Path], None]:
    def replaced(files: Files, source: Path, target: Path) -> None:
        if target.parent.name == "csms" and target.suffix == ".pem":
            raise OSError(errno.ENOSPC, "no space left on device")
        replace(files, source, target)

    return replaced


def test_half_of_one_whose_root_is_gone_meanwhile_is_no_hindrance(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    old = enrolled(bench)
    chain = bench.chain(bench.trigger(TRIGGER), "StrangerSub")
    # As if its root had been installed when the power was cut.
    bench.desk.memory.installing, bench.desk.memory.trial = chain, Trial("the new one", old, NOW)
    bench.desk.memory.save()
    memory = bench.restarted().memory
    assert in_use(bench) == old
    assert memory.installing == ""
    assert memory.trial is None
    assert places(bench) == [old, old]
    assert enrolled(bench, days=90) != old

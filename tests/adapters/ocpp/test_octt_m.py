"""OCTT's cases of certificate handling (block M), against a CSMS over TLS; the schemas of `ocpp` judge both sides."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition
from evse_security.errors import MalformedRequest
from evse_security.lab.authority import name
from tests.adapters.ocpp.csms import Stage, play, real_bench
from tests.adapters.ocpp.kit import LONG, SECC, SERVER, Bench
from tests.agents.stations import stock
from tests.builders import DAY, ocsp_answer, world

ALL = tuple(Edition)
V2 = (Edition.V201, Edition.V201_2025, Edition.V21)
CSMS_ROOT = {Edition.V16: "CentralSystemRootCertificate"}


def root_type(edition: Edition) -> str:
    return CSMS_ROOT.get(edition, "CSMSRootCertificate")


async def ids(stage: Stage, *types: str) -> list[dict[str, Any]]:
    """The identities of what is installed of some types, through whichever message has them."""
    answer = await stage.csms.ask_pnc("GetInstalledCertificateIds", certificateType=list(types))
    return [one["certificateHashData"] for one in answer.get("certificateHashDataChain", [])]


async def install(stage: Stage, kind: str, holder: str) -> dict[str, Any]:
    is_pnc = kind in ("V2GRootCertificate", "MORootCertificate")
    ask = stage.csms.ask_pnc if is_pnc else stage.csms.ask
    return await ask("InstallCertificate", certificateType=kind, certificate=stage.bench.made[holder].pem)


# ---- installing (M05)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_01_install_a_csms_root(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, root_type(edition), "Stranger") == {"status": "Accepted"}
        assert stage.bench.made["Stranger"].pem in (await stage.station.certificates.csms_trust()).pem

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_02_install_a_manufacturer_root(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, "ManufacturerRootCertificate", "Stranger") == {"status": "Accepted"}

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_03_install_a_v2g_root(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, "V2GRootCertificate", "Stranger") == {"status": "Accepted"}
        assert len(await ids(stage, "V2GRootCertificate")) == 2

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_04_install_a_mobility_operator_root(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, "MORootCertificate", "MORoot") == {"status": "Accepted"}
        assert len(await ids(stage, "MORootCertificate")) == 1

    play(tmp_path, edition, scene)


def test_an_oem_root_is_installed_listed_and_deleted(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, "OEMRootCertificate", "Stranger") == {"status": "Accepted"}
        assert await install(stage, "OEMRootCertificate", "Stranger") == {"status": "Accepted"}
        answer = await install(stage, "OEMRootCertificate", "StrangerLeaf")
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "NotACa")
        [found] = await ids(stage, "OEMRootCertificate")
        everything = await stage.csms.ask("GetInstalledCertificateIds")
        types = [one["certificateType"] for one in everything["certificateHashDataChain"]]
        assert types.count("OEMRootCertificate") == 1
        assert await stage.csms.ask("DeleteCertificate", certificateHashData=found) == {"status": "Accepted"}
        assert await ids(stage, "OEMRootCertificate") == []

    play(tmp_path, Edition.V21, scene)


def test_a_root_of_two_types_goes_from_both(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, "OEMRootCertificate", "V2GRoot") == {"status": "Accepted"}
        [found] = await ids(stage, "OEMRootCertificate")
        assert found in await ids(stage, "V2GRootCertificate")
        assert await stage.csms.ask("DeleteCertificate", certificateHashData=found) == {"status": "Accepted"}
        assert await ids(stage, "OEMRootCertificate", "V2GRootCertificate") == []

    play(tmp_path, Edition.V21, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_07_install_an_invalid_certificate(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        answer = await install(stage, root_type(edition), "StrangerLeaf")
        assert answer["status"] == "Rejected"
        assert edition is Edition.V16 or answer["statusInfo"]["reasonCode"] == "NotACa"

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
@pytest.mark.parametrize(("holder", "status"), [("Next", "Accepted"), ("Stranger", "Rejected")])
def test_tc_m_09_install_a_csms_root_with_additional_root_certificate_check(
    tmp_path: Path, edition: Edition, holder: str, status: str
) -> None:
    bench = real_bench(tmp_path, edition, config={"additional_root_certificate_check": True})

    async def scene(stage: Stage) -> None:
        answer = await install(stage, root_type(edition), holder)
        assert answer["status"] == status

    play(tmp_path, edition, scene, bench=bench)


@pytest.mark.parametrize("edition", ALL)
def test_m05_fr_17_installing_again_is_accepted(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await install(stage, root_type(edition), "CsmsRoot") == {"status": "Accepted"}

    play(tmp_path, edition, scene)


# ---- retrieving (M03)


@pytest.mark.parametrize("edition", ALL)
@pytest.mark.parametrize("case", ["TC_M_12 csms", "TC_M_13 manufacturer"])
def test_tc_m_12_13_list_roots(tmp_path: Path, edition: Edition, case: str) -> None:
    kind = root_type(edition) if case.endswith("csms") else "ManufacturerRootCertificate"

    async def scene(stage: Stage) -> None:
        asked = kind if edition is Edition.V16 else [kind]
        answer = await stage.csms.ask("GetInstalledCertificateIds", certificateType=asked)
        assert answer["status"] == "Accepted"
        found = answer["certificateHashData" if edition is Edition.V16 else "certificateHashDataChain"]
        assert len(found) == 1

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_14_list_v2g_roots(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert len(await ids(stage, "V2GRootCertificate")) == 1

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_15_list_v2g_chains_with_their_sub_cas(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.enrol("SignV2GCertificate", "CpoSub2") == {"status": "Accepted"}
        answer = await stage.csms.ask_pnc("GetInstalledCertificateIds", certificateType=["V2GCertificateChain"])
        [chain] = answer["certificateHashDataChain"]
        assert chain["certificateType"] == "V2GCertificateChain"
        assert len(chain["childCertificateHashData"]) == 2

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_16_list_mobility_operator_roots(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        await install(stage, "MORootCertificate", "MORoot")
        assert len(await ids(stage, "MORootCertificate")) == 1

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", V2)
@pytest.mark.parametrize(
    ("case", "asked", "count"),
    [
        ("TC_M_17", {"certificateType": ["CSMSRootCertificate", "ManufacturerRootCertificate"]}, 2),
        ("TC_M_18", {}, 3),
    ],
)
def test_tc_m_17_18_list_some_types_and_all(
    tmp_path: Path, edition: Edition, case: str, asked: dict[str, Any], count: int
) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.csms.ask("GetInstalledCertificateIds", **asked)
        assert len(answer["certificateHashDataChain"]) == count, case

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_19_nothing_of_the_type_is_installed(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        answer = await stage.csms.ask_pnc("GetInstalledCertificateIds", certificateType=["MORootCertificate"])
        assert answer == {"status": "NotFound"}

    play(tmp_path, edition, scene)


# ---- deleting (M04)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_20_delete_a_certificate(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        [data] = await ids(stage, "V2GRootCertificate")
        shouted = {**data, "serialNumber": data["serialNumber"].upper(), "issuerKeyHash": data["issuerKeyHash"].upper()}
        assert await stage.csms.ask("DeleteCertificate", certificateHashData=shouted) == {"status": "Accepted"}
        assert await ids(stage, "V2GRootCertificate") == []

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_22_delete_what_is_not_installed(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        [data] = await ids(stage, "V2GRootCertificate")
        answer = await stage.csms.ask("DeleteCertificate", certificateHashData={**data, "serialNumber": "1234"})
        assert answer["status"] == "NotFound"

    play(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_23_the_client_certificate_is_not_deleted(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage) -> None:
        assert await stage.enrol() == {"status": "Accepted"}
        answer = await stage.csms.ask("DeleteCertificate", certificateHashData=identity_of_client(stage))
        assert answer["status"] == "Failed"

    play(tmp_path, edition, scene)


def identity_of_client(stage: Stage) -> dict[str, str]:
    """The hash data of the station's client certificate, worked out from its file."""
    from evse_security.adapters.ocpp.messages import written
    from evse_security.pki import pem
    from evse_security.pki.hashdata import certificate_id

    certificate = stage.station.certificates._desk.renewals.client_certificate()
    leaf = pem.chain(Path(certificate.info.certificate_single).read_text(), "the leaf")[0]
    issuer = pem.single(stage.bench.made["CsmsSub"].pem, "the issuer")
    return written(certificate_id(leaf, issuer).hash_data)


# ---- status of V2G certificates (M06)


RESPONDER = "http://ocsp.example/"


def with_leaf(tmp_path: Path, edition: Edition) -> Bench:
    """A station with an SECC chain of which each certificate names a responder."""
    named = {"responder_urls": (RESPONDER,), **LONG}
    made = world(
        "CsmsRoot > CsmsSub > Server",
        "V2GRoot > CpoSub1 > CpoSub2 > SECC",
        "MFRoot > Firmware",
        CsmsSub=LONG,
        Server={"subject": name(CN="localhost"), **SERVER, **LONG},
        CpoSub1=named,
        CpoSub2=named,
        SECC={**named, "not_after": datetime.now(UTC) + 200 * DAY, "subject": name(CN=SECC, O="Operator", DC="CPO")},
    )
    bench = real_bench(tmp_path, edition, made=made)
    stock(bench.certs, made, "SECC", "CpoSub2", "CpoSub1", root="V2GRoot")
    return bench


def responder(bench: Bench, *, fails: str = "") -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A CSMS that has an OCSP response for each certificate, but for one."""
    now = datetime.now(UTC)

    def answer(payload: Mapping[str, Any]) -> dict[str, Any]:
        serial = int(payload["ocspRequestData"]["serialNumber"], 16)
        [holder] = [one for one in bench.made if bench.made[one].certificate.serial_number == serial]
        if holder == fails:
            return {"status": "Failed"}
        response = ocsp_answer(bench.made, holder, this_update=now - DAY / 24, next_update=now + 6 * DAY)
        return {"status": "Accepted", "ocspResult": b64encode(response).decode()}

    return answer


def cached(bench: Bench) -> set[str]:
    """The certificates of which a current status is known."""
    return {one.name for one in bench.station.ocsp_questions() if one.cached is not None and one.cached.is_current}


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_24_the_status_of_each_certificate_is_asked_for_and_kept(tmp_path: Path, edition: Edition) -> None:
    bench = with_leaf(tmp_path, edition)

    async def scene(stage: Stage) -> None:
        asked = await stage.csms.until_said("GetCertificateStatus", 3)
        assert {one["ocspRequestData"]["responderURL"] for one in asked} == {RESPONDER}
        while len(cached(bench)) < 3:
            await asyncio.sleep(0.01)

    play(tmp_path, edition, scene, bench=bench, answers={"GetCertificateStatus": responder(bench)})


@pytest.mark.parametrize("edition", ALL)
def test_tc_m_25_one_status_that_fails_does_not_hold_up_the_others(tmp_path: Path, edition: Edition) -> None:
    bench = with_leaf(tmp_path, edition)

    async def scene(stage: Stage) -> None:
        await stage.csms.until_said("GetCertificateStatus", 3)
        while len(cached(bench)) < 2:
            await asyncio.sleep(0.01)
        assert "CpoSub2" not in " ".join(cached(bench))

    play(tmp_path, edition, scene, bench=bench, answers={"GetCertificateStatus": responder(bench, fails="CpoSub2")})


def test_m07_a_cars_chain_is_asked_about_with_one_message(tmp_path: Path) -> None:
    bench = with_leaf(tmp_path, Edition.V21)

    def answer(payload: Mapping[str, Any]) -> dict[str, Any]:
        first = payload["certificateStatusRequests"][0]
        status = {"certificateHashData": first["certificateHashData"], "source": "OCSP", "status": "Good"}
        return {"certificateStatus": [{**status, "nextUpdate": "2030-01-01T00:00:00Z"}]}

    async def scene(stage: Stage) -> None:
        chain = bench.made.pem("SECC", "CpoSub2", "CpoSub1")
        found = await stage.station.certificates.chain_statuses(chain)
        assert found[0] == "Good"
        assert set(found[1:]) == {"Unknown"}

    play(tmp_path, Edition.V21, scene, bench=bench, answers={"GetCertificateChainStatus": answer})


def test_m07_a_car_that_names_no_responder_is_not_good_for_want_of_questions(tmp_path: Path) -> None:
    bench = with_leaf(tmp_path, Edition.V21)
    named = {"responder_urls": (RESPONDER,), **LONG}
    made = world("OEMRoot > OemSub > Silent", "OtherRoot > Mute > Car", OemSub=named, Silent=LONG, Mute=LONG, Car=LONG)

    def answer(payload: Mapping[str, Any]) -> dict[str, Any]:
        said = {"status": "Good", "source": "OCSP", "nextUpdate": "2030-01-01T00:00:00Z"}
        requests = payload["certificateStatusRequests"]
        return {"certificateStatus": [{**said, "certificateHashData": one["certificateHashData"]} for one in requests]}

    async def scene(stage: Stage) -> None:
        ask = stage.station.certificates.chain_statuses
        assert await ask(made.pem("Silent", "OemSub", "OEMRoot")) == ("Good", "Unknown")
        assert await ask(made.pem("Car", "Mute", "OtherRoot")) == ("Unknown", "Unknown")

    play(tmp_path, Edition.V21, scene, bench=bench, answers={"GetCertificateChainStatus": answer})


@pytest.mark.parametrize("edition", ALL)
def test_c07_authorize_names_the_certificates_of_a_contract(tmp_path: Path, edition: Edition) -> None:
    bench = with_leaf(tmp_path, edition)
    named = {"responder_urls": (RESPONDER,), **LONG}
    contract = world("MORoot > MoSub > Contract", MoSub=named, Contract=named)

    async def scene(stage: Stage) -> None:
        await stage.csms.ask_pnc(
            "InstallCertificate", certificateType="MORootCertificate", certificate=contract["MORoot"].pem
        )
        chain = contract.pem("Contract", "MoSub")
        token = {"idToken": "DEABCC000000001", "type": "eMAID"}
        answer = await stage.station.certificates.authorize(token, chain)
        assert answer["idTokenInfo"]["status"] == "Accepted"
        [asked] = stage.csms.said("Authorize")
        assert len(asked["iso15118CertificateHashData"]) == 2

    play(tmp_path, edition, scene, bench=bench)


@pytest.mark.parametrize("edition", ALL)
def test_c07_a_contract_that_is_not_known_to_hold_is_left_to_the_csms(tmp_path: Path, edition: Edition) -> None:
    """Whoever made a hierarchy of his own has a responder of his own that calls it good."""
    bench = with_leaf(tmp_path, edition)
    named = {"responder_urls": (RESPONDER,), **LONG}
    made = world("MORoot > MoSub > Contract", "MoSub > Unasked", MoSub=named, Contract=named, Unasked=LONG)
    forged = world("Mallory > MallorySub > Forged", MallorySub=named, Forged=named)

    async def scene(stage: Stage) -> None:
        await stage.csms.ask_pnc(
            "InstallCertificate", certificateType="MORootCertificate", certificate=made["MORoot"].pem
        )
        certificates, token = stage.station.certificates, {"idToken": "DEABCC000000001", "type": "eMAID"}
        chains = [forged.pem("Forged", "MallorySub", "Mallory"), made.pem("Unasked", "MoSub")]
        for chain in chains:
            await certificates.authorize(token, chain)
            asked = stage.csms.said("Authorize")[-1]
            assert asked["certificate"] == chain
            assert "iso15118CertificateHashData" not in asked
        with pytest.raises(MalformedRequest):
            await certificates.authorize(token, "no chain")

    play(tmp_path, edition, scene, bench=bench)


# ---- contracts (M01, M02)


EXI = "gJgC/wAA"


@pytest.mark.parametrize("edition", ALL)
@pytest.mark.parametrize(
    ("case", "action", "status"),
    [
        ("TC_M_26", "Install", "Accepted"),
        ("TC_M_27", "Install", "Failed"),
        ("TC_M_28", "Update", "Accepted"),
        ("TC_M_29", "Update", "Failed"),
    ],
)
def test_tc_m_26_to_29_a_cars_contract(tmp_path: Path, edition: Edition, case: str, action: str, status: str) -> None:
    left = iter((1, 0))

    def answer(payload: Mapping[str, Any]) -> dict[str, Any]:
        assert payload["action"] == action, case
        found: dict[str, Any] = {"status": status, "exiResponse": "gKwC"}
        return {**found, "remainingContracts": next(left)} if edition is Edition.V21 else found

    async def scene(stage: Stage) -> None:
        answers: AsyncIterator[Any] = stage.station.certificates.ev_certificates(
            EXI, schema="urn:iso:15118:2:2013:MsgDef", action=action, maximum=3, emaids=["DEABCC000000001"]
        )
        found = [one async for one in answers]
        times = 2 if edition is Edition.V21 and status == "Accepted" else 1
        assert [one["status"] for one in found] == [status] * times
        asked = stage.csms.said("Get15118EVCertificate")
        assert asked[0]["exiRequest"] == EXI
        assert ("DEABCC000000001" in str(asked[0])) == (edition is Edition.V21)

    play(tmp_path, edition, scene, answers={"Get15118EVCertificate": answer})

"""Variables and configuration keys: what they say, what a CSMS may write, what follows from it, and that it stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition, SigningUse
from evse_security.adapters.ocpp.device_model import Mutability, Served, get_variables
from evse_security.adapters.ocpp.policy import WRITABLE, CertificatePolicy
from evse_security.adapters.ocpp.refusals import NotEnabled
from evse_security.adapters.ocpp.variables import VARIABLES, served
from evse_security.errors import MustStay
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.csms import Stage, play, real_bench
from tests.adapters.ocpp.kit import LONG, Bench, policy
from tests.builders import world

SECRET = "correct horse battery staple"
ALL = tuple(Edition)
V2 = (Edition.V201, Edition.V201_2025, Edition.V21)


def item(component: str, variable: str, **more: Any) -> dict[str, Any]:
    """One item of GetVariables or SetVariables."""
    return {"component": {"name": component}, "variable": {"name": variable}, **more}


Scene = Callable[[Certificates], Awaitable[object]]


def asked(bench: Bench, scene: Scene, changed: Callable[[str, str], object] | None = None, **changes: Any) -> Any:
    """Ask a station, without a connection."""

    async def run() -> Any:
        rules = policy(bench.edition, **changes)
        certificates = Certificates(bench.station, policy=rules, directory=bench.state, changed=changed)
        try:
            return await scene(certificates)
        finally:
            certificates.close()

    return asyncio.run(run())


def set_to(bench: Bench, *items: dict[str, Any], **more: Any) -> list[str]:
    """The statuses of SetVariables."""
    results = asked(bench, lambda certificates: certificates.device_model.set_variables(items), **more)
    return [one["attributeStatus"] for one in results]


# ---- the table


def test_what_may_be_written_is_what_is_remembered_of_it() -> None:
    writable = {one.field for one in VARIABLES if one.mutability is Mutability.read_write}
    assert writable == WRITABLE
    assert writable < {one.name for one in fields(CertificatePolicy)}


@pytest.mark.parametrize("edition", ALL)
def test_every_variable_has_a_value_within_the_limits_that_it_tells(tmp_path: Path, edition: Edition) -> None:
    bench = Bench(tmp_path / "certs", edition, config={"certificate_store_max_length": 9})
    bench.changes = {"security_profile": 2, "identity": "CS1", "secc_ids": {1: "DE-ICE-S-1", 2: "DE-ICE-S-2"}}
    found = served(bench.restarted(), told=True)
    assert len({(one.component, one.variable, one.key, one.evse) for one in found}) == len(found)
    for one in found:
        assert (one.value == "") == (one.mutability is Mutability.write_only), one
        size = int(one.value) if one.data_type == "integer" else len(one.value)
        assert one.mutability is Mutability.write_only or (one.lowest or 0) <= size <= (one.highest or 10_000), one
    if edition is Edition.V16:
        assert {one.key: one.value for one in found}["CertificateStoreMaxLength"] == "9"
        return
    by_name = {(one.component, one.variable, one.evse): one for one in found}
    entries = by_name["SecurityCtrlr", "CertificateEntries", None]
    assert (entries.value, entries.highest) == ("3", 9)
    assert by_name["ISO15118Ctrlr", "SeccId", 2].value == "DE-ICE-S-2"
    assert ("ISO15118Ctrlr", "CertificateStatusSource", None) in by_name or edition is not Edition.V21


@pytest.mark.parametrize("edition", V2)
def test_certificate_entries_counts_what_its_limit_counts(tmp_path: Path, edition: Edition) -> None:
    """Leaves and the sub-CAs that come with them are none of what the limit refuses."""
    bench = Bench(tmp_path / "certs", edition, config={"certificate_store_max_length": 4})
    chain = bench.chain(bench.trigger("SignV2GCertificate"), "CpoSub2")
    assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == "Accepted"

    def entries() -> tuple[str, int | None]:
        return next((one.value, one.highest) for one in served(bench.desk) if one.name == "CertificateEntries")

    root = {"certificateType": "V2GRootCertificate"}
    assert entries() == ("3", 4)
    assert bench.answer("InstallCertificate", certificate=bench.made["Stranger"].pem, **root)["status"] == "Accepted"
    assert entries() == ("4", 4)
    answer = bench.answer("InstallCertificate", certificate=bench.made["MORoot"].pem, **root)
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "OutOfStorage")


def test_what_nobody_could_act_on_is_not_served(tmp_path: Path) -> None:
    names = {one.name for one in served(Bench(tmp_path / "certs").desk)}
    assert not names & {"BasicAuthPassword", "SecurityProfile", "Identity"}


# ---- GetVariables, SetVariables (2.x)


def test_get_variables_answers_in_order_and_leaves_the_rest_to_the_stations_own_model(tmp_path: Path) -> None:
    items = [
        item("securityctrlr", "ORGANIZATIONNAME"),
        item("SecurityCtrlr", "MaxCertificateChainSize", attributeType="Target"),
        item("SecurityCtrlr", "BasicAuthPassword"),
        item("SecurityCtrlr", "Unheard"),
        item("EVSE", "Power"),
        {"component": {"name": "ISO15118Ctrlr", "evse": {"id": 1}}, "variable": {"name": "SeccId"}},
        {"component": {"name": "ISO15118Ctrlr", "evse": {"id": 9}}, "variable": {"name": "SeccId"}},
        {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "OrganizationName", "instance": "x"}},
    ]
    bench = Bench(tmp_path / "certs")
    results = asked(
        bench,
        lambda certificates: certificates.device_model.get_variables(items),
        changed=lambda *_: None,
        secc_ids={1: "DE-ICE-S-1"},
    )
    assert [one["attributeStatus"] for one in results] == [
        "Accepted",
        "NotSupportedAttributeType",
        "Rejected",
        "UnknownVariable",
        "UnknownComponent",
        "Accepted",
        "UnknownComponent",
        "UnknownVariable",
    ]
    assert (results[0]["attributeValue"], results[5]["attributeValue"]) == ("Operator", "DE-ICE-S-1")
    assert results[2]["attributeStatusInfo"]["reasonCode"] == "WriteOnly"
    own = {"attributeStatus": "Accepted", "attributeValue": "7"}
    results = asked(bench, lambda certificates: certificates.device_model.get_variables(items, lambda _: own))
    assert [one.get("attributeValue") for one in results][3:5] == ["7", "7"]


@pytest.mark.parametrize(
    "broken", [7, {}, {"component": 7, "variable": {}}, {"component": {"evse": 1}, "variable": {}}]
)
def test_what_is_no_item_is_unknown(broken: Any) -> None:
    one = Served(component="C", variable="V", key="", value="1", mutability=Mutability.read_only)
    assert get_variables([one], [broken], Edition.V21)[0]["attributeStatus"].startswith("Unknown")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("CertSigningWaitMinimum", "soon", "InvalidValue"),
        ("CertSigningWaitMinimum", "0", "InvalidValue"),
        ("CertSigningWaitMinimum", "-1", "InvalidValue"),
        ("CertSigningWaitMinimum", "9" * 12, "InvalidValue"),
        ("CertSigningRepeatTimes", "²", "InvalidValue"),
        ("OrganizationName", "", "InvalidValue"),
        ("OrganizationName", "x" * 65, "InvalidValue"),
        ("OrganizationName", "a\nb", "InvalidValue"),
        ("OrganizationName", " ", "InvalidValue"),
        ("OrganizationName", "a\u2028b", "InvalidValue"),
        ("MaxCertificateChainSize", "1", "ReadOnly"),
        ("AdditionalRootCertificateCheck", "false", "ReadOnly"),
        ("CertificateEntries", "1", "ReadOnly"),
    ],
)
@pytest.mark.parametrize("edition", V2)
def test_what_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, edition: Edition, name: str, value: str, reason: str
) -> None:
    bench = Bench(tmp_path / "certs", edition)

    async def scene(certificates: Certificates) -> None:
        before = certificates.policy
        [result] = await certificates.device_model.set_variables([item("SecurityCtrlr", name, attributeValue=value)])
        assert (result["attributeStatus"], result["attributeStatusInfo"]["reasonCode"]) == ("Rejected", reason)
        assert certificates.policy == before

    asked(bench, scene)
    assert bench.restarted().memory.settings == {}


def test_countries_have_two_letters(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    values = ("Germany", "D1", "FR", "")
    items = [item("ISO15118Ctrlr", "CountryName", attributeValue=value) for value in values]
    assert set_to(bench, *items) == ["Rejected", "Rejected", "Accepted", "Accepted"]


def test_snake_case_as_the_package_hands_it_over(tmp_path: Path) -> None:
    one = item("SecurityCtrlr", "CertSigningWaitMinimum", attribute_value="77", attribute_type="Actual")
    assert set_to(Bench(tmp_path / "certs"), one) == ["Accepted"]


# ---- effects


def test_what_a_csms_writes_takes_effect_and_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)

    async def scene(certificates: Certificates) -> None:
        for key, value in (("CpoName", "Another Operator"), ("certsigningwaitminimum", "77")):
            assert await certificates.device_model.change_configuration(key, value) == {"status": "Accepted"}
        assert await certificates.device_model.change_configuration("HeartbeatInterval", "1") == {
            "status": "NotSupported"
        }
        assert await certificates.device_model.change_configuration("CertSigningRepeatTimes", "-") == {
            "status": "Rejected"
        }

    asked(bench, scene)
    bench.restarted()
    assert (bench.desk.renewals.policy.organization, bench.desk.renewals.policy.wait) == ("Another Operator", 77)
    chain = bench.chain(bench.trigger("SignChargePointCertificate"))
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


def test_get_configuration_names_what_it_does_not_know_and_no_password(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)
    keys = ["cponame", "AuthorizationKey", "HeartbeatInterval"]
    answer = asked(
        bench, lambda certificates: certificates.device_model.get_configuration(keys), changed=lambda *_: None
    )
    assert answer == {
        "configurationKey": [
            {"key": "CpoName", "readonly": False, "value": "Operator"},
            {"key": "AuthorizationKey", "readonly": False},
        ],
        "unknownKey": ["HeartbeatInterval"],
    }
    odd: list[Any] = [7]
    answer = asked(bench, lambda certificates: certificates.device_model.get_configuration(odd))
    assert answer == {"configurationKey": [], "unknownKey": ["7"]}
    everything = asked(bench, lambda certificates: certificates.device_model.get_configuration())
    assert {"AdditionalRootCertificateCheck", "ISO15118PnCEnabled"} < {
        one["key"] for one in everything["configurationKey"]
    }


@pytest.mark.parametrize("edition", ALL)
def test_a_password_goes_to_the_program_and_nowhere_else(
    tmp_path: Path, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path / "certs", edition)
    heard: list[tuple[str, str]] = []

    async def scene(certificates: Certificates) -> Any:
        model = certificates.device_model
        if edition is Edition.V16:
            return [await model.change_configuration("AuthorizationKey", SECRET), await model.get_configuration()]
        one = item("SecurityCtrlr", "BasicAuthPassword", attributeValue=SECRET)
        return [await model.set_variables([one]), await model.get_variables([one]), await model.report_data()]

    answers = asked(bench, scene, changed=lambda *told: heard.append(told))
    assert [value for _, value in heard] == [SECRET]
    assert "Accepted" in str(answers[0])
    assert SECRET not in str(answers) + caplog.text
    assert bench.restarted().memory.waiting[-1].type == "ReconfigurationOfSecurityParameters"
    assert not any(SECRET in path.read_text() for path in bench.state.iterdir())


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_program_may_take_its_time_over_a_password_and_is_waited_for(tmp_path: Path, *, is_kept: bool) -> None:
    """Accepted, and not kept, would be a station that cannot log in any more."""
    heard: list[str] = []

    async def changed(_: str, value: str) -> None:
        await asyncio.sleep(0)
        if not is_kept:
            raise OSError("no room")
        heard.append(value)

    async def scene(certificates: Certificates) -> Any:
        one = item("SecurityCtrlr", "BasicAuthPassword", attributeValue=SECRET)
        return await certificates.device_model.set_variables([one])

    answer = asked(Bench(tmp_path / "certs"), scene, changed=changed)
    assert answer[0]["attributeStatus"] == ("Accepted" if is_kept else "Rejected")
    assert heard == [SECRET] * is_kept


def test_the_stations_own_device_model_may_be_waited_for(tmp_path: Path) -> None:
    async def own(asked_for: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**asked_for, "attributeStatus": "Accepted", "attributeValue": "7"}

    async def scene(certificates: Certificates) -> Any:
        model, wanted = certificates.device_model, [item("EVSE", "Power")]
        return [*await model.get_variables(wanted, own), *await model.set_variables(wanted, own)]

    assert [one["attributeValue"] for one in asked(Bench(tmp_path / "certs"), scene)] == ["7", "7"]


@pytest.mark.parametrize("edition", ALL)
def test_a_password_that_the_program_cannot_take_is_rejected(
    tmp_path: Path, edition: Edition, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path / "certs", edition)

    def changed(_: str, value: str) -> None:
        raise OSError(f"no room for {value}")

    async def scene(certificates: Certificates) -> Any:
        model = certificates.device_model
        if edition is Edition.V16:
            return await model.change_configuration("AuthorizationKey", SECRET)
        return await model.set_variables([item("SecurityCtrlr", "BasicAuthPassword", attributeValue=SECRET)])

    assert "Rejected" in str(asked(bench, scene, changed=changed))
    assert SECRET not in caplog.text
    assert bench.restarted().memory.waiting == ()


@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
def test_a_program_may_take_a_password_in_its_own_time(tmp_path: Path, status: str) -> None:
    """A coroutine function is one that anybody writes here; unheard, it would leave the station with the old one."""
    bench = Bench(tmp_path / "certs", Edition.V16)
    heard: list[str] = []

    async def changed(_: str, value: str) -> None:
        await asyncio.sleep(0)
        if status == "Rejected":
            raise OSError("no room")
        heard.append(value)

    answer = asked(
        bench,
        lambda certificates: certificates.device_model.change_configuration("AuthorizationKey", SECRET),
        changed=changed,
    )
    assert answer == {"status": status}
    assert heard == ([SECRET] if status == "Accepted" else [])


@pytest.mark.parametrize(
    ("wanted", "status"), [("1", "Rejected"), ("2", "Accepted"), ("3", "Rejected"), ("4", "Rejected")]
)
def test_the_security_profile_of_1_6_goes_up_with_its_certificates(tmp_path: Path, wanted: str, status: str) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)
    heard: list[tuple[str, str]] = []
    answer = asked(
        bench,
        lambda certificates: certificates.device_model.change_configuration("SecurityProfile", wanted),
        changed=lambda *told: heard.append(told),
        security_profile=2,
    )
    assert answer == {"status": status}
    assert heard == ([("SecurityProfile", wanted)] if status == "Accepted" else [])


def test_a_connector_that_went_back_to_another_profile_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)

    async def scene(certificates: Certificates) -> Any:
        await certificates.device_model.uses_profile(1)
        return await certificates.device_model.get_configuration(["SecurityProfile"])

    assert asked(bench, scene, security_profile=2)["configurationKey"][0]["value"] == "1"
    assert bench.restarted().renewals.policy.security_profile == 1


def test_a_security_profile_that_the_program_cannot_take_is_rejected_and_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)

    def changed(*_: str) -> None:
        raise OSError("no connector")

    async def scene(certificates: Certificates) -> Any:
        return await certificates.device_model.change_configuration("SecurityProfile", "2"), certificates.policy

    answer, now = asked(bench, scene, changed=changed, security_profile=1)
    assert (answer, now.security_profile) == ({"status": "Rejected"}, 1)


def test_a_program_that_went_up_by_itself_is_not_led_down_by_what_the_csms_set_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)

    async def set_to_2(certificates: Certificates) -> Any:
        return await certificates.device_model.change_configuration("SecurityProfile", "2")

    async def profile(certificates: Certificates) -> int:
        return certificates.policy.security_profile

    assert asked(bench, set_to_2, changed=lambda *_: None, security_profile=1) == {"status": "Accepted"}
    assert asked(bench, profile, security_profile=1) == 2
    assert asked(bench, profile, security_profile=3) == 3


def test_what_the_csms_allows_holds_for_the_profile_that_is_remembered(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21)
    bench.changes = {"security_profile": 3}
    bench.desk.memory.settings = {"security_profile": "2", "allows_downgrade": "true"}
    bench.desk.memory.save()
    assert bench.restarted().renewals.policy.security_profile == 2
    bench.desk.memory.settings = {"security_profile": "2"}
    bench.desk.memory.save()
    assert bench.restarted().renewals.policy.security_profile == 3


def test_without_a_program_that_hears_of_it_the_security_profile_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)

    async def scene(certificates: Certificates) -> Any:
        return await certificates.device_model.change_configuration("SecurityProfile", "2")

    assert asked(bench, scene, security_profile=2) == {"status": "Rejected"}


@pytest.mark.parametrize("edition", V2)
def test_without_v2g_installation_no_secc_leaf_is_asked_for(tmp_path: Path, edition: Edition) -> None:
    bench = Bench(tmp_path / "certs", edition)
    chain = bench.chain(bench.trigger("SignV2GCertificate"), "CpoSub2")
    one = item("ISO15118Ctrlr", "V2GCertificateInstallationEnabled", attributeValue="false")
    assert set_to(bench, one) == ["Accepted"]
    bench.restarted()
    answer = bench.answer("TriggerMessage", requestedMessage="SignV2GCertificate")
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "NotEnabled")
    assert bench.answer("CertificateSigned", certificateChain=chain)["status"] == "Rejected"
    bench.desk.renewals.trigger(SigningUse.V2G)
    assert bench.desk.renewals.look().requests == ()
    assert set_to(bench, {**one, "attributeValue": "true"}) == ["Accepted"]
    bench.restarted()
    assert bench.trigger("SignV2GCertificate")


def test_a_csms_of_2_1_may_allow_a_lower_security_profile(tmp_path: Path) -> None:
    bench = real_bench(tmp_path, Edition.V21)

    async def scene(certificates: Certificates) -> None:
        assert await certificates.refused_profile(3, 2) is not None
        one = item("SecurityCtrlr", "AllowSecurityProfileDowngrade", attributeValue="true")
        await certificates.device_model.set_variables([one])
        assert await certificates.refused_profile(3, 2) is None
        assert await certificates.refused_profile(2, 1) is not None

    asked(bench, scene)


def test_without_pnc_1_6_has_no_plug_and_charge_in_data_transfer(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)
    asked(bench, lambda certificates: certificates.device_model.change_configuration("ISO15118PnCEnabled", "false"))
    bench.restarted()
    data = json.dumps({"certificateType": "V2GRootCertificate", "certificate": bench.made["Stranger"].pem})
    ours = {"vendorId": "org.openchargealliance.iso15118pnc", "messageId": "InstallCertificate", "data": data}
    assert bench.answer("DataTransfer", **ours) is None


@pytest.mark.parametrize("edition", V2)
def test_what_is_switched_off_is_not_sent(tmp_path: Path, edition: Edition) -> None:
    bench = real_bench(tmp_path, edition)
    contract = world("MORoot > MoSub > Contract", MoSub=LONG, Contract=LONG)
    arguments = {"certificate": contract["MORoot"].pem, "certificate_type": "MO"}
    assert bench.station.dispatch("install_ca_certificate", arguments) == "Accepted"
    chain = contract.pem("Contract", "MoSub")
    token = {"idToken": "DEABCC000000001", "type": "eMAID"}

    async def scene(stage: Stage) -> None:
        certificates = stage.station.certificates

        async def switch(name: str, value: str) -> None:
            one = item("ISO15118Ctrlr", name, attributeValue=value)
            [result] = await certificates.device_model.set_variables([one])
            assert result["attributeStatus"] == "Accepted"

        await certificates.authorize(token, chain)
        assert stage.csms.said("Authorize")[-1]["certificate"] == chain  # its certificates name no responder
        for name in ("CentralContractValidationAllowed", "PnCEnabled"):
            await switch(name, "false")
            with pytest.raises(NotEnabled, match=name):
                await certificates.authorize(token, chain)
        await switch("ContractCertificateInstallationEnabled", "false")
        with pytest.raises(NotEnabled):
            await anext(certificates.ev_certificates("AA==", schema="urn:iso:15118:2:2013:MsgDef"))
        assert len(stage.csms.said("Authorize")) == 1
        assert not stage.csms.said("Get15118EVCertificate")
        assert not await certificates.is_valid_offline(chain)
        await switch("PnCEnabled", "true")
        assert not await certificates.is_valid_offline(chain)
        await switch("ContractValidationOffline", "true")
        assert await certificates.is_valid_offline(chain)
        assert not await certificates.is_valid_offline(stage.bench.made.pem("StrangerLeaf", "StrangerSub"))

    play(tmp_path, edition, scene, bench=bench)


# ---- over the wire: the handlers of a user's device model, with the schemas of `ocpp` on both sides


@pytest.mark.parametrize("edition", V2)
def test_a_users_device_model_serves_them(tmp_path: Path, edition: Edition) -> None:
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    from ocpp.routing import on

    from evse_security.adapters.ocpp.handlers import message

    def own(asked_for: Mapping[str, Any]) -> dict[str, Any]:
        status = {"attributeStatus": "Accepted", "attributeValue": "7"}
        return {**status, "component": asked_for["component"], "variable": asked_for["variable"]}

    class Own:
        certificates: Certificates

        @on("GetVariables")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_get(self, get_variable_data: Any, **_: Any) -> Any:
            found = await self.certificates.device_model.get_variables(get_variable_data, own)
            return message("GetVariables", {"getVariableResult": found})

        @on("SetVariables")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_set(self, set_variable_data: Any, **_: Any) -> Any:
            found = await self.certificates.device_model.set_variables(set_variable_data)
            return message("SetVariables", {"setVariableResult": found})

    async def scene(stage: Stage) -> None:
        wanted = [item("SecurityCtrlr", "OrganizationName"), item("EVSE", "Power")]
        answer = await stage.csms.ask("GetVariables", getVariableData=wanted)
        assert [one["attributeValue"] for one in answer["getVariableResult"]] == ["Operator", "7"]
        several = [
            item("SecurityCtrlr", "OrganizationName", attributeValue="Another"),
            item("SecurityCtrlr", "CertSigningWaitMinimum", attributeValue="never"),
            item("EVSE", "Power", attributeValue="9"),
        ]
        answer = await stage.csms.ask("SetVariables", setVariableData=several)
        statuses = [one["attributeStatus"] for one in answer["setVariableResult"]]
        assert statuses == ["Accepted", "Rejected", "UnknownComponent"]
        await stage.csms.trigger("SignChargingStationCertificate")
        [request] = await stage.csms.until_said("SignCertificate")
        assert "Another" in subject_of(request["csr"])
        await reported(stage)

    async def reported(stage: Stage) -> None:
        model = stage.station.certificates.device_model
        everything, settable = await model.report_data(), await model.report_data(settable_only=True)
        assert len(settable) < len(everything)
        answer = {"requestId": 1, "generatedAt": "2030-01-01T00:00:00Z", "seqNo": 0, "reportData": everything}
        await stage.station.tell("NotifyReport", answer)
        [heard] = stage.csms.said("NotifyReport")
        by_name = {one["variable"]["name"]: one["variableCharacteristics"] for one in heard["reportData"]}
        assert by_name["CertSigningWaitMinimum"]["unit"] == "s"
        assert by_name["PnCEnabled"]["dataType"] == "boolean"

    play(tmp_path, edition, scene, extra=Own, answers={"NotifyReport": lambda _: {}})


def subject_of(csr: str) -> str:
    from cryptography import x509

    return x509.load_pem_x509_csr(csr.encode()).subject.rfc4514_string()


def test_a_users_configuration_keys_serve_them(tmp_path: Path) -> None:
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    from ocpp.routing import on

    from evse_security.adapters.ocpp.handlers import message

    class Own:
        certificates: Certificates

        @on("GetConfiguration")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_get(self, key: Any = None, **_: Any) -> Any:
            return message("GetConfiguration", await self.certificates.device_model.get_configuration(key))

        @on("ChangeConfiguration")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_set(self, key: str, value: str, **_: Any) -> Any:
            found = await self.certificates.device_model.change_configuration(key, value)
            return message("ChangeConfiguration", found)

    async def scene(stage: Stage) -> None:
        answer = await stage.csms.ask("ChangeConfiguration", key="CpoName", value="Another")
        assert answer == {"status": "Accepted"}
        answer = await stage.csms.ask("GetConfiguration", key=["CpoName", "HeartbeatInterval"])
        assert answer["configurationKey"] == [{"key": "CpoName", "readonly": False, "value": "Another"}]
        assert answer["unknownKey"] == ["HeartbeatInterval"]
        assert len((await stage.csms.ask("GetConfiguration"))["configurationKey"]) == 9

    play(tmp_path, Edition.V16, scene, extra=Own)


def test_the_last_leaf_is_not_discarded(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    bench.answer("CertificateSigned", certificateChain=chain)
    with pytest.raises(MustStay):
        bench.station.renewal.discard_leaf(LeafCertificateType.CSMS, bench.desk.memory.accepted[SigningUse.CSMS])

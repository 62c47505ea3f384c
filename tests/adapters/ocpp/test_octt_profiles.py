"""OCTT's cases of changing the security profile (A05), played by a user's station between CSMSs of each profile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.adapters.ocpp.handlers import message
from tests.adapters.ocpp.connecting import connecting, endpoint_of
from tests.adapters.ocpp.csms import (
    MIXINS,
    PATIENCE,
    PROTOCOLS,
    Csms,
    Stage,
    boot_payload,
    charge_point,
    real_bench,
    server_context,
    serving,
)
from tests.adapters.ocpp.kit import policy

V2 = (Edition.V201, Edition.V201_2025, Edition.V21)
FIRST, SECOND = 1, 2
"""Configuration slots."""


class Changing:
    """What a user's station has of its own: the profile that is used, and whether it may change to another."""

    certificates: Certificates
    connector: Connector | None = None
    slots: dict[int, Mapping[str, Any]]

    @property
    def current(self) -> int:
        return 1 if self.connector is None else self.connector.endpoint.profile

    async def refuses(self, wanted: int) -> bool:
        return await self.certificates.refused_profile(self.current, wanted) is not None

    def change(self, profile: int, url: str) -> None:
        if self.connector is not None:
            endpoint = Endpoint(url=url, profile=profile, identity="CS1", first_wait=0.02, longest_wait=0.05)
            self.connector.change(endpoint, attempts=2)


def own(edition: Edition) -> type:
    """The handlers of a user's station."""
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    return own_of_16() if edition is Edition.V16 else own_of_2()


def own_of_16() -> type:
    from ocpp.routing import after, on

    class Own(Changing):
        wanted: int | None = None

        @on("ChangeConfiguration")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_change(self, key: str, value: str) -> Any:
            assert key == "SecurityProfile"
            refused = await self.refuses(int(value))
            self.wanted = None if refused else int(value)
            return message("ChangeConfiguration", {"status": "Rejected" if refused else "Accepted"})

        @after("ChangeConfiguration")  # type: ignore[untyped-decorator, unused-ignore]
        def after_change(self, **_: Any) -> None:
            if self.wanted is not None:
                self.change(self.wanted, NEXT[0])

    return Own


def own_of_2() -> type:
    from ocpp.routing import after, on

    class Own(Changing):
        @on("SetNetworkProfile")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_profile(self, configuration_slot: int, connection_data: Mapping[str, Any], **_: Any) -> Any:
            wanted = connection_data["security_profile"]
            if wanted < self.current and await self.refuses(wanted):
                return message("SetNetworkProfile", {"status": "Rejected"})
            self.slots = {configuration_slot: connection_data}
            return message("SetNetworkProfile", {"status": "Accepted"})

        @on("SetVariables")  # type: ignore[untyped-decorator, unused-ignore]
        async def on_variables(self, set_variable_data: list[Mapping[str, Any]], **_: Any) -> Any:
            [one] = set_variable_data
            first = int(one["attribute_value"].partition(",")[0])
            refused = await self.refuses(self.slots[first]["security_profile"])
            result = {"attributeStatus": "Rejected" if refused else "Accepted"}
            named = {"component": one["component"], "variable": one["variable"]}
            return message("SetVariables", {"setVariableResult": [{**result, **named}]})

        @on("Reset")  # type: ignore[untyped-decorator, unused-ignore]
        def on_reset(self, **_: Any) -> Any:
            return message("Reset", {"status": "Accepted"})

        @after("Reset")  # type: ignore[untyped-decorator, unused-ignore]
        def after_reset(self, **_: Any) -> None:
            profile = self.slots[SECOND]
            self.change(profile["security_profile"], profile["ocpp_csms_url"])

    return Own


NEXT = [""]
"""The address of the CSMS of the new profile, which in 1.6 no message carries."""


async def wants(csms: Csms, profile: int, url: str) -> bool:
    """A CSMS that wants another profile. Whether the station takes it, and then reboots."""
    NEXT[0] = url
    if csms.edition is Edition.V16:
        answer = await csms.ask("ChangeConfiguration", key="SecurityProfile", value=str(profile))
        return bool(answer["status"] == "Accepted")
    data = {"ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": url, "messageTimeout": 30}
    data |= {"securityProfile": profile, "ocppInterface": "Wired0"}
    answer = await csms.ask("SetNetworkProfile", configurationSlot=SECOND, connectionData=data)
    if answer["status"] == "Rejected":
        return False
    named = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
    answer = await csms.ask("SetVariables", setVariableData=[{**named, "attributeValue": f"{SECOND},{FIRST}"}])
    if answer["setVariableResult"][0]["attributeStatus"] == "Rejected":
        return False
    assert await csms.ask("Reset", type="OnIdle") == {"status": "Accepted"}
    return True


@pytest.mark.parametrize("edition", Edition)
def test_tc_a_19_from_passwords_to_client_certificates(tmp_path: Path, edition: Edition) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        low, high = Csms(edition), Csms(edition)
        contexts = [server_context(bench, tmp_path / f"tls{profile}", profile=profile) for profile in (2, 3)]
        async with (
            serving(low, contexts[0]),
            serving(high, contexts[1]),
            connecting(low, bench, profile=2, extra=own(edition)),
        ):
            await low.until_said("BootNotification")
            assert await Stage(low, bench, None).enrol() == {"status": "Accepted"}
            while not low.peers:
                await asyncio.sleep(0.01)
            assert await wants(low, 3, endpoint_of(high).url)
            await high.until_said("BootNotification")
            assert high.connections == ["CS-0001"]
            seen = len(low.connections)
            await high.peers[-1]._connection.close()  # a lower profile is not used again
            await high.until_said("BootNotification", 2)
            assert len(low.connections) == seen

    asyncio.run(run())


@pytest.mark.parametrize("edition", Edition)
def test_a_csms_of_the_new_profile_that_is_not_there(tmp_path: Path, edition: Edition) -> None:
    """In 1.6 A05.FR.08, in 2.x B10: after some attempts the profile before serves again."""
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls")
        async with serving(csms, context), connecting(csms, bench, profile=2, extra=own(edition)):
            await csms.until_said("BootNotification")
            async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as nobody:
                port = nobody.sockets[0].getsockname()[1]
                assert await wants(csms, 2, f"wss://localhost:{port}/CS1")
                await csms.until_said("BootNotification", 2)

    asyncio.run(run())


@pytest.mark.parametrize("edition", Edition)
def test_tc_a_20_no_csms_root_and_tc_a_19_with_one(tmp_path: Path, edition: Edition) -> None:
    """A station of profile 1, without TLS: it must not go to TLS before it knows whom to trust."""
    charge_point(edition)
    bench = real_bench(tmp_path, edition, installed={"MF": "MFRoot"})

    async def run() -> None:
        from websockets.asyncio.client import connect

        plain = Csms(edition)
        certificates = Certificates(bench.station, policy=policy(edition), directory=bench.state)
        bases = (MIXINS[edition], own(edition), charge_point(edition))
        async with serving(plain, None):
            url = f"ws://localhost:{plain.port}/CS1"
            async with connect(url, subprotocols=[PROTOCOLS[edition]], close_timeout=1) as connection:
                station: Any = type("MyStation", bases, {})(
                    "CS1", connection, response_timeout=PATIENCE, certificates=certificates
                )
                listening = asyncio.create_task(station.start())
                await station.call(message("BootNotification", boot_payload(edition)))
                assert not await wants(plain, 2, "wss://localhost:1/CS1")
                kind = "CentralSystemRootCertificate" if edition is Edition.V16 else "CSMSRootCertificate"
                root = bench.made["CsmsRoot"].pem
                answer = await plain.ask("InstallCertificate", certificateType=kind, certificate=root)
                assert answer == {"status": "Accepted"}
                assert await wants(plain, 2, "wss://localhost:1/CS1")
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
        certificates.close()
        secure = Csms(edition)
        async with serving(secure, server_context(bench, tmp_path / "tls")), connecting(secure, bench, profile=2):
            await secure.until_said("BootNotification")

    asyncio.run(run())


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("case", ["TC_A_21 no client certificate", "TC_A_21 an expired one", "TC_A_22 lower"])
def test_tc_a_21_22_refusals(tmp_path: Path, edition: Edition, case: str) -> None:
    charge_point(edition)
    bench = real_bench(tmp_path, edition)

    async def run() -> None:
        csms = Csms(edition)
        context = server_context(bench, tmp_path / "tls")
        async with serving(csms, context), connecting(csms, bench, profile=2, extra=own(edition)):
            await csms.until_said("BootNotification")
            if case.endswith("expired one"):
                assert await Stage(csms, bench, None).enrol() == {"status": "Accepted"}
                await csms.until(lambda: csms.peers)
                bench.time.now = bench.time.now.replace(year=bench.time.now.year + 1)
            assert not await wants(csms, 1 if "22" in case else 3, endpoint_of(csms).url)
            assert len(csms.said("BootNotification")) == len(csms.connections) == 1

    asyncio.run(run())


@pytest.mark.parametrize("edition", [Edition.V201_2025, Edition.V21])
@pytest.mark.parametrize(("wanted", "allowed"), [(2, True), (1, False)])
def test_allow_security_profile_downgrade(tmp_path: Path, edition: Edition, wanted: int, *, allowed: bool) -> None:
    """A05.FR.08, .09: from 3 to 2 it may, to 1 never."""
    bench = real_bench(tmp_path, edition)
    certificates = Certificates(bench.station, policy=policy(edition), directory=bench.state)

    async def asked(*, may_go_down: bool) -> bool:
        return await certificates.refused_profile(3, wanted, may_go_down=may_go_down) is None

    assert asyncio.run(asked(may_go_down=True)) is allowed
    assert asyncio.run(asked(may_go_down=False)) is False
    certificates.close()


def test_a_profile_with_a_password_wants_one(tmp_path: Path) -> None:
    bench = real_bench(tmp_path, Edition.V16)
    certificates = Certificates(bench.station, policy=policy(Edition.V16), directory=bench.state)
    refused = asyncio.run(certificates.refused_profile(1, 2, has_password=False))
    assert refused is not None and "password" in str(refused)
    assert asyncio.run(certificates.refused_profile(1, 2)) is None
    assert asyncio.run(certificates.refused_profile(1, 7)) is not None
    certificates.close()

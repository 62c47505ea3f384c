"""Renewals from the old leaf to the new one in use, over each way to a CA, with a clock that is an argument."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from evse_security.agents.renewal.agent import RenewalAgent
from evse_security.errors import InvalidConfiguration
from evse_security.service.events import Event, EventKind
from tests.agents.enrolment.asking import needs_openssl, pki, request
from tests.agents.enrolment.cmp_server import Mock
from tests.agents.enrolment.servers import est_server
from tests.agents.renewal.stage import NAMED, V2G, Stage, staged
from tests.builders import DAY, NOW

MINUTE = timedelta(minutes=1)
LEAF_IN_USE = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": False}


@needs_openssl
@pytest.mark.parametrize("password", [None, "pass word"])
def test_est_twenty_days_before_expiry(tmp_path: Path, password: str | None) -> None:
    with est_server(tmp_path / "est") as server:

        async def work(stage: Stage) -> None:
            await stage.install_leaf(days=60, not_before=NOW - 3650 * DAY)  # TLS goes by the machine's time
            await stage.at(NOW)
            assert server.asked == []
            server.reply = lambda _: (200, {}, b"garbage")
            before = await stage.call("get_leaf_certificate_info", **LEAF_IN_USE)
            await stage.at(NOW + 40 * DAY)
            assert stage.status().state == "retrying"
            assert await stage.call("get_leaf_certificate_info", **LEAF_IN_USE) == before
            server.reply = None
            await stage.at(NOW + 40 * DAY + MINUTE)
            assert stage.states()[-2:] == ["renewed", "fresh"]
            assert await stage.call("get_leaf_expiry_days_count", certificate_type="V2G") == 49
            after = await stage.call("get_leaf_certificate_info", **LEAF_IN_USE)
            assert after["info"]["certificate_count"] == before["info"]["certificate_count"] == 2
            first, second = server.asked
            assert first.path == second.path == "/.well-known/est/simplereenroll"
            assert (first.client, first.csr) == ("SECC1", second.csr)

        config: dict[str, Any] = {"renewal_v2g": "est", "enrolment_url": server.url, "enrolment_ca": server.ca}
        station = {"private_key_password": password}
        staged(tmp_path, work, pki=server.pki, station=station, **config)


@needs_openssl
def test_cmp_from_the_first_leaf_on(tmp_path: Path) -> None:
    mock = Mock(tmp_path, pki())
    options = mock.secret()
    out_of_order = ("-pkistatus", "2", "-failure", "25")
    with ExitStack() as first:
        url = first.enter_context(mock.up([*options, *mock.leaf(request()), *out_of_order]))

        async def work(stage: Stage) -> None:
            await stage.at(NOW)
            assert stage.status().state == "retrying"
            first.close()
            csr = json.loads((tmp_path / "state" / "renewal.json").read_text())["leaves"]["V2G"]["csr"]
            with mock.up([*options, *mock.leaf(replace(request(), csr=csr))], urlsplit(url).port or 0):
                await stage.at(NOW + MINUTE)
            assert stage.states()[-2:] == ["renewed", "fresh"]
            assert (await stage.call("get_leaf_certificate_info", **LEAF_IN_USE))["info"]["certificate_count"] == 2

        config: dict[str, Any] = {
            "renewal_v2g": "cmp",
            "enrolment_url": url,
            "enrolment_user": "station",
            "enrolment_password_file": tmp_path / "secret",
        }
        staged(tmp_path, work, pki=mock.pki, **config, **NAMED)


@needs_openssl
def test_a_program_and_a_restart_while_it_runs(tmp_path: Path) -> None:
    made = pki()
    (tmp_path / "ca.pem").write_text(made["SubCA"].pem)
    (tmp_path / "ca.key").write_text(made["SubCA"].key_pem())
    script = tmp_path / "enrol.sh"
    begun = tmp_path / "begun"
    script.write_text(
        f"#!/bin/sh\nif [ ! -e {begun} ]; then touch {begun}; exec sleep 1000; fi\n"
        f"cd {tmp_path} && openssl x509 -req -days 3650 -CA ca.pem -CAkey ca.key -set_serial 77 && cat ca.pem"
    )
    script.chmod(0o700)

    async def cut_off(stage: Stage) -> None:
        await stage.agent.look()
        async with asyncio.timeout(20):
            while not begun.exists():
                await asyncio.sleep(0.01)

    async def after(stage: Stage) -> None:
        await stage.at(NOW + MINUTE / 2)
        assert (stage.status().state, stage.status().attempts) == ("retrying", 1)
        assert "cut off" in stage.status().reason
        await stage.at(NOW + MINUTE)
        assert stage.states()[-2:] == ["renewed", "fresh"]

    config: dict[str, Any] = {"renewal_v2g": "command", "enrolment_command": (str(script),)}
    staged(tmp_path, cut_off, pki=made, **config, **NAMED)
    staged(tmp_path, after, pki=made, now=NOW + MINUTE / 2, **config, **NAMED)


def test_the_loop_wakes_for_triggers_and_for_what_others_install(tmp_path: Path) -> None:
    async def until(stream: AsyncGenerator[Event, None], state: str) -> None:
        async for event in stream:
            if event.data.get("leaf_certificate_type") == "V2G" and event.data.get("state") == state:
                return

    async def work(stage: Stage) -> None:
        await stage.install_leaf(days=90)
        agent = RenewalAgent.of(stage.service)
        ready = asyncio.Event()
        stream = stage.service.events.listen(after=0)
        running = asyncio.create_task(agent.run(ready.set))
        async with asyncio.timeout(20):
            await ready.wait()
            await until(stream, "fresh")
            await agent.trigger(V2G, caller="ocpp")
            await until(stream, "waiting")
            [request] = stage.heard(EventKind.certificate_signing_request)
            assert await stage.answer(request["csr"]) == "Accepted"
            await until(stream, "renewed")
            await until(stream, "fresh")
        await stream.aclose()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    staged(tmp_path, work, state_directory=None)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"renewal_v2g": "command"}, "enrolment_command"),
        ({"renewal_v2g": "est"}, "enrolment_url"),
        ({"renewal_csms": "cmp"}, "enrolment_url"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca", "enrolment_ca": "/nowhere"}, "enrolment_ca"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca", "enrolment_user": "a:b"}, "enrolment_user"),
        ({"renewal_v2g": "cmp", "enrolment_url": "http://ca", "enrolment_password_file": "/nowhere"},
         "enrolment_password_file"),
        ({"renewal_v2g": "command", "enrolment_command": ("/nowhere/enrol",)}, "enrolment_command"),
        ({"renewal_v2g": "command", "enrolment_command": (__file__,)}, "enrolment_command"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca", "enrolment_ca": __file__}, "enrolment_ca"),
        ({"renewal_v2g": "cmp", "enrolment_url": "http://ca", "enrolment_ca": __file__}, "enrolment_ca"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca", "enrolment_user": "a"}, "enrolment_password_file"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca", "enrolment_password_file": __file__}, "enrolment_user"),
        ({"renewal_v2g": "est", "enrolment_url": "https://ca/{typ}"}, "enrolment_url"),
        ({"csr_country": "Germany"}, "csr_country"),
        ({"csr_country": "D"}, "csr_country"),
        ({"csr_organization": "x" * 65}, "csr_organization"),
        ({"csr_common_name_v2g": " "}, "csr_common_name_v2g"),
        ({"csr_common_name_csms": "a\nb"}, "csr_common_name_csms"),
    ],
)  # fmt: skip
def test_what_is_missing_or_wrong_is_said_at_the_start(tmp_path: Path, config: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidConfiguration, match=key):
        staged(tmp_path, lambda _: asyncio.sleep(0), **config)


def test_each_kind_may_have_a_server_of_its_own(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        paths = [port._server.path for port in stage.agent._ports.values()]  # type: ignore[attr-defined]
        assert paths == [f"/.well-known/est/{each}" for each in ("v2g2", "v2g20", "csms")]

    url = "https://ca.example/.well-known/est/{kind}{edition}"
    staged(tmp_path, work, renewal_v2g="est", renewal_csms="est", enrolment_url=url)

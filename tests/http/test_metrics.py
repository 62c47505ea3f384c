"""Measurements, and whether the service is alive and ready."""

import asyncio
import base64
import shutil
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from prometheus_client.parser import text_string_to_metric_families

from evse_security.agents.renewal.agent import RenewalAgent
from evse_security.config import StationConfig
from evse_security.http import looking
from evse_security.http.metrics import MOST_WORDS, OTHER, Metrics, Words
from evse_security.lab.authority import name
from evse_security.lab.hierarchy import Edition, Pki, make_pki
from evse_security.lab.layouts import write_everest
from evse_security.lab.ocsp import ResponseTemplate
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.renewals import NoRenewals, RenewalState
from evse_security.service.service import Service
from evse_security.station import Station
from tests.builders import NOW, at, key_source, world
from tests.http.kit import Running, Told, loopback, served

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(scope="module")
def pki() -> Pki:
    return make_pki(Edition.ISO15118_2, now=NOW, keys=key_source)


@pytest.fixture
def certs(tmp_path: Path, pki: Pki) -> Path:
    directory = tmp_path / "certs"
    write_everest(pki, directory)
    shutil.rmtree(directory / "lab")
    return directory


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FRESH", 0.0)


async def measured(running: Running) -> Samples:
    async with running.client() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> list[float]:
    """The values of the samples of a name that have these labels."""
    return [
        value for (found, having), value in samples.items() if found == name and labels.items() <= dict(having).items()
    ]


def test_the_store_its_limits_and_its_certificates(certs: Path, pki: Pki) -> None:
    async def work(running: Running) -> None:
        service = running.service
        asked = await service.call("get_v2g_ocsp_request_data", {}, caller="test")
        wanted = asked["ocsp_request_data_list"][0]["certificate_hash_data"]
        template = ResponseTemplate(
            this_update=NOW - timedelta(hours=2), next_update=NOW + timedelta(hours=22), hash_algorithm=hashes.SHA256()
        )
        response = pki.ocsp_response(
            wanted["issuer_name_hash"], wanted["issuer_key_hash"], wanted["serial_number"], template
        )
        arguments = {"certificate_hash_data": wanted, "ocsp_response": base64.b64encode(response).decode()}
        await service.call("update_ocsp_cache", arguments, caller="test")
        samples = await measured(running)
        assert of(samples, "evse_security_store_readable") == [1]
        assert of(samples, "evse_security_clock_believable") == [1]
        assert of(samples, "evse_security_store_entries_limit") == [1234]
        assert 0 < of(samples, "evse_security_store_entries")[0] < 1234
        assert 0 < of(samples, "evse_security_store_bytes")[0] < of(samples, "evse_security_store_bytes_limit")[0]
        leaf = pki["SECC_LEAF"].certificate
        days = (leaf.not_valid_after_utc - NOW) / timedelta(days=1)
        serial = of(samples, "evse_security_certificate_days_to_expiry", domain="V2G", role="leaf")
        assert serial == [pytest.approx(days)]
        assert of(samples, "evse_security_certificate_used", domain="V2G", role="leaf") == [1]
        assert of(samples, "evse_security_certificate_used", domain="OEM", role="root") == [1]
        assert of(samples, "evse_security_ocsp_age_seconds") == [7200]
        assert of(samples, "evse_security_ocsp_seconds_to_next_update") == [22 * 3600]
        assert of(samples, "evse_security_certificates_not_shown") == [0]

    served(certs, work, max_store_entries=1234)


def test_commands_and_refusals_are_counted(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        root = world("V2GRoot")["V2GRoot"].pem
        async with running.client() as client:
            for certificate in (root, "nonsense", root.replace("MII", "MIIA", 1)):
                await client.post(
                    "/api/2026-04/install_ca_certificate",
                    json={"certificate": certificate, "certificate_type": "V2G"},
                )
        with pytest.raises(ValueError, match="command"):
            await running.service.call("no such command " * 9, {}, caller="test")
        samples = await measured(running)
        install = "install_ca_certificate"
        assert of(samples, "evse_security_commands_total", command=install, result="Accepted") == [1]
        assert of(samples, "evse_security_commands_total", command=OTHER, result="MalformedRequest") == [1]
        assert of(samples, "evse_security_command_seconds_count", command=install) == [3]
        assert of(samples, "evse_security_refusals_total", command=install, reason="NoCertificate") == [1]
        assert sum(of(samples, "evse_security_refusals_total")) == 2

    served(tmp_path, work)


def test_the_state_of_renewals_is_known_before_anything_happens_to_them(tmp_path: Path) -> None:
    renewals = Told()

    async def work(running: Running) -> None:
        for state in (RenewalState.fresh, RenewalState.waiting):
            renewals.state = state
            samples = await measured(running)
            assert of(samples, "evse_security_renewal_state", certificate_type="V2G", state=state.value) == [1]
            assert of(samples, "evse_security_renewal_state", certificate_type="CSMS", state="off") == [1]
            assert sum(of(samples, "evse_security_renewal_state")) == 2

    served(tmp_path, work, renewals=renewals)


def test_the_metrics_name_what_the_renewal_agent_renews(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        metrics = Metrics(running.service, looking.Looking(running.service), RenewalAgent.of(running.service))
        text = (await metrics.text()).decode()
        for kind, edition in (("V2G", "2"), ("CSMS", "")):
            state = f'evse_security_renewal_state{{certificate_type="{kind}",edition="{edition}",state="unknown"}} 1.0'
            assert state in text

    served(tmp_path, work)


def test_steps_of_the_clock_are_counted_also_those_from_before_it_listened(tmp_path: Path) -> None:
    async def run() -> None:
        with Station.open(StationConfig.under(tmp_path, clock=lambda: NOW)) as station:
            service = Service(station, loopback())
            metrics = Metrics(service, looking.Looking(service), NoRenewals())
            service.events.publish(EventKind.clock, {"state": "set", "step": 60.0, "text": "stepped"})
            stop = await metrics.listen()
            service.events.publish(EventKind.clock, {"state": "set", "step": -5.0, "text": "stepped"})
            service.events.publish(EventKind.clock, {"state": "unset", "step": None, "text": "not believed"})
            assert b"evse_security_clock_steps_total 2.0" in await metrics.text()
            stop()
            service.close()

    asyncio.run(run())


def test_there_is_an_end_to_series(certs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words()
    assert [words.of(f"w{number}") for number in range(MOST_WORDS)] == [f"w{number}" for number in range(MOST_WORDS)]
    assert words.of("one more") == OTHER
    assert words.of("w0") == "w0"
    monkeypatch.setattr("evse_security.http.metrics.MOST_CERTIFICATES", 2)

    async def work(running: Running) -> None:
        samples = await measured(running)
        assert len(of(samples, "evse_security_certificate_days_to_expiry")) == 2
        assert of(samples, "evse_security_certificates_not_shown")[0] > 0

    served(certs, work)


def test_names_of_certificates_cannot_break_the_format(tmp_path: Path) -> None:
    odd = world("Root", Root={"subject": name(CN='a"} 1\nevil_metric 1\n\\', O="é" * 60)})

    async def work(running: Running) -> None:
        arguments = {"certificate": odd["Root"].pem, "certificate_type": "V2G"}
        assert await running.service.call("install_ca_certificate", arguments, caller="test") == "Accepted"
        samples = await measured(running)
        assert not of(samples, "evil_metric")
        assert len(of(samples, "evse_security_certificate_days_to_expiry")) == 1

    served(tmp_path, work)


def test_alive_and_ready(certs: Path) -> None:
    ready: list[bool] = []

    async def work(running: Running) -> None:
        async with running.client() as client:
            assert (await client.get("/healthz")).json() == {"status": "alive", "problems": []}
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["problems"] == ["not all parts of the service are ready yet"]
            ready.append(True)
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()) == (200, {"status": "ready", "problems": []})

    served(certs, work, parts_ready=lambda: bool(ready))


def test_a_directory_that_cannot_be_reached_is_not_ready(certs: Path) -> None:
    async def work(running: Running) -> None:
        (certs / "client").rename(certs / "moved")
        (certs / "client").symlink_to("client")
        async with running.client() as client:
            answer = await client.get("/readyz")
            assert (answer.status_code, len(answer.json()["problems"])) == (503, 2)
            assert "client/csms cannot be read and written" in answer.text

    served(certs, work)


def test_a_clock_that_is_lost_is_not_ready_and_is_measured(certs: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert "before this release was made" in answer.json()["problems"][0]
            assert (await client.get("/healthz")).status_code == 200
        assert of(await measured(running), "evse_security_clock_believable") == [0]

    served(certs, work, clock=lambda: at("1970-01-01"))


def test_a_worker_that_does_not_answer_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PATIENCE", 0.05)

    async def work(running: Running) -> None:
        go_on = threading.Event()
        service = running.service
        stuck = [
            asyncio.ensure_future(one(lambda _: go_on.wait(30), caller="test")) for one in (service.ask, service.look)
        ]
        async with running.client() as client:
            for path in ("/healthz", "/readyz"):
                answer = await client.get(path)
                assert (answer.status_code, len(answer.json()["problems"])) == (503, 1)
            assert of(await measured(running), "evse_security_store_readable") == [0]
            go_on.set()
            await asyncio.gather(*stuck)
            assert (await client.get("/healthz")).status_code == 200

    served(tmp_path, work)


def test_a_store_that_cannot_be_looked_at_is_not_ready(certs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Station) -> None:
        raise OSError(5, "Input/output error")

    async def work(running: Running) -> None:
        monkeypatch.setattr(Station, "overview", broken)
        async with running.client() as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["problems"] == ["the store cannot be looked at: OSError"]
        assert of(await measured(running), "evse_security_store_readable") == [0]

    served(certs, work)


def test_looking_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FRESH", 1000.0)
    looks: list[str] = []

    async def work(running: Running) -> None:
        look = running.service.look

        async def counted(question: object, *, caller: str) -> object:
            looks.append(caller)
            return await look(question, caller=caller)  # type: ignore[arg-type]

        monkeypatch.setattr(Service, "look", staticmethod(counted))
        async with running.client() as client:
            await asyncio.gather(*(client.get("/metrics") for _ in range(5)))
        assert looks == ["http:station"]

    served(tmp_path, work, config=ServiceConfig(http_listen=("127.0.0.1:0",)))

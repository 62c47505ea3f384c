"""The commands over real sockets: answers, errors with their status, scopes, and what is never answered."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from evse_security import Station, StationConfig
from evse_security.http.scopes import Scope
from evse_security.interface import EVERYTHING, REVISIONS
from evse_security.lab.hierarchy import Edition, make_pki
from evse_security.lab.layouts import write_everest
from evse_security.serve.command import commands
from evse_security.service.config import ServiceConfig
from evse_security.service.room import LARGE
from tests.builders import NOW, key_source, world
from tests.http.kit import ANYWHERE, Running, bearer, loopback, served, serving, tokens
from tests.service.crowd import counted

PASSWORD = "a password of keys"
ROOT = world("V2GRoot")["V2GRoot"].pem


@pytest.fixture(scope="module")
def pki_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with everything, whose keys have a password."""
    certs = tmp_path_factory.mktemp("http") / "certs"
    write_everest(make_pki(Edition.ISO15118_2, now=NOW, keys=key_source), certs, key_password=PASSWORD)
    return certs


def test_a_command_is_answered_as_the_station_answers_it(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            arguments = {"certificate": ROOT, "certificate_type": "V2G"}
            answer = await client.post("/api/2026-04/install_ca_certificate", json=arguments)
            assert (answer.status_code, answer.json()) == (200, "Accepted")
            assert answer.headers["content-type"] == "application/json"
            for revision in EVERYTHING:
                asked = {"certificate_types": ["V2GRootCertificate"]}
                answer = await client.post(f"/api/{revision}/get_installed_certificates", json=asked)
                direct = await running.service.call(
                    "get_installed_certificates", asked, caller="test", revision=revision
                )
                assert answer.json() == direct
                assert direct["status"] == "Accepted"
            entries = await running.service.ask(lambda station: list(station.audit_entries()), caller="test")
            assert entries[0]["actor"] == "http:local"

    served(tmp_path, work)


def test_every_command_of_both_revisions_has_its_route(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            for revision in EVERYTHING:
                for command in commands(revision).values():
                    answer = await client.post(f"/api/{revision}/{command.name}", json={"no_such": 1})
                    assert answer.status_code == 400
                    assert answer.json()["error"]["path"] == "no_such"

    served(tmp_path, work)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b"{", 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b"[]", 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b"", 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b'{"a":1,"a":1}', 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b"[" * 100_000, 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b'{"\xff":1}', 400, "MalformedRequest"),
        ("POST", "/api/2026-04/is_ca_certificate_installed", {}, b'{"\\ud800":1}', 400, "MalformedRequest"),
        ("POST", "/api/2026-04/no_such_command", {}, b"{}", 404, "NotFound"),
        ("POST", "/api/2022-01/is_ca_certificate_installed", {}, b"{}", 404, "NotFound"),
        ("POST", "/api/2023-10/get_verify_location", {}, b"{}", 404, "NotFound"),
        ("GET", "/api/2026-04/get_v2g_ocsp_request_data", {}, b"", 405, "MethodNotAllowed"),
        ("DELETE", "/metrics", {}, b"", 405, "MethodNotAllowed"),
        ("POST", "/api/2026-04/get_v2g_ocsp_request_data", {"content-type": "text/plain"}, b"{}", 415,
         "UnsupportedMediaType"),
        ("POST", "/api/2026-04/get_v2g_ocsp_request_data", {"content-type": ""}, b"{}", 415, "UnsupportedMediaType"),
        ("POST", "/api/2026-04/get_v2g_ocsp_request_data", {}, b" " * (2 << 20) + b"{}", 413, "BodyTooLarge"),
        ("GET", "/nowhere", {}, b"", 404, "NotFound"),
    ],
)  # fmt: skip
def test_errors_have_their_status_and_say_why(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            sent = {"content-type": "application/json", **headers}
            answer = await client.request(method, path, headers=sent, content=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            if status == 405:
                assert answer.headers["allow"]
            assert (await client.get("/healthz")).status_code == 200

    served(tmp_path, work)


def test_a_body_without_a_length_is_bounded_too(tmp_path: Path) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * (1 << 16)

    async def work(running: Running) -> None:
        async with running.client() as client:
            sent = {"content-type": "application/json"}
            answer = await client.post("/api/2026-04/get_v2g_ocsp_request_data", headers=sent, content=chunks())
            assert answer.status_code == 413

    served(tmp_path, work)


def test_what_a_rule_refuses_is_a_conflict_with_its_reason(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        hash_data = {
            "hash_algorithm": "SHA256", "issuer_name_hash": "00" * 32, "issuer_key_hash": "00" * 32,
            "serial_number": "01",
        }  # fmt: skip
        arguments = {"certificate_hash_data": hash_data, "ocsp_response": "AAAA"}
        async with running.client() as client:
            answer = await client.post("/api/2026-04/update_ocsp_cache", json=arguments)
            assert answer.status_code == 409
            assert answer.json()["error"]["code"] == "CommandRefused"
            assert answer.json()["error"]["reason"] == "NotInstalled"

    served(tmp_path, work)


def test_large_requests_are_read_one_after_another_and_small_ones_pass_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = counted(monkeypatch)

    async def work(running: Running) -> None:
        async with running.client() as client:
            asked = [{"certificate_type": "x" * LARGE}] * 10
            url = "/api/2026-04/get_verify_file"
            large = [asyncio.create_task(client.post(url, json=each)) for each in asked]
            await large[0]
            assert (await client.post(url, json={"certificate_type": "V2G"})).json() == ""
            assert not large[-1].done()
            assert {answer.status_code for answer in await asyncio.gather(*large)} == {400}
            assert most() == 2

    served(tmp_path, work)


def test_scopes(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)

    async def work(running: Running) -> None:
        async with running.client() as client:
            for scope, token in given.items():
                for revision in EVERYTHING:
                    for command in commands(revision).values():
                        url = f"/api/{revision}/{command.name}"
                        answer = await client.post(url, json={"no_such": 1}, headers=bearer(token))
                        allowed = scope is not Scope.read or not command.changes_the_store
                        assert answer.status_code == (400 if allowed else 403), (scope, url)

    served(tmp_path / "certs", work, config=ServiceConfig(http_listen=(ANYWHERE,), http_tokens=path))


def everything(revision: str) -> list[tuple[str, dict[str, Any]]]:
    """Every command with each of the values that its enumerations and booleans may have, and any text."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for command in commands(revision).values():
        types = ["CSMS", "V2G", "MF"]
        kinds: dict[str, list[Any]] = {
            "certificate_type": types, "encoding": ["PEM", "DER"], "include_ocsp": [True], "use_tpm": [False],
            "certificate_types": [types if "verify" in command.name else ["V2GCertificateChain"]],
            "certificate_hash_data": [{
                "hash_algorithm": "SHA256", "issuer_name_hash": "0", "issuer_key_hash": "0", "serial_number": "1",
            }],
        }  # fmt: skip
        ways: list[dict[str, Any]] = [{}]
        for argument in command.arguments:
            values = kinds.get(argument.name, ["DE"])
            ways = [{**way, argument.name: value} for way in ways for value in values]
        asked += [(command.name, way) for way in ways]
    return asked


@pytest.mark.parametrize("revision", REVISIONS)
def test_private_keys_never_leave_and_passwords_only_to_admin(pki_certs: Path, tmp_path: Path, revision: str) -> None:
    path, given = tokens(tmp_path)
    told: dict[Scope, list[str]] = {Scope.install: [], Scope.admin: []}

    async def work(running: Running) -> None:
        async with running.client() as client:
            for scope, answers in told.items():
                for name, arguments in everything(revision):
                    answer = await client.post(f"/api/{revision}/{name}", json=arguments, headers=bearer(given[scope]))
                    assert answer.status_code in (200, 409), answer.text
                    answers.append(answer.text)

    config = loopback(http_tokens=path)
    served(pki_certs, work, config=config, private_key_password=PASSWORD)
    for scope, answers in told.items():
        for answer in answers:
            assert "PRIVATE KEY" not in answer
            assert "\\u0000" not in answer
        assert any(PASSWORD in answer for answer in answers) is (scope is Scope.admin)
        assert any('"key":' in answer for answer in answers)  # keys were there to be told of
    secrets = [line for path in pki_certs.rglob("*.key") for line in path.read_text("ascii").splitlines()[2:-2]]
    assert len(secrets) > 5
    assert not [line for line in secrets if any(line in answer for answers in told.values() for answer in answers)]


def test_the_same_answers_with_passwords_as_from_the_station_for_who_may_see_them(
    pki_certs: Path, tmp_path: Path
) -> None:
    async def work() -> None:
        config = ServiceConfig(http_listen=(f"unix:{tmp_path}/http.socket",))
        async with serving(pki_certs, config, private_key_password=PASSWORD) as running:
            transport = httpx.AsyncHTTPTransport(uds=f"{tmp_path}/http.socket")
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                asked = {"certificate_type": "V2G", "encoding": "PEM"}
                answer = await client.post("/api/2023-10/get_key_pair", json=asked)
                assert answer.json()["key_pair"]["password"] == PASSWORD
                station = StationConfig.under(pki_certs, clock=lambda: NOW, private_key_password=PASSWORD)
                with Station.open(station) as direct:
                    assert answer.json() == direct.dispatch("get_key_pair", asked, revision="2023-10")
            assert running.address.path == tmp_path / "http.socket"

    asyncio.run(work())


def test_the_document_is_what_is_served(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            document = (await client.get("/openapi.json")).json()
            committed = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"
            assert document == json.loads(committed.read_text())

    served(tmp_path, work)

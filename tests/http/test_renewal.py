"""How renewals stand over HTTP, and who may begin one."""

from pathlib import Path

from jsonschema import validate  # type: ignore[import-untyped]

from evse_security import __version__
from evse_security.http.scopes import Scope
from evse_security.serve.openapi import openapi
from evse_security.service.renewals import RENEWED, Triggered
from tests.http.kit import ANYWHERE, Running, Told, bearer, loopback, served, tokens


def test_renewals_are_told_as_the_document_says(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            answer = (await client.get("/api/renewal")).json()
        assert answer[0] == {
            "leaf_certificate_type": "V2G",
            "edition": "2",
            "state": "fresh",
            "since": "2030-01-01T00:00:00Z",
            "next_attempt": "2030-01-01T00:00:00Z",
            "attempts": 2,
            "reason": "<no answer>",
        }
        told = openapi(__version__)["paths"]["/api/renewal"]["get"]["responses"]["200"]
        validate(answer, told["content"]["application/json"]["schema"])

    served(tmp_path, work, renewals=Told())


def test_a_leaf_is_renewed_now(tmp_path: Path) -> None:
    renewals = Told()

    async def work(running: Running) -> None:
        async with running.client() as client:
            for kind, status, said in (("V2G", 200, "accepted"), ("CSMS", 200, "off")):
                answer = await client.post(f"/api/renewal/{kind}")
                assert (answer.status_code, answer.json()) == (status, said)
            for kind in ("MO", "v2g", "V2G%0A"):
                assert (await client.post(f"/api/renewal/{kind}")).status_code == 404
            assert (await client.get("/api/renewal/V2G")).status_code == 405
            elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
            assert (await client.post("/api/renewal/V2G", headers=elsewhere)).status_code == 403
        assert renewals.triggers == [("V2G", "http:local")]

    served(tmp_path, work, renewals=renewals)


def test_the_leaf_of_one_edition_is_renewed_alone(tmp_path: Path) -> None:
    renewals = Told()

    async def work(running: Running) -> None:
        async with running.client() as client:
            for query in ("", "?edition=2", "?edition=20"):
                assert (await client.post(f"/api/renewal/V2G{query}")).json() == "accepted"
            for path in ("V2G?edition=21", "V2G?edition=%0A", "CSMS?edition=2"):
                answer = await client.post(f"/api/renewal/{path}")
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MalformedRequest")
        assert renewals.editions == ["", "2", "20"]

    served(tmp_path, work, renewals=renewals)


def test_a_trigger_that_cannot_be_written_down_is_an_error(tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        async with running.client() as client:
            answer = await client.post("/api/renewal/V2G")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "NotRemembered")
        assert answer.headers["retry-after"] == "1"

    served(tmp_path, work, renewals=Told(triggered=Triggered.unsaved))


def test_who_may_only_read_renews_nothing(tmp_path: Path) -> None:
    path, given = tokens(tmp_path)
    renewals = Told()

    async def work(running: Running) -> None:
        async with running.client() as client:
            answers = {
                scope: await client.post("/api/renewal/V2G", headers=bearer(token)) for scope, token in given.items()
            }
            assert (await client.post("/api/renewal/V2G")).status_code == 401
            assert (await client.get("/api/renewal", headers=bearer(given[Scope.read]))).status_code == 200
        assert {scope: answer.status_code for scope, answer in answers.items()} == {
            Scope.read: 403,
            Scope.install: 200,
            Scope.admin: 200,
        }
        assert [caller for _, caller in renewals.triggers] == ["http:token:install", "http:token:admin"]

    config = loopback(http_listen=(ANYWHERE,), http_tokens=path)
    served(tmp_path / "certs", work, config=config, renewals=renewals)


def test_the_document_names_the_leaves_that_are_renewed() -> None:
    path = openapi(__version__)["paths"]["/api/renewal/{leaf_certificate_type}"]["post"]
    assert path["parameters"][0]["schema"]["enum"] == [kind.value for kind in RENEWED]

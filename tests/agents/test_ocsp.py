"""The OCSP agent: against `openssl ocsp`, and against servers that answer as a lab's responder does, or as none."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus

from evse_security import Station, StationConfig
from evse_security.agents import ocsp as agent
from evse_security.agents import responder, schedule
from evse_security.agents.ocsp import OcspAgent
from evse_security.errors import InvalidConfiguration
from evse_security.lab.ocsp import unsuccessful_response
from evse_security.pki.certificate import certificate_of
from evse_security.pki.ocsp import believe
from evse_security.pki.question import questions
from evse_security.service.events import EventKind
from tests.agents.servers import Answer, Asked, Said, openssl_responder, raw, serving
from tests.agents.stations import Watched, put, stock, watched
from tests.builders import DAY, NOW, World, csms, key, ocsp_answer, pem_of, with_serial_number, world
from tests.store.pictures import id_of

OCSP, UPDATE = EventKind.ocsp, EventKind.certificate_store_update
INFO = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


def named(url: str, **changes: Any) -> World:
    """Root > Sub > SECC, of whom all but the root name a responder: `URL/NAME`."""
    names = {holder: {"responder_urls": (f"{url}/{holder}",)} for holder in ("Sub", "SECC")}
    for holder, change in changes.items():
        names[holder] = {**names.get(holder, {}), **change}
    return world("Root > Sub > SECC", **names)


# ---- openssl


def today() -> datetime:
    return datetime.now(UTC)


@contextmanager
def openssl(
    tmp_path: Path, secc: str | None = "V", sub: str | None = "V", *options: str, delegated: bool = False
) -> Iterator[World]:
    """A PKI whose CAs answer by `openssl ocsp`, valid by the machine's clock."""
    times = {"not_before": today() - DAY, "not_after": today() + 90 * DAY}
    fixed = {"Sub": {**times, "serial_number": 0x1B00}, "SECC": {**times, "serial_number": 0xC0FFEE}}
    responders = {"Root > Sub > SubResponder", "Root > RootResponder"} if delegated else set()
    roles = {name.rpartition(" ")[2]: {"role": "responder", **times} for name in responders}
    cas = world("Root > Sub > SECC", *sorted(responders), **fixed, **roles)
    index = {"Sub": {0x1B00: sub} if sub else {}, "SECC": {0xC0FFEE: secc} if secc else {}}
    with ExitStack() as servers:
        urls = {}
        for subject, issuer in (("Sub", "Root"), ("SECC", "Sub")):
            signer = cas[f"{issuer}Responder"] if delegated else cas[issuer]
            server = openssl_responder(tmp_path / issuer, cas[issuer], signer, index[subject], *options)
            urls[subject] = servers.enter_context(server)
        yield world(
            "Root > Sub > SECC", **{name: {**fixed[name], "responder_urls": (url,)} for name, url in urls.items()}
        )


@pytest.mark.parametrize("signers", ["issuers", "delegates"])
def test_openssl_says_good_and_every_certificate_of_the_chain_is_offered_so(tmp_path: Path, signers: str) -> None:
    async def work(seen: Watched) -> None:
        told = await seen.until_said(OCSP, 2, state="cached", status="good")
        assert {each["certificate"] for each in told} == {"CN=SECC, O=Test", "CN=Sub, O=Test"}
        for each in told:
            life = datetime.fromisoformat(each["next_update"]) - datetime.fromisoformat(each["this_update"])
            assert life == timedelta(days=4)
        info = (await seen.call("get_leaf_certificate_info", **INFO))["info"]
        for entry in info["ocsp"]:
            found = ocsp.load_der_ocsp_response(Path(entry["ocsp_path"]).read_bytes())
            assert found.certificate_status is OCSPCertStatus.GOOD
        entries = await seen.service.ask(lambda station: list(station.audit_entries()), caller="test")
        assert [(one["command"], one["actor"]) for one in entries] == [("update_ocsp_cache", "ocsp")] * 2
        assert not seen.said(UPDATE) and not seen.said(OCSP, state="failed")

    with openssl(tmp_path / "ca", delegated=signers == "delegates") as made:
        stock(tmp_path / "certs", made, "SECC", "Sub")
        watched(tmp_path / "certs", work, OcspAgent, clock=today)


@pytest.mark.parametrize(("secc", "sub"), [("R", "V"), ("V", "R")])
def test_openssl_says_revoked_and_the_leaf_is_taken_away(tmp_path: Path, secc: str, sub: str) -> None:
    async def work(seen: Watched) -> None:
        [revoked] = await seen.until_said(OCSP, state="revoked")
        assert revoked["leaf"] == (secc == "R")
        assert (revoked["status"], revoked["withdrawn"]) == ("revoked", True)
        assert await seen.until_said(UPDATE) == [{"operation": "Deleted", "leaf_certificate_type": "V2G"}]
        assert await seen.call("get_leaf_certificate_info", **INFO) == {"status": "NotFoundValid"}
        await seen.until_said(OCSP, state="cached", status="good")

    with openssl(tmp_path / "ca", secc, sub) as made:
        stock(tmp_path / "certs", made, "SECC", "Sub")
        watched(tmp_path / "certs", work, OcspAgent, clock=today)


def test_what_openssl_does_not_know_drops_nothing_else(tmp_path: Path) -> None:
    async def work(seen: Watched) -> None:
        [failed] = await seen.until_said(OCSP, state="failed")
        assert failed["certificate"] == "CN=SECC, O=Test"
        assert [each["reason"] for each in failed["failures"]] == ["OcspUnknown"]
        [cached] = await seen.until_said(OCSP, state="cached")
        assert cached["certificate"] == "CN=Sub, O=Test"
        assert (await seen.call("get_leaf_certificate_info", **INFO))["status"] == "Accepted"

    with openssl(tmp_path / "ca", None) as made:
        stock(tmp_path / "certs", made, "SECC", "Sub")
        watched(tmp_path / "certs", work, OcspAgent, clock=today)


def test_openssl_answers_get_too(tmp_path: Path) -> None:
    with openssl(tmp_path) as made:
        certificate, issuer = (certificate_of(made[name].der) for name in ("SECC", "Sub"))
        [url] = certificate.ocsp_urls
        for request in questions(certificate, issuer):
            encoded = asyncio.run(responder.ask(url, request, "GET", responder.proxy_of("")))
            assert believe(encoded, certificate, issuer, today()).status == "good"


# ---- by hand


def answering(made: World, **said: Any) -> Answer:
    """A responder of all CAs of a world, by the names in the paths."""

    def answer(asked: Asked) -> Said:
        holder = asked.path.split("/")[1]
        return Said(body=ocsp_answer(made, holder, **said.get(holder, {})))

    return answer


class Lab:
    """A responder whose world and answers may be changed while it runs."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: Said(503)

    def __call__(self, asked: Asked) -> Said:
        return self.answer(asked)


def asked_with(asked: Asked) -> str:
    return ocsp.load_der_ocsp_request(asked.request).hash_algorithm.name


def test_by_post_with_sha_1_and_once_only(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, asked):
        made = named(url)
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 2, state="cached")
            await asyncio.sleep(0.1)  # nothing more comes

        watched(tmp_path, work, OcspAgent)
    assert sorted((one.method, one.path, asked_with(one)) for one in asked) == [
        ("POST", "/SECC", "sha1"),
        ("POST", "/Sub", "sha1"),
    ]
    request = ocsp.load_der_ocsp_request(next(one.request for one in asked if one.path == "/SECC"))
    assert request.serial_number == made["SECC"].certificate.serial_number
    assert not list(request.extensions)  # no nonce: answers may be made in advance


def test_who_knows_only_get_is_asked_so(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, asked):
        made = named(url)
        good = answering(made)
        lab.answer = lambda one: good(one) if one.method == "GET" else Said(405)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 2, state="cached")

        watched(tmp_path, work, OcspAgent)
    assert {(one.method, asked_with(one)) for one in asked} == {("POST", "sha1"), ("GET", "sha1")}


def test_who_names_certificates_by_sha_256_is_asked_so(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, asked):
        made = named(url)
        good = answering(made, **{name: {"hash_algorithm": hashes.SHA256()} for name in ("Sub", "SECC")})
        unauthorized = unsuccessful_response(OCSPResponseStatus.UNAUTHORIZED)
        lab.answer = lambda one: good(one) if asked_with(one) == "sha256" else Said(body=unauthorized)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 2, state="cached")

        watched(tmp_path, work, OcspAgent)
    assert {(one.method, asked_with(one)) for one in asked} == {("POST", "sha1"), ("POST", "sha256")}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (lambda made: Said(503), "NoAnswer"),
        (lambda made: Said(body=b"<html>not found</html>"), "OcspMalformed"),
        (lambda made: Said(body=b""), "NoAnswer"),
        (lambda made: Said(body=b"\x30" * 70_000), "NoAnswer"),
        (lambda made: Said(302, headers=(("Location", "file:///etc/passwd"),)), "NoAnswer"),
        (lambda made: Said(body=unsuccessful_response(OCSPResponseStatus.TRY_LATER)), "OcspUnsuccessful"),
        (lambda made: Said(body=ocsp_answer(made, "Sub")), "OcspOtherCertificate"),
        (lambda made: Said(body=ocsp_answer(made, "SECC", signed_by=key("Mallory"))), "OcspBadSignature"),
        (
            lambda made: Said(body=ocsp_answer(made, "SECC", this_update=NOW - 9 * DAY, next_update=NOW - DAY)),
            "OcspNotCurrent",
        ),
        (lambda made: Said(body=ocsp_answer(made, "SECC", status=OCSPCertStatus.UNKNOWN)), "OcspUnknown"),
    ],
)
def test_what_is_no_answer_is_told_and_spoils_nothing(tmp_path: Path, said: Any, reason: str) -> None:
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)
        good = answering(made)
        lab.answer = lambda one: said(made) if one.path.startswith("/SECC") else good(one)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            [failed] = await seen.until_said(OCSP, state="failed")
            [failure] = failed["failures"]
            assert (failure["responder"], failure["reason"]) == (f"{url}/SECC", reason)
            assert failure["text"]
            [cached] = await seen.until_said(OCSP, state="cached")
            assert cached["certificate"] == "CN=Sub, O=Test"
            assert (await seen.call("get_leaf_certificate_info", **INFO))["status"] == "Accepted"

        watched(tmp_path, work, OcspAgent)


def test_one_that_hangs_keeps_nobody_else_waiting_and_a_second_responder_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responder, "WHOLE", 0.4)
    lab = Lab()
    with serving(lab) as (url, _), raw(lambda connection: time.sleep(5)) as hanging:
        made = named(url, SECC={"responder_urls": (f"{hanging}/SECC", f"{url}/SECC")})
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            told = await seen.until_said(OCSP, 2, state="cached")
            assert {each["certificate"] for each in told} == {"CN=SECC, O=Test", "CN=Sub, O=Test"}
            assert not seen.said(OCSP, state="failed")

        watched(tmp_path, work, OcspAgent)


def test_the_end_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "SILENCE", 600.0)
    monkeypatch.setattr(responder, "WHOLE", 600.0)
    came, ended = threading.Event(), threading.Event()

    def hang(connection: socket.socket) -> None:
        came.set()
        while connection.recv(4096):
            pass
        ended.set()

    with raw(hang) as hanging:
        made = named(hanging)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            assert await asyncio.to_thread(came.wait, 30)

        watched(tmp_path, work, OcspAgent)
        assert ended.wait(30)


def test_retries_come_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule.History, "pause", lambda history, attempt: 0.05)
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 4, state="failed")
            lab.answer = answering(made)
            await seen.until_said(OCSP, 2, state="cached")

        watched(tmp_path, work, OcspAgent)


def test_a_new_leaf_is_asked_about_at_once_and_its_sub_cas_again(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, asked):
        made = named(url)
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 2, state="cached")
            request = {"certificate_type": "V2G", "country": "DE", "organization": "O", "common": "C", "use_tpm": False}
            csr = (await seen.call("generate_certificate_signing_request", **request))["csr"]
            chain = csms(made, "Sub").answer(csr, responder_urls=(f"{url}/NEW",)) + made["Sub"].pem
            lab.answer = lambda one: Said(503) if one.path.startswith("/NEW") else answering(made)(one)
            count = len(asked)
            update = {"certificate_chain": chain, "certificate_type": "V2G"}
            assert await seen.call("update_leaf_certificate", **update) == "Accepted"
            await seen.until_said(OCSP, state="failed")
            while not {"/Sub", "/SECC", "/NEW"} <= {one.path for one in asked[count:]}:
                await asyncio.sleep(0.01)

        watched(tmp_path, work, OcspAgent)


def test_a_revocation_is_told_once_whoever_cached_it_and_its_end_too(tmp_path: Path) -> None:
    made = named("http://127.0.0.1:9")
    stock(tmp_path, made, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        async def cache(**said: Any) -> None:
            [entry, *_] = (await seen.call("get_v2g_ocsp_request_data"))["ocsp_request_data_list"]
            encoded = b64encode(ocsp_answer(made, "SECC", **said)).decode()
            await seen.call(
                "update_ocsp_cache", certificate_hash_data=entry["certificate_hash_data"], ocsp_response=encoded
            )

        await seen.until_said(EventKind.ocsp_request_data)
        await cache(status=OCSPCertStatus.REVOKED)
        await seen.until_said(UPDATE, operation="Deleted")
        await cache(status=OCSPCertStatus.REVOKED, this_update=NOW - DAY / 48)
        assert len(seen.said(OCSP, state="revoked")) == 1
        await cache(this_update=NOW - DAY / 96)
        await seen.until_said(UPDATE, operation="Installed")
        assert len(seen.said(OCSP, state="cached", status="good")) == 1

    watched(tmp_path, work, OcspAgent, ocsp="csms")


def test_a_revocation_that_another_process_cached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "GLANCE", 0.01)
    made = named("http://127.0.0.1:9")
    stock(tmp_path, made, "SECC", "Sub")

    async def work(seen: Watched) -> None:
        await seen.until_said(EventKind.ocsp_request_data)
        other = Station.open(StationConfig.under(tmp_path, clock=lambda: NOW))
        with other:
            [entry, *_] = other.dispatch("get_v2g_ocsp_request_data", {})["ocsp_request_data_list"]
            encoded = b64encode(ocsp_answer(made, "SECC", status=OCSPCertStatus.REVOKED)).decode()
            arguments = {"certificate_hash_data": entry["certificate_hash_data"], "ocsp_response": encoded}
            await asyncio.to_thread(other.dispatch, "update_ocsp_cache", arguments)
        await seen.until_said(OCSP, state="revoked", withdrawn=True)

    watched(tmp_path, work, OcspAgent, ocsp="csms")


def test_where_revoked_leaves_are_offered_nothing_is_withdrawn(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)
        lab.answer = answering(made, SECC={"status": OCSPCertStatus.REVOKED})
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            [revoked] = await seen.until_said(OCSP, state="revoked")
            assert revoked["withdrawn"] is False
            assert not seen.said(UPDATE)

        watched(tmp_path, work, OcspAgent, station={"revoked_leaves": "offer"})


def test_others_are_told_what_to_ask_and_no_responder_is_asked(tmp_path: Path) -> None:
    with serving(lambda _: Said(503)) as (url, asked):
        made = named(url)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            [told] = await seen.until_said(EventKind.ocsp_request_data)
            assert told == await seen.call("get_v2g_ocsp_request_data")
            assert [each["responder_url"] for each in told["ocsp_request_data_list"]] == [f"{url}/SECC", f"{url}/Sub"]
            await asyncio.sleep(0.1)
            assert len(seen.said(EventKind.ocsp_request_data)) == 1

        watched(tmp_path, work, OcspAgent, ocsp="csms")
    assert asked == []


def test_nothing_is_asked_while_the_clock_is_not_believed_and_that_is_said(tmp_path: Path) -> None:
    hands = [datetime(1970, 1, 1, tzinfo=UTC)]
    lab = Lab()
    with serving(lab) as (url, asked):
        made = named(url)
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            [waiting] = await seen.until_said(OCSP, state="waiting")
            assert "1970" in waiting["text"]
            assert asked == []
            hands[0] = NOW
            seen.service.events.publish(EventKind.clock, {"state": "set", "step": None, "text": "set"})
            await seen.until_said(OCSP, 2, state="cached")
            assert len(seen.said(OCSP, state="waiting")) == 1

        watched(tmp_path, work, OcspAgent, clock=lambda: hands[0])


def test_through_a_proxy(tmp_path: Path) -> None:
    made = named("http://ocsp.invalid")
    stock(tmp_path, made, "SECC", "Sub")

    def answer(asked: Asked) -> Said:
        assert asked.path.startswith("http://ocsp.invalid/")
        return Said(body=ocsp_answer(made, asked.path.rpartition("/")[2]))

    async def work(seen: Watched) -> None:
        await seen.until_said(OCSP, 2, state="cached")

    with serving(answer) as (proxy, asked):
        watched(tmp_path, work, OcspAgent, ocsp_proxy=proxy)
    assert len(asked) == 2


def test_a_proxy_that_is_none_ends_the_start(tmp_path: Path) -> None:
    async def work(seen: Watched) -> None:
        with pytest.raises(InvalidConfiguration, match="ocsp_proxy"):
            await OcspAgent(seen.service).run(lambda: None)

    watched(tmp_path, work, ocsp_proxy="socks://x")


def test_a_certificate_that_goes_while_it_is_asked_about(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)

        def answer(one: Asked) -> Said:
            if one.path.startswith("/SECC"):
                for path in tmp_path.glob("client/cso/*.*"):
                    path.unlink()
            return answering(made)(one)

        lab.answer = answer
        stock(tmp_path, made, "SECC", "Sub")

        async def work(seen: Watched) -> None:
            [failed] = await seen.until_said(OCSP, state="failed", certificate="CN=SECC, O=Test")
            assert [each["reason"] for each in failed["failures"]] == ["NotInstalled"]

        watched(tmp_path, work, OcspAgent)


def test_a_certificate_that_json_cannot_name_spoils_nothing(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")
        long = pem_of(with_serial_number(made["SECC"], 1 << 200))
        put(tmp_path, "client/cso/SECC_LEAF.pem", long)
        put(tmp_path, "client/cso/CPO_CERT_SECC_LEAF_CHAIN.pem", long + made["Sub"].pem)

        async def work(seen: Watched) -> None:
            [failed] = await seen.until_said(OCSP, state="failed")
            assert [each["reason"] for each in failed["failures"]] == ["MalformedRequest"]
            await seen.until_said(OCSP, state="cached", certificate="CN=Sub, O=Test")

        watched(tmp_path, work, OcspAgent)


def test_a_forged_revocation_is_no_news_and_the_responder_is_asked(tmp_path: Path) -> None:
    lab = Lab()
    with serving(lab) as (url, _):
        made = named(url)
        lab.answer = answering(made)
        stock(tmp_path, made, "SECC", "Sub")
        forged = ocsp_answer(
            made, "SECC", status=OCSPCertStatus.REVOKED, signed_by=key("Mallory"), this_update=NOW - DAY
        )
        put(tmp_path, "client/cso/ocsp/x_ocsp.hash", id_of(made, "SECC").lines)
        put(tmp_path, "client/cso/ocsp/x_ocsp.der", forged)

        async def work(seen: Watched) -> None:
            await seen.until_said(OCSP, 2, state="cached", status="good")
            assert not seen.said(UPDATE) and not seen.said(OCSP, state="revoked")

        watched(tmp_path, work, OcspAgent)


def test_responses_that_lie_there_are_used_and_not_asked_for(tmp_path: Path) -> None:
    with serving(lambda _: Said(503)) as (url, asked):
        made = named(url)
        stock(tmp_path, made, "SECC", "Sub")

        async def fill(seen: Watched) -> None:
            data = (await seen.call("get_v2g_ocsp_request_data"))["ocsp_request_data_list"]
            for entry, holder in zip(data, ("SECC", "Sub"), strict=True):
                encoded = b64encode(ocsp_answer(made, holder)).decode()
                await seen.call(
                    "update_ocsp_cache", certificate_hash_data=entry["certificate_hash_data"], ocsp_response=encoded
                )

        async def work(seen: Watched) -> None:
            await asyncio.sleep(0.1)
            assert not seen.events

        watched(tmp_path, fill)
        watched(tmp_path, work, OcspAgent)
    assert asked == []

"""Josev with our context. It pins cryptography 44.0.0 and cannot be in this environment, so its modules are stand-ins
with what it calls. `with_josev.py` has the real one, with whole sessions, in an environment of its own.
"""

from __future__ import annotations

import asyncio
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118.josev import ERRORS, SERVER, STATES, NoContract, pass_on, serve_josev
from evse_security.adapters.ocpp import Certificates
from evse_security.adapters.ocpp import Edition as OcppEdition
from evse_security.errors import InvalidConfiguration, MalformedRequest
from tests.adapters.ocpp.kit import Bench, policy
from tests.adapters.secc import P256, Site, pki

NAMESPACE = "urn:iso:15118:2:2013:MsgDef"
REPLACED = ("verify_certs", "get_certificate_hash_data")


class PaymentDetails:
    def _mobility_operator_root_cert_path(self) -> str:
        return "a file"


@pytest.fixture
def josev(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, ModuleType]:
    for module in (SERVER, STATES, ERRORS):
        names = module.split(".")
        for length in range(1, len(names) + 1):
            monkeypatch.setitem(sys.modules, ".".join(names[:length]), ModuleType(names[length - 1]))
    made = {module: sys.modules[module] for module in (SERVER, STATES, ERRORS)}
    vars(made[SERVER])["get_ssl_context"] = lambda _server_side: None
    vars(made[STATES]).update({name: lambda *_: None for name in REPLACED}, PaymentDetails=PaymentDetails)
    for name in ("CertRevokedError", "CertExpiredError", "CertChainLengthError"):
        vars(made[ERRORS])[name] = type(name, (Exception,), {})
    return made


def test_its_server_gets_our_context_until_that_is_undone(site: Site, josev: Mapping[str, ModuleType]) -> None:
    server, states = vars(josev[SERVER]), vars(josev[STATES])
    before = {**server}, {**states}, PaymentDetails._mobility_operator_root_cert_path
    site.stock(P256)
    with site.open() as station:
        context = server_context(station)
        undo = serve_josev(context, station)
        assert server["get_ssl_context"](True) is context
        assert PaymentDetails()._mobility_operator_root_cert_path() is None
        with pytest.raises(ValueError, match="of a SECC"):
            server["get_ssl_context"](False)
        undo()
    assert (server, states, PaymentDetails._mobility_operator_root_cert_path) == before


def test_a_contract_that_is_not_valid_ends_the_session(site: Site, josev: Mapping[str, ModuleType]) -> None:
    leaf = pki(P256)["CONTRACT_LEAF"].der
    chain = SimpleNamespace(certificate=leaf, sub_certificates=SimpleNamespace(certificates=[]))
    with site.open() as station:
        serve_josev(server_context(station), station)
        states = vars(josev[STATES])
        with pytest.raises(vars(josev[ERRORS])["CertChainLengthError"]):
            states["verify_certs"](leaf, [], None)
        assert states["get_certificate_hash_data"](chain, None) is None
        assert states["get_certificate_hash_data"](None, None) is None


@pytest.mark.parametrize(("module", "name"), [(SERVER, "get_ssl_context"), (STATES, "verify_certs")])
def test_another_version_is_refused_and_nothing_replaced(
    site: Site, josev: Mapping[str, ModuleType], module: str, name: str
) -> None:
    del vars(josev[module])[name]
    before = {one: {**vars(josev[one])} for one in (SERVER, STATES)}
    with site.open() as station, pytest.raises(InvalidConfiguration, match=f"{name}: this version is not known"):
        serve_josev(server_context(station), station)
    assert {one: vars(josev[one]) for one in (SERVER, STATES)} == before


def test_it_must_be_installed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iso15118", None)
    with site.open() as station, pytest.raises(InvalidConfiguration, match="cannot be imported"):
        serve_josev(server_context(station), station)


# ---- CertificateInstallation


def asked(*answers: Mapping[str, Any], request: str = b64encode(b"request").decode()) -> str:
    """What the car is answered, where the CSMS answers so."""

    async def ask(exi: str, *, schema: str) -> AsyncIterator[Mapping[str, Any]]:
        assert (exi, schema) == (request, NAMESPACE)
        for answer in answers:
            yield answer

    return asyncio.run(pass_on(ask, request, NAMESPACE))


def test_what_a_car_asks_is_answered_by_the_csms() -> None:
    response = b64encode(bytes(range(256))).decode()
    assert asked({"status": "Accepted", "exiResponse": response}, {"status": "Failed"}) == response


@pytest.mark.parametrize(
    "answers", [(), ({"status": "Failed", "exiResponse": ""},), ({"status": "Accepted"},), ({"exiResponse": "AAAA"},)]
)
def test_without_an_answer_there_is_no_contract(answers: tuple[Mapping[str, Any], ...]) -> None:
    with pytest.raises(NoContract, match="no contract for this car"):
        asked(*answers)


def test_the_ocpp_adapter_asks_the_csms(tmp_path: Path) -> None:
    """As docs/iso15118.md has it."""
    bench = Bench(tmp_path / "certs", OcppEdition.V201)
    request, response = (b64encode(one).decode() for one in (b"request", b"response"))

    async def send(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        wanted = {"iso15118SchemaVersion": NAMESPACE, "action": "Install", "exiRequest": request}
        assert (action, payload) == ("Get15118EVCertificate", wanted)
        return {"status": "Accepted", "exiResponse": response}

    async def run() -> str:
        certificates = Certificates(bench.station, policy=policy(OcppEdition.V201))
        certificates.online(send)
        try:
            return await pass_on(certificates.ev_certificates, request, NAMESPACE)
        finally:
            certificates.offline()
            certificates.close()

    assert asyncio.run(run()) == response


def test_what_ocpp_does_not_carry_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        asked(request="A" * 5604)
    with pytest.raises(MalformedRequest):
        asked({"status": "Accepted", "exiResponse": "no base64"})

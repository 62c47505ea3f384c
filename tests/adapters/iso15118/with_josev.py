"""PyPI `iso15118` (Josev) itself, with a station: whole sessions, and a test for each of its known faults.

It pins cryptography 44.0.0 and pydantic 1, so these run in an environment of their own: `make josev`.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security import Station
from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118.josev import serve_josev
from evse_security.lab.authority import Entity
from evse_security.lab.hierarchy import Variant, responder_of, template_of
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from tests.adapters.iso15118 import josev_run
from tests.adapters.secc import ED448, HOUR, NOW, P256, Site, gets_through, listening, pki, s_client
from tests.agents.stations import put

pytest.importorskip("iso15118", reason="PyPI iso15118 is not in this environment: make josev")

from iso15118.secc.states import iso15118_2_states as states  # type: ignore[import-not-found,unused-ignore]
from iso15118.secc.transport import tcp_server  # type: ignore[import-not-found,unused-ignore]
from iso15118.shared import exceptions, security, settings  # type: ignore[import-not-found,unused-ignore]


def _why_no_network() -> str | None:
    """Why there is no network of one's own to be had here; None: there is."""
    for program in (
        ["unshare", "-n", "ip", "link", "add", "secc", "type", "veth"],
        ["java", "-version"],
    ):
        try:
            ran = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
        except OSError as problem:
            return f"{program[0]}: {problem.strerror}"
        if ran.returncode != 0:
            return f"{' '.join(program)}: {ran.stderr.strip()}"
    return None


# ---- whole sessions


@pytest.mark.parametrize("how", [josev_run.OURS, josev_run.EXPORTED])
def test_a_car_plugs_in_and_charges(how: str, tmp_path: Path) -> None:
    why = _why_no_network()
    if why is not None:
        pytest.skip(f"a session needs root, Java 17 and a virtual cable: {why}")
    command = ["unshare", "-n", sys.executable, "-m", josev_run.__name__, how, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    car, secc = ((tmp_path / log).read_text() if (tmp_path / log).exists() else "" for log in ("car.log", "secc.log"))
    assert ran.returncode == 0, ran.stderr + car + secc
    assert "ChargingStatusRes received" in car, car
    assert "SessionStopRes received" in car, car
    assert "TLS server started" in secc
    assert ("ISO 15118-2 over TLS 1.2: " in secc) is (how == josev_run.OURS)


# ---- its faults


@contextmanager
def served(site: Site, trusted: KeyKind | None = None) -> Iterator[Station]:
    """Josev in this process, with the store of a station that trusts the contracts of a hierarchy."""
    if trusted is not None:
        put(site.certs, "ca/mo/MO_ROOT_CA.pem", pki(trusted)["MO_ROOT_CA"].pem)
    with site.open() as station:
        undo = serve_josev(server_context(station), station)
        try:
            yield station
        finally:
            undo()


def contract(kind: KeyKind) -> tuple[Entity, list[bytes]]:
    return pki(kind)["CONTRACT_LEAF"], [pki(kind)[holder].der for holder in ("MO_SUB_CA2", "MO_SUB_CA1")]


def forged(kind: KeyKind) -> bytes:
    """A contract that says it was issued by the MO's sub-CA, and was by somebody else."""
    made, issuer = pki(kind), pki(kind)["MO_SUB_CA2"]
    impostor = Entity(issuer.certificate, made["CPS_LEAF"].key, issuer.issuer)
    template = template_of("CONTRACT_LEAF", made.edition, Variant.ORDINARY, now=NOW)
    return impostor.issue(made["CONTRACT_LEAF"].key, template).der


def test_fault_plain_text_for_want_of_a_context(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "shared_settings", {"PKI_PATH": f"{tmp_path}/nothing/", "ENABLE_TLS_1_3": False})
    monkeypatch.setattr(security, "shared_settings", settings.shared_settings)
    assert tcp_server.get_ssl_context(True) is None  # with which Josev starts a server without TLS
    with served(site):
        context = tcp_server.get_ssl_context(True)
        assert isinstance(context, ssl.SSLContext)
        with listening(context) as port:
            said = s_client(port, "-tls1_2")
    assert "alert handshake failure" in said
    assert not gets_through(said)


def test_fault_forged_ed448_chains_are_believed(site: Site) -> None:
    _, sub_cas = contract(ED448)
    root = pki(ED448)["MO_ROOT_CA"].der
    security.verify_certs(forged(ED448), sub_cas, root)  # it does not mind
    with served(site, ED448), pytest.raises(exceptions.CertChainLengthError):
        states.verify_certs(forged(ED448), sub_cas, root)
    with served(site, ED448):
        states.verify_certs(contract(ED448)[0].der, sub_cas, None)


def test_fault_a_forged_contract_is_passed_on_as_if_its_root_were_unknown(site: Site) -> None:
    _, sub_cas = contract(P256)
    root = pki(P256)["MO_ROOT_CA"].der
    with pytest.raises(exceptions.CertSignatureError):  # upon which it asks `is_authorized` all the same
        security.verify_certs(forged(P256), sub_cas, root)
    with served(site, P256), pytest.raises(exceptions.CertChainLengthError):
        states.verify_certs(forged(P256), sub_cas, root)


def test_fault_without_a_root_anything_is_believed(site: Site) -> None:
    leaf, sub_cas = contract(P256)
    security.verify_certs(leaf.der, sub_cas, None)
    with served(site), pytest.raises(exceptions.CertChainLengthError):
        states.verify_certs(leaf.der, sub_cas, None)


def test_fault_hash_data_in_base64_with_decimal_serials(site: Site) -> None:
    leaf, sub_cas = contract(P256)
    chain = SimpleNamespace(certificate=leaf.der, sub_certificates=SimpleNamespace(certificates=sub_cas))
    theirs: Any = security.derive_certificate_hash_data(leaf.der, sub_cas[0])
    with served(site, P256):
        [ours, *_] = states.get_certificate_hash_data(chain, None)
    assert theirs["serial_number"] == str(leaf.certificate.serial_number)
    assert ours["serial_number"] == f"{leaf.certificate.serial_number:x}"
    assert ours["issuer_name_hash"] == urlsafe_b64decode(theirs["issuer_name_hash"]).hex()
    assert ours["issuer_key_hash"] == urlsafe_b64decode(theirs["issuer_key_hash"]).hex()
    assert ours.keys() == theirs.keys()
    assert ours["responder_url"] == theirs["responder_url"]


def test_a_contract_that_expired_or_was_revoked_is_refused_in_its_words(site: Site) -> None:
    leaf, sub_cas = contract(P256)
    made = pki(P256)
    put(site.certs, "ca/mo/MO_ROOT_CA.pem", made["MO_ROOT_CA"].pem + made["MO_SUB_CA1"].pem + made["MO_SUB_CA2"].pem)
    sub_ca, issuer = made["MO_SUB_CA2"], made["MO_SUB_CA1"]
    template = ResponseTemplate(this_update=NOW - HOUR, next_update=NOW + HOUR, status=OCSPCertStatus.REVOKED)
    response = ocsp_response(sub_ca.certificate, issuer, made[responder_of("MO_SUB_CA1")], template)
    named = certificate_id(Certificate(sub_ca.der), Certificate(issuer.der)).hash_data
    with served(site) as station:
        states.verify_certs(leaf.der, sub_cas, None)
        station.interface().update_ocsp_cache(
            certificate_hash_data=named, ocsp_response=b64encode(response).decode("ascii")
        )
        with pytest.raises(exceptions.CertRevokedError):
            states.verify_certs(leaf.der, sub_cas, None)
    with served(site):
        site.now = leaf.certificate.not_valid_after_utc + HOUR
        with pytest.raises(exceptions.CertExpiredError):
            states.verify_certs(leaf.der, sub_cas, None)

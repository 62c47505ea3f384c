"""Contracts that cars show: chain, hash data, OCSP; and the messages by which they get new ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.x509.ocsp import OCSPCertStatus

from evse_security.adapters.iso15118 import ExiLimit, exi_from_ocpp, exi_to_ocpp, verify_contract
from evse_security.errors import MalformedRequest, WrongUsage
from evse_security.lab.hierarchy import Variant, responder_of, template_of
from evse_security.lab.keys import KeyKind
from evse_security.lab.ocsp import ResponseTemplate, ocsp_response
from evse_security.vocabulary import CertificateValidationResult
from tests.adapters.secc import ED448, HOUR, NOW, P256, P521, Site, pki
from tests.agents.stations import put

CHAIN = {"CONTRACT_LEAF": "MO_SUB_CA2", "MO_SUB_CA2": "MO_SUB_CA1", "MO_SUB_CA1": "MO_ROOT_CA"}


def said(kind: KeyKind, holder: str, status: OCSPCertStatus = OCSPCertStatus.GOOD) -> bytes:
    made, issuer = pki(kind), CHAIN[holder]
    template = ResponseTemplate(this_update=NOW - HOUR, next_update=NOW + HOUR, status=status)
    return ocsp_response(made[holder].certificate, made[issuer], made[responder_of(issuer)], template)


@pytest.fixture(params=[P256, P521, ED448])
def kind(request: pytest.FixtureRequest) -> KeyKind:
    found: KeyKind = request.param
    return found


def test_a_contract_under_the_root_of_its_operator(site: Site, kind: KeyKind) -> None:
    put(site.certs, "ca/mo/MO_ROOT_CA.pem", pki(kind)["MO_ROOT_CA"].pem)
    with site.open() as station:
        report = verify_contract(station, pki(kind)["CONTRACT_LEAF"].chain_pem())
    assert report.is_valid
    assert report.emaid == "DEEVSC00000001"
    assert len(report.path) == 4
    assert [one.status for one in report.statuses] == ["unknown"] * 3
    assert not report.all_good
    hashes = [one.certificate_hash_data for one in report.ocsp_request_data]
    serials = [f"{pki(kind)[holder].certificate.serial_number:x}" for holder in CHAIN]
    assert [one and one.serial_number for one in hashes] == serials


def test_a_forged_contract_is_refused(site: Site, kind: KeyKind) -> None:
    """Josev 0.31 takes such a one where its keys are Ed448."""
    put(site.certs, "ca/mo/MO_ROOT_CA.pem", pki(kind)["MO_ROOT_CA"].pem)
    made = pki(kind)
    forged = made["OEM_SUB_CA2"].issue(
        made["CONTRACT_LEAF"].key, template_of("CONTRACT_LEAF", made.edition, Variant.ORDINARY, now=NOW)
    )
    with site.open() as station:
        report = verify_contract(station, forged.pem + made["MO_SUB_CA2"].chain_pem())
        alone = verify_contract(station, made["CONTRACT_LEAF"].pem)
    assert report.result is not CertificateValidationResult.Valid
    assert report.reason is not None
    assert report.path == ()
    assert alone.result is CertificateValidationResult.IssuerNotFound


def test_nothing_else_under_these_roots_passes_for_a_contract(site: Site, kind: KeyKind) -> None:
    """The key of any SECC would do for free electricity: a V2G root vouches for contracts as well."""
    made = pki(kind)
    site.stock(kind)
    put(site.certs, "ca/mo/MO_ROOT_CA.pem", made["MO_ROOT_CA"].pem)
    with site.open() as station:
        reports = {holder: verify_contract(station, made[holder].chain_pem()) for holder in made}
    assert [holder for holder, report in reports.items() if report.is_valid] == ["CONTRACT_LEAF"]
    for holder in ("SECC_LEAF", "CPS_LEAF", "MO_SUB_CA2_OCSP", "CPO_SUB_CA2_OCSP"):
        assert isinstance(reports[holder].reason, WrongUsage)
        assert reports[holder].path == ()


def test_without_a_root_nothing_is_believed(site: Site) -> None:
    with site.open() as station:
        report = verify_contract(station, pki(P256)["CONTRACT_LEAF"].chain_pem())
        nonsense = verify_contract(station, "no chain")
    assert not report.is_valid
    assert not nonsense.is_valid
    assert nonsense.emaid == ""
    assert nonsense.ocsp_request_data == ()


def test_what_ocsp_says(site: Site) -> None:
    put(site.certs, "ca/mo/MO_ROOT_CA.pem", pki(P256)["MO_ROOT_CA"].pem)
    chain, good = pki(P256)["CONTRACT_LEAF"].chain_pem(), [said(P256, holder) for holder in CHAIN]
    with site.open() as station:
        assert verify_contract(station, chain, good).all_good
        one_is_missing = verify_contract(station, chain, good[:2])
        assert one_is_missing.is_valid
        assert [one.status for one in one_is_missing.statuses] == ["good", "good", "unknown"]
        revoked = verify_contract(station, chain, [said(P256, "MO_SUB_CA2", OCSPCertStatus.REVOKED)])
        assert not revoked.is_valid
        assert [one.status for one in revoked.statuses] == ["unknown", "revoked", "unknown"]
        assert "revoked" in str(revoked.reason)
        site.now = NOW + 2 * HOUR
        late = verify_contract(station, chain, good)
        assert late.is_valid
        assert late.statuses[0].status == "unknown"
        assert "nextUpdate" in str(late.statuses[0].problem)


# ---- messages that are handed on


def test_messages_come_out_as_they_went_in() -> None:
    message = bytes(range(256)) * 10
    assert exi_from_ocpp(exi_to_ocpp(message, ExiLimit.REQUEST_201), ExiLimit.REQUEST_201) == message


@pytest.mark.parametrize(
    "hand_on",
    [
        lambda: exi_to_ocpp(b"", ExiLimit.REQUEST_201),
        lambda: exi_to_ocpp(bytes(4201), ExiLimit.REQUEST_201),
        lambda: exi_from_ocpp("", ExiLimit.RESPONSE_21),
        lambda: exi_from_ocpp("!!!!", ExiLimit.RESPONSE_21),
        lambda: exi_from_ocpp("é", ExiLimit.RESPONSE_21),
        lambda: exi_from_ocpp("A" * 7504, ExiLimit.RESPONSE_201),
    ],
)
def test_what_is_no_message_is_refused(hand_on: Callable[[], object]) -> None:
    with pytest.raises(MalformedRequest):
        hand_on()

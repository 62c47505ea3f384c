"""A signing request that a trigger replaced: its key goes at once, and never one that anything may need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.adapters.ocpp.memory import RENEWALS
from evse_security.errors import NotWritable
from evse_security.renewal import Renewal
from evse_security.service.state import StateFile
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.kit import Bench
from tests.adapters.ocpp.test_locked_out import TRIGGER, _no_room

CSMS = LeafCertificateType.CSMS


def keys(bench: Bench) -> set[str]:
    """What lies in the key directories."""
    config = bench.station.config
    places = (config.csms_leaf_key_directory, config.secc_leaf_key_directory)
    return {str(path) for place in places for path in Path(place).rglob("*.key")}


@pytest.mark.parametrize("edition", Edition)
def test_the_key_of_a_request_that_was_replaced_goes_at_once(tmp_path: Path, edition: Edition) -> None:
    bench = Bench(tmp_path / "certs", edition)
    wanted = "SignChargePointCertificate" if edition is Edition.V16 else TRIGGER
    first = bench.trigger(wanted)
    [replaced] = keys(bench)
    second = bench.trigger(wanted)
    assert len(keys(bench)) == 1 and replaced not in keys(bench)
    assert bench.answer("CertificateSigned", certificateChain=bench.chain(first))["status"] == "Rejected"
    assert bench.answer("CertificateSigned", certificateChain=bench.chain(second))["status"] == "Accepted"
    assert bench.restarted().renewals.client_certificate() is not None


def test_both_copies_of_the_key_of_a_combined_request_go(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V21, changes={"combined": True})
    bench.trigger("SignCombinedCertificate")
    before = keys(bench)
    bench.trigger("SignCombinedCertificate")
    assert len(before) == len(keys(bench)) == 2
    assert not before & keys(bench)


def test_the_key_of_an_installed_leaf_stays(tmp_path: Path) -> None:
    """A technician has installed the answer by hand, and it was not looked since."""
    bench = Bench(tmp_path / "certs", Edition.V201)
    chain = bench.chain(bench.trigger(TRIGGER))
    before = keys(bench)
    bench.station.renewal.install_leaf(chain, (CSMS,))
    bench.trigger(TRIGGER)
    assert before < keys(bench)
    assert bench.station.chains(CSMS).chains


def test_the_key_of_a_request_that_others_wait_for_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V201)
    bench.station.renewal.await_certificate("the service", bench.trigger(TRIGGER))
    before = keys(bench)
    bench.trigger(TRIGGER)
    assert before < keys(bench)


def test_where_nobody_knows_all_leaves_every_key_stays(tmp_path: Path) -> None:
    """A file that is damaged may hold the leaf of that very key."""
    bench = Bench(tmp_path / "certs", Edition.V201)
    bench.trigger(TRIGGER)
    before = keys(bench)
    (Path(bench.station.config.csms_leaf_cert_directory) / "damaged.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    bench.trigger(TRIGGER)
    assert before < keys(bench)


def test_the_key_stays_until_the_new_request_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut would bring the old one back, and its answer could not be used."""
    bench = Bench(tmp_path / "certs", Edition.V201)
    old = bench.trigger(TRIGGER)
    known: list[str] = []
    abandon = Renewal.abandon_request

    def noted(renewal: Renewal, csr: str) -> None:
        assert csr == old
        known.append(json.loads((bench.state / RENEWALS).read_text())["leaves"]["CSMS"]["csr"])
        abandon(renewal, csr)

    monkeypatch.setattr(Renewal, "abandon_request", noted)
    with monkeypatch.context() as full:
        full.setattr(StateFile, "save", _no_room)
        before = keys(bench)
        lost = bench.trigger(TRIGGER)
        assert before < keys(bench) and not known
    assert bench.restarted().memory.renewal(SigningUse.CSMS).csr == old
    new = bench.trigger(TRIGGER)
    assert known == [new] and new != lost
    assert not before & keys(bench)


def test_a_store_that_does_not_let_go_of_the_key_holds_up_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path / "certs", Edition.V201)
    bench.trigger(TRIGGER)

    def stuck(*_: object) -> None:
        raise NotWritable("the store", "read-only")

    monkeypatch.setattr(Renewal, "abandon_request", stuck)
    bench.trigger(TRIGGER)
    assert "is left to the sweep: the store could not be written: read-only" in caplog.text

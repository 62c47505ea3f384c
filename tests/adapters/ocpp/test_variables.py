"""Variables and configuration keys: what they say, what a CSMS may write, and that it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.adapters.ocpp.refusals import Unsupported
from evse_security.adapters.ocpp.variables import VARIABLES, keys, values, write
from evse_security.errors import InvalidConfiguration, MustStay
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.ocpp.kit import Bench


def test_every_variable_has_a_value(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", config={"certificate_store_max_length": 9})
    found = {(one["component"], one["variable"]): one["value"] for one in values(bench.desk)}
    assert len(found) == len(VARIABLES)
    assert found["SecurityCtrlr", "CertificateEntries"] == "3"
    assert found["SecurityCtrlr", "CertificateEntries.maxLimit"] == "9"
    assert keys(bench.desk)["CpoName"] == "Operator"


def test_what_a_csms_writes_takes_effect_and_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs", Edition.V16)
    write(bench.desk, "CpoName", "Another Operator")
    write(bench.desk, "CertSigningWaitMinimum", "77")
    bench.restarted()
    assert (bench.desk.renewals.policy.organization, bench.desk.renewals.policy.wait) == ("Another Operator", 77)
    chain = bench.chain(bench.trigger("SignChargePointCertificate"))
    assert bench.answer("CertificateSigned", certificateChain=chain) == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("name", "value"), [("CertSigningWaitMinimum", "soon"), ("CertSigningWaitMinimum", "0"), ("CpoName", "")]
)
def test_what_cannot_be_is_refused_and_changes_nothing(tmp_path: Path, name: str, value: str) -> None:
    bench = Bench(tmp_path / "certs")
    before = bench.desk.renewals.policy
    with pytest.raises(InvalidConfiguration):
        write(bench.desk, name, value)
    assert bench.desk.renewals.policy == before
    assert bench.desk.memory.settings == {}


def test_what_is_read_only_stays(tmp_path: Path) -> None:
    with pytest.raises(Unsupported):
        write(Bench(tmp_path / "certs").desk, "CertificateStoreMaxLength", "1")


def test_the_last_leaf_is_not_discarded(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "certs")
    chain = bench.chain(bench.trigger("SignChargingStationCertificate"))
    bench.answer("CertificateSigned", certificateChain=chain)
    with pytest.raises(MustStay):
        bench.station.discard_leaf(LeafCertificateType.CSMS, bench.desk.memory.accepted[SigningUse.CSMS])

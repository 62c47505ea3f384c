"""Leaves that nobody asks the CSMS for are told of, once, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Edition, SigningUse
from evse_security.lab.keys import KeyKind
from tests.adapters.ocpp.kit import SECC, Bench
from tests.agents.stations import put
from tests.builders import DAY, NOW, world

OF_20 = {"key": KeyKind.SECP521R1, "not_after": NOW + 400 * DAY, "not_before": NOW - DAY / 2}


def with_leaves(bench: Bench, *names: str, **made: Any) -> Bench:
    """Leaves with these common names, each in files of its own."""
    pki = world(*(f"V2GRoot > SubCA > {name}" for name in names), **made)
    put(bench.certs, "ca/v2g/OTHER.pem", pki["V2GRoot"].pem)
    for name in names:
        put(bench.certs, f"client/cso/{name}.pem", pki.pem(name, "SubCA"))
        put(bench.certs, f"client/cso/{name}.key", pki[name].key_pem())
    return bench


def warned(bench: Bench, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said in several rounds."""
    for _ in range(3):
        bench.desk.renewals.look()
    return [record.getMessage() for record in caplog.records if record.name.endswith(".unserved")]


@pytest.mark.parametrize("edition", [Edition.V16, Edition.V201, Edition.V201_2025])
def test_before_21_a_second_secc_leaf_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, edition: Edition
) -> None:
    bench = with_leaves(Bench(tmp_path / "certs", edition), "First", "Second", Second=OF_20)
    assert warned(bench, caplog) == [
        f"OCPP {edition} has requests for one SECC leaf: CN=Second, O=Test, which is for cars of ISO 15118-20 and "
        "expires on 2031-02-05, is not renewed by it; renew it by evse-security serve (renewal_v2g) or by hand"
    ]


def test_before_21_the_leaf_with_our_keys_is_renewed_though_another_lasts_longer(tmp_path: Path) -> None:
    bench = with_leaves(Bench(tmp_path / "certs"), "First", "Second", First={"not_after": NOW + 20 * DAY}, Second=OF_20)
    assert bench.desk.renewals.look().requests == ()
    bench.time.now = NOW + 19 * DAY
    assert [one.use for one in bench.desk.renewals.look().requests] == [SigningUse.V2G]


def test_in_21_there_is_nothing_to_tell(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = with_leaves(Bench(tmp_path / "certs", Edition.V21), "First", "Second", Second=OF_20)
    assert warned(bench, caplog) == []


@pytest.mark.parametrize(
    ("edition", "use"),
    [(Edition.V201, SigningUse.V2G), (Edition.V21, SigningUse.V2G), (Edition.V21, SigningUse.V2G20)],
)
def test_a_leaf_to_enrol_without_a_name_for_it_is_told_of_until_the_csms_sets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, edition: Edition, use: SigningUse
) -> None:
    bench = Bench(tmp_path / "certs", edition, changes={"enrol": frozenset({use}), "secc_id": ""})
    told = [f"enrol names {use}, and no such leaf is asked for: set the name for it, secc_id (SeccId)"]
    assert warned(bench, caplog) == told
    bench.desk.renewals.policy = bench.desk.renewals.policy.changed("secc_id", SECC)
    assert use in [one.use for one in bench.desk.renewals.look().requests]
    assert warned(bench, caplog) == told


def test_a_leaf_to_enrol_where_none_may_be_asked_for_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"enrol": frozenset({SigningUse.V2G}), "secc_installation": False}
    [told] = warned(Bench(tmp_path / "certs", changes=changes), caplog)
    assert told.endswith("secc_installation or plug_and_charge is off")


def test_a_leaf_for_another_secc_id_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = with_leaves(Bench(tmp_path / "certs", changes={"secc_ids": {1: SECC, 2: "Evse2", 3: "Evse3"}}), "Evse2")
    assert warned(bench, caplog) == [
        "the SECC leaf of Evse2 is not renewed by OCPP, which asks for that of secc_id alone: renew it by hand"
    ]

"""A share of the campaign of `tests.laws.kills`; and proof that its judge sees losses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.laws import children, kills, kills_reader
from tests.laws import kills_stores as big
from tests.laws.kills_judge import Lost
from tests.laws.stores import V2G

KILLS = 20
"""Here, in each layout."""


@children.forks
@pytest.mark.parametrize("layout", big.LAYOUTS)
def test_killed_at_random_moments_nothing_is_lost(layout: str, tmp_path: Path) -> None:
    report = kills.campaign(tmp_path, layout, KILLS, seed=20)
    assert report.kills == KILLS
    assert report.hit.total() > 0
    assert report.given.total() > 0


# ---- the judge


@pytest.fixture
def lane(tmp_path: Path) -> kills.Lane:
    return kills.Lane(tmp_path, "files", seed=1, reader=kills_reader.Nobody)


def _first(lane: kills.Lane, pattern: str) -> Path:
    return min((lane.store.root / "client" / "cso").glob(pattern))


def _cut_a_root_off(lane: kills.Lane) -> None:
    bundle = lane.store.config().v2g_ca_bundle
    begin = "-----BEGIN"
    bundle.write_text(begin + begin.join(bundle.read_text().split(begin)[1:-1]))


def _cut_a_file_short(lane: kills.Lane) -> None:
    chain = _first(lane, "CPO_CERT_SECC_LEAF_CHAIN_*.pem")
    os.truncate(chain, chain.stat().st_size // 2)


def _remove_a_key(lane: kills.Lane) -> None:
    _first(lane, "*.key").unlink()


def _remove_a_leaf(lane: kills.Lane) -> None:
    token = _first(lane, "*.key").stem.removeprefix("SECC_LEAF")
    for path in lane.store.root.rglob(f"*{token}.*"):
        path.unlink()


def _remove_a_chain_file(lane: kills.Lane) -> None:
    _first(lane, "CPO_CERT_SECC_LEAF_CHAIN_*.pem").unlink()


def _install_what_nobody_installed(lane: kills.Lane) -> None:
    with lane.store.config().v2g_ca_bundle.open("a") as bundle:
        bundle.write(big.pki()["V2G spare 0"].pem)


def _forget_a_request(lane: kills.Lane) -> None:
    known = set((lane.store.root / "client" / "cso").glob("*.key"))
    csr = lane.station.interface().generate_certificate_signing_request(
        certificate_type=V2G, country="DE", organization="Test", common="DE*TST*E1", use_tpm=False
    )
    lane.expected = lane.expected.after("request a certificate", "", csr.csr or "")
    for path in set((lane.store.root / "client" / "cso").glob("*.key")) - known:
        path.unlink()


HARM: dict[str, Callable[[kills.Lane], None]] = {
    "a root is gone": _cut_a_root_off,
    "a file is half": _cut_a_file_short,
    "a leaf has no key": _remove_a_key,
    "a leaf is gone": _remove_a_leaf,
    "a leaf has no sub-CAs": _remove_a_chain_file,
    "a root came from nowhere": _install_what_nobody_installed,
    "the key of a request is gone": _forget_a_request,
}


@pytest.mark.parametrize("harm", HARM)
def test_the_judge_sees_harm(harm: str, lane: kills.Lane) -> None:
    lane.judge(kills.READY)
    HARM[harm](lane)
    with pytest.raises(Lost):
        lane.judge(kills.READY)


def test_the_judge_sees_a_command_that_was_answered_and_not_done(lane: kills.Lane) -> None:
    told = b'["begin", "install a CA", "V2G:V2G spare 0"]\n'
    lane.judge(kills.READY + told)  # interrupted: all or nothing
    with pytest.raises(Lost):
        lane.judge(kills.READY + told + b'["end", "Accepted", "0.01"]\n')
    with pytest.raises(Lost, match="answered Rejected"):
        lane.judge(kills.READY + told + b'["end", "Rejected", "0.01"]\n')

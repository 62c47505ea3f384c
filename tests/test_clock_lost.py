"""Stations boot in 1970 or 2106, and clocks jump: nobody is dropped, nothing is swept, and reasons say "clock"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security import CaCertificateType, EncodingFormat, LeafCertificateType, Station, StationConfig
from tests.builders import DAY, NOW, YEAR, World, csms, world

V2G = LeafCertificateType.V2G
LOST = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2106, 2, 7, 6, 28, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)]
"""As the kernel starts, as 32 bits end, and some time before the files that were written."""


class Life:
    """A station with a clock that is set, as long as it is open."""

    def __init__(self, root: Path) -> None:
        self.now = NOW
        self.pki: World = world(
            "Root > Sub > SECC",
            "New >",
            "Old >",
            "Sub > Gone",
            Old={"not_before": NOW - 9 * YEAR, "not_after": NOW - 8 * YEAR},
            Gone={"not_before": NOW - 9 * YEAR, "not_after": NOW - 8 * YEAR},
        )
        self.station = Station.open(StationConfig.under(root, clock=lambda: self.now, csr_lifetime=60))

    @property
    def commands(self) -> Any:
        return self.station.interface()

    def install(self, holder: str) -> str:
        return str(
            self.commands.install_ca_certificate(
                certificate=self.pki[holder].pem, certificate_type=CaCertificateType.V2G
            )
        )

    def update(self) -> str:
        request = self.commands.generate_certificate_signing_request(
            certificate_type=V2G, country="DE", organization="Test", common="DE*TST*E1", use_tpm=False
        )
        chain = csms(self.pki, "Sub").answer(request.csr) + self.pki.pem("Sub")
        return str(self.commands.update_leaf_certificate(certificate_chain=chain, certificate_type=V2G))

    def verify(self, *holders: str) -> str:
        chain = self.pki.pem(*holders)
        return str(self.commands.verify_certificate(certificate_chain=chain, certificate_types=(V2G,)))

    def why(self, *holders: str) -> str:
        return str(self.station.check(self.pki.pem(*holders), (V2G,)).reason)

    def usable(self) -> tuple[str, str, int]:
        """What becomes of the leaf: alone, by root, and its days."""
        asked = {"certificate_type": V2G, "encoding": EncodingFormat.PEM, "include_ocsp": True}
        one, several = (
            self.commands.get_leaf_certificate_info(**asked),
            self.commands.get_all_valid_certificates_info(**asked),
        )
        return str(one.status), str(several.status), len(several.info)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    found = Life(tmp_path)
    assert (found.install("Root"), found.update()) == ("Accepted", "Accepted")
    yield found
    found.station.close()


@pytest.mark.parametrize("lost", LOST, ids=str)
def test_a_station_whose_clock_is_lost_goes_on(lost: datetime, life: Life) -> None:
    life.now = lost
    assert life.usable() == ("Accepted", "Accepted", 1)
    assert life.verify("SECC", "Sub") == "Valid"
    assert life.commands.is_ca_certificate_installed(certificate_type=CaCertificateType.V2G)
    assert life.commands.get_verify_file(certificate_type=CaCertificateType.V2G)
    assert life.install("New") == "Accepted"
    assert life.update() == "Accepted"
    assert life.usable() == ("Accepted", "Accepted", 1)
    assert (life.station.leaf_expiry_days(V2G) or 0) > 0
    assert life.station.overview().clock is not None


@pytest.mark.parametrize("lost", LOST[:2], ids=str)
def test_what_ended_before_the_last_time_that_is_known_has_ended(lost: datetime, life: Life) -> None:
    life.now = lost
    assert life.verify("Gone", "Sub") == "Expired"
    assert life.why("Gone", "Sub").endswith(f"not believed: {life.station.overview().clock})")
    assert life.install("Old") == "Expired"


@pytest.mark.parametrize("lost", LOST, ids=str)
def test_nothing_is_swept_by_a_lost_clock_and_the_reason_says_clock(lost: datetime, life: Life, tmp_path: Path) -> None:
    request = {"certificate_type": V2G, "country": "DE", "organization": "T", "common": "X", "use_tpm": False}
    life.commands.generate_certificate_signing_request(**request)
    life.now = NOW + 10 * YEAR  # everything would go
    assert life.station.sweep(dry_run=True).removed
    before = {path: path.read_bytes() for path in (tmp_path / "client").rglob("*") if path.is_file()}
    life.now = lost
    report = life.station.sweep()
    assert report.removed == ()
    assert report.kept_because is not None
    assert "the clock shows" in report.kept_because
    assert {path: path.read_bytes() for path in (tmp_path / "client").rglob("*") if path.is_file()} == before


def test_a_key_made_while_the_clock_is_lost_waits_for_its_certificate(life: Life) -> None:
    for lost in LOST[:2]:
        life.now = lost
        request = life.commands.generate_certificate_signing_request(
            certificate_type=V2G, country="DE", organization="Test", common="X", use_tpm=False
        )
        life.now = NOW + DAY  # the clock was set; the request is older than requests live, by neither time
        assert life.station.sweep().removed == ()
        chain = csms(life.pki, "Sub").answer(request.csr) + life.pki.pem("Sub")
        answer = life.commands.update_leaf_certificate(certificate_chain=chain, certificate_type=V2G)
        assert str(answer) == "Accepted"


def test_a_clock_that_jumps_back_and_forth_changes_nothing(life: Life) -> None:
    answers = set()
    for moment in (NOW, LOST[0], NOW + DAY, LOST[1], LOST[2], NOW, LOST[1], NOW + 2 * DAY):
        life.now = moment
        answers.add((*life.usable(), life.verify("SECC", "Sub"), len(life.station.sweep().removed)))
    assert answers == {("Accepted", "Accepted", 1, "Valid", 0)}


def test_a_clock_that_is_believed_is_obeyed(life: Life) -> None:
    life.now = NOW + 20 * YEAR
    assert life.usable()[0] == "NotFoundValid"
    assert life.verify("SECC", "Sub") == "Expired"

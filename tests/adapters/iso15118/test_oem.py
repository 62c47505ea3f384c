"""The roots of car makers in the store: whose cars get through, and what is exported, without being told."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118.files import export
from evse_security.chains import Edition
from evse_security.lab.keys import KeyKind
from evse_security.vocabulary import LeafCertificateType
from tests.adapters.secc import ED448, NOW, P521, Site, gets_through, listening, pki, s_client
from tests.agents.stations import put

BUNDLE = "ca/oem/OEM_ROOT_CA.pem"
UNKNOWN = "alert unknown ca"
NAMED = "Acceptable client certificate CA names"


def place(site: Site, *kinds: KeyKind, text: str = "") -> Path:
    return put(site.certs, BUNDLE, "".join(pki(kind)["OEM_ROOT_CA"].pem for kind in kinds) + text)


def test_cars_of_the_stores_roots_get_through_and_are_told_of_them(site: Site) -> None:
    site.stock(P521)
    place(site, P521, ED448)
    with site.open() as station, listening(server_context(station)) as port:
        said = s_client(port, *site.car())
    assert gets_through(said)
    assert "OEM Root CA" in said.partition(NAMED)[2]


def test_roots_that_come_and_go_count_from_the_next_handshake_on(site: Site) -> None:
    site.stock(P521)
    with site.open() as station, listening(server_context(station)) as port:
        before = s_client(port, *site.car())
        root = {"certificate": pki(P521)["OEM_ROOT_CA"].pem, "certificate_type": "OEM"}
        assert station.dispatch("install_ca_certificate", root, revision="2026-04-oem") == "Accepted"
        installed = s_client(port, *site.car())
        place(site, ED448)
        replaced = s_client(port, *site.car())
        place(site, P521)
        back = s_client(port, *site.car())
        (site.certs / BUNDLE).unlink()
        gone = s_client(port, *site.car())
    assert [gets_through(said) for said in (before, installed, replaced, back, gone)] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert all(UNKNOWN in said for said in (before, replaced, gone))
    assert "OEM Root CA" not in before.partition(NAMED)[2]


@pytest.mark.parametrize(
    "broken", ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMIIB"]
)
def test_of_a_bundle_that_is_damaged_none_is_trusted_and_that_is_said_once(
    site: Site, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    site.stock(P521)
    place(site, P521, text=broken)
    caplog.set_level(logging.WARNING)
    with site.open() as station, listening(server_context(station)) as port:
        assert UNKNOWN in s_client(port, *site.car())
        assert UNKNOWN in s_client(port, *site.car())
        told = [record.getMessage() for record in caplog.records if "no OEM root is trusted" in record.getMessage()]
        place(site, P521)
        assert gets_through(s_client(port, *site.car()))
    assert told == [f"{site.certs / BUNDLE} cannot be read in full: no OEM root is trusted"]


def test_a_root_that_is_over_is_not_trusted(site: Site) -> None:
    site.stock(P521)
    place(site, P521)
    with site.open() as station:
        assert server_context(station).offers
        [root] = station_roots(station)
        assert root == pki(P521)["OEM_ROOT_CA"].der
        site.now = NOW.replace(year=NOW.year + 41)
        assert station_roots(station) == ()


def station_roots(station: Station) -> tuple[bytes, ...]:
    return station.chains(LeafCertificateType.V2G).oem.roots


def test_a_file_of_roots_takes_the_place_of_the_stores(site: Site) -> None:
    site.stock(P521)
    place(site, P521)
    with site.open() as station, listening(server_context(station, oem_roots=site.oem_roots(ED448))) as port:
        assert UNKNOWN in s_client(port, *site.car())


def test_without_a_place_in_the_configuration_there_are_none(site: Site) -> None:
    site.stock(P521)
    place(site, P521)
    config = StationConfig.under(site.certs, oem_ca_bundle=None, clock=lambda: NOW)
    with Station.open(config) as station, listening(server_context(station)) as port:
        assert UNKNOWN in s_client(port, *site.car())


def test_the_export_has_the_stores_root_or_that_of_the_file(site: Site, tmp_path: Path) -> None:
    site.stock(P521)
    place(site, P521)
    exported = tmp_path / "to/iso15118_2/certs/oemRootCACert.der"
    with site.open() as station:
        assert export(station, tmp_path / "to", Edition.ISO15118_20).oem_problem is None
        assert exported.read_bytes() == pki(P521)["OEM_ROOT_CA"].der
        export(station, tmp_path / "to", Edition.ISO15118_20, site.oem_roots(ED448))
        assert exported.read_bytes() == pki(ED448)["OEM_ROOT_CA"].der
        place(site, P521, text="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        done = export(station, tmp_path / "to", Edition.ISO15118_20)
        assert done.oem_problem == f"{site.certs / BUNDLE} cannot be read in full"
        assert not exported.exists()

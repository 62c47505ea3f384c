"""The trust domain OEM: as the others for who asks for it, and not there for who does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.additions import CERTIFICATE_TYPES, AddedCaType, OemStoreUpdate
from evse_security.errors import BackupRefused, EvseSecurityError, MalformedRequest, NoPlaceForRoots
from evse_security.interface import REVISIONS, WITH_OEM
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.serve.asyncapi import asyncapi
from evse_security.serve.openapi import openapi
from evse_security.serve.schema import schema
from evse_security.store.lock import LOCK_FILE
from evse_security.vocabulary import (
    CertificateHashData,
    CertificateStoreUpdate,
    CertificateStoreUpdateOperation,
    CertificateType,
)
from tests.builders import NOW, world

OEM = AddedCaType.OEM
W = world("V2GRoot > Sub >", "OemRoot > OemSub >", "Other >")
EVERY_TYPE = [str(kind) for kind in CERTIFICATE_TYPES]


def opened(certs: Path, **overrides: Any) -> Station:
    return Station.open(StationConfig.under(certs, clock=lambda: NOW, **overrides))


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def bundle(certs: Path) -> Path:
    return certs / "ca/oem/OEM_ROOT_CA.pem"


def install(station: Station, holder: str, kind: str = "OEM") -> str:
    arguments = {"certificate": W[holder].pem, "certificate_type": kind}
    return str(station.dispatch("install_ca_certificate", arguments, revision=WITH_OEM))


def hash_data(holder: str) -> CertificateHashData:
    entity = W[holder]
    return certificate_id(Certificate(entity.der), Certificate((entity.issuer or entity).der)).hash_data


def delete(station: Station, holder: str) -> str:
    """As who speaks a declared revision: it names no domain."""
    return str(station.interface().delete_certificate(certificate_hash_data=hash_data(holder)))


def listed(station: Station, *kinds: str) -> list[str]:
    arguments = {"certificate_types": list(kinds or EVERY_TYPE)}
    answer = station.dispatch("get_installed_certificates", arguments, revision=WITH_OEM)
    return [one["certificate_type"] for one in answer["certificate_hash_data_chain"]]


def names_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


# ---- who does without


def test_nothing_is_made_for_or_said_to_who_does_without(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "V2GRoot", "V2G") == "Accepted"
        assert delete(station, "V2GRoot") == "Accepted"
        assert not [name for name in names_below(certs) if "oem" in name.lower()]
        assert [domain.domain for domain in station.overview().domains] == ["V2G", "MO", "CSMS", "MF"]
        assert "oem" not in repr(station.diagnose()).lower()
        station.sweep()
        station.mend()
    assert not (certs / "ca/oem").exists()


def test_a_directory_of_everests_without_roots_of_ours_is_left_as_it_is(certs: Path) -> None:
    bundle(certs).parent.mkdir(parents=True)
    (bundle(certs).parent / "OEM_SUB_CA1.pem").write_text(W["OemSub"].pem)
    with opened(certs) as station:
        assert install(station, "V2GRoot", "V2G") == "Accepted"
        assert os.listdir(bundle(certs).parent) == ["OEM_SUB_CA1.pem"]
        assert listed(station) == ["V2GRootCertificate"]
        assert [domain.domain for domain in station.overview().domains] == ["V2G", "MO", "CSMS", "MF"]


def test_who_names_all_places_and_none_for_these_has_none(certs: Path) -> None:
    with opened(certs, oem_ca_bundle=None) as station:
        refused: list[EvseSecurityError] = []
        station.hear_refusals(lambda told: refused.append(told.why))
        assert install(station, "OemRoot") == "WriteError"
        assert [type(why) for why in refused] == [NoPlaceForRoots]
        roots = station.interface(WITH_OEM)
        assert not roots.is_ca_certificate_installed(certificate_type=OEM)
        assert roots.get_verify_file(certificate_type=OEM) == roots.get_verify_location(certificate_type=OEM) == ""
        assert listed(station) == []
        with pytest.raises(NoPlaceForRoots):
            station.explain(OEM)
        assert install(station, "V2GRoot", "V2G") == "Accepted"


# ---- who speaks a declared revision


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_declared_revision_has_no_word_for_it(certs: Path, revision: str) -> None:
    assert "OEM" not in json.dumps(schema(revision))
    schemas = openapi("1")["components"]["schemas"]
    assert "OEM" not in json.dumps({name: one for name, one in schemas.items() if name.startswith(f"{revision}.")})
    asked = [
        ("install_ca_certificate", {"certificate": W["OemRoot"].pem, "certificate_type": "OEM"}),
        ("is_ca_certificate_installed", {"certificate_type": "OEM"}),
        ("get_verify_file", {"certificate_type": "OEM"}),
        ("get_installed_certificates", {"certificate_types": ["OEMRootCertificate"]}),
    ]
    with opened(certs) as station:
        assert install(station, "OemRoot") == "Accepted"
        for command, arguments in asked:
            with pytest.raises(MalformedRequest):
                station.dispatch(command, arguments, revision=revision)
        everything = {"certificate_types": [str(kind) for kind in CertificateType]}
        answer = station.dispatch("get_installed_certificates", everything, revision=revision)
        assert answer == {"status": "NotFound", "certificate_hash_data_chain": []}
        with pytest.raises(MalformedRequest):
            station.interface().is_ca_certificate_installed(certificate_type=OEM)  # type: ignore[arg-type]


def test_everests_api_has_no_word_for_it_in_the_interfaces_types() -> None:
    schemas = asyncapi({})["components"]["schemas"]
    assert "OEM" not in json.dumps(schemas)


def test_subscribers_hear_what_the_interface_has_words_for_and_others_the_rest(certs: Path) -> None:
    with opened(certs) as station:
        told: list[CertificateStoreUpdate] = []
        ours: list[OemStoreUpdate] = []
        station.subscribe(told.append)
        stop = station.hear_oem(ours.append)
        assert install(station, "OemRoot") == install(station, "V2GRoot", "V2G") == "Accepted"
        assert install(station, "OemRoot") == "Accepted"  # again, which is no change
        assert delete(station, "OemRoot") == "Accepted"
        assert [one.ca_certificate_type for one in told] == ["V2G"]
        assert [one.operation for one in ours] == ["Installed", "Deleted"]
        assert {one.ca_certificate_type for one in ours} == {OEM}
        stop()
        assert install(station, "Other") == "Accepted"
        assert len(ours) == 2


# ---- who uses it


@pytest.mark.parametrize("place", ["ca/oem/OEM_ROOT_CA.pem", "ca/oem"])
def test_a_root_comes_is_offered_and_goes(certs: Path, place: str) -> None:
    with opened(certs, oem_ca_bundle=place) as station:
        assert install(station, "OemRoot") == "Accepted"
        assert install(station, "OemSub") == "Accepted"
        assert listed(station) == listed(station, "OEMRootCertificate") == ["OEMRootCertificate"]
        roots = station.interface(WITH_OEM)
        assert roots.is_ca_certificate_installed(certificate_type=OEM)
        assert W["OemRoot"].pem in Path(roots.get_verify_file(certificate_type=OEM)).read_text()
        assert Path(roots.get_verify_location(certificate_type=OEM)).exists()
        [found] = [domain for domain in station.overview().domains if domain.domain == OEM]
        assert [(tree.reason, len(tree.children)) for tree in found.trees] == [("TrustedRoot", 1)]
        assert [one.reason.code for one in station.explain(OEM).authorities][:1] == ["TrustedRoot"]
        assert not [one for one in station.diagnose().findings if one.code == "DirectoryMissing"]
        assert delete(station, "OemRoot") == "Accepted"
        assert (listed(station), delete(station, "OemRoot")) == ([], "NotFound")
        assert OEM not in [domain.domain for domain in station.overview().domains]


def test_the_first_root_makes_its_directory_and_the_next_change_its_lock(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "V2GRoot", "V2G") == install(station, "OemRoot") == "Accepted"
        assert os.listdir(bundle(certs).parent) == ["OEM_ROOT_CA.pem"]
        assert install(station, "Other", "MO") == "Accepted"
    assert sorted(os.listdir(bundle(certs).parent)) == sorted([LOCK_FILE, "OEM_ROOT_CA.pem"])
    assert bundle(certs).parent.stat().st_mode & 0o777 == 0o755


def test_what_is_no_root_is_refused_as_elsewhere_and_nothing_is_made(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "OemSub") == "NoRootCertificateInstalled"
        assert install(station, "V2GRoot", "V2G") == "Accepted"
        assert install(station, "Sub") == "NoRootCertificateInstalled"  # of V2G's root, which is not one of OEM
    assert not bundle(certs).parent.exists()


def test_they_count_towards_the_limit_of_ca_certificates(certs: Path) -> None:
    with opened(certs, certificate_store_max_length=2) as station:
        assert install(station, "OemRoot") == install(station, "V2GRoot", "V2G") == "Accepted"
        assert install(station, "Other") == install(station, "Other", "MO") == "CertificateStoreMaxLengthExceeded"


# ---- one certificate in two domains


def test_a_root_of_two_domains_is_in_both_and_is_deleted_from_both(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "V2GRoot", "V2G") == install(station, "V2GRoot") == "Accepted"
        assert listed(station) == ["V2GRootCertificate", "OEMRootCertificate"]
        told: list[object] = []
        station.subscribe(told.append)
        station.hear_oem(told.append)
        assert delete(station, "V2GRoot") == "Accepted"
        deleted = CertificateStoreUpdateOperation.Deleted
        v2g = [one for one in told if isinstance(one, CertificateStoreUpdate)]
        assert [(one.operation, one.ca_certificate_type) for one in v2g] == [(deleted, "V2G")]
        assert [one for one in told if one not in v2g] == [OemStoreUpdate(operation=deleted, ca_certificate_type=OEM)]
        assert listed(station) == []
        assert bundle(certs).read_text() == ""


def test_a_bundle_of_two_domains_holds_the_roots_of_both(certs: Path) -> None:
    with opened(certs, oem_ca_bundle="ca/v2g/V2G_ROOT_CA.pem", certificate_store_max_length=1) as station:
        assert install(station, "V2GRoot", "V2G") == install(station, "V2GRoot") == "Accepted"  # counted once
        assert listed(station) == ["V2GRootCertificate", "OEMRootCertificate"]
        assert delete(station, "V2GRoot") == "Accepted"
        assert listed(station) == []


# ---- what is broken


def test_a_bad_block_is_told_and_hides_no_root_from_the_list(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "OemRoot") == "Accepted"
        bundle(certs).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + W["OemRoot"].pem)
        assert listed(station) == ["OEMRootCertificate"]
        assert "Unreadable" in [one.code for one in station.diagnose().findings]
        assert install(station, "Other") == "Accepted"
        assert delete(station, "OemRoot") == "Accepted"
        assert listed(station) == ["OEMRootCertificate"]


def test_a_bundle_that_is_damaged_altogether_is_told(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "OemRoot") == "Accepted"
        bundle(certs).write_bytes(bundle(certs).read_bytes()[:100])
        assert not station.interface(WITH_OEM).is_ca_certificate_installed(certificate_type=OEM)
        assert "BundleUnreadable" in [one.code for one in station.diagnose().findings]
        assert OEM in [domain.domain for domain in station.overview().domains]


def test_where_nothing_can_be_written_nothing_is_changed(certs: Path) -> None:
    with opened(certs) as station:
        assert install(station, "V2GRoot", "V2G") == "Accepted"
        (certs / "ca/oem").write_text("not a directory")
        assert install(station, "OemRoot") == "WriteError"
        assert install(station, "Other", "V2G") == "Accepted"
        assert listed(station) == ["V2GRootCertificate"] * 2


# ---- backups


def test_a_backup_holds_them_and_a_station_without_a_place_does_not_take_it(certs: Path, tmp_path: Path) -> None:
    with opened(certs) as station:
        assert install(station, "OemRoot") == "Accepted"
        station.backup(tmp_path / "backup", passphrase=None)
    with opened(tmp_path / "other") as other:
        heard: list[OemStoreUpdate] = []
        other.hear_oem(heard.append)
        other.restore(tmp_path / "backup", passphrase=None)
        assert listed(other) == ["OEMRootCertificate"]
        assert [one.operation for one in heard] == ["Installed"]
    with opened(tmp_path / "without", oem_ca_bundle=None) as without:
        with pytest.raises(BackupRefused, match="no place for the OEM roots"):
            without.restore(tmp_path / "backup", passphrase=None)
        assert listed(without) == []


def test_what_is_listed_is_worked_out_once_until_something_changes(certs: Path) -> None:
    with opened(certs) as station:
        commands = station.interface(WITH_OEM)
        install(station, "OemRoot")
        first = commands.get_installed_certificates(certificate_types=CERTIFICATE_TYPES)
        again = commands.get_installed_certificates(certificate_types=CERTIFICATE_TYPES)
        assert again.certificate_hash_data_chain is first.certificate_hash_data_chain
        assert commands.get_installed_certificates(certificate_types=(CertificateType.V2GRootCertificate,)) != first
        install(station, "Other")
        after = commands.get_installed_certificates(certificate_types=CERTIFICATE_TYPES)
        assert len(after.certificate_hash_data_chain) == 2
        assert station.inventory().ca_count == 2
        bundle(certs).unlink()  # by others
        assert not commands.get_installed_certificates(certificate_types=CERTIFICATE_TYPES).certificate_hash_data_chain
        assert station.inventory().ca_count == 0

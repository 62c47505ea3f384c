"""Which path holds what, and which names were made by whom."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evse_security.additions import AddedCaType
from evse_security.store.layout import Layout, is_generated, token
from evse_security.vocabulary import CaCertificateType, LeafCertificateType
from tests.builders import at
from tests.store.pictures import CERTS, config


def test_the_layout_is_everests() -> None:
    layout = Layout.of(config())
    assert {ca: str(path.relative_to(CERTS)) for ca, path in layout.bundles.items()} == {
        CaCertificateType.V2G: "ca/v2g/V2G_ROOT_CA.pem",
        CaCertificateType.MO: "ca/mo/MO_ROOT_CA.pem",
        CaCertificateType.CSMS: "ca/csms/CSMS_ROOT_CA.pem",
        CaCertificateType.MF: "ca/mf/MF_ROOT_CA.pem",
        AddedCaType.OEM: "ca/oem/OEM_ROOT_CA.pem",
    }
    secc, csms = layout.leaves[LeafCertificateType.V2G], layout.leaves[LeafCertificateType.CSMS]
    assert (secc.certificates, secc.keys) == (CERTS / "client/cso", CERTS / "client/cso")
    assert (csms.certificates, csms.keys) == (CERTS / "client/csms", CERTS / "client/csms")
    assert not layout.shared_leaf_directory


def test_a_domain_without_a_place_is_none() -> None:
    assert list(Layout.of(config(oem_ca_bundle=None)).bundles) == list(CaCertificateType)


def test_a_shared_leaf_directory_is_known_by_its_place_not_by_its_spelling(tmp_path: Path) -> None:
    (tmp_path / "leaves").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "leaves")
    for spelling in (tmp_path / "leaves", tmp_path / "x" / ".." / "leaves", tmp_path / "link"):
        shared = config(csms_leaf_cert_directory=spelling, secc_leaf_cert_directory=tmp_path / "leaves")
        assert Layout.of(shared).shared_leaf_directory


def test_a_new_name_is_made_as_everests_module_makes_it() -> None:
    made = token(datetime(2026, 11, 22, 11, 53, 27, tzinfo=UTC), 1, 175318391)
    assert made == "M11_D22_Y2026_H11_M53_S27_i1_r175318391"
    assert is_generated(f"V2G_ROOT_{made}.pem")


@pytest.mark.parametrize("number", [0, 1, 999999])
@pytest.mark.parametrize("random", [0, 2**31 - 1])
@pytest.mark.parametrize("now", ["1970-01-01", "2030-12-31T23:59:59", "9999-12-31"])
def test_every_new_name_is_known_as_generated(now: str, number: int, random: int) -> None:
    made = token(at(now), number, random)
    assert is_generated(f"SECC_LEAF_{made}.pem")
    assert is_generated(f"CPO_CERT_CSMS_LEAF_CHAIN_{made}.pem")
    assert is_generated(f"CSMS_LEAF_{made}.key")


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("SECC_LEAF_11_22_2026_11_53_27_1_1753.key", True),  # the seed's module
        ("CPO_CERT_CHAIN_11_22_2026_11_53_27_2_99.pem", True),
        ("SECC_LEAF_M11_D22_Y2026_H11_M53_S27_i1_r5.tkey", True),
        ("SECC_LEAF.pem", False),
        ("SECC_LEAF.key", False),
        ("V2G_ROOT_CA.pem", False),
        ("backup-SECC_LEAF_M11_D22_Y2026_H11_M53_S27_i1_r5.pem", False),
        ("SECC_LEAF_M11_D22_Y2026_H11_M53_S27_i1_r5.pem.bak", False),
        ("SECC_LEAF_M11_D22_Y2026_H11_M53_S27_i1_r5 (copy).pem", False),
        ("SECC_LEAF_M11_D22_Y2026_H11_M53_S27_i1_r5_mine.key", False),
        ("M11_D22_Y2026_H11_M53_S27_i1_r5.pem", False),
    ],
)
def test_names_that_somebody_else_gave_are_not_generated(name: str, generated: bool) -> None:  # noqa: FBT001
    assert is_generated(name) is generated

"""The table of kinds covers the interface's enumerations."""

from evse_security.store.kinds import CSMS, DOMAINS, LEAF_KINDS, LISTED, SECC, TRUST
from evse_security.vocabulary import CaCertificateType, CertificateType, LeafCertificateType


def test_every_domain_has_a_row_in_the_order_in_which_a_certificate_to_delete_is_looked_for() -> None:
    assert list(DOMAINS) == ["V2G", "MO", "CSMS", "MF"]
    assert set(DOMAINS) == set(CaCertificateType)
    assert [d.file_prefix for d in DOMAINS.values()] == ["V2G_ROOT_", "MO_ROOT_", "CSMS_ROOT_", "MF_ROOT_"]


def test_every_kind_that_can_be_listed_is_a_domain_or_the_v2g_chain() -> None:
    assert set(LISTED) | {CertificateType.V2GCertificateChain} == set(CertificateType)


def test_every_leaf_type_leads_to_roots_and_two_are_kept() -> None:
    assert set(TRUST) == set(LeafCertificateType)
    assert list(LEAF_KINDS) == ["V2G", "CSMS"]
    assert all(TRUST[kind.leaf_type] is kind.ca_type for kind in LEAF_KINDS.values())


def test_in_a_shared_directory_each_kind_passes_over_what_is_named_like_the_other() -> None:
    for own, other in ((SECC, CSMS), (CSMS, SECC)):
        assert own.single_prefix.startswith(other.foreign_marks)
        assert own.chain_prefix.startswith(other.foreign_marks)
        assert not own.single_prefix.startswith(own.foreign_marks)
        assert not own.chain_prefix.startswith(own.foreign_marks)

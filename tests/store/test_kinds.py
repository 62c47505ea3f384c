"""The table of kinds covers the interface's enumerations, and what is added to them."""

from evse_security.additions import CA_TYPES, CERTIFICATE_TYPES, AddedCaType
from evse_security.store.kinds import CSMS, DOMAINS, LEAF_KINDS, LISTED, SECC, TRUST
from evse_security.vocabulary import CertificateType, LeafCertificateType


def test_every_domain_has_a_row_in_the_order_in_which_a_certificate_to_delete_is_looked_for() -> None:
    assert list(DOMAINS) == ["V2G", "MO", "CSMS", "MF", "OEM"]
    assert set(DOMAINS) == set(CA_TYPES)
    assert [d.file_prefix for d in DOMAINS.values()] == [f"{name}_ROOT_" for name in DOMAINS]


def test_every_kind_that_can_be_listed_is_a_domain_or_the_v2g_chain() -> None:
    assert set(LISTED) | {CertificateType.V2GCertificateChain} == set(CERTIFICATE_TYPES)


def test_a_station_may_do_without_what_the_interface_does_not_have_and_without_nothing_else() -> None:
    assert [ca_type for ca_type, domain in DOMAINS.items() if domain.is_optional] == list(AddedCaType)


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

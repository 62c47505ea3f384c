"""The kinds of certificates, in one table: which trust domain, which words, which file names."""

from __future__ import annotations

from typing import NamedTuple

from evse_security.additions import (
    AddedCaType,
    AddedCertificateType,
    AnyCaType,
    AnyCertificateType,
)
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateType,
    LeafCertificateType,
)


class TrustDomain(NamedTuple):
    """The roots of one domain: how OCPP lists them, and the prefix of files made for them."""

    ca_type: AnyCaType
    listed_as: AnyCertificateType
    file_prefix: str
    is_optional: bool = False
    """Whether a station may do without: nothing is made for it, or said of it, before something is there."""


class LeafKind(NamedTuple):
    """A kind of leaf that the station holds keys for, and the prefixes of files made for it."""

    leaf_type: LeafCertificateType
    ca_type: CaCertificateType
    single_prefix: str
    chain_prefix: str
    foreign_marks: tuple[str, ...]
    """Where both kinds share a directory, files whose names begin so belong to the other kind."""
    offers_revoked: bool
    """Whether a revoked one is offered for want of another."""


DOMAINS = {
    domain.ca_type: domain
    for domain in (
        TrustDomain(CaCertificateType.V2G, CertificateType.V2GRootCertificate, "V2G_ROOT_"),
        TrustDomain(CaCertificateType.MO, CertificateType.MORootCertificate, "MO_ROOT_"),
        TrustDomain(CaCertificateType.CSMS, CertificateType.CSMSRootCertificate, "CSMS_ROOT_"),
        TrustDomain(CaCertificateType.MF, CertificateType.MFRootCertificate, "MF_ROOT_"),
        TrustDomain(AddedCaType.OEM, AddedCertificateType.OEMRootCertificate, "OEM_ROOT_", is_optional=True),
    )
}
"""The domains, in the order in which a certificate to delete is looked for."""

LISTED = {domain.listed_as: domain for domain in DOMAINS.values()}

SECC = LeafKind(
    LeafCertificateType.V2G,
    CaCertificateType.V2G,
    "SECC_LEAF_",
    "CPO_CERT_SECC_LEAF_CHAIN_",
    ("CSMS_", "CPO_CERT_CSMS_"),
    offers_revoked=False,  # cars must not meet it (Hubject HUB20 431-003)
)
CSMS = LeafKind(
    LeafCertificateType.CSMS,
    CaCertificateType.CSMS,
    "CSMS_LEAF_",
    "CPO_CERT_CSMS_LEAF_CHAIN_",
    ("SECC_", "CPO_CERT_SECC_"),
    offers_revoked=True,  # the CSMS decides whom it lets in, and a new leaf can only come that way
)

LEAF_KINDS = {kind.leaf_type: kind for kind in (SECC, CSMS)}

TRUST = {
    LeafCertificateType.V2G: CaCertificateType.V2G,
    LeafCertificateType.MO: CaCertificateType.MO,
    LeafCertificateType.CSMS: CaCertificateType.CSMS,
    LeafCertificateType.MF: CaCertificateType.MF,
}
"""Whose roots a leaf of a type must lead to."""

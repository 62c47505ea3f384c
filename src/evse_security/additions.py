"""What the store has beyond the interface: the trust domain of car makers (OEM), with words and records of its own.

No declared revision has a word for it, and who speaks one must not meet any. So the interface's enumerations and
records stay as they are, and cannot hold it; these can. Data only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateStoreUpdate,
    CertificateStoreUpdateOperation,
    CertificateType,
    GetInstalledCertificatesStatus,
)


class AddedCaType(StrEnum):
    """Trust domains that the interface does not have: car makers (OEM), whose certificates cars show (ISO 15118-20)."""

    OEM = "OEM"


class AddedCertificateType(StrEnum):
    """What can be listed beyond the interface, in the words of OCPP 2.1."""

    OEMRootCertificate = "OEMRootCertificate"


AnyCaType = CaCertificateType | AddedCaType
AnyCertificateType = CertificateType | AddedCertificateType

CA_TYPES: tuple[AnyCaType, ...] = (*CaCertificateType, *AddedCaType)
"""All trust domains."""
CERTIFICATE_TYPES: tuple[AnyCertificateType, ...] = (*CertificateType, *AddedCertificateType)
"""All that can be listed."""


def ca_type_named(name: str) -> AnyCaType | None:
    """The trust domain of a name."""
    return next((ca_type for ca_type in CA_TYPES if ca_type == name), None)


CaTypeWithOem = Literal[
    CaCertificateType.V2G,
    CaCertificateType.MO,
    CaCertificateType.CSMS,
    CaCertificateType.MF,
    AddedCaType.OEM,
]
CertificateTypeWithOem = Literal[
    CertificateType.V2GRootCertificate,
    CertificateType.MORootCertificate,
    CertificateType.CSMSRootCertificate,
    CertificateType.V2GCertificateChain,
    CertificateType.MFRootCertificate,
    AddedCertificateType.OEMRootCertificate,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHashDataChainWithOem:
    """A listed certificate and those that belong to it: a leaf with its sub-CAs, a root with those it issued."""

    certificate_type: CertificateTypeWithOem
    certificate_hash_data: CertificateHashData
    child_certificate_hash_data: tuple[CertificateHashData, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetInstalledCertificatesResultWithOem:
    """What is installed."""

    status: GetInstalledCertificatesStatus
    certificate_hash_data_chain: tuple[CertificateHashDataChainWithOem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OemStoreUpdate:
    """A change of the OEM roots, published after it is on disk."""

    operation: CertificateStoreUpdateOperation
    ca_certificate_type: AddedCaType


StoreUpdate = CertificateStoreUpdate | OemStoreUpdate


def roots_update(operation: CertificateStoreUpdateOperation, ca_type: AnyCaType) -> StoreUpdate:
    """What is announced of a change of the roots of a domain; of one that the interface lacks, in words of our own."""
    if isinstance(ca_type, AddedCaType):
        return OemStoreUpdate(operation=operation, ca_certificate_type=ca_type)
    return CertificateStoreUpdate(operation=operation, ca_certificate_type=ca_type)

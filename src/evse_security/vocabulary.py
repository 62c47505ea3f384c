"""The words of the `evse_security` interface: its enumerations and records, spelled member for member.

Data only. A field that is `None` is absent on the wire. Lengths are those of the interface; they come from the OCPP
messages which the values are made for (2.0.1 `CertificateHashDataType`, `OCSPRequestDataType`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated


@dataclass(frozen=True, slots=True)
class MaxLength:
    """Annotation: a string of at most `characters` characters."""

    characters: int


class EncodingFormat(StrEnum):
    """How certificate and key files are encoded."""

    DER = "DER"
    PEM = "PEM"


class CaCertificateType(StrEnum):
    """The trust domains: whose roots a CA certificate belongs to."""

    V2G = "V2G"
    MO = "MO"
    CSMS = "CSMS"
    MF = "MF"


class LeafCertificateType(StrEnum):
    """What a leaf certificate is for: CSMS client, SECC (V2G), firmware signing (MF), contract (MO)."""

    CSMS = "CSMS"
    V2G = "V2G"
    MF = "MF"
    MO = "MO"


class CertificateType(StrEnum):
    """What can be listed, in the words of OCPP (`GetCertificateIdUseEnumType`)."""

    V2GRootCertificate = "V2GRootCertificate"
    MORootCertificate = "MORootCertificate"
    CSMSRootCertificate = "CSMSRootCertificate"
    V2GCertificateChain = "V2GCertificateChain"
    MFRootCertificate = "MFRootCertificate"


class HashAlgorithm(StrEnum):
    """The digest of the two hashes in `CertificateHashData`."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


class InstallCertificateResult(StrEnum):
    """The outcome of an installation."""

    InvalidSignature = "InvalidSignature"
    InvalidCertificateChain = "InvalidCertificateChain"
    InvalidFormat = "InvalidFormat"
    InvalidCommonName = "InvalidCommonName"
    NoRootCertificateInstalled = "NoRootCertificateInstalled"
    Expired = "Expired"
    CertificateStoreMaxLengthExceeded = "CertificateStoreMaxLengthExceeded"
    WriteError = "WriteError"
    Accepted = "Accepted"


class CertificateValidationResult(StrEnum):
    """The outcome of a verification (revision 2026-04)."""

    Valid = "Valid"
    Expired = "Expired"
    InvalidSignature = "InvalidSignature"
    IssuerNotFound = "IssuerNotFound"
    InvalidLeafSignature = "InvalidLeafSignature"
    InvalidChain = "InvalidChain"
    Unknown = "Unknown"


class DeleteCertificateResult(StrEnum):
    """The outcome of a deletion."""

    Accepted = "Accepted"
    Failed = "Failed"
    NotFound = "NotFound"


class GetInstalledCertificatesStatus(StrEnum):
    """Whether anything of the kinds asked for is installed."""

    Accepted = "Accepted"
    NotFound = "NotFound"


class GetCertificateSignRequestStatus(StrEnum):
    """The outcome of making a signing request (revision 2026-04)."""

    Accepted = "Accepted"
    InvalidRequestedType = "InvalidRequestedType"
    KeyGenError = "KeyGenError"
    GenerationError = "GenerationError"


class GetKeyPairStatus(StrEnum):
    """The outcome of looking for a leaf and its key (revision 2023-10)."""

    Accepted = "Accepted"
    Rejected = "Rejected"
    NotFound = "NotFound"
    NotFoundValid = "NotFoundValid"
    PrivateKeyNotFound = "PrivateKeyNotFound"


class GetCertificateInfoStatus(StrEnum):
    """The outcome of looking for a leaf and its key (revision 2026-04)."""

    Accepted = "Accepted"
    Rejected = "Rejected"
    NotFound = "NotFound"
    NotFoundValid = "NotFoundValid"
    PrivateKeyNotFound = "PrivateKeyNotFound"


class CertificateStoreUpdateOperation(StrEnum):
    """What happened to the store."""

    Installed = "Installed"
    Deleted = "Deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHashData:
    """Names one certificate by its issuer's name and key and its serial number, in hexadecimal (RFC 6960 §4.1.1)."""

    hash_algorithm: HashAlgorithm
    issuer_name_hash: Annotated[str, MaxLength(128)]
    issuer_key_hash: Annotated[str, MaxLength(128)]
    serial_number: Annotated[str, MaxLength(40)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHashDataChain:
    """A listed certificate and those that belong to it: a leaf with its sub-CAs, a root with those it issued."""

    certificate_type: CertificateType
    certificate_hash_data: CertificateHashData
    child_certificate_hash_data: tuple[CertificateHashData, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetInstalledCertificatesResult:
    """What is installed."""

    status: GetInstalledCertificatesStatus
    certificate_hash_data_chain: tuple[CertificateHashDataChain, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OCSPRequestData:
    """One certificate to ask a responder about."""

    certificate_hash_data: CertificateHashData | None = None
    responder_url: Annotated[str, MaxLength(512)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OCSPRequestDataList:
    """The certificates to ask responders about, leaf first."""

    ocsp_request_data_list: tuple[OCSPRequestData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateOCSP:
    """A certificate of a chain, with the file of its cached OCSP response if a current one is held."""

    hash: CertificateHashData
    ocsp_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCertificateSignRequestResult:
    """A signing request in PEM, if one could be made."""

    status: GetCertificateSignRequestStatus
    csr: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Paths of a private key and of its certificate (revision 2023-10)."""

    key: str
    certificate: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetKeyPairResult:
    """The key pair to use, if there is one (revision 2023-10)."""

    status: GetKeyPairStatus
    key_pair: KeyPair | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """A leaf to use: paths of its key, chain file and single file, the root it leads to (PEM), and its OCSP responses.

    `certificate_count` counts the certificates of the chain file, or is 1 where there is none.
    """

    key: str
    certificate_root: str | None = None
    certificate: str | None = None
    certificate_single: str | None = None
    certificate_count: int
    password: str | None = field(default=None, repr=False)
    ocsp: tuple[CertificateOCSP, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCertificateInfoResult:
    """The newest usable leaf, if there is one."""

    status: GetCertificateInfoStatus
    info: CertificateInfo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetCertificateFullInfoResult:
    """The newest usable leaf of each root."""

    status: GetCertificateInfoStatus
    info: tuple[CertificateInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateStoreUpdate:
    """A change of the store, published after it is on disk."""

    operation: CertificateStoreUpdateOperation
    leaf_certificate_type: LeafCertificateType | None = None
    ca_certificate_type: CaCertificateType | None = None

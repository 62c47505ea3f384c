"""Which path holds what: the directory layout and file names of EVerest's module and of those who read its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security.additions import AddedCaType, AnyCaType
from evse_security.config import StationConfig, same_place
from evse_security.vocabulary import CaCertificateType, LeafCertificateType

CERTIFICATE_SUFFIXES = frozenset({".pem", ".der", ".crt", ".cer"})
"""Files that are read as certificates. EVerest's module reads `.pem` only."""
KEY_SUFFIXES = frozenset({".key", ".tkey"})
"""Files that are read as private keys."""

OCSP_DIRECTORY = "ocsp"
"""Beside certificates: pairs of `.der` (the response) and `.hash` (whose it is)."""
DER_DIRECTORY = "der"
"""Beside leaves and keys: copies in DER, where EVerest's module does not look."""
BUNDLE_DIRECTORY = "bundle"
"""Beside CA certificates: what consumers need that read only one file, only text, or nothing with a bad block."""
TEMPORARY_SUFFIX = ".evse-tmp"
"""Files being written; any that is found under the lock is a leftover of a killed process."""

DERIVED_DIRECTORIES = frozenset({OCSP_DIRECTORY, DER_DIRECTORY, BUNDLE_DIRECTORY})

_VARYING = r"(?:M\d\d_D\d\d_Y\d{4}_H\d\d_M\d\d_S\d\d_i\d+_r|\d\d_\d\d_\d{4}_\d\d_\d\d_\d\d_\d+_)\d+"
_GENERATED = re.compile(rf"[A-Z][A-Z0-9_]*_{_VARYING}\.(?:pem|key|tkey)", re.ASCII)


@dataclass(frozen=True, slots=True)
class LeafDirectories:
    """Where the leaves of one kind and their keys are."""

    certificates: Path
    keys: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a store."""

    bundles: dict[AnyCaType, Path]
    leaves: dict[LeafCertificateType, LeafDirectories]
    shared_leaf_directory: bool
    """Whether SECC and CSMS leaves lie in one directory."""

    @classmethod
    def of(cls, config: StationConfig) -> Layout:
        """The layout that a configuration names."""
        bundles: dict[AnyCaType, Path | None] = {
            CaCertificateType.V2G: config.v2g_ca_bundle,
            CaCertificateType.MO: config.mo_ca_bundle,
            CaCertificateType.CSMS: config.csms_ca_bundle,
            CaCertificateType.MF: config.mf_ca_bundle,
            AddedCaType.OEM: config.oem_ca_bundle,
        }
        return cls(
            {ca_type: path for ca_type, path in bundles.items() if path is not None},
            {
                LeafCertificateType.V2G: LeafDirectories(
                    config.secc_leaf_cert_directory, config.secc_leaf_key_directory
                ),
                LeafCertificateType.CSMS: LeafDirectories(
                    config.csms_leaf_cert_directory, config.csms_leaf_key_directory
                ),
            },
            same_place(config.csms_leaf_cert_directory, config.secc_leaf_cert_directory),
        )


def token(now: datetime, number: int, random: int) -> str:
    """The varying part of a file name, as EVerest's module makes it: time (UTC), a counter and 31 random bits."""
    return f"{now:M%m_D%d_Y%Y_H%H_M%M_S%S}_i{number}_r{random}"


def is_generated(name: str) -> bool:
    """Whether a file name was made by this library or by EVerest's module; others belong to somebody."""
    return _GENERATED.fullmatch(name) is not None

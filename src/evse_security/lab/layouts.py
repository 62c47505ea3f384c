"""A PKI on disk: as itself, to go on signing later; as EVerest's `certs` directory; as PyPI `iso15118` reads one.

Private keys are written with mode 0600 into directories of mode 0700. A directory that holds something already is
refused unless told otherwise; even then only files of the same names are replaced, and nothing else is touched.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from evse_security.lab.authority import Entity
from evse_security.lab.hierarchy import Edition, Pki, Variant
from evse_security.lab.keys import PrivateKey

NOTHING: Mapping[str, Any] = MappingProxyType({})
INDEX = "pki.json"
INDEX_FORMAT = 1
ISSUERS = "lab"
"""The subdirectory of EVerest's layout in which the PKI itself is kept, so that it can go on signing."""


class Existing(Enum):
    """What to do with a directory that is not empty."""

    REFUSE = "refuse"
    REPLACE = "replace files of the same names"


def save(pki: Pki, directory: Path, existing: Existing = Existing.REFUSE) -> None:
    """Keep a PKI, certificates and keys, so that `load` restores it. The index is written last: with it, it is whole.

    Raises FileExistsError if the directory is not empty and may not be written over, OSError if it cannot be written.
    """
    names = {id(entity): holder for holder, entity in pki.items()}
    index = {
        "format": INDEX_FORMAT,
        "edition": pki.edition,
        "variant": pki.variant,
        "issuers": {holder: entity.issuer and names[id(entity.issuer)] for holder, entity in pki.items()},
    }
    files = {f"{holder}.pem": entity.pem for holder, entity in pki.items()}
    keys = {f"{holder}.key": entity.key_pem() for holder, entity in pki.items()}
    _claim(directory, existing)
    (directory / INDEX).unlink(missing_ok=True)
    _write(directory, private=keys, public={**files, INDEX: json.dumps(index, indent=1) + "\n"})


def load(directory: Path) -> Pki:
    """The PKI that `save` kept. Raises FileNotFoundError if there is none, ValueError if it is of another format."""
    index = json.loads((directory / INDEX).read_text())
    if not isinstance(index, dict) or index.get("format") != INDEX_FORMAT:
        raise ValueError(f"{directory / INDEX} is no index of a PKI in format {INDEX_FORMAT}: make a new PKI elsewhere")
    entities: dict[str, Entity] = {}
    for holder, issuer in index["issuers"].items():
        certificate = x509.load_pem_x509_certificate((directory / f"{holder}.pem").read_bytes())
        entities[holder] = Entity(certificate, _read_key(directory / f"{holder}.key"), issuer and entities[issuer])
    return Pki(Edition(index["edition"]), Variant(index["variant"]), entities)


BUNDLES: Mapping[str, tuple[str, ...]] = {
    # The second root comes first, so that whoever takes the first certificate of a bundle on trust is found out.
    "ca/v2g/V2G_ROOT_CA.pem": ("V2G_ROOT_CA_2", "CPO_SUB_CA1_CROSS", "V2G_ROOT_CA"),
    "ca/mo/MO_ROOT_CA.pem": ("MO_ROOT_CA",),
    "ca/csms/CSMS_ROOT_CA.pem": ("CSMS_ROOT_CA",),
    "ca/mf/MF_ROOT_CA.pem": ("MF_ROOT_CA",),
    "ca/oem/OEM_ROOT_CA.pem": ("OEM_ROOT_CA",),
    "client/cso/SECC_LEAF.pem": ("SECC_LEAF",),
    "client/cso/CPO_CERT_CHAIN.pem": ("SECC_LEAF", "CPO_SUB_CA2", "CPO_SUB_CA1"),
    "client/csms/CSMS_LEAF.pem": ("CSMS_LEAF",),
    "client/csms/CPO_CERT_CSMS_LEAF_CHAIN.pem": ("CSMS_LEAF", "CSMS_SUB_CA"),
}
"""EVerest's files (its defaults for every path) and the certificates in each, in order."""
LEAF_KEYS: Mapping[str, str] = {"client/cso/SECC_LEAF.key": "SECC_LEAF", "client/csms/CSMS_LEAF.key": "CSMS_LEAF"}


def write_everest(
    pki: Pki, directory: Path, *, key_password: str | None = None, existing: Existing = Existing.REFUSE
) -> None:
    """Write an EVerest `certs` directory: bundles of roots, the station's two leaves with chains and keys.

    The PKI itself is saved beside them in `lab`; the leaves' keys are encrypted if there is a password.
    """
    _claim(directory, existing)
    bundles = {
        path: "".join(pki[holder].pem for holder in holders if holder in pki) for path, holders in BUNDLES.items()
    }
    keys = {path: pki[holder].key_pem(key_password) for path, holder in LEAF_KEYS.items()}
    _write(directory, private=keys, public=bundles)
    save(pki, directory / ISSUERS, existing)


# The names of PyPI iso15118 0.31: a certificate file is <stem>Cert.pem or .der, a key <stem>.key.
JOSEV_STEMS: Mapping[str, str] = {
    "v2gRootCA": "V2G_ROOT_CA",
    "cpoSubCA1": "CPO_SUB_CA1",
    "cpoSubCA2": "CPO_SUB_CA2",
    "seccLeaf": "SECC_LEAF",
    "cpsSubCA1": "CPS_SUB_CA1",
    "cpsSubCA2": "CPS_SUB_CA2",
    "cpsLeaf": "CPS_LEAF",
    "moRootCA": "MO_ROOT_CA",
    "moSubCA1": "MO_SUB_CA1",
    "moSubCA2": "MO_SUB_CA2",
    "contractLeaf": "CONTRACT_LEAF",
    "oemRootCA": "OEM_ROOT_CA",
    "oemSubCA1": "OEM_SUB_CA1",
    "oemSubCA2": "OEM_SUB_CA2",
    "oemLeaf": "OEM_LEAF",
}
JOSEV_CHAINS: Mapping[str, str] = {"cpoCertChain.pem": "SECC_LEAF", "oemCertChain.pem": "OEM_LEAF"}
JOSEV_PASSWORDS: Mapping[str, str] = {
    "seccLeaf": "seccLeafPassword.txt",
    "oemLeaf": "oemLeafPassword.txt",
    "contractLeaf": "contractLeafPassword.txt",
    "cpsLeaf": "cpsLeafPassword.txt",
    "moSubCA2": "moSubCA2LeafPassword.txt",
}
"""The keys that are read with a password from a file; an empty file means a plain key."""


def write_iso15118(
    pki: Pki, directory: Path, *, key_password: str | None = None, existing: Existing = Existing.REFUSE
) -> None:
    """Write what PyPI `iso15118` (Josev) finds by its setting PKI_PATH=<directory>/.

    That software reads both editions' certificates from `iso15118_2`, and keys and their password from files. Of a PKI
    of ISO 15118-20 it serves TLS but rejects contracts: version 0.31 checks signatures with SHA-256 only.
    """
    _claim(directory, existing)
    public: dict[str, str | bytes] = {name: pki[holder].chain_pem() for name, holder in JOSEV_CHAINS.items()}
    private: dict[str, str] = dict.fromkeys(JOSEV_PASSWORDS.values(), f"{key_password or ''}\n")
    for stem, holder in JOSEV_STEMS.items():
        public[f"{stem}Cert.pem"] = pki[holder].pem
        public[f"{stem}Cert.der"] = pki[holder].der
        private[f"{stem}.key"] = pki[holder].key_pem(key_password if stem in JOSEV_PASSWORDS else None)
    _write(directory / "iso15118_2" / "private_keys", private=private)
    _write(directory / "iso15118_2" / "certs", public=public)


def _claim(directory: Path, existing: Existing) -> None:
    if existing is Existing.REFUSE and directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} is not empty: choose another directory, or have its files replaced")


def _write(
    directory: Path, *, private: Mapping[str, str] = NOTHING, public: Mapping[str, str | bytes] = NOTHING
) -> None:
    """Write the private files first, so that the directories they share are made for them; then the others in order."""
    for files, directory_mode, mode in ((private, 0o700, 0o600), (public, 0o755, 0o644)):
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(directory_mode, parents=True, exist_ok=True)
            _replace(path, content.encode() if isinstance(content, str) else content, mode)


def _replace(path: Path, content: bytes, mode: int) -> None:
    """Put a new file in the place of whatever was there; a link is replaced, not followed."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _read_key(path: Path) -> PrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, PrivateKey):
        raise ValueError(f"{path} holds a key of a kind that is not made here")
    return key

"""A large store to be killed in: 120 roots, 200 SECC leaves with their sub-CAs and keys, and a CSMS leaf."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from evse_security.pki import pem
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, certificate_id
from evse_security.vocabulary import CaCertificateType, CertificateHashData
from tests.builders import DAY, NOW, World, csms, key, signing_request, world
from tests.laws.stores import CSMS_CA, LONG_AGO, MF_CA, MO_CA, V2G_CA, Prepared

ROOTS, LEAVES, SPARES = 120, 200, 6
AUTHORITIES = ("SubCA2", "SubCA1")
"""Who issued the leaves, from below."""
_MANY = {V2G_CA: ROOTS - 13, MO_CA: 10, MF_CA: 2, CSMS_CA: 1}

LAYOUTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"files": {}, "directories": {"v2g_ca_bundle": "ca/v2g", "secc_leaf_key_directory": "client/keys"}}
)
"""The two forms of a store: what each changes of EVerest's defaults."""


@cache
def pki() -> World:
    """Everybody who is or may be installed."""
    many = (f"{ca_type} {n} >" for ca_type, count in _MANY.items() for n in range(count))
    spares = (f"{ca_type} spare {n} >" for ca_type in (V2G_CA, MO_CA) for n in range(SPARES))
    return world("V2G 0 > SubCA1 > SubCA2 >", *many, *spares, "Tree > TreeSub > TreeSubSub >", "V2G 0 > Branch >")


@cache
def certificate(holder: str) -> Certificate:
    """The certificate of somebody of this PKI, read once."""
    return Certificate(pki()[holder].der)


@cache
def identity(holder: str) -> CertID:
    """What names somebody of this PKI, as the store looks for it."""
    issuer = pki()[holder].issuer
    above = certificate(holder) if issuer is None else Certificate(issuer.der)
    return certificate_id(certificate(holder), above)


def hash_data(holder: str) -> CertificateHashData:
    """The same in the interface's words."""
    return identity(holder).hash_data


def leaf_hash_data(leaf: Certificate) -> CertificateHashData:
    """What names a leaf."""
    return certificate_id(leaf, certificate(AUTHORITIES[0])).hash_data


@cache
def leaf(number: int) -> tuple[Certificate, str, str]:
    """A leaf that was there from the beginning, its chain and its key in PEM. A higher number is valid for longer."""
    private_key = key(f"leaf {number}")
    chain = signed(signing_request(private_key), number)
    secret = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return first(chain), chain, secret


def signed(csr: str, number: int) -> str:
    """The chain for a request. The number is the certificate's own: a serial number names one only."""
    end = NOW + 60 * DAY + timedelta(minutes=number % 10_000)
    return csms(pki(), AUTHORITIES[0]).answer(csr, not_after=end, serial_number=1 << 120 | number)


def first(chain: str) -> Certificate:
    """The leaf of a chain in PEM."""
    return pem.chain(chain, "the chain")[0]


def installed() -> dict[CaCertificateType, list[str]]:
    """Who is installed from the beginning, by domain."""
    return {ca_type: [f"{ca_type} {n}" for n in range(count)] for ca_type, count in _MANY.items()}


def made(root: Path, layout: str) -> Prepared:
    """Make the store, as it is before anything happens to it."""
    prepared = Prepared(root, LAYOUTS[layout])
    config = prepared.config()
    bundles = {
        V2G_CA: config.v2g_ca_bundle,
        MO_CA: config.mo_ca_bundle,
        MF_CA: config.mf_ca_bundle,
        CSMS_CA: config.csms_ca_bundle,
    }
    for ca_type, holders in installed().items():
        _bundle(bundles[ca_type], holders)
    for directory in (config.secc_leaf_cert_directory, config.secc_leaf_key_directory):
        directory.mkdir(0o700, parents=True, exist_ok=True)
    for number in range(LEAVES):
        token = f"{LONG_AGO:M%m_D%d_Y%Y_H%H_M%M_S%S}_i{number}_r{number}"
        single, chain, secret = leaf(number)
        (config.secc_leaf_cert_directory / f"SECC_LEAF_{token}.pem").write_text(single.pem)
        (config.secc_leaf_cert_directory / f"CPO_CERT_SECC_LEAF_CHAIN_{token}.pem").write_text(chain)
        path = config.secc_leaf_key_directory / f"SECC_LEAF_{token}.key"
        path.touch(0o600)
        path.write_text(secret)
    return prepared


def _bundle(path: Path, holders: list[str]) -> None:
    if path.suffix:
        path.parent.mkdir(parents=True)
        path.write_text(pki().pem(*holders))
        return
    path.mkdir(parents=True)
    for number, holder in enumerate(holders):
        (path / f"root{number:03}.pem").write_text(pki()[holder].pem)


@cache
def holders() -> dict[str, str]:
    """Everybody by fingerprint."""
    return {certificate(holder).fingerprint: holder for holder in pki()}


def warm() -> None:
    """Make everything that all stores share."""
    holders()
    for number in range(LEAVES):
        leaf(number)

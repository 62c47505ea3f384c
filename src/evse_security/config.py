"""The configuration of a station: EVerest's nine keys with its defaults, and our own."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from evse_security.clock import Clock, system_clock
from evse_security.errors import InvalidConfiguration

CertificateProfile = Literal["lenient", "iso15118"]
OcspCheck = Literal["verified", "unchecked"]
NewestBy = Literal["not_after", "not_before"]
RevokedLeaves = Literal["withdraw", "offer"]
CsrKeyType = Literal["secp256r1", "secp384r1", "secp521r1", "ed25519", "ed448", "rsa2048", "rsa3072", "rsa4096"]

DEFAULT_PATHS = {
    "csms_ca_bundle": "ca/csms/CSMS_ROOT_CA.pem",
    "mf_ca_bundle": "ca/mf/MF_ROOT_CA.pem",
    "mo_ca_bundle": "ca/mo/MO_ROOT_CA.pem",
    "v2g_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem",
    "csms_leaf_cert_directory": "client/csms",
    "csms_leaf_key_directory": "client/csms",
    "secc_leaf_cert_directory": "client/cso",
    "secc_leaf_key_directory": "client/cso",
}
"""EVerest's defaults, relative to its `certs` directory."""
OEM_CA_BUNDLE = "ca/oem/OEM_ROOT_CA.pem"
"""Where EVerest's tools put the roots of car makers, for whom its module has no key."""
AUDIT_LOG = "audit/audit.jsonl"
"""Beside them, in a directory of its own that nothing else looks into."""
OPTIONAL_PATHS = {"oem_ca_bundle": OEM_CA_BUNDLE, "audit_log": AUDIT_LOG}
"""Paths that may be None; below a `certs` directory they are these, unless they are said to be none."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "certificate_profile": get_args(CertificateProfile),
    "ocsp_check": get_args(OcspCheck),
    "newest_by": get_args(NewestBy),
    "revoked_leaves": get_args(RevokedLeaves),
    "csr_key_type": get_args(CsrKeyType),
}
_UNBOUNDED = 2**63
_RANGES = {
    "max_store_bytes": range(1, _UNBOUNDED),
    "max_store_entries": range(1, _UNBOUNDED),
    "csr_lifetime": range(10**9),  # 30 years, which dates can bear
    "keep_newest": range(1, _UNBOUNDED),
    "certificate_store_max_length": range(1, _UNBOUNDED),
}
_BUNDLES = ("csms_ca_bundle", "mf_ca_bundle", "mo_ca_bundle", "v2g_ca_bundle", "oem_ca_bundle")


@dataclass(frozen=True, kw_only=True)
class StationConfig:
    """Where a station keeps its certificates and keys, and by which rules. Paths are absolute.

    Each `*_ca_bundle` is a PEM file or a directory of certificate files. Directories that do not exist are made when
    something is first written to them. Raises `InvalidConfiguration` naming the key.
    """

    csms_ca_bundle: Path
    """Roots of the CSMS: a PEM file or a directory."""
    mf_ca_bundle: Path
    """Roots of manufacturers, for firmware."""
    mo_ca_bundle: Path
    """Roots of mobility operators, for contracts."""
    v2g_ca_bundle: Path
    """Roots of ISO 15118."""
    csms_leaf_cert_directory: Path
    """Certificates with which the station calls the CSMS."""
    csms_leaf_key_directory: Path
    """Their private keys."""
    secc_leaf_cert_directory: Path
    """Certificates that the station shows to cars (V2G)."""
    secc_leaf_key_directory: Path
    """Their private keys."""
    oem_ca_bundle: Path | None = None
    """Roots of car makers, for the certificates of cars (ISO 15118-20); `none`: nowhere, as without `certs`."""
    private_key_password: str | None = field(default=None, repr=False)
    """Password of all private keys; None or empty: new keys are stored in plain."""
    max_store_bytes: int = 50 * 1024 * 1024
    """Most bytes of all files of the store."""
    max_store_entries: int = 2000
    """Most files of the store, of whatever kind."""
    csr_lifetime: int = 3600
    """Seconds after which the key of an unanswered signing request may be swept."""
    keep_newest: int = 10
    """Newest leaves of each type that are never swept, expired or not."""
    csr_key_type: CsrKeyType = "secp256r1"
    """The kind of key made for a signing request."""
    csr_dns_names: tuple[str, ...] = ()
    """DNS names asked for as subject alternative names."""
    csr_ip_addresses: tuple[str, ...] = ()
    """IP addresses asked for as subject alternative names."""
    certificate_profile: CertificateProfile = "lenient"
    """`iso15118` enforces ISO 15118-2 Annex F and -20 Annex B on V2G and contract chains."""
    ocsp_check: OcspCheck = "verified"
    """`unchecked` stores OCSP responses as they come: for laboratories."""
    newest_by: NewestBy = "not_after"
    """Which leaf is the newest: latest notAfter (EVerest), or latest notBefore (OCPP 2.0.1 A02.FR.15)."""
    revoked_leaves: RevokedLeaves = "withdraw"
    """Leaves that a cached OCSP response calls revoked, or a sub-CA of theirs: `offer` uses them as EVerest does."""
    certificate_store_max_length: int | None = None
    """Most installed CA certificates (OCPP CertificateStoreMaxLength); None: no limit but the store's."""
    additional_root_certificate_check: bool = False
    """A new CSMS root must be signed by the installed one; two are kept at most (OCPP M05.FR.09–.16)."""
    audit_log: Path | None = None
    """Where changes are recorded, one JSON line each; `none`: nowhere, as where no `certs` directory is given."""
    audit_log_sync: bool = False
    """Force each line of the audit log to the disk before a change is answered."""
    clock: Clock = field(default=system_clock, repr=False, compare=False)
    """Tells the time."""

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913  as the dataclass makes it, but paths may be given as text
            self,
            *,
            csms_ca_bundle: str | os.PathLike[str],
            mf_ca_bundle: str | os.PathLike[str],
            mo_ca_bundle: str | os.PathLike[str],
            v2g_ca_bundle: str | os.PathLike[str],
            csms_leaf_cert_directory: str | os.PathLike[str],
            csms_leaf_key_directory: str | os.PathLike[str],
            secc_leaf_cert_directory: str | os.PathLike[str],
            secc_leaf_key_directory: str | os.PathLike[str],
            oem_ca_bundle: str | os.PathLike[str] | None = ...,
            private_key_password: str | None = ...,
            max_store_bytes: int = ...,
            max_store_entries: int = ...,
            csr_lifetime: int = ...,
            keep_newest: int = ...,
            csr_key_type: CsrKeyType = ...,
            csr_dns_names: Iterable[str] = ...,
            csr_ip_addresses: Iterable[str] = ...,
            certificate_profile: CertificateProfile = ...,
            ocsp_check: OcspCheck = ...,
            newest_by: NewestBy = ...,
            revoked_leaves: RevokedLeaves = ...,
            certificate_store_max_length: int | None = ...,
            additional_root_certificate_check: bool = ...,
            audit_log: str | os.PathLike[str] | None = ...,
            audit_log_sync: bool = ...,
            clock: Clock = ...,
        ) -> None: ...

    @classmethod
    def under(cls, certs: str | os.PathLike[str], **overrides: Any) -> StationConfig:
        """Configure EVerest's layout under one directory; relative overrides of paths are joined to it."""
        root = _absolute("certs", certs)
        known = {one.name for one in fields(cls)}
        for key in overrides:
            if key not in known:
                raise InvalidConfiguration(key, "no such key")
        paths = {key: root / _text(key, overrides.get(key, default)) for key, default in DEFAULT_PATHS.items()}
        optional = {key: overrides.get(key, default) for key, default in OPTIONAL_PATHS.items()}
        paths |= {key: root / _text(key, path) for key, path in optional.items() if path is not None}
        return cls(**{**overrides, **paths})

    def __post_init__(self) -> None:
        for key in DEFAULT_PATHS:
            object.__setattr__(self, key, _absolute(key, getattr(self, key)))
        for key in OPTIONAL_PATHS:
            if getattr(self, key) is not None:
                object.__setattr__(self, key, _absolute(key, getattr(self, key)))
        if not isinstance(self.private_key_password, str | None):
            raise InvalidConfiguration("private_key_password", "must be text")  # and is not shown
        object.__setattr__(self, "private_key_password", self.private_key_password or None)
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise InvalidConfiguration(key, f"must be one of {', '.join(choices)}")
        for key in ("additional_root_certificate_check", "audit_log_sync"):
            if not isinstance(getattr(self, key), bool):
                raise InvalidConfiguration(key, "must be true or false")
        if not callable(self.clock):
            raise InvalidConfiguration("clock", "must be a function that tells the time")
        self._check_numbers()
        self._check_alternative_names()
        self._check_overlap()

    def _check_numbers(self) -> None:
        for key, allowed in _RANGES.items():
            value = getattr(self, key)
            if value is None and key == "certificate_store_max_length":
                continue
            if type(value) is not int or value < allowed.start:
                raise InvalidConfiguration(key, f"must be a whole number of at least {allowed.start}")
            if value not in allowed:
                raise InvalidConfiguration(key, f"must be at most {allowed[-1]}")

    def _check_alternative_names(self) -> None:
        for key in ("csr_dns_names", "csr_ip_addresses"):
            value = getattr(self, key)
            if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
                raise InvalidConfiguration(key, "must be a list of strings")
            object.__setattr__(self, key, tuple(value))
        for address in self.csr_ip_addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise InvalidConfiguration("csr_ip_addresses", "holds something that is no IP address") from None

    def _check_overlap(self) -> None:
        """Leaves and trust anchors must not share a directory: what is swept there could be a root.

        A CSMS root that is replaced takes the rest of its bundle with it, so no other domain may have its roots there.
        """
        for leaf_key in ("csms_leaf_cert_directory", "secc_leaf_cert_directory"):
            leaf = _normal(getattr(self, leaf_key))
            for ca_key, path in self._bundles():
                bundle = _normal(path)
                if leaf == bundle or bundle in leaf.parents or leaf == bundle.parent:
                    raise InvalidConfiguration(leaf_key, f"overlaps {ca_key}")
        if self.audit_log is not None:
            self.check_apart("audit_log", self.audit_log.parent)
        csms, *others = (_normal(path) for _, path in self._bundles())
        if self.additional_root_certificate_check and any(csms == one or csms in one.parents for one in others):
            raise InvalidConfiguration("additional_root_certificate_check", "needs a csms_ca_bundle of its own")

    def _bundles(self) -> Iterator[tuple[str, Path]]:
        return ((key, path) for key in _BUNDLES if (path := getattr(self, key)) is not None)

    def check_apart(self, named: str, directory: Path) -> None:
        """Refuse a directory where certificates and keys are: what lies there is listed, counted and swept.

        Raises `InvalidConfiguration` about the key that named it.
        """
        place = _normal(directory)
        for key, path in {**{key: getattr(self, key) for key in DEFAULT_PATHS}, **dict(self._bundles())}.items():
            taken = _normal(path)
            if taken == place or taken in place.parents or (key in _BUNDLES and taken.parent == place):
                raise InvalidConfiguration(named, f"lies in the directory of {key}")


def same_place(one: Path, other: Path) -> bool:
    """Whether two paths lead to one place, whatever they are spelled like."""
    return _normal(one) == _normal(other)


def _normal(path: Path) -> Path:
    """The place a path leads to, whatever it is spelled like."""
    return Path(os.path.realpath(path))


def _absolute(key: str, value: str | os.PathLike[str]) -> Path:
    text = _text(key, value)
    if not text or "\0" in text:
        raise InvalidConfiguration(key, "is no path")
    path = Path(text)
    if not path.is_absolute():
        raise InvalidConfiguration(key, f"must be absolute, not {text}")
    return path


def _text(key: str, value: object) -> str:
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InvalidConfiguration(key, "must be a path")
    return text

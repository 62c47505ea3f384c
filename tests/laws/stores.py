"""Stores to break, commands to break them with, and what is true of a store."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evse_security import Station, StationConfig
from evse_security.additions import AddedCaType, AnyCaType
from evse_security.core import Core
from evse_security.interface import WITH_OEM
from evse_security.keys.files import KeyProblem, KeyReading
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import certificate_id
from evse_security.store.files import Files
from evse_security.store.snapshot import LeafStore, Snapshot
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    DeleteCertificateResult,
    EncodingFormat,
    GetCertificateInfoStatus,
    GetCertificateSignRequestStatus,
    InstallCertificateResult,
    LeafCertificateType,
)
from tests.builders import DAY, NOW, World, csms, ocsp_answer, world

V2G, CSMS = LeafCertificateType.V2G, LeafCertificateType.CSMS
V2G_CA, MO_CA = CaCertificateType.V2G, CaCertificateType.MO
CSMS_CA, MF_CA, OEM_CA = CaCertificateType.CSMS, CaCertificateType.MF, AddedCaType.OEM
COMMENT = b"# the roots of this station\r\n\r\n"
NO_KEY = KeyReading(problem=KeyProblem.NotAKey)
"""What those say of a key who do not look into it."""
LONG_AGO = NOW - 20 * DAY


@cache
def pki() -> World:
    return world(
        "V2GRoot > SubCA1 > SubCA2 > SECC",
        "V2GRoot > Other >",
        "MORoot > MOSub >",
        "CSMSRoot > Client",
        "NewRoot > NewSub >",
        "DerRoot >",
    )


@dataclass(frozen=True)
class Prepared:
    """A store in service, and what commands need to know about it."""

    root: Path
    overrides: Mapping[str, Any] = field(default_factory=dict)
    leaf: CertificateHashData | None = None
    chain: str = ""
    """The answer to a request that is in the air."""

    def config(self, now: datetime = NOW, **overrides: Any) -> StationConfig:
        """Without an audit log: what is compared are the files of the store."""
        return StationConfig.under(self.root, clock=lambda: now, **{"audit_log": None, **self.overrides, **overrides})

    def station(self, files: Files | None = None, now: datetime = NOW, **overrides: Any) -> Station:
        return Station(self.config(now, **overrides), files)

    def snapshot(self) -> Snapshot:
        return Core(self.config()).look()[0]

    def copied_to(self, root: Path) -> Prepared:
        shutil.copytree(self.root, root, symlinks=True)
        return Prepared(root, self.overrides, self.leaf, self.chain)


# ---- commands: true where they were acknowledged

Command = Callable[[Station, Prepared], bool]


def hash_data(holder: str) -> CertificateHashData:
    entity = pki()[holder]
    return certificate_id(Certificate(entity.der), Certificate((entity.issuer or entity).der)).hash_data


def installing(holder: str, ca_type: AnyCaType = V2G_CA) -> Command:
    def run(station: Station, _: Prepared) -> bool:
        roots = station.interface(WITH_OEM)
        answer = roots.install_ca_certificate(certificate=pki()[holder].pem, certificate_type=ca_type)
        return answer is InstallCertificateResult.Accepted

    return run


def deleting(holder: str) -> Command:
    return lambda station, _: deleted(station, hash_data(holder)) is DeleteCertificateResult.Accepted


def deleting_the_leaf(station: Station, prepared: Prepared) -> bool:
    assert prepared.leaf is not None
    return deleted(station, prepared.leaf) is DeleteCertificateResult.Accepted


def deleted(station: Station, wanted: CertificateHashData) -> DeleteCertificateResult:
    return station.interface().delete_certificate(certificate_hash_data=wanted)


def requesting(station: Station, _: Prepared) -> bool:
    return request(station, V2G) is not None


def request(station: Station, leaf_type: LeafCertificateType) -> str | None:
    answer = station.interface().generate_certificate_signing_request(
        certificate_type=leaf_type, country="DE", organization="Test", common="DE*TST*E1", use_tpm=False
    )
    return answer.csr if answer.status is GetCertificateSignRequestStatus.Accepted else None


def updating(station: Station, prepared: Prepared) -> bool:
    return updated(station, prepared.chain) is InstallCertificateResult.Accepted


def updated(station: Station, chain: str, leaf_type: LeafCertificateType = V2G) -> InstallCertificateResult:
    return station.interface().update_leaf_certificate(certificate_chain=chain, certificate_type=leaf_type)


def caching(holder: str, **changes: Any) -> Command:
    text = cache(lambda: b64encode(ocsp_answer(pki(), holder, **changes)).decode())

    def run(station: Station, _: Prepared) -> bool:
        station.interface().update_ocsp_cache(certificate_hash_data=hash_data(holder), ocsp_response=text())
        return True

    return run


def sweeping(station: Station, _: Prepared) -> bool:
    station.sweep()
    return True


def asking_for_der(station: Station, _: Prepared) -> bool:
    return leaf_files(station, EncodingFormat.DER) is not None


def asking_for_the_location(station: Station, _: Prepared) -> bool:
    return station.interface().get_verify_location(certificate_type=V2G_CA) != ""


def asking_for_the_file(station: Station, _: Prepared) -> bool:
    return station.interface().get_verify_file(certificate_type=V2G_CA) != ""


def leaf_files(station: Station, encoding: EncodingFormat = EncodingFormat.PEM) -> list[Path] | None:
    """The key and certificate files that are offered to the TLS server."""
    answer = station.interface().get_leaf_certificate_info(certificate_type=V2G, encoding=encoding, include_ocsp=True)
    if answer.status is not GetCertificateInfoStatus.Accepted or answer.info is None:
        return None
    info = answer.info
    return [Path(path) for path in (info.key, info.certificate, info.certificate_single) if path is not None]


# ---- stores


def signed(station: Station, leaf_type: LeafCertificateType, *authorities: str, **changes: Any) -> str:
    """Have a request of the station answered by the first of these; the chain with all of them, not installed yet."""
    csr = request(station, leaf_type)
    assert csr is not None
    return csms(pki(), authorities[0]).answer(csr, **changes) + pki().pem(*authorities)


def in_service(prepared: Prepared, *, expired: int = 0) -> Prepared:
    """Make a station in service: roots, a SECC leaf with sub-CAs, OCSP answer and DER copies, a CSMS leaf.

    There is a request in the air. `expired`: so many old SECC leaves, and a key for a request that nobody answered.
    """
    bundle = prepared.config().v2g_ca_bundle
    if bundle.suffix and not bundle.is_symlink():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_bytes(COMMENT)
    early, station = prepared.station(now=LONG_AGO), prepared.station()
    for holder in ("V2GRoot", "SubCA1", "Other"):
        assert installing(holder)(early, prepared)
    for n in range(expired):
        validity = {"not_before": LONG_AGO - DAY, "not_after": NOW - (n + 1) * DAY}
        assert updated(early, signed(early, V2G, "SubCA2", "SubCA1", **validity)) is InstallCertificateResult.Accepted
    if expired:
        assert requesting(early, prepared)
    assert installing("MORoot", MO_CA)(station, prepared)
    assert installing("CSMSRoot", CSMS_CA)(station, prepared)
    assert updated(station, signed(station, V2G, "SubCA2", "SubCA1")) is InstallCertificateResult.Accepted
    assert updated(station, signed(station, CSMS, "CSMSRoot"), CSMS) is InstallCertificateResult.Accepted
    assert caching("SubCA2")(station, prepared)
    listed = station.interface().get_installed_certificates(certificate_types=(CertificateType.V2GCertificateChain,))
    leaf = listed.certificate_hash_data_chain[0].certificate_hash_data
    return Prepared(prepared.root, prepared.overrides, leaf, signed(station, V2G, "SubCA2", "SubCA1"))


def file_store(root: Path) -> Prepared:
    """Bundles are files, as in EVerest."""
    return in_service(Prepared(root))


def oem_store(root: Path) -> Prepared:
    """There are OEM roots as well; one of them is a V2G root, too."""
    bundle = root / "ca" / "oem" / "OEM_ROOT_CA.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(pki().pem("NewRoot", "V2GRoot"))
    return in_service(Prepared(root))


def linked_store(root: Path) -> Prepared:
    """The V2G bundle is a link to a file elsewhere."""
    real, bundle = root / "elsewhere" / "roots.pem", root / "ca" / "v2g" / "V2G_ROOT_CA.pem"
    for directory in (real.parent, bundle.parent):
        directory.mkdir(parents=True)
    real.write_bytes(COMMENT)
    bundle.symlink_to("../../elsewhere/roots.pem")
    return in_service(Prepared(root))


def directory_store(root: Path) -> Prepared:
    """The V2G bundle is a directory, with one root in DER; keys are apart from certificates."""
    (root / "ca" / "v2g").mkdir(parents=True)
    (root / "ca" / "v2g" / "der.der").write_bytes(pki()["DerRoot"].der)
    return in_service(
        Prepared(root, {"v2g_ca_bundle": "ca/v2g", "secc_leaf_key_directory": "client/keys", "keep_newest": 1})
    )


def crowded_store(root: Path) -> Prepared:
    """Old leaves and keys that a sweep would take, and no room for one more file."""
    overrides = {"v2g_ca_bundle": "ca/v2g", "keep_newest": 1}
    made = in_service(Prepared(root, overrides), expired=1)
    files = sum(path.parent.name != "der" for path in made.snapshot().names)
    return Prepared(root, {**overrides, "max_store_entries": files}, made.leaf, made.chain)


def hashed_store(root: Path) -> Prepared:
    """The V2G directory has links by subject hash, copies in text and a file of all roots."""
    made = directory_store(root)
    assert asking_for_the_location(made.station(), made)
    assert asking_for_the_file(made.station(), made)
    return made


def without_copies(root: Path) -> Prepared:
    """The DER copies were never made."""
    made = file_store(root)
    shutil.rmtree(root / "client" / "cso" / "der")
    return made


# ---- what is true of a store


class Facts(NamedTuple):
    """What a store holds, whatever its files are called."""

    roots: frozenset[tuple[str, str]]
    """CA certificates by domain."""
    leaves: frozenset[tuple[str, str, frozenset[str]]]
    """Usable leaves by kind, each with the sub-CAs that it is offered with."""
    certificates: frozenset[tuple[str, str]]
    """All leaves by kind, usable or not."""
    responses: frozenset[tuple[str, bytes]]
    waiting: int
    """Keys whose certificate has not come."""
    problems: tuple[str, ...]


def facts(prepared: Prepared) -> Facts:
    """Look at a store as a process does that has just started."""
    snapshot = prepared.snapshot()
    stores = snapshot.leaves.values()
    keys = {key.path for store in stores for key in store.keys if key.token is not None}
    return Facts(
        frozenset((str(kind), c.fingerprint) for kind, store in snapshot.cas.items() for c in store.certificates),
        frozenset(found for store in stores for found in _offered(store)),
        frozenset(
            (str(store.kind.leaf_type), leaf.certificate.fingerprint) for store in stores for leaf in store.leaves
        ),
        frozenset(
            (entry.cert_id.digest, entry.response_path.read_bytes())
            for entries in snapshot.ocsp_by_id.values()
            for entry in entries
            if entry.cert_id is not None
        ),
        len(keys - {leaf.key.path for store in stores for leaf in store.leaves if leaf.key is not None}),
        tuple(f"{problem.path.name}: {problem.text}" for problem in snapshot.problems),
    )


def _offered(store: LeafStore) -> list[tuple[str, str, frozenset[str]]]:
    return [
        (
            store.kind.leaf_type,
            leaf.certificate.fingerprint,
            frozenset(c.fingerprint for c in leaf.file.certificates[1:]),
        )
        for leaf in store.leaves
        if leaf.key is not None and leaf.servable
    ]


def tree(root: Path) -> dict[str, bytes | str]:
    """Every name below a directory with its content: of a link where it leads, of a directory its mode.

    The audit log is another matter: it has entries of what was refused, and of who did it when.
    """
    return {
        str(path.relative_to(root)): f"-> {path.readlink()}"
        if path.is_symlink()
        else f"directory {path.stat().st_mode & 0o7777:o}"
        if path.is_dir()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if root / "audit" not in (path, *path.parents)
    }

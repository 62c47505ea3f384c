"""The store as PyPI `iso15118` (Josev) reads certificates: copies under names of its own, all renewed in one step.

Josev takes its chain anew from these files for each session. `iso15118_2` is a link to a directory that holds one
generation of them and is never altered; so nobody ever sees a leaf beside the key of another.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from evse_security.cars import EDITIONS
from evse_security.chains import Chain, Edition, Installed, OemRoots, roots_in
from evse_security.errors import EvseSecurityError, NotWritable
from evse_security.interface.r2026_04 import Interface
from evse_security.service.ours import insist
from evse_security.service.state import Claim, force
from evse_security.vocabulary import CaCertificateType, LeafCertificateType

LINK, GENERATION = "iso15118_2", ".iso15118_2-"
"""What Josev opens, whatever the edition; and how the names of the directories begin that it leads to."""
MAX_SUB_CAS = 2
"""Josev has names for so many."""
MAX_KEY_BYTES = 64 * 1024
"""More has no key that the store reads."""
PATIENCE, _PAUSE = 5.0, 0.01
"""Seconds to wait for another process that exports to the same directory."""


@dataclass(eq=False)
class NothingToExport(EvseSecurityError):
    """There is no chain of that edition that could be exported; what was exported before is as it was."""

    edition: str
    problem: str
    template = "no chain for {edition} can be exported: {problem}"


class Store(Protocol):
    """What is asked of a station."""

    def chains(self, certificate_type: LeafCertificateType, /) -> Installed: ...
    def interface(self) -> Interface: ...


class Exported(NamedTuple):
    """What was exported, and to where."""

    directory: Path
    chain: Chain
    more_roots: tuple[str, ...]
    """Domains with roots beyond the one for which Josev has a name."""
    is_new: bool
    """Whether anything was written: files that are as they should be stay."""
    oem_problem: str | None = None
    """Why no OEM root was exported, though there is something."""


def export(station: Store, directory: Path, edition: Edition, oem_roots: Path | None = None) -> Exported:
    """Write the newest chain of an edition that verifies now, its key, and the roots. All of it or nothing.

    `oem_roots` is a file of PEM in the place of the installed OEM roots.
    `PKI_PATH` of Josev is `directory` with a slash. Raises `NothingToExport`, and `NotWritable` where the disk refuses,
    or where others may write: they could have Josev serve with another key.
    """
    chain = _newest(station, edition)
    oem = OemRoots(roots_in(oem_roots)) if oem_roots else station.chains(LeafCertificateType.V2G).oem
    roots = {"mo": _mo_roots(station), "oem": oem.roots}
    public = _certificates(chain, {domain: found[0] for domain, found in roots.items() if found})
    try:
        insist(directory)
        with open(chain.key, "rb") as file:
            private = {"seccLeaf.key": file.read(MAX_KEY_BYTES)}
        private |= {"seccLeafPassword.txt": f"{chain.password or ''}\n".encode()}
        is_new = not _is_there(directory / LINK, public, private)
        if is_new or _others(directory):
            is_new = _renewed(directory, public, private)
    except OSError as problem:
        raise NotWritable(str(problem.filename or directory), problem.strerror or type(problem).__name__) from None
    more = tuple(domain.upper() for domain, found in roots.items() if len(found) > 1)
    return Exported(directory, chain, more, is_new, oem.problem)


def _newest(station: Store, edition: Edition) -> Chain:
    installed = station.chains(LeafCertificateType.V2G)
    fitting = [one for one in installed.chains if one.edition is edition]
    if not fitting:
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in installed.unsent)
        raise NothingToExport(EDITIONS[edition], reasons or "none is there")
    if len(fitting[0].sent) - 1 > MAX_SUB_CAS:
        raise NothingToExport(EDITIONS[edition], f"{fitting[0]}, has more than {MAX_SUB_CAS} sub-CAs")
    return fitting[0]


def _mo_roots(station: Store) -> tuple[bytes, ...]:
    path = station.interface().get_verify_file(certificate_type=CaCertificateType.MO)
    return roots_in(Path(path)) if path else ()


def _certificates(chain: Chain, roots: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of certificates by name: `<stem>Cert.pem` and `.der`, and the chain."""
    leaf, *sub_cas = [one.pem for one in chain.sent]
    stems = {"seccLeaf": leaf, "v2gRootCA": ssl.DER_cert_to_PEM_cert(chain.root)}
    for number, pem in enumerate(reversed(sub_cas), 1):  # the first is the one below the root
        stems[f"cpoSubCA{number}"] = pem
    stems |= {f"{domain}RootCA": ssl.DER_cert_to_PEM_cert(root) for domain, root in roots.items()}
    files = {f"{stem}Cert.pem": pem.encode() for stem, pem in stems.items()}
    files |= {f"{stem}Cert.der": ssl.PEM_cert_to_DER_cert(pem) for stem, pem in stems.items()}
    return {**files, "cpoCertChain.pem": chain.pem.encode()}


# ---- the disk


def _is_there(link: Path, public: Mapping[str, bytes], private: Mapping[str, bytes]) -> bool:
    """Whether a generation has these very files, the private ones for nobody else."""
    return link.is_symlink() and _holds(link / "certs", public, 0) and _holds(link / "private_keys", private, 0o077)


def _holds(directory: Path, files: Mapping[str, bytes], forbidden: int) -> bool:
    try:
        found = {path.name: path for path in directory.iterdir()}
        if found.keys() != files.keys() or directory.stat().st_mode & forbidden:
            return False
        return all(
            path.stat().st_mode & forbidden == 0
            and path.stat().st_size == len(files[name])
            and path.read_bytes() == files[name]
            for name, path in found.items()
        )
    except OSError:
        return False


def _others(directory: Path) -> list[Path]:
    """What is left of other generations than the one that the link leads to: it may hold a key that is to be gone."""
    link = directory / LINK
    current = os.readlink(link) if link.is_symlink() else ""
    return [one for one in directory.glob(f"{GENERATION}*") if one.name != current]


def _renewed(directory: Path, public: Mapping[str, bytes], private: Mapping[str, bytes]) -> bool:
    """Replace what is not as it should be, and remove what is left of others. Whether anything was. Raises OSError.

    One process after another: who removes what is left would remove what another one is just writing. Who is kept from
    that for too long (anybody who may read the directory can) writes, and removes nothing.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(0o755, exist_ok=True)
    insist(directory)
    claim = Claim(directory)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (is_alone := claim.take()) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        is_new = not _is_there(directory / LINK, public, private)
        if is_new:
            _replace(directory, public, private)
        for other in _others(directory) if is_alone else ():
            other.unlink() if other.is_symlink() else shutil.rmtree(other, ignore_errors=True)
        return is_new
    finally:
        claim.release()


def _replace(directory: Path, public: Mapping[str, bytes], private: Mapping[str, bytes]) -> None:
    """Write a new generation, then have the link lead there. Raises OSError."""
    link, number = directory / LINK, secrets.token_hex(8)
    if link.exists() and not link.is_symlink():
        raise OSError(17, "is there already, and was not exported from a station", str(link))
    generation, new_link = directory / f"{GENERATION}{number}", directory / f"{GENERATION}{number}.link"
    try:
        generation.mkdir(0o755)
        _write(generation / "private_keys", private, 0o700, 0o600)
        _write(generation / "certs", public, 0o755, 0o644)
        force(generation)
        force(directory)  # else a power cut may leave a link to what is not there
        new_link.symlink_to(generation.name)
        new_link.replace(link)
    except OSError:
        new_link.unlink(missing_ok=True)
        shutil.rmtree(generation, ignore_errors=True)
        raise
    force(directory)


def _write(directory: Path, files: Mapping[str, bytes], directory_mode: int, mode: int) -> None:
    """Write files into a new directory, and into no other that somebody may have put in its place."""
    directory.mkdir(directory_mode)
    made = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(made).st_uid != os.geteuid() or os.fstat(made).st_mode & 0o777 & ~directory_mode:
            raise OSError(errno.EPERM, "is not the directory that was made", str(directory))
        for name, content in files.items():
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=made)
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        os.fsync(made)
    finally:
        os.close(made)

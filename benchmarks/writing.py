"""Commands that write, beside the bare writing of the same files: write, fsync, rename, fsync of directories.

What is measured is our own work beside what the disk takes, so it depends on the disk. Everything is measured twice: on
the disk as it is, which may be a virtual one that forces nothing, and as on one like those that stations have.
"""

from __future__ import annotations

import base64
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, groupby
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.ocsp import OCSPRequestBuilder

from benchmarks.measure import MIN_ROUNDS, Bound, Call, Row, Target, once, paired
from benchmarks.plan import Plan
from benchmarks.stores import NOW, Stores, config_under, spare_root
from evse_security import (
    CaCertificateType,
    CertificateHashData,
    DeleteCertificateResult,
    HashAlgorithm,
    InstallCertificateResult,
    LeafCertificateType,
    Station,
)
from evse_security.lab.hierarchy import Pki
from evse_security.lab.ocsp import ResponseTemplate
from evse_security.store.lock import LOCK_FILE

STATED = 0.0025
"""Seconds that an fsync takes at least on the stated disk: on the one that the target was set on, forcing a file and
its directory took 5.2 ms. SD cards and eMMC take 5 to 10 ms for each."""
GROUPS = {"writing": 0.0, f"writing, each fsync made to take {1000 * STATED:g} ms": STATED}
"""What the rows are called, and how long an fsync takes at least: ours and the floor's alike."""
TARGET = Target(Bound.RATIO, 1.5)
V2G = LeafCertificateType.V2G
Step = tuple[str, Call]


class Footprint(NamedTuple):
    """What a command left on the disk: files written, with their content, and files removed; relative paths."""

    written: tuple[tuple[str, bytes], ...]
    removed: tuple[str, ...]

    def prepare(self, scratch: Path) -> None:
        """Make the directories, and the files to remove."""
        for path in (*self.removed, *(path for path, _ in self.written)):
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        for path in self.removed:
            (scratch / path).touch()

    def replay(self, scratch: Path) -> None:
        """Write and remove the same, safely and with nothing else: each directory is forced only where it must be.

        That is between a chain and the leaf alone, either of which must not be there, or gone, without the other, and
        between a leaf and its key; and once at the end. Copies in DER can be made again, so new ones are not forced.
        """
        contents = dict(self.written)
        for step in _in_steps(contents, lambda path: 0 if "_CHAIN_" in path else 1):
            for path in step:
                _write(scratch / path, contents[path])
            _sync({(scratch / path).parent for path in step if not _is_copy(path)})
        for step in _in_steps(self.removed, _removed_in_step):
            for path in step:
                os.unlink(scratch / path)
            _sync({(scratch / path).parent for path in step})


def _in_steps(paths: Iterable[str], step: Callable[[str], int]) -> list[list[str]]:
    return [list(found) for _, found in groupby(sorted(paths, key=step), key=step)]


def _removed_in_step(path: str) -> int:
    """The leaf alone, its chain, its key; what lies in directories beside them at any time."""
    directory, name = os.path.split(path)
    if os.path.basename(directory) in ("der", "ocsp"):
        return 3
    return 2 if name.endswith(".key") else int("_CHAIN_" in name)


def _is_copy(path: str) -> bool:
    return os.path.basename(os.path.dirname(path)) == "der"


def _write(path: Path, content: bytes) -> None:
    aside = f"{path}.aside"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    if not _is_copy(str(path)):
        os.fsync(descriptor)
    os.close(descriptor)
    os.replace(aside, path)


def _sync(directories: Iterable[Path]) -> None:
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)


def rows(plan: Plan, stores: Stores) -> Iterator[Row]:
    """A life in a circle: each command in turn, and right after it its floor; at the end the store is as before."""
    for group, least in GROUPS.items():
        for size in plan.writes:
            with stores.store(size) as directory, stores.scratch() as scratch, forcing_takes(least):
                ours, floor = _circles(directory, scratch, stores.pki, 12 * plan.seconds)
            for what, samples in ours.items():
                yield paired(
                    samples,
                    floor[what],
                    group=group,
                    what=what,
                    size=f"{size} leaves",
                    floor_is="write, fsync, rename, fsync",
                    target=TARGET,
                )


@contextmanager
def forcing_takes(least: float) -> Iterator[None]:
    """Have each fsync of this process take so many seconds at least; what it takes by itself is a part of them."""
    force = os.fsync

    def slowly(descriptor: int) -> None:
        end = time.perf_counter() + least
        force(descriptor)
        time.sleep(max(0.0, end - time.perf_counter()))

    if least:
        os.fsync = slowly  # type: ignore[assignment]
    try:
        yield
    finally:
        os.fsync = force


def _circles(directory: Path, scratch: Path, pki: Pki, seconds: float) -> tuple[dict[str, list[float]], ...]:
    ours: dict[str, list[float]] = defaultdict(list)
    floor: dict[str, list[float]] = defaultdict(list)
    with Station.open(config_under(directory)) as station:
        footprints = _rehearsal(station, directory, pki)
        end = time.perf_counter() + seconds
        for number in count(1):
            for what, call in steps(station, pki, number):
                ours[what].append(once(call))
                footprints[what].prepare(scratch)
                floor[what].append(once(lambda what=what: footprints[what].replay(scratch)))  # type: ignore[misc]
            if (number >= MIN_ROUNDS and time.perf_counter() > end) or number == 100:
                break
    return dict(ours), dict(floor)


def _rehearsal(station: Station, directory: Path, pki: Pki) -> dict[str, Footprint]:
    """Each command once, to see which files it writes and removes."""
    footprints = {}
    before = _files(directory)
    for what, call in steps(station, pki, 0):
        call()
        after = _files(directory)
        written = [path for path, seen in after.items() if before.get(path) != seen]
        footprints[what] = Footprint(
            tuple((path, (directory / path).read_bytes()) for path in written), tuple(before.keys() - after.keys())
        )
        before = after
    return footprints


def _files(directory: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for folder, _, names in os.walk(directory):
        if os.path.basename(folder) == "audit":
            continue  # which nobody forces
        for name in (name for name in names if name != LOCK_FILE):
            path = os.path.join(folder, name)
            status = os.stat(path)
            found[os.path.relpath(path, directory)] = (status.st_ino, status.st_mtime_ns)
    return found


def steps(station: Station, pki: Pki, number: int) -> Iterator[Step]:
    """The commands of one circle. Each is to be called before the next is asked for."""
    interface = station.interface()
    kept: list[str] = []

    def request() -> None:
        answer = interface.generate_certificate_signing_request(
            certificate_type=V2G, country="DE", organization="Benchmark", common=f"SECC{number}", use_tpm=False
        )
        assert answer.csr is not None
        kept.append(answer.csr)

    def update() -> None:
        answer = interface.update_leaf_certificate(certificate_chain=chain, certificate_type=V2G)
        assert answer is InstallCertificateResult.Accepted

    def install() -> None:
        answer = interface.install_ca_certificate(certificate=root.pem, certificate_type=CaCertificateType.V2G)
        assert answer is InstallCertificateResult.Accepted

    def delete(wanted: CertificateHashData) -> None:
        answer = interface.delete_certificate(certificate_hash_data=wanted)
        assert answer is DeleteCertificateResult.Accepted

    yield "generate_certificate_signing_request", request
    chain = pki.answer(kept[0], "SECC_LEAF", now=NOW)
    yield "update_leaf_certificate", update
    leaf = hash_data(x509.load_pem_x509_certificates(chain.encode())[0], pki["CPO_SUB_CA2"].certificate)
    response = _response(pki, leaf)
    yield (
        "update_ocsp_cache",
        lambda: interface.update_ocsp_cache(certificate_hash_data=leaf, ocsp_response=response),
    )
    yield "delete_certificate (leaf)", lambda: delete(leaf)
    root = spare_root(number)
    yield "install_ca_certificate", install
    yield "delete_certificate (root)", lambda: delete(hash_data(root.certificate, root.certificate))


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate) -> CertificateHashData:
    """The hash data of a certificate, made without the library."""
    request = OCSPRequestBuilder().add_certificate(certificate, issuer, SHA256()).build()
    return CertificateHashData(
        hash_algorithm=HashAlgorithm.SHA256,
        issuer_name_hash=request.issuer_name_hash.hex(),
        issuer_key_hash=request.issuer_key_hash.hex(),
        serial_number=f"{certificate.serial_number:x}",
    )


def _response(pki: Pki, wanted: CertificateHashData) -> str:
    template = ResponseTemplate(this_update=NOW, next_update=None, hash_algorithm=SHA256())
    response = pki.ocsp_response(wanted.issuer_name_hash, wanted.issuer_key_hash, wanted.serial_number, template)
    return base64.b64encode(response).decode("ascii")

"""Stores to measure on: certificates and keys made once and kept, stores put together from copies of them.

A store is a directory in EVerest's layout with its default paths; each SECC leaf is a single file, a chain file (leaf,
sub-CAs) and a key, named as EVerest's module names them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

from benchmarks.roots import public_roots
from evse_security import StationConfig
from evse_security.lab.authority import LEAF, ROOT_CA, Entity, Template, name, self_signed
from evse_security.lab.hierarchy import Edition, Pki, make_pki, responder_url
from evse_security.lab.keys import KeyKind, generate_key
from evse_security.lab.layouts import load, save

FORMAT = "1"
"""Part of the name of what is kept; a change of what is made changes it."""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
"""The stations' clock stands still here."""
CHUNK = 500
SPARE = 500
"""Leaves that are made beyond those of the largest store, to be installed while measuring."""
SETTLE = 0.12
"""Seconds after which a change of a file is sure to show in its time stamps."""

V2G_BUNDLE = "ca/v2g/V2G_ROOT_CA.pem"
SECC_DIRECTORY = "client/cso"


def config_under(directory: Path) -> StationConfig:
    """The configuration for a store: defaults, the limits out of the way, the clock standing."""
    return StationConfig.under(directory, max_store_entries=10**7, max_store_bytes=10**12, clock=lambda: NOW)


def leaf_names(number: int) -> tuple[str, str, str]:
    """The names of a leaf's single file, chain file and key, as EVerest's module would make them."""
    made = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=number)
    token = f"{made:M%m_D%d_Y%Y_H%H_M%M_S%S}_i{number}_r{number * 2654435761 % 2**31}"
    return f"SECC_LEAF_{token}.pem", f"CPO_CERT_SECC_LEAF_CHAIN_{token}.pem", f"SECC_LEAF_{token}.key"


def leaf_template(number: int) -> Template:
    """What the certificate of a leaf says. All are valid; a higher number ends later, so the last one is the newest."""
    return replace(
        LEAF,
        subject=name(CN=f"DEEVSE{number:06}", O="Benchmark", C="DE", DC="CPO"),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=60, minutes=number),
        responder_urls=(responder_url("CPO_SUB_CA2"),),
    )


def spare_root(number: int) -> Entity:
    """A root to install."""
    subject = name(CN=f"Benchmark Root {number}", O="Benchmark", C="DE")
    template = replace(ROOT_CA, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=3650))
    return self_signed(generate_key(KeyKind.SECP256R1), replace(template, subject=subject))


def _make_chunk(kept: Path, first: int) -> None:
    """Make the leaves from `first` on in a directory of their own, which appears when it is whole."""
    pki = load(kept / "pki")
    aside = Path(tempfile.mkdtemp(dir=kept))
    for number in range(first, first + CHUNK):
        leaf = pki["CPO_SUB_CA2"].issue(generate_key(KeyKind.SECP256R1), leaf_template(number))
        single, chain, key = (aside / file for file in leaf_names(number))
        single.write_text(leaf.pem)
        chain.write_text(leaf.chain_pem())
        key.touch(mode=0o600)
        key.write_text(leaf.key_pem())
    aside.rename(kept / f"leaves-{first}")


class Stores:
    """The kept certificates, and the stores made of them."""

    def __init__(self, directory: Path) -> None:
        """Make what is missing of the PKI in `directory`, which should be on the disk that is to be measured."""
        self._directory = directory
        self._kept = directory / f"made-{FORMAT}"
        self._kept.mkdir(parents=True, exist_ok=True)
        if not (self._kept / "pki" / "pki.json").exists():
            save(make_pki(Edition.ISO15118_2, now=NOW - timedelta(days=30)), self._kept / "pki")
        self.pki_directory = self._kept / "pki"
        self.pki: Pki = load(self.pki_directory)

    def prepare(self, leaves: int, roots: int) -> float:
        """Make what stores of up to these sizes need, on all cores; the seconds that took."""
        start = time.perf_counter()
        wanted = range(0, leaves + SPARE, CHUNK)
        missing = [first for first in wanted if not (self._kept / f"leaves-{first}").exists()]
        if missing:
            with ProcessPoolExecutor() as pool:
                list(pool.map(_make_chunk, repeat(self._kept), missing))
        self._roots(roots)
        return time.perf_counter() - start

    def _roots(self, count: int) -> list[str]:
        """So many roots in PEM: public ones as far as there are, then made ones."""
        public = public_roots()[:count]
        kept = self._kept / "roots.pem"
        text = kept.read_text() if kept.exists() else ""
        made = [f"{part}-----END CERTIFICATE-----\n" for part in text.split("-----END CERTIFICATE-----\n")[:-1]]
        if len(made) < count - len(public):
            made += [spare_root(10**6 + number).pem for number in range(len(made), count)]
            kept.write_text("".join(made))
        return [*public, *made[: count - len(public)]]

    def leaf_files(self, number: int) -> tuple[Path, Path, Path]:
        """The kept single file, chain file and key of a leaf. They are copied, never written to."""
        folder = self._kept / f"leaves-{number // CHUNK * CHUNK}"
        single, chain, key = leaf_names(number)
        return folder / single, folder / chain, folder / key

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory on the disk that is measured."""
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._directory))
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    @contextmanager
    def store(self, leaves: int, roots: int = 10) -> Iterator[Path]:
        """A store with so many SECC leaves, and a V2G bundle of so many roots, their own among them, at the end."""
        with self.scratch() as directory:
            (directory / SECC_DIRECTORY).mkdir(0o700, parents=True)
            self.copy(range(leaves), directory / SECC_DIRECTORY)
            others = "".join(self._roots(roots - 1))
            bundles = {V2G_BUNDLE: others + self.pki["V2G_ROOT_CA"].pem}
            bundles["ca/mo/MO_ROOT_CA.pem"] = self.pki["MO_ROOT_CA"].pem
            bundles["ca/csms/CSMS_ROOT_CA.pem"] = self.pki["CSMS_ROOT_CA"].pem
            for path, text in bundles.items():
                (directory / path).parent.mkdir(parents=True)
                (directory / path).write_text(text)
            time.sleep(SETTLE)
            yield directory

    def copy(self, numbers: Iterable[int], into: Path) -> None:
        """Put the files of these leaves into a directory."""
        for number in numbers:
            for file in self.leaf_files(number):
                shutil.copy2(file, into / file.name)

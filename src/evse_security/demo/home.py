"""The directory that a play is kept in: `certs`, the station's, and beside it what belongs to everyone else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from evse_security import StationConfig
from evse_security.cli.voice import Unusable
from evse_security.clock import Clock
from evse_security.lab.hierarchy import ALL_PLACES, Edition, Pki, Tier, make_pki
from evse_security.lab.layouts import Existing, load, save

PKI = "pki"
UNFINISHED = ".pki-new"
"""Where a PKI is written before it gets its name: a killed run leaves no half of one under that."""
ELSEWHERE = "take another --directory, or remove this one"


@dataclass(frozen=True)
class Home:
    """Where the play is set."""

    directory: Path
    pki: Pki
    is_new: bool

    @property
    def certs(self) -> Path:
        """The station's certificates and keys, in EVerest's layout."""
        return self.directory / "certs"

    def config(self, clock: Clock) -> StationConfig:
        """The configuration of the station. Requests that a killed run left unanswered are swept after an hour."""
        return StationConfig.under(self.certs, clock=clock)

    @property
    def tls_server(self) -> Path:
        """Chain and key of the CSMS's TLS server, in one file."""
        return self.directory / PKI / "tls_server.pem"

    @property
    def firmware(self) -> Path:
        """Where downloaded firmware lies."""
        return self.directory / "firmware"


@contextmanager
def home(directory: Path, now: datetime) -> Iterator[Home]:
    """Be alone in a directory that is new or of an earlier run; its PKI is made, or loaded.

    Any other directory is refused: roots are installed here whose private keys lie beside them. Raises `Unusable`.
    """
    descriptor: int | None = None
    try:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entered = _entered(directory, now)
        except BlockingIOError:
            raise Unusable(f"{directory} is in use by another demo") from None
        except OSError as problem:
            raise Unusable(f"{problem.filename or directory} cannot be used: {problem.strerror}") from None
        yield entered
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _entered(directory: Path, now: datetime) -> Home:
    names = {path.name for path in directory.iterdir()} - {UNFINISHED}
    if names and PKI not in names:
        raise Unusable(f"{directory} holds something that no demo made: take another --directory")
    pki = _loaded(directory / PKI, now) if names else _made(directory, now)
    return Home(directory, pki, is_new=not names)


def _made(directory: Path, now: datetime) -> Pki:
    pki = make_pki(Edition.ISO15118_2, now=now)
    save(pki, directory / UNFINISHED, Existing.REPLACE)
    (directory / UNFINISHED).rename(directory / PKI)
    return pki


def _loaded(directory: Path, now: datetime) -> Pki:
    try:
        pki = load(directory)
    except (FileNotFoundError, ValueError, LookupError, TypeError) as problem:
        why = type(problem).__name__
        raise Unusable(f"{directory} is no whole PKI of an earlier run ({why}): {ELSEWHERE}") from None
    lasting = [entity.certificate for holder, entity in pki.items() if ALL_PLACES[holder].tier is not Tier.LEAF]
    begin = max(certificate.not_valid_before_utc for certificate in lasting)
    end = min(certificate.not_valid_after_utc for certificate in lasting)
    if not begin <= now < end:
        raise Unusable(f"{directory} is a PKI from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, today is not: {ELSEWHERE}")
    return pki

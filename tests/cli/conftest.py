"""The command line as its user meets it: arguments in; exit code, stdout and stderr out."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.cli import main
from evse_security.lab.hierarchy import Edition, Pki, make_pki
from evse_security.lab.layouts import write_everest
from tests.builders import NOW, key_source


@dataclass(frozen=True)
class Ran:
    """What a run of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@contextmanager
def opened(config: StationConfig) -> Iterator[Station]:
    """A station at the time of the tests."""
    with Station.open(replace(config, clock=lambda: NOW)) as station:
        yield station


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line at the time of the tests, with no environment but the one given."""

    def ran(*argv: str | Path, environment: dict[str, str] | None = None) -> Ran:
        code = main([str(each) for each in argv], environment=environment or {}, opener=opened)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture(scope="session")
def pki() -> Pki:
    return make_pki(Edition.ISO15118_2, now=NOW, keys=key_source)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Path:
    directory = tmp_path_factory.mktemp("pristine") / "certs"
    write_everest(pki, directory)
    shutil.rmtree(directory / "lab")
    return directory


@pytest.fixture
def certs(tmp_path: Path, pristine: Path) -> Path:
    """A directory of certificates in EVerest's layout, valid at the time of the tests."""
    return Path(shutil.copytree(pristine, tmp_path / "certs"))

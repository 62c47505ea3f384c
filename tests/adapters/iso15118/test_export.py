"""The copies for PyPI `iso15118` follow the store, and are never fewer than they were."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118 import files
from evse_security.adapters.iso15118.export import REMINDED, ExportPart
from evse_security.adapters.iso15118.files import GENERATION, LINK, export
from evse_security.agents.placed import PlacedWatch
from evse_security.chains import Edition
from evse_security.errors import InvalidConfiguration, NotWritable
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.service import Service
from evse_security.service.state import Claim
from tests.agents.stations import PATIENCE, Watched, put, stock, watched
from tests.builders import DAY, NOW, world

W = world("Root > Sub > SECC", "Sub > Newer")
CHAIN = "iso15118_2/certs/cpoCertChain.pem"


def exporting(
    tmp_path: Path,
    work: Callable[[Watched, Path], Awaitable[None]],
    clock: Callable[[], datetime] | datetime = NOW,
    **config: Any,
) -> None:
    """Run the part beside a watch for what is placed, and do some work."""
    to = tmp_path / "josev"

    async def do(seen: Watched) -> None:
        await work(seen, to)

    parts = (lambda service: PlacedWatch(service, 0.05), lambda service: ExportPart(service, to, 0.1))
    watched(tmp_path / "certs", do, *parts, clock=clock, **config)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_so():
            await asyncio.sleep(0.02)


def chain_in(to: Path) -> str:
    return (to / CHAIN).read_text() if (to / CHAIN).exists() else ""


def test_the_copies_are_made_at_the_start_and_follow_the_store(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    stock(certs, W, "SECC", "Sub")

    async def work(seen: Watched, to: Path) -> None:
        await until(lambda: chain_in(to) == W.pem("SECC", "Sub"))
        put(certs, "ca/mo/MO_ROOT_CA.pem", W["Root"].pem)
        await until((to / "iso15118_2/certs/moRootCACert.der").exists)
        assert (to / "iso15118_2/private_keys/seccLeaf.key").stat().st_mode & 0o777 == 0o600
        assert not seen.said(EventKind.warning)

    exporting(tmp_path, work)


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")

    async def work(seen: Watched, to: Path) -> None:
        await until(lambda: bool(chain_in(to)))
        generation = os.readlink(to / "iso15118_2")
        for name in ("export", "again"):
            await ExportPart(seen.service, to).export(0.0)
            assert os.readlink(to / "iso15118_2") == generation, name
        (to / "iso15118_2/certs/seccLeafCert.der").write_bytes(b"of somebody else")
        await until(lambda: os.readlink(to / "iso15118_2") != generation)
        assert chain_in(to) == W.pem("SECC", "Sub")

    exporting(tmp_path, work)


def test_a_key_that_others_may_read_is_written_anew(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")

    async def work(seen: Watched, to: Path) -> None:
        await until(lambda: bool(chain_in(to)))
        key = to / "iso15118_2/private_keys/seccLeaf.key"
        key.chmod(0o644)
        await until(lambda: key.stat().st_mode & 0o777 == 0o600)

    exporting(tmp_path, work)


def test_into_a_directory_of_others_no_key_is_written(tmp_path: Path) -> None:
    """They could have Josev serve with another key. What is there stays, and others' doing there is told of."""
    stock(tmp_path / "certs", W, "SECC", "Sub")
    (tmp_path / "josev").mkdir()
    (tmp_path / "josev").chmod(0o777)

    async def work(seen: Watched, to: Path) -> None:
        [warning] = await seen.until_said(EventKind.warning, part="iso15118_export")
        assert "could not be written: it is writable by everybody (mode 0777): chmod go-w it" in warning["text"]
        assert list(to.iterdir()) == []
        to.chmod(0o755)
        await until(lambda: bool(chain_in(to)))
        to.chmod(0o777)
        await seen.until_said(EventKind.warning, times=2, part="iso15118_export")
        assert chain_in(to) == W.pem("SECC", "Sub")

    exporting(tmp_path, work)


def test_directories_of_the_export_are_ours_alone_to_write_in_whatever_the_umask(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    before = os.umask(0)
    try:
        with Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)) as station:
            export(station, tmp_path / "josev", Edition.ISO15118_2)
    finally:
        os.umask(before)
    made = [tmp_path / "josev", *(tmp_path / "josev").rglob("*")]
    assert all(path.is_symlink() or path.stat().st_mode & 0o022 == 0 for path in made)
    keys = tmp_path / "josev/iso15118_2/private_keys"
    assert (keys.stat().st_mode & 0o777, {path.stat().st_mode & 0o777 for path in keys.iterdir()}) == (0o700, {0o600})


def test_a_directory_that_was_put_in_the_place_of_ours_gets_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    make, others = Path.mkdir, tmp_path / "others"
    others.mkdir()

    def swapped(self: Path, *mode: Any, **more: Any) -> None:
        make(self, *mode, **more)
        if self.name == "private_keys":
            self.rmdir()
            others.chmod(0o777)
            others.rename(self)

    monkeypatch.setattr(Path, "mkdir", swapped)
    with (
        Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)) as station,
        pytest.raises(NotWritable, match="is not the directory that was made"),
    ):
        export(station, tmp_path / "josev", Edition.ISO15118_2)
    assert not list(tmp_path.rglob("seccLeaf.key"))


def test_a_leaf_that_expires_stays_there_and_that_is_told(tmp_path: Path) -> None:
    certs, now = tmp_path / "certs", [NOW]
    stock(certs, W, "SECC", "Sub")

    async def work(seen: Watched, to: Path) -> None:
        await until(lambda: bool(chain_in(to)))
        now[0] = W["SECC"].certificate.not_valid_after_utc + DAY
        [warning] = await seen.until_said(EventKind.warning, part="iso15118_export")
        assert "expired" in warning["text"]
        assert "what was exported before stays" in warning["text"]
        assert chain_in(to) == W.pem("SECC", "Sub")

    exporting(tmp_path, work, lambda: now[0])


def test_what_is_wrong_is_told_once_a_day_until_it_is_right(tmp_path: Path) -> None:
    certs, to = tmp_path / "certs", tmp_path / "josev"
    put(certs, "ca/v2g/V2G_ROOT_CA.pem", W["Root"].pem)

    async def work(seen: Watched) -> None:
        part = ExportPart(seen.service, to)
        for elapsed in (0.0, 1.0, REMINDED - 1, REMINDED):
            await part.export(elapsed)
        assert len(seen.said(EventKind.warning)) == 2
        assert not to.exists()
        stock(certs, W, "SECC", "Sub")
        await part.export(REMINDED)
        assert chain_in(to)
        (certs / "ca/v2g/V2G_ROOT_CA.pem").unlink()
        await part.export(REMINDED)
        assert len(seen.said(EventKind.warning)) == 3

    watched(certs, work)


def test_what_stands_in_the_way_is_told(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    (tmp_path / "josev/iso15118_2").mkdir(parents=True)

    async def work(seen: Watched, to: Path) -> None:
        [warning] = await seen.until_said(EventKind.warning, part="iso15118_export")
        assert "was not exported from a station" in warning["text"]

    exporting(tmp_path, work)


def test_oem_roots_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")

    async def work(seen: Watched, to: Path) -> None:
        [warning] = await seen.until_said(EventKind.warning, part="iso15118_export")
        assert f"{tmp_path}/oem.pem: No such file" in warning["text"]

    exporting(tmp_path, work, iso15118_oem_roots=tmp_path / "oem.pem")


def test_installed_oem_roots_that_cannot_be_read_are_told_until_they_can(tmp_path: Path) -> None:
    certs, to = tmp_path / "certs", tmp_path / "josev"
    stock(certs, W, "SECC", "Sub")
    put(certs, "ca/oem/OEM_ROOT_CA.pem", W["Root"].pem + "-----BEGIN CERTIFICATE-----\nno base64")

    async def work(seen: Watched) -> None:
        part = ExportPart(seen.service, to)
        for elapsed in (0.0, 1.0):
            await part.export(elapsed)
        [warning] = seen.said(EventKind.warning)
        assert "has no OEM root" in warning["text"]
        assert chain_in(to) == W.pem("SECC", "Sub")
        put(certs, "ca/oem/OEM_ROOT_CA.pem", W["Root"].pem)
        await part.export(2.0)
        assert len(seen.said(EventKind.warning)) == 1
        assert (to / "iso15118_2/certs/oemRootCACert.der").exists()

    watched(certs, work)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "josev").touch()
    with (
        Station.open(StationConfig.under(tmp_path / "certs")) as station,
        pytest.raises(InvalidConfiguration, match=r"iso15118_export_directory: .*josev is no directory"),
    ):
        Service(station, ServiceConfig(iso15118_export_directory=tmp_path / "josev"))


def test_that_roots_are_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    put(tmp_path / "certs", "ca/mo/MO_ROOT_CA.pem", W["Root"].pem + world("Other")["Other"].pem)

    async def work(seen: Watched, to: Path) -> None:
        await until(lambda: chain_in(to) != "")
        await until(lambda: "there is room for one MO root" in caplog.text)

    exporting(tmp_path, work)


def test_a_directory_of_the_store_is_refused(tmp_path: Path) -> None:
    with (
        Station.open(StationConfig.under(tmp_path)) as station,
        pytest.raises(InvalidConfiguration, match="iso15118_export_directory"),
    ):
        Service(station, ServiceConfig(iso15118_export_directory=tmp_path / "client/cso"))


def exported(to: Path) -> list[str]:
    """All generations that lie there, and what the link leads to at last."""
    return [*sorted(path.name for path in to.glob(f"{GENERATION}*")), os.readlink(to / LINK)]


def test_two_that_export_to_one_directory_take_nothing_from_each_other(tmp_path: Path) -> None:
    """A command beside the service. Each removes what is left of others, and not what the other is writing."""
    to = tmp_path / "josev"
    seen: list[bool] = []
    for number, leaf in enumerate(("SECC", "Newer")):
        stock(tmp_path / f"certs{number}", W, leaf, "Sub")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "certs0"), str(to)], cwd=Path(__file__).parents[3]
    )
    try:
        station = Station.open(StationConfig.under(tmp_path / "certs1", clock=lambda: NOW))
        while child.poll() is None:
            with contextlib.suppress(NotWritable):
                export(station, to, Edition.ISO15118_2)
            seen.append((to / CHAIN).exists() or (to / CHAIN).exists())  # a look may pass a generation that goes
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    assert all(seen) and len(seen) > 10
    assert len(exported(to)) == 2


CHILD = """
import sys
from pathlib import Path
from evse_security import Station, StationConfig
from evse_security.adapters.iso15118.files import Edition, export
from tests.builders import NOW

station = Station.open(StationConfig.under(Path(sys.argv[1]), clock=lambda: NOW))
for _ in range(200):
    export(station, Path(sys.argv[2]), Edition.ISO15118_2)
"""


def test_what_a_power_cut_left_of_a_generation_goes_with_its_key(tmp_path: Path) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    to = tmp_path / "josev"
    station = Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW))
    assert export(station, to, Edition.ISO15118_2).is_new
    (to / f"{GENERATION}cut" / "private_keys").mkdir(parents=True)
    (to / f"{GENERATION}cut.link").symlink_to(f"{GENERATION}cut")
    assert not export(station, to, Edition.ISO15118_2).is_new
    assert len(exported(to)) == 2


def test_a_generation_is_on_the_disk_before_the_link_leads_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    to = tmp_path / "josev"
    steps: list[Path] = []
    replace = Path.replace

    def renamed(path: Path, target: Path) -> Path:
        steps.append(target)
        return replace(path, target)

    monkeypatch.setattr(files, "force", steps.append)
    monkeypatch.setattr(Path, "replace", renamed)
    export(Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)), to, Edition.ISO15118_2)
    assert steps[-3:] == [to, to / LINK, to]


def test_nobody_keeps_it_from_writing_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(tmp_path / "certs", W, "SECC", "Sub")
    to = tmp_path / "josev"
    to.mkdir()
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    holder = Claim(to)
    assert holder.take()
    export(Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)), to, Edition.ISO15118_2)
    assert chain_in(to) == W.pem("SECC", "Sub")
    holder.release()

"""The copies for PyPI `iso15118` follow the store, and are never fewer than they were."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.adapters.iso15118_export import REMINDED, ExportPart
from evse_security.agents.placed import PlacedWatch
from evse_security.errors import InvalidConfiguration
from evse_security.service.config import ServiceConfig
from evse_security.service.events import EventKind
from evse_security.service.service import Service
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

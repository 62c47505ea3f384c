"""Signed firmware (L01): a CSMS that announces it, a web server that has it, and a station that downloads it."""

from __future__ import annotations

import asyncio
import functools
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from evse_security.adapters.ocpp import Certificates, Edition
from evse_security.adapters.ocpp.handlers import message
from evse_security.lab.firmware import sign_firmware
from tests.adapters.ocpp.csms import Stage, play, real_bench
from tests.adapters.ocpp.kit import Bench, Time, policy
from tests.builders import NOW

CONTENT = b"firmware 2.0\n" * 5000
V2 = (Edition.V201, Edition.V201_2025, Edition.V21)
WRONG_SIGNATURE, WRONG_CERTIFICATE = "InvalidFirmwareSignature", "InvalidFirmwareSigningCertificate"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """A web server on loopback with the files of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def action(edition: Edition) -> str:
    return "SignedUpdateFirmware" if edition is Edition.V16 else "UpdateFirmware"


def downloading(edition: Edition, folder: Path) -> type:
    """What a user's station does with an update: download it, have it checked, and say so."""
    pytest.importorskip("ocpp", reason="the package ocpp is not installed")
    from ocpp.routing import after, on

    status = "SignedFirmwareStatusNotification" if edition is Edition.V16 else "FirmwareStatusNotification"

    class Own:
        certificates: Certificates
        tell: Callable[..., Any]

        @on(action(edition))  # type: ignore[untyped-decorator, unused-ignore]
        def on_update(self, **_: Any) -> Any:
            return message(action(edition), {"status": "Accepted"})

        @after(action(edition))  # type: ignore[untyped-decorator, unused-ignore]
        async def after_update(self, request_id: int, firmware: Mapping[str, Any], **_: Any) -> None:
            path = folder / "downloaded.bin"
            await asyncio.to_thread(urllib.request.urlretrieve, firmware["location"], path)
            await self.tell(status, {"status": "Downloaded", "requestId": request_id})
            fits = await self.certificates.firmware_is_signed(path, firmware)
            told = "SignatureVerified" if fits else "InvalidSignature"
            await self.tell(status, {"status": told, "requestId": request_id})

    return Own


async def update(stage: Stage, url: str, *, holder: str = "Firmware", **changes: str | None) -> str:
    """A CSMS that wants a firmware. Returns the answer."""
    firmware = {
        "location": f"{url}/firmware.bin",
        "retrieveDateTime": "2030-01-01T00:00:00Z",
        "signingCertificate": stage.bench.made[holder].pem,
        "signature": sign_firmware(CONTENT, stage.bench.made["Firmware"].key),
    }
    given = {name: value for name, value in {**firmware, **changes}.items() if value is not None}
    return str((await stage.csms.ask(action(stage.csms.edition), requestId=7, firmware=given))["status"])


async def outcome(stage: Stage) -> str:
    """What the station says of the signature in the end."""
    name = "SignedFirmwareStatusNotification" if stage.csms.edition is Edition.V16 else "FirmwareStatusNotification"
    return str((await stage.csms.until_said(name, 2))[-1]["status"])


def run(tmp_path: Path, edition: Edition, scene: Callable[[Stage, str], Any]) -> None:
    served = tmp_path / "web"
    served.mkdir()
    (served / "firmware.bin").write_bytes(CONTENT)
    with web(served) as url:
        own = downloading(edition, tmp_path)
        play(tmp_path, edition, lambda stage: scene(stage, url), bench=real_bench(tmp_path, edition), extra=own)


@pytest.mark.parametrize("edition", Edition)
def test_tc_l_01_what_the_manufacturer_signed_is_verified(tmp_path: Path, edition: Edition) -> None:
    async def scene(stage: Stage, url: str) -> None:
        assert await update(stage, url) == "Accepted"
        assert await outcome(stage) == "SignatureVerified"
        assert stage.csms.said("SecurityEventNotification") == []

    run(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("signature", ["another file's", "no base64", "cut off"])
def test_tc_l_06_another_signature_is_told(tmp_path: Path, edition: Edition, signature: str) -> None:
    async def scene(stage: Stage, url: str) -> None:
        key = stage.bench.made["Firmware"].key
        wrong = {
            "another file's": sign_firmware(b"other", key),
            "no base64": "?" * 96,
            "cut off": sign_firmware(CONTENT, key)[:40],
        }
        assert await update(stage, url, signature=wrong[signature]) == "Accepted"
        assert await outcome(stage) == "InvalidSignature"
        assert "downloaded.bin" in (await stage.event(WRONG_SIGNATURE))["techInfo"]

    run(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", Edition)
@pytest.mark.parametrize("holder", ["StrangerLeaf", "MFRoot"])
def test_tc_l_05_another_certificate_is_refused_before_the_download(
    tmp_path: Path, edition: Edition, holder: str
) -> None:
    async def scene(stage: Stage, url: str) -> None:
        assert await update(stage, url, holder=holder) == "InvalidCertificate"
        assert (await stage.event(WRONG_CERTIFICATE))["techInfo"]
        assert await update(stage, url) == "Accepted"
        assert await outcome(stage) == "SignatureVerified"
        status = "SignedFirmwareStatusNotification" if edition is Edition.V16 else "FirmwareStatusNotification"
        assert [one["status"] for one in stage.csms.said(status)] == ["Downloaded", "SignatureVerified"]

    run(tmp_path, edition, scene)


@pytest.mark.parametrize("edition", V2)
@pytest.mark.parametrize(
    ("missing", "answer"), [("signature", "Accepted"), ("signingCertificate", "InvalidCertificate")]
)
def test_half_of_what_is_needed_is_not_enough(tmp_path: Path, edition: Edition, missing: str, answer: str) -> None:
    async def scene(stage: Stage, url: str) -> None:
        without: dict[str, str | None] = {missing: None}
        assert await update(stage, url, holder="Firmware", **without) == answer
        if answer == "Accepted":
            assert await outcome(stage) == "InvalidSignature"
        await stage.event(WRONG_SIGNATURE if missing == "signature" else WRONG_CERTIFICATE)

    run(tmp_path, edition, scene)


# ---- the file


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "certs", time=Time(NOW))


def firmware_of(bench: Bench) -> dict[str, str]:
    key = bench.made["Firmware"].key
    return {"signingCertificate": bench.made["Firmware"].pem, "signature": sign_firmware(CONTENT, key)}


def is_signed(bench: Bench, path: Path, firmware: Mapping[str, Any]) -> bool:
    """What `Certificates` says of a file; the events are at the bench afterwards."""
    certificates = Certificates(bench.station, policy=policy(bench.edition), directory=bench.state)
    try:
        return asyncio.run(certificates.firmware_is_signed(path, firmware))
    finally:
        certificates.close()
        bench.restarted()


def place(path: Path, kind: str) -> Path:
    match kind:
        case "directory":
            path.mkdir()
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 42)  # sparse: it takes nothing
        case "device":
            return Path("/dev/zero")
        case "NUL":
            return path.with_name("a\0b")
    return path


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("gone", "No such file"),
        ("directory", "no regular file"),
        ("device", "no regular file"),
        ("huge", "more than"),
        ("NUL", "cannot be read"),
    ],
)
def test_what_is_no_firmware_file_is_told_and_not_read(tmp_path: Path, bench: Bench, kind: str, told: str) -> None:
    path = place(tmp_path / "firmware.bin", kind)
    assert is_signed(bench, path, firmware_of(bench)) is False
    [event] = bench.desk.memory.waiting
    assert event.type == WRONG_SIGNATURE
    assert told in event.tech_info


def test_a_certificate_that_ended_while_it_was_downloaded(tmp_path: Path, bench: Bench) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(CONTENT)
    assert is_signed(bench, path, firmware_of(bench)) is True
    bench.time.now = bench.time.now.replace(year=2051)
    assert is_signed(bench, path, firmware_of(bench)) is False
    assert bench.events == [WRONG_CERTIFICATE]


@pytest.mark.parametrize("firmware", [{}, {"signature": 7, "signingCertificate": ["x"]}, {"signature": "A" * 801}])
def test_what_no_schema_lets_through_is_not_signed(tmp_path: Path, bench: Bench, firmware: dict[str, Any]) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(CONTENT)
    given = {**firmware_of(bench), **firmware} if len(firmware) == 1 else firmware
    assert is_signed(bench, path, given) is False
    assert len(bench.events) == 1

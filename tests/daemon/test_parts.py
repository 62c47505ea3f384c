"""Which parts run, and what goes on where one of them is configured wrongly."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evse_security import Station, StationConfig
from evse_security.daemon.parts import assemble, assemble_what_can_be
from evse_security.errors import InvalidConfiguration
from evse_security.service.config import ServiceConfig
from evse_security.service.parts import Part
from evse_security.service.service import Service

WATCHING = ["clock", "placed", "expiry", "sweep", "ocsp"]


def parts(certs: Path, make: Any, **config: Any) -> Sequence[Part]:
    with Station.open(StationConfig.under(certs)) as station:
        service = Service(station, ServiceConfig(**config))
        try:
            return list(make(service))
        finally:
            service.close()


def test_everything_runs_that_is_configured(tmp_path: Path) -> None:
    for make in (assemble, assemble_what_can_be):
        names = [part.name for part in parts(tmp_path, make, mqtt_broker="mqtt://localhost")]
        assert sorted(names) == sorted([*WATCHING, "renewal", "http", "mqtt"])
        assert sorted(part.name for part in parts(tmp_path, make, http_listen=())) == sorted([*WATCHING, "renewal"])
        exporting = parts(tmp_path / "certs", make, http_listen=(), iso15118_export_directory=tmp_path / "josev")
        assert "iso15118_export" in [part.name for part in exporting]


@pytest.mark.parametrize(
    ("key", "config", "left"),
    [
        ("enrolment_command", {"renewal_v2g": "command"}, [*WATCHING, "http"]),
        ("http_listen", {"mqtt_broker": "mqtt://localhost"}, [*WATCHING, "renewal", "mqtt"]),
        ("mqtt_broker", {"mqtt_broker": "nonsense"}, [*WATCHING, "renewal", "http"]),
    ],
)
def test_what_is_configured_wrongly_ends_the_start_or_itself_alone(
    tmp_path: Path, key: str, config: dict[str, Any], left: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if key == "http_listen":
        monkeypatch.setitem(sys.modules, "evse_security.http.page", None)  # as where its extra is not installed
    with pytest.raises(InvalidConfiguration, match=key):
        parts(tmp_path, assemble, **config)
    found = {part.name: part for part in parts(tmp_path, assemble_what_can_be, **config)}
    refused = found.pop(key)
    assert sorted(found) == sorted(left)
    with pytest.raises(InvalidConfiguration, match=key):
        asyncio.run(refused.run(lambda: None))

"""How the station stands: its store as `Station.overview` draws it, at most every few seconds however many ask."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from evse_security.service.service import Service
from evse_security.station import Overview, Station

FRESH = 5.0
"""Seconds for which a picture is good enough."""
PATIENCE = 5.0
"""Seconds within which a worker that is alive answers."""
CALLER = "http:station"

_PLACES = ("csms_leaf_cert_directory", "csms_leaf_key_directory", "secc_leaf_cert_directory", "secc_leaf_key_directory")


@dataclass(frozen=True, slots=True)
class Sight:
    """The store, its limits, and what keeps it from being used."""

    overview: Overview
    max_entries: int
    max_bytes: int
    obstacles: tuple[str, ...]


class Looking:
    """Looks at the station for whoever asks."""

    def __init__(self, service: Service) -> None:
        """Nothing is looked at yet."""
        self._service = service
        self._alone = asyncio.Lock()
        self._seen: Sight | None = None
        self._until = 0.0

    async def sight(self) -> Sight:
        """How the store stands, a few seconds ago at most. Raises what looking raises, `ServiceBusy`, TimeoutError."""
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(PATIENCE), self._alone:
            if self._seen is None or now() >= self._until:
                self._seen = await self._service.look(_seen, caller=CALLER)
                self._until = now() + FRESH
            return self._seen

    async def alive(self) -> None:
        """Return if the worker answers in time. Raises TimeoutError or `ServiceBusy`."""
        async with asyncio.timeout(PATIENCE):
            await self._service.ask(lambda _: None, caller=CALLER)


def _seen(station: Station) -> Sight:
    config = station.config
    places = dict.fromkeys(Path(getattr(config, key)) for key in _PLACES)
    obstacles = tuple(f"{place} cannot be read and written" for place in places if _is_closed(place))
    return Sight(station.overview(), config.max_store_entries, config.max_store_bytes, obstacles)


def _is_closed(place: Path) -> bool:
    """Whether a directory is there, or may be, that we cannot use."""
    try:
        is_directory = stat.S_ISDIR(os.stat(place).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return is_directory and not os.access(place, os.R_OK | os.W_OK | os.X_OK)

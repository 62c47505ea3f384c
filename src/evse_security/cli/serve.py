"""Serve the interface and watch over the station, until SIGTERM: over HTTP with a page, over MQTT, renewing leaves,
keeping OCSP responses fresh, collecting garbage.

SIGHUP reads the configuration anew. Everything is said on stderr. HTTP and MQTT need the extra [service].
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

from evse_security.cli.options import common_place, settings_of
from evse_security.config import StationConfig
from evse_security.errors import InvalidConfiguration

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything is configuration, but for what only prints."""
    parser.add_argument("--systemd-unit", action="store_true", help="print a unit for systemd, and exit")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    if arguments.systemd_unit:
        from evse_security.cli.voice import answer
        from evse_security.daemon.unit import systemd_unit

        answer(systemd_unit(sys.argv[0]).rstrip("\n"))
        return 0
    return _serve(arguments)


def _serve(arguments: argparse.Namespace) -> int:
    import asyncio
    from collections.abc import Callable, Sequence

    from evse_security.daemon.life import Configuration, live
    from evse_security.daemon.logs import log_to_stderr
    from evse_security.daemon.notify import Notifier
    from evse_security.daemon.parts import assemble
    from evse_security.daemon.shield import shield
    from evse_security.service.parts import Part
    from evse_security.service.service import Service

    def read() -> Configuration:
        settings = settings_of(arguments)
        return Configuration(settings.station_config(), settings.service_config())

    def read_and_look() -> Configuration:
        configuration = read()
        _look_for(configuration.station)
        return configuration

    def begin(service: Service, all_ready: Callable[[], bool]) -> Sequence[Part]:
        log_to_stderr(service.config.log_format, service.config.log_level, arguments.environment)
        return assemble(service, all_ready)

    first = read().service
    log_to_stderr(first.log_format, first.log_level, arguments.environment)
    shield()
    asyncio.run(live(read_and_look, begin, Notifier.of(arguments.environment, os.getpid())))
    return 0


def _look_for(config: StationConfig) -> None:
    """Say that nothing is there yet: the path may be mistyped. Raises `InvalidConfiguration` for a file."""
    place = common_place(config)
    if os.path.lexists(place) and not os.path.isdir(place):
        raise InvalidConfiguration("certs", f"{place} is no directory")
    if not os.path.isdir(place):
        log.warning("there is no directory %s: if it is the right one, it is made with the first certificate", place)

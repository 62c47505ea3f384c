"""Which way to the CA is configured for a leaf."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

from evse_security.agents.enrolment.cmp import CmpPort, CmpServer
from evse_security.agents.enrolment.command import CommandPort
from evse_security.agents.enrolment.est import EstPort, EstServer
from evse_security.agents.enrolment.event import EventPort
from evse_security.agents.enrolment.port import EnrolmentPort
from evse_security.clock import Clock
from evse_security.errors import InvalidConfiguration
from evse_security.service.config import Enrolment, ServiceConfig
from evse_security.service.events import Events
from evse_security.service.renewals import Renewed
from evse_security.settings import at_once

LONGEST_PASSWORD = 4096


def port_for(leaf: Renewed, config: ServiceConfig, events: Events, clock: Clock) -> EnrolmentPort | None:
    """The port for a leaf; None for `off`. Raises `InvalidConfiguration` for what is missing or wrong."""
    word = leaf.kind.value.lower()
    enrolment: Enrolment = getattr(config, f"renewal_{word}")
    url = config.enrolment_url.replace("{kind}", word).replace("{edition}", leaf.edition)
    match enrolment:
        case "off":
            return None
        case "event":
            return EventPort(events)
        case "command":
            if not config.enrolment_command:
                raise InvalidConfiguration("enrolment_command", "is needed: it is the program that is run")
            if shutil.which(config.enrolment_command[0]) is None:
                raise InvalidConfiguration(
                    "enrolment_command", f"{config.enrolment_command[0]} is no program that can be run"
                )
            return CommandPort(config.enrolment_command)
        case "est":
            return EstPort(_est_server(config, url), clock)
        case "cmp":
            return CmpPort(_cmp_server(config, url))


def _est_server(config: ServiceConfig, url: str) -> EstServer:
    _check(config)
    password = _password(config.enrolment_password_file)
    if ":" in config.enrolment_user:
        raise InvalidConfiguration("enrolment_user", "must hold no colon (RFC 7617)")
    if config.enrolment_user and not password:
        raise InvalidConfiguration("enrolment_password_file", "is needed: the password of enrolment_user")
    if password and not config.enrolment_user:
        raise InvalidConfiguration("enrolment_user", "is needed: whose password is in enrolment_password_file")
    return EstServer.at(url, config.enrolment_ca, config.enrolment_user, password, config.ocsp_proxy)


def _cmp_server(config: ServiceConfig, url: str) -> CmpServer:
    _check(config)
    _password(config.enrolment_password_file)
    return CmpServer.at(
        url, config.enrolment_ca, config.enrolment_user, config.enrolment_password_file, config.ocsp_proxy
    )


def _check(config: ServiceConfig) -> None:
    """What is missing now would be missed at night, weeks later."""
    if not config.enrolment_url:
        raise InvalidConfiguration("enrolment_url", "is needed: it is the server that is asked")
    if config.enrolment_ca is not None:
        _read("enrolment_ca", config.enrolment_ca, 0)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(config.enrolment_ca)
        except ssl.SSLError:
            raise InvalidConfiguration("enrolment_ca", f"{config.enrolment_ca} holds no certificates (PEM)") from None


def _password(path: Path | None) -> str:
    """The first line of a file; empty where there is no file."""
    if path is None:
        return ""
    content = _read("enrolment_password_file", path, LONGEST_PASSWORD)
    try:
        password = content.decode().partition("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        raise InvalidConfiguration("enrolment_password_file", f"{path} is not UTF-8 text") from None
    if not password:
        raise InvalidConfiguration("enrolment_password_file", f"{path} is empty")
    return password


def _read(key: str, path: Path, octets: int) -> bytes:
    try:
        with open(path, "rb", opener=at_once) as file:
            return file.read(octets)
    except OSError as problem:
        raise InvalidConfiguration(key, f"{path} cannot be read: {problem.strerror}") from None

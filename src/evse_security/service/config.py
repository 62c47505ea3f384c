"""The configuration of the service: where it listens, how certificates are renewed, what is watched."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from evse_security.errors import InvalidConfiguration
from evse_security.visible import is_line

Enrolment = Literal["off", "event", "command", "est", "cmp"]
OcspMode = Literal["off", "fetch", "csms"]
ExportEdition = Literal["2", "20"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DAY = 86_400
STATE_DIRECTORY = "service"
"""Beside the certificates, in a directory of its own that no store lists."""
LONGEST_NAME = 64
"""Characters of an organization or a common name (RFC 5280 Appendix A.1)."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "renewal_v2g": get_args(Enrolment),
    "renewal_csms": get_args(Enrolment),
    "ocsp": get_args(OcspMode),
    "iso15118_export_edition": get_args(ExportEdition),
    "log_format": get_args(LogFormat),
    "log_level": get_args(LogLevel),
}
_RANGES = {
    "mqtt_heartbeat": range(3_600_001),
    "mqtt_communication_check": range(DAY + 1),
    "renewal_days_v2g": range(1, 3651),
    "renewal_days_csms": range(1, 3651),
    "renewal_wait": range(1, 30 * DAY),
    "renewal_repeats": range(1000),
    "ocsp_refresh": range(60, 7 * DAY + 1),
    "sweep_interval": range(60, 30 * DAY),
    "expiry_warning_days": range(3651),
}


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """What `evse-security serve` does beside keeping the store. Raises `InvalidConfiguration` naming the key."""

    http_listen: tuple[str, ...] = ("127.0.0.1:8866",)
    """Where HTTP and the page are served: `ADDRESS:PORT`, `[ADDRESS]:PORT` or `unix:/PATH`; empty: nowhere."""
    http_hosts: tuple[str, ...] = ()
    """Further names (`HOST` or `HOST:PORT`) by which browsers may call the page; loopback's are known."""
    http_tokens: Path | None = None
    """File of hashed tokens, as `evse-security token` writes it; demanded on any address but loopback's."""
    http_certificate: Path | None = None
    """Chain (PEM) with which HTTPS is served; without it HTTP."""
    http_key: Path | None = None
    """Its private key (PEM)."""
    http_client_ca: Path | None = None
    """CA certificates (PEM) whose clients are let in: mutual TLS."""
    http_client_scopes: tuple[str, ...] = ()
    """What those clients may do, by the common name of their certificates: `NAME=read|install|admin`; others read."""
    mqtt_broker: str = ""
    """The MQTT broker: `mqtt://HOST:PORT`, `mqtts://HOST:PORT` or `unix:/PATH`; empty: none."""
    mqtt_user: str = ""
    """The user to log in as."""
    mqtt_password_file: Path | None = None
    """File with that user's password."""
    mqtt_ca: Path | None = None
    """CA certificates (PEM) for `mqtts`; without it the system's."""
    mqtt_certificate: Path | None = None
    """Client certificate (PEM) for `mqtts`."""
    mqtt_key: Path | None = None
    """Its private key (PEM)."""
    mqtt_prefix: str = ""
    """Put before every topic of the API (EVerest's `mqtt_external_prefix`)."""
    mqtt_module_id: str = "evse_security"
    """The module's name in the topics of the API."""
    mqtt_heartbeat: int = 1000
    """Milliseconds between heartbeats of the API; 0: none."""
    mqtt_communication_check: int = 5
    """Seconds within which a client must send communication_check again; 0: not watched."""
    state_directory: Path | None = None
    """Where the service remembers renewals; `none`: nowhere, as where no `certs` directory is given."""
    renewal_v2g: Enrolment = "event"
    """How V2G leaves are renewed: `event` publishes the request, `command` runs a program, or by `est` or `cmp`."""
    renewal_csms: Enrolment = "event"
    """How CSMS leaves are renewed."""
    renewal_days_v2g: int = 30
    """Days before expiry by which V2G leaves are being renewed; a third of their lifetime if that is shorter."""
    renewal_days_csms: int = 30
    """Days before expiry by which CSMS leaves are being renewed; a third of their lifetime if that is shorter."""
    renewal_wait: int = 60
    """Seconds before an unanswered request is made anew, doubled each time (OCPP CertSigningWaitMinimum)."""
    renewal_repeats: int = 3
    """How often that is done (OCPP CertSigningRepeatTimes); then once a day."""
    csr_country: str = ""
    """Country (C) in signing requests that the service makes."""
    csr_organization: str = ""
    """Organization (O) in them."""
    csr_common_name_v2g: str = ""
    """Common name (CN) of V2G leaves; empty: that of the leaf in use."""
    csr_common_name_csms: str = ""
    """Common name (CN) of CSMS leaves; empty: that of the leaf in use."""
    enrolment_command: tuple[str, ...] = ()
    """The program of `command`, its arguments after it: the request (PEM) comes in, the chain (PEM) goes out."""
    enrolment_url: str = ""
    """The server of `est` (RFC 7030) or `cmp` (RFC 9810); `{kind}` becomes `v2g` or `csms`, `{edition}` `2` or `20`."""
    enrolment_ca: Path | None = None
    """CA certificates (PEM) for that server's TLS; without it the system's."""
    enrolment_user: str = ""
    """User for that server, or reference of a shared secret (CMP)."""
    enrolment_password_file: Path | None = None
    """File with the password or the shared secret."""
    ocsp: OcspMode = "fetch"
    """Who asks OCSP responders: `fetch` the service itself, `csms` those who listen to events."""
    ocsp_refresh: int = 7 * DAY
    """Seconds after which a response is asked for anew at the latest (M06.FR.10)."""
    ocsp_proxy: str = ""
    """HTTP proxy for OCSP and enrolment, such as `http://proxy.example:3128`; empty: the environment's, if any."""
    sweep_interval: int = DAY
    """Seconds between collections of garbage."""
    iso15118_export_directory: Path | None = None
    """Where the V2G chain and the roots are kept for PyPI `iso15118` (Josev), as its PKI_PATH; none: nowhere."""
    iso15118_export_edition: ExportEdition = "2"
    """Whose chain: that of ISO 15118-`2` or -`20`."""
    iso15118_oem_roots: Path | None = None
    """Roots of car makers (PEM) to go with it, instead of the installed ones; the first is copied."""
    expiry_warning_days: int = 30
    """Days before expiry at which certificates are announced."""
    log_format: LogFormat = "text"
    """`text` for a journal, `json` one object a line."""
    log_level: LogLevel = "info"
    """The least that is logged."""

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise InvalidConfiguration(key, f"must be one of {', '.join(choices)}")
        for key, allowed in _RANGES.items():
            value = getattr(self, key)
            if type(value) is not int or value not in allowed:
                raise InvalidConfiguration(key, f"must be a whole number from {allowed[0]} to {allowed[-1]}")
        for one in fields(self):
            self._check_form(one.name, getattr(self, one.name), one.default)
        self._check_subject()

    def _check_form(self, key: str, value: Any, default: Any) -> None:
        if isinstance(default, tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
                raise InvalidConfiguration(key, "must be a list of strings")
            object.__setattr__(self, key, tuple(value))
        elif default is None:
            self._check_path(key, value)
        elif isinstance(default, str) and not isinstance(value, str):
            raise InvalidConfiguration(key, "must be text")

    def _check_subject(self) -> None:
        """What no signing request can carry would be refused when a leaf is about to expire, and not before."""
        if self.csr_country and re.fullmatch("[A-Za-z]{2}", self.csr_country) is None:
            raise InvalidConfiguration("csr_country", "must be a code of two letters (ISO 3166-1)")
        for key in ("csr_organization", "csr_common_name_v2g", "csr_common_name_csms"):
            text = getattr(self, key)
            if len(text) > LONGEST_NAME:
                raise InvalidConfiguration(key, f"must be at most {LONGEST_NAME} characters, not {len(text)}")
            if text and not is_line(text):
                raise InvalidConfiguration(key, "must be text that can be shown on one line")

    def _check_path(self, key: str, value: Any) -> None:
        if value is None:
            return
        path = Path(value)
        if not path.is_absolute():
            raise InvalidConfiguration(key, f"must be absolute, not {value}")
        object.__setattr__(self, key, path)

"""TLS: the certificate with which HTTPS is served, and clients with certificates of their own."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path
from typing import NoReturn

from evse_security.errors import InvalidConfiguration
from evse_security.http.addresses import Reach
from evse_security.service.config import ServiceConfig
from evse_security.settings import at_once

Contexts = dict[Reach, ssl.SSLContext]
"""By reach of the address: from where nobody need say who they are, nobody needs a certificate either."""


def contexts(config: ServiceConfig) -> Contexts:
    """The contexts of a configuration; empty where plain HTTP is served. Raises `InvalidConfiguration`."""
    if config.http_certificate is None:
        for key in ("http_key", "http_client_ca"):
            if getattr(config, key) is not None:
                raise InvalidConfiguration(key, "needs http_certificate, with which HTTPS is served")
        return {}
    alone = config.http_client_ca is not None and config.http_tokens is None
    demand = {
        Reach.loopback: ssl.CERT_OPTIONAL,
        Reach.network: ssl.CERT_REQUIRED if alone else ssl.CERT_OPTIONAL,
    }
    return {reach: _context(config, config.http_certificate, mode) for reach, mode in demand.items()}


def _context(config: ServiceConfig, certificate: Path, client: ssl.VerifyMode) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _readable(config)
    try:
        context.load_cert_chain(certificate, config.http_key, _no_password)
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        if config.http_key is None:
            raise InvalidConfiguration("http_key", f"is needed: the private key of {certificate}") from None
        raise InvalidConfiguration("http_certificate", f"cannot be used with its key: {_why(problem)}") from None
    if config.http_client_ca is not None:
        try:
            context.load_verify_locations(config.http_client_ca)
        except (OSError, ValueError) as problem:
            raise InvalidConfiguration("http_client_ca", f"cannot be used: {_why(problem)}") from None
        context.verify_mode = client
    return context


def _readable(config: ServiceConfig) -> None:
    """Say which file cannot be read: OpenSSL does not."""
    for key in ("http_certificate", "http_key", "http_client_ca"):
        path: Path | None = getattr(config, key)
        try:
            if path is not None:
                with open(path, "rb", opener=at_once) as file:
                    if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                        raise InvalidConfiguration(key, f"{path} is a pipe")
        except OSError as problem:
            raise InvalidConfiguration(key, f"{path} cannot be read: {problem.strerror}") from None


def _no_password() -> NoReturn:
    """Or OpenSSL would ask for one on the terminal."""
    raise InvalidConfiguration("http_key", "is encrypted: a key without a password is needed, in a file of mode 0600")


def _why(problem: Exception) -> str:
    reason = problem.reason if isinstance(problem, ssl.SSLError) else getattr(problem, "strerror", None)
    return str(reason or problem)


def signature(config: ServiceConfig) -> tuple[object, ...]:
    """What changes when any of the files does. Raises OSError."""
    paths = (config.http_certificate, config.http_key, config.http_client_ca)
    found = [os.stat(path) for path in paths if path is not None]
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found)

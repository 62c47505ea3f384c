"""The TLS of a station towards its CSMS (OCPP security profiles 2 and 3)."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterable

from evse_security.adapters.tls.load import load_chain
from evse_security.chains import Installed
from evse_security.errors import InvalidConfiguration
from evse_security.station import Station
from evse_security.visible import printable
from evse_security.vocabulary import LeafCertificateType

log = logging.getLogger(__name__)

SUITES = "ECDHE+AESGCM"
"""For TLS 1.2: of the suites that OCPP names (A00.FR.318), those with forward secrecy. Those of 1.3 are all good."""


def client_context(station: Station, *, client_certificate: bool = True) -> ssl.SSLContext:
    """A context for one connection to the CSMS: what is installed now. Make one for each connection.

    The CSMS must be under an installed CSMS root and bear the name that is connected to. The newest usable CSMS chain
    is shown if the CSMS asks (profile 3), unless `client_certificate` is false (profile 2). Raises
    `InvalidConfiguration` where no root is there, or no chain that is to be shown.
    """
    installed = station.chains(LeafCertificateType.CSMS)
    if not installed.roots:
        raise InvalidConfiguration("csms_ca_bundle", "holds no root that is valid: no CSMS can be trusted")
    context = trusting(installed.roots)
    if client_certificate:
        _load_newest(context, installed)
    return context


def trusting(roots: Iterable[str | bytes]) -> ssl.SSLContext:
    """What every connection to a CSMS has: TLS 1.2 or later, OCPP's suites, these roots alone (PEM or DER).

    A root may be one that another root signed (AdditionalRootCertificateCheck): without "partial chain" OpenSSL ends at
    self-signed ones alone.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    for root in roots:
        context.load_verify_locations(cadata=root)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load_newest(context: ssl.SSLContext, installed: Installed) -> None:
    problems = [f"{one.name}, serial {one.serial}: {one.reason}" for one in installed.unsent]
    for chain in installed.chains:
        try:
            load_chain(context, chain)
        except (OSError, ValueError) as problem:
            problems.append(f"{chain}: OpenSSL does not take it: {problem}")
        else:
            log.info("to the CSMS: %s; the newest", printable(str(chain)))
            return
    told = "; ".join(problems) or "there is no leaf"
    raise InvalidConfiguration("csms_leaf_cert_directory", printable(f"holds no chain to show to the CSMS: {told}"))

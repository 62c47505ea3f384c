"""TLS towards the CSMS (A00): whom a station trusts, what it offers, and the security event that a failure is."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.root_trial import TrustedRoots
from evse_security.adapters.ocpp.trial import ClientCertificate
from evse_security.adapters.tls.client import trusting
from evse_security.errors import InvalidConfiguration

_VERSIONS = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_SSL_VERSION"}
"""Not WRONG_VERSION_NUMBER: whoever answers so speaks no TLS at all, and need not be the CSMS."""
_SUITES = {"NO_SHARED_CIPHER", "WRONG_CIPHER_RETURNED", "SSLV3_ALERT_HANDSHAKE_FAILURE", "UNKNOWN_CIPHER_RETURNED"}


class WildcardName(ssl.SSLCertVerificationError):
    """A CSMS that names itself by a wildcard, which OCPP allows with AllowCSMSTLSWildcards alone."""


class Dismissed(ssl.SSLError):
    """A CSMS that ended the handshake after version and cipher suite had been agreed upon."""


class _Handshake(ssl.SSLObject):
    """A handshake that says what its failure is not about."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLCertVerificationError):
            raise
        except ssl.SSLError as problem:
            if self.cipher() is None:
                raise
            raise Dismissed(*problem.args) from problem


class _ExactNames(_Handshake):
    """A handshake with a server that is called as it was asked for, not one of many that a wildcard covers."""

    def do_handshake(self) -> None:
        super().do_handshake()
        host, names = (self.server_hostname or "").lower(), _names(self.getpeercert() or {})
        covering = f"*.{host.partition('.')[2]}"
        if covering in names and host not in names:
            raise WildcardName(1, f"the certificate of the CSMS is for {covering}, not for {host} alone")


def _names(certificate: Mapping[str, Any]) -> set[str]:
    """The names of a server by which it was known: the alternative ones, or the common name for want of those."""
    found = {value.lower() for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    common = (value for rdn in certificate.get("subject", ()) for kind, value in rdn if kind == "commonName")
    return found or {value.lower() for value in common}


def tls_context(
    roots: TrustedRoots, certificate: ClientCertificate | None, *, allow_wildcards: bool = False
) -> ssl.SSLContext:
    """As `client_context`, with the roots and the client certificate that are tried. Reads files.

    Raises OSError, and `InvalidConfiguration` where there is no root.
    """
    if not roots.fingerprints:
        raise InvalidConfiguration("csms_ca_bundle", "holds no root that is valid: no CSMS can be trusted")
    context = trusting([roots.pem])
    context.sslobject_class = _Handshake if allow_wildcards else _ExactNames
    if certificate is not None:
        info = certificate.info
        password = info.password or ""  # an empty one, so that nobody is asked at a terminal
        context.load_cert_chain(info.certificate or info.certificate_single or "", info.key, password)
    return context


def security_event(problem: BaseException) -> SecurityEvent | None:
    """The event that a failed TLS handshake is."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return SecurityEvent.INVALID_CSMS_CERTIFICATE
    if isinstance(problem, Dismissed):
        return None
    reason = problem.reason if isinstance(problem, ssl.SSLError) else None
    if reason in _VERSIONS:
        return SecurityEvent.INVALID_TLS_VERSION
    return SecurityEvent.INVALID_TLS_CIPHER_SUITE if reason in _SUITES else None

"""The certificate use cases of OCPP 1.6 (security whitepaper), 2.0.1 and 2.1, for the package `ocpp` or any other.

`Certificates` answers and sends; the `CertificateHandlers` put it into a ChargePoint of `ocpp`, and the `Connector`
keeps that connected with `websockets` (extra `[ocpp]`), neither of which anything else here needs. See docs/ocpp.md.
"""

from __future__ import annotations

from evse_security.adapters.ocpp.certificates import Certificates
from evse_security.adapters.ocpp.connector import Connector, Endpoint
from evse_security.adapters.ocpp.editions import Edition, Takeover
from evse_security.adapters.ocpp.events import SecurityEvent
from evse_security.adapters.ocpp.handlers import (
    CertificateHandlers16,
    CertificateHandlers21,
    CertificateHandlers201,
)
from evse_security.adapters.ocpp.handshake import tls_context
from evse_security.adapters.ocpp.memory import NotReadable
from evse_security.adapters.ocpp.policy import CertificatePolicy
from evse_security.adapters.ocpp.profiles import ProfileRefused
from evse_security.adapters.ocpp.refusals import NotEnabled
from evse_security.adapters.ocpp.root_trial import TrustedRoots
from evse_security.adapters.ocpp.sending import Declined, NotDelivered
from evse_security.adapters.ocpp.trial import ClientCertificate
from evse_security.adapters.ocpp.uses import SigningUse

__all__ = [
    "CertificateHandlers16",
    "CertificateHandlers21",
    "CertificateHandlers201",
    "CertificatePolicy",
    "Certificates",
    "ClientCertificate",
    "Connector",
    "Declined",
    "Edition",
    "Endpoint",
    "NotDelivered",
    "NotEnabled",
    "NotReadable",
    "ProfileRefused",
    "SecurityEvent",
    "SigningUse",
    "Takeover",
    "TrustedRoots",
    "tls_context",
]

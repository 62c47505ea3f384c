"""What a station's device model says of its certificates: variables of 2.x, configuration keys of 1.6.

A table, for the user's own device model to serve. Those that a CSMS may write take effect at once, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from evse_security.adapters.ocpp.desk import Desk
from evse_security.adapters.ocpp.refusals import Unsupported
from evse_security.additions import CERTIFICATE_TYPES
from evse_security.interface import WITH_OEM


class Variable(NamedTuple):
    """One variable: its names, what it says, and which field of the policy it writes."""

    component: str
    name: str
    key: str
    """Its name in 1.6; empty: that has none."""
    effect: str
    read: Callable[[Desk], str]
    writes: str = ""
    """Empty: read-only."""


def _entries(desk: Desk) -> str:
    found = desk.station.interface(WITH_OEM).get_installed_certificates(certificate_types=CERTIFICATE_TYPES)
    return str(sum(1 + len(one.child_certificate_hash_data or ()) for one in found.certificate_hash_data_chain))


def _most(desk: Desk) -> str:
    config = desk.station.config
    return str(config.certificate_store_max_length or config.max_store_entries)


def _of(name: str) -> Callable[[Desk], str]:
    return lambda desk: str(getattr(desk.renewals.policy, name))


VARIABLES = (
    Variable(
        "SecurityCtrlr",
        "AdditionalRootCertificateCheck",
        "AdditionalRootCertificateCheck",
        "a new CSMS root must be signed by the installed one (M05.FR.09)",
        lambda desk: str(desk.station.config.additional_root_certificate_check).lower(),
    ),
    Variable("SecurityCtrlr", "CertificateEntries", "", "how many certificates are installed", _entries),
    Variable(
        "SecurityCtrlr",
        "CertificateEntries.maxLimit",
        "CertificateStoreMaxLength",
        "how many may be: one more is refused (M05.FR.06)",
        _most,
    ),
    Variable(
        "SecurityCtrlr",
        "MaxCertificateChainSize",
        "CertificateSignedMaxChainSize",
        "characters of a signed chain: a longer one is refused (A02.FR.16)",
        _of("max_chain_size"),
    ),
    Variable(
        "SecurityCtrlr",
        "CertSigningWaitMinimum",
        "CertSigningWaitMinimum",
        "seconds before a signing request is repeated, doubled each time (A02.FR.17)",
        _of("wait"),
        writes="wait",
    ),
    Variable(
        "SecurityCtrlr",
        "CertSigningRepeatTimes",
        "CertSigningRepeatTimes",
        "how often it is repeated (A02.FR.18)",
        _of("repeats"),
        writes="repeats",
    ),
    Variable(
        "SecurityCtrlr",
        "OrganizationName",
        "CpoName",
        "O of signing requests",
        _of("organization"),
        writes="organization",
    ),
    Variable("SecurityCtrlr", "Identity", "", "CN of the client certificate", _of("serial_number")),
    Variable("ISO15118Ctrlr", "SeccId", "", "CN of the SECC leaf", _of("secc_id"), writes="secc_id"),
    Variable("ISO15118Ctrlr", "CountryName", "", "C of signing requests", _of("country"), writes="country"),
    Variable("ISO15118Ctrlr", "OrganizationName", "", "O of SECC leaves", _of("organization"), writes="organization"),
)


def values(desk: Desk) -> list[dict[str, Any]]:
    """Every variable as a device model has it; `key` is its name in 1.6."""
    return [
        {
            "component": one.component,
            "variable": one.name,
            "key": one.key,
            "value": one.read(desk),
            "mutability": "ReadWrite" if one.writes else "ReadOnly",
        }
        for one in VARIABLES
    ]


def keys(desk: Desk) -> Mapping[str, str]:
    """The configuration keys of 1.6 with their values."""
    return {one.key: one.read(desk) for one in VARIABLES if one.key}


def write(desk: Desk, name: str, value: str, component: str = "") -> None:
    """Set a variable or key, and remember it. Raises `InvalidConfiguration`, and `Unsupported` for one that stays."""
    for one in VARIABLES:
        if one.writes and name in (one.key, one.name) and component in ("", one.component):
            desk.renewals.policy = desk.renewals.policy.changed(one.writes, value)
            desk.memory.settings[one.writes] = value
            desk.memory.save()
            return
    raise Unsupported(f"setting {name:.50}")

"""Why this end refuses what a CSMS sends, beyond what the store itself refuses; and reasons in OCPP's shape."""

from __future__ import annotations

from dataclasses import dataclass

from evse_security.adapters.ocpp.editions import Edition, Payload
from evse_security.adapters.ocpp.words import LONGEST_REASON, REASON_CODES
from evse_security.errors import EvseSecurityError


@dataclass(eq=False)
class NothingPending(EvseSecurityError):
    """A certificate for which there is no signing request that waits (A02.FR.07)."""

    template = "no signing request waits for {what}"
    what: str


@dataclass(eq=False)
class InvalidCommonName(EvseSecurityError):
    """A certificate for somebody else than the signing request asked for."""

    template = "the {attribute} of {certificate} is {found!r}, asked for was {wanted!r}"
    attribute: str
    certificate: str
    found: str
    wanted: str


@dataclass(eq=False)
class ChainTooLarge(EvseSecurityError):
    """A chain longer than MaxCertificateChainSize (A02.FR.16)."""

    template = "the chain has {characters} characters, MaxCertificateChainSize is {limit}"
    characters: int
    limit: int

    @property
    def code(self) -> str:
        """As for anything that is too large."""
        return "TooLarge"


@dataclass(eq=False)
class RootOnTrial(EvseSecurityError):
    """A third CSMS root, while one that is new has not proven itself (AdditionalRootCertificateCheck, M05.FR.09)."""

    template = "{certificate} is not installed: {new} has not replaced {old} yet, and two CSMS roots are kept at most"
    certificate: str
    new: str
    old: str


@dataclass(eq=False)
class Unsupported(EvseSecurityError):
    """A type that this station has no place for."""

    template = "{what} is not supported by this station"
    what: str

    @property
    def code(self) -> str:
        """OCPP's word."""
        return "UnsupportedParam"


@dataclass(eq=False)
class NotEnabled(EvseSecurityError):
    """What a variable of the device model has switched off."""

    template = "{variable} is false"
    variable: str


@dataclass(eq=False)
class ReadOnly(EvseSecurityError):
    """A variable that is there to be read."""

    template = "{variable} cannot be written"
    variable: str


@dataclass(eq=False)
class WriteOnly(EvseSecurityError):
    """A variable that is a secret."""

    template = "{variable} cannot be read"
    variable: str


@dataclass(eq=False)
class InvalidValue(EvseSecurityError):
    """A value that a variable cannot have. The value itself is not told: it may be a secret."""

    template = "{variable} {problem}"
    variable: str
    problem: str


def reason_code(why: EvseSecurityError) -> str:
    """A reason as `statusInfo.reasonCode`: the code that `check` prints, in at most 20 characters."""
    return REASON_CODES.get(why.code, why.code)[:LONGEST_REASON]


def with_reason(status: str, why: EvseSecurityError | None, edition: Edition) -> Payload:
    """An answer that says why, where the edition lets it."""
    if why is None or not edition.has_status_info:
        return {"status": status}
    info = {"reasonCode": reason_code(why), "additionalInfo": str(why)[: edition.longest_info]}
    return {"status": status, "statusInfo": info}


def tech_info(why: EvseSecurityError | None) -> str:
    """A reason as a security event's `techInfo`, before it is cut to what OCPP takes."""
    return "" if why is None else f"{why.code}: {why}"

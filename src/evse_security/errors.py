"""Why something was not done: one tree of exceptions, whose leaves carry the facts and can say them in words.

    EvseSecurityError
    ├── InvalidConfiguration         a station that cannot be opened
    ├── MalformedRequest             arguments that are not of the interface's form (path of the field)
    ├── AuditLogUnusable             an audit log that is not there or cannot be read
    ├── BackupRefused                a backup that cannot be made, read or restored
    ├── CommandRefused               a command whose result has no word for failure did not do its work
    ├── ServiceBusy                  more callers wait for the service than it will answer in time
    └── Refusal                      a rule said no
        ├── BadText                  the given text or file is not what it should be
        │   ├── NoCertificate  MalformedCertificate  NotExactlyOne  TooLarge  NotBase64
        ├── ChainRefused             a certificate or chain is not to be trusted (`rank`: how far the search got)
        │   ├── NoTrustAnchor  IssuerNotFound  SearchExhausted
        │   ├── BadSignature  Expired  NotYetValid
        │   ├── NotACa  NotAnEndEntity  WrongUsage  PathTooLong  WeakKey  WeakDigest  RefusedByOpenSsl
        │   └── ProfileViolated  NotSignedByPredecessor  Revoked
        ├── OcspRefused              an OCSP response that must not be kept
        │   ├── OcspMalformed  OcspUnsuccessful  OcspOtherCertificate  OcspBadSignature
        │   └── OcspNotCurrent  OcspUnknown  OcspOlder
        ├── RequestRefused           a signing request that cannot be made
        │   ├── NoRequestForType  AttributeNotEncodable  KeyNotGenerated
        └── StoreRefused             the store cannot or must not do it
            ├── StoreFull  NotWritable  KeyNotFound  NotInstalled  MustStay  NoLeafOfType  NoPlaceForRoots

Messages are safe to log: paths, names, digests and serial numbers, never key material, passwords or PEM bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class EvseSecurityError(Exception):
    """Anything this library raises on purpose. `template` is filled with the leaf's own fields."""

    template: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.template.format(**vars(self))

    @property
    def code(self) -> str:
        """A stable name of the reason, for logs, metrics and JSON."""
        return type(self).__name__


@dataclass(eq=False)
class InvalidConfiguration(EvseSecurityError):
    """The configuration names something that cannot be a store."""

    key: str
    problem: str
    template = "configuration {key}: {problem}"


@dataclass(eq=False)
class MalformedRequest(EvseSecurityError, ValueError):
    """Arguments that are not of the interface's form. `path` names the field: `certificate_hash_data.serial_number`."""

    path: str
    problem: str
    template = "{path}: {problem}"


@dataclass(eq=False)
class CommandRefused(EvseSecurityError):
    """A command whose result has no word for failure was refused; `reason` says why and is also the cause."""

    command: str
    reason: EvseSecurityError
    template = "{command}: {reason}"


@dataclass(eq=False)
class ServiceBusy(EvseSecurityError):
    """More callers wait for the service than it will answer in time; nothing was done."""

    waiting: int
    template = "{waiting} callers are waiting already; try again later"


@dataclass(eq=False)
class AuditLogUnusable(EvseSecurityError):
    """An audit log that is not there or cannot be read."""

    path: str
    problem: str
    template = "{path}: {problem}"


@dataclass(eq=False)
class BackupRefused(EvseSecurityError):
    """A backup that cannot be made, read or restored; the store is as it was."""

    path: str
    problem: str
    template = "{path}: {problem}"


class Refusal(EvseSecurityError):
    """A rule said no; nothing was changed."""


# ---- text and files


class BadText(Refusal):
    """The given text or file is not what it should be."""


@dataclass(eq=False)
class NoCertificate(BadText):
    """No certificate where one was expected."""

    what: str
    template = "no certificate in {what}"


@dataclass(eq=False)
class MalformedCertificate(BadText):
    """A block that says it is a certificate and is none."""

    problem: str
    template = "not a certificate: {problem}"


@dataclass(eq=False)
class NotExactlyOne(BadText):
    """Several certificates where exactly one was expected."""

    found: int
    template = "exactly one certificate expected, {found} found"


@dataclass(eq=False)
class TooLarge(BadText):
    """Larger or more than anything that is still sensible."""

    what: str
    limit: int
    template = "{what} exceeds the limit of {limit}"


@dataclass(eq=False)
class NotBase64(BadText):
    """Text that should be base64 and is not."""

    what: str
    template = "{what} is not base64"


# ---- trust


class ChainRefused(Refusal):
    """A certificate or chain is not to be trusted.

    `rank` orders the reasons that several candidate paths gave by how near each came to success: the best one is told.
    """

    rank: ClassVar[int] = 0


@dataclass(eq=False)
class NoTrustAnchor(ChainRefused):
    """No root of the trust domain is installed."""

    domain: str
    rank = 0
    template = "no root certificate of {domain} is installed"


@dataclass(eq=False)
class IssuerNotFound(ChainRefused):
    """Nobody at hand issued this certificate. `namesake`: one of the issuer's name is installed, with another key."""

    certificate: str
    issuer: str
    namesake: bool = False
    rank = 1
    template = "no certificate of the issuer {issuer} of {certificate} was sent along or is installed as a CA"

    def __str__(self) -> str:
        remark = "; one of that name is installed, but with another key (the key identifiers differ)"
        return super().__str__() + (remark if self.namesake else "")


@dataclass(eq=False)
class SearchExhausted(ChainRefused):
    """More candidate paths, or longer ones, than anybody needs. `unit` says of what there were too many."""

    limit: int
    unit: str
    rank = 2
    template = "no valid path was found within the limit of {limit} {unit}"


@dataclass(eq=False)
class BadSignature(ChainRefused):
    """A signature that the issuer's key does not confirm."""

    certificate: str
    issuer: str
    depth: int = 0
    rank = 3
    template = "the signature of {certificate} is not by {issuer}"


@dataclass(eq=False)
class RefusedByOpenSsl(ChainRefused):
    """OpenSSL's verdict, in its own words (`X509_V_ERR_…` number in `number`)."""

    certificate: str
    number: int
    text: str
    rank = 4
    template = "{certificate}: {text} (OpenSSL verification error {number})"


@dataclass(eq=False)
class NotACa(ChainRefused):
    """A certificate that may not sign others."""

    certificate: str
    problem: str
    rank = 5
    template = "{certificate} is not a CA that may sign certificates: {problem}"


@dataclass(eq=False)
class PathTooLong(ChainRefused):
    """More sub-CAs than a CA of the path allows."""

    certificate: str
    rank = 5
    template = "the path is longer than {certificate} allows"


@dataclass(eq=False)
class WeakKey(ChainRefused):
    """A key below RSA 2048 or EC 224 (A00.FR.501–514)."""

    certificate: str
    key: str
    rank = 6
    template = "the key of {certificate} is too weak: {key}"


@dataclass(eq=False)
class WeakDigest(ChainRefused):
    """A signature made with a digest for which collisions are known."""

    certificate: str
    digest: str
    rank = 6
    template = "{certificate} is signed with {digest}"


@dataclass(eq=False)
class NotAnEndEntity(ChainRefused):
    """A CA certificate where a leaf is expected."""

    certificate: str
    rank = 7
    template = "{certificate} is a CA certificate, not a leaf"


@dataclass(eq=False)
class WrongUsage(ChainRefused):
    """A leaf whose usages exclude what it is to be used for."""

    certificate: str
    problem: str
    rank = 7
    template = "{certificate} may not be used so: {problem}"


@dataclass(eq=False)
class Expired(ChainRefused):
    """Past its notAfter."""

    certificate: str
    not_after: str
    now: str
    rank = 8
    template = "{certificate} expired on {not_after} (clock: {now})"


@dataclass(eq=False)
class NotYetValid(ChainRefused):
    """Before its notBefore: its time has not come, or the clock is wrong."""

    certificate: str
    not_before: str
    now: str
    rank = 8
    template = "{certificate} is valid from {not_before} only (clock: {now})"


@dataclass(eq=False)
class ProfileViolated(ChainRefused):
    """A rule of the certificate profile is broken; `rule` names it with its source."""

    certificate: str
    rule: str
    rank = 9
    template = "{certificate} violates the certificate profile: {rule}"


@dataclass(eq=False)
class NotSignedByPredecessor(ChainRefused):
    """A new CSMS root that the installed one did not sign (AdditionalRootCertificateCheck, M05.FR.09–.13)."""

    certificate: str
    predecessor: str
    rank = 9
    template = "{certificate} is not signed by the installed CSMS root {predecessor}"


@dataclass(eq=False)
class Revoked(ChainRefused):
    """A certificate of which its OCSP responder said that its issuer has revoked it."""

    certificate: str
    revoked_at: str
    rank = 10
    template = "{certificate} was revoked on {revoked_at}, says its OCSP responder"


# ---- OCSP


class OcspRefused(Refusal):
    """An OCSP response that must not be kept (RFC 6960 §3.2)."""


@dataclass(eq=False)
class OcspMalformed(OcspRefused):
    """Not an OCSPResponse in DER."""

    problem: str
    template = "not an OCSP response: {problem}"


@dataclass(eq=False)
class OcspUnsuccessful(OcspRefused):
    """The responder answered with an error."""

    status: str
    template = "the responder answered {status}"


@dataclass(eq=False)
class OcspOtherCertificate(OcspRefused):
    """A response that says nothing about the certificate in question."""

    certificate: str
    template = "the response is not about {certificate}"


@dataclass(eq=False)
class OcspBadSignature(OcspRefused):
    """A response signed by nobody who may."""

    certificate: str
    problem: str
    template = "the response about {certificate} is not to be believed: {problem}"


@dataclass(eq=False)
class OcspNotCurrent(OcspRefused):
    """A response outside its thisUpdate … nextUpdate."""

    certificate: str
    problem: str
    template = "the response about {certificate} is not current: {problem}"


@dataclass(eq=False)
class OcspUnknown(OcspRefused):
    """A responder that does not know the certificate."""

    certificate: str
    template = "the responder does not know {certificate}"


@dataclass(eq=False)
class OcspOlder(OcspRefused):
    """A response older than the one that is kept (replayed)."""

    certificate: str
    template = "the response about {certificate} is older than the one that is kept"


# ---- signing requests


class RequestRefused(Refusal):
    """A signing request that cannot be made."""


@dataclass(eq=False)
class NoRequestForType(RequestRefused):
    """A leaf type for which the station makes no keys."""

    certificate_type: str
    template = "no signing requests for {certificate_type} leaves"


@dataclass(eq=False)
class AttributeNotEncodable(RequestRefused):
    """A subject attribute or alternative name that does not fit its ASN.1 type or length (RFC 5280 Appendix A.1)."""

    attribute: str
    problem: str
    template = "{attribute}: {problem}"


@dataclass(eq=False)
class KeyNotGenerated(RequestRefused):
    """No key could be made as asked for."""

    problem: str
    template = "no key was generated: {problem}"


# ---- the store


class StoreRefused(Refusal):
    """The store cannot or must not do it."""


@dataclass(eq=False)
class StoreFull(StoreRefused):
    """A limit of the store is reached, also after sweeping."""

    limit: str
    value: int
    template = "the store is full: {limit} = {value}"


@dataclass(eq=False)
class NotWritable(StoreRefused):
    """The disk did not take it; nothing was changed."""

    path: str
    problem: str
    template = "{path} could not be written: {problem}"


@dataclass(eq=False)
class KeyNotFound(StoreRefused):
    """No private key of the station fits the certificate."""

    certificate: str
    directory: str
    template = "no private key for {certificate} in {directory}"


@dataclass(eq=False)
class NotInstalled(StoreRefused):
    """No installed certificate has this hash data."""

    what: str
    template = "no installed certificate {what}"


@dataclass(eq=False)
class MustStay(StoreRefused):
    """A certificate that the rules forbid to delete (M04.FR.06)."""

    certificate: str
    rule: str
    template = "{certificate} must not be deleted: {rule}"


@dataclass(eq=False)
class NoLeafOfType(StoreRefused):
    """A leaf type that the store does not keep."""

    certificate_type: str
    template = "the store keeps no {certificate_type} leaves"


@dataclass(eq=False)
class NoPlaceForRoots(StoreRefused):
    """A trust domain for which the configuration names no place."""

    certificate_type: str
    template = "the configuration has no place for {certificate_type} roots"

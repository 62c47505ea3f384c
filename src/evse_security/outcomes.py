"""The one table: why something was refused -> the interface's answer, per family of commands.

Every leaf of `errors.Refusal` has a row (a test walks the tree), so that there is no default that could be wrong.
"""

from __future__ import annotations

from typing import NamedTuple

from evse_security import errors as e
from evse_security.vocabulary import CertificateValidationResult as Validation
from evse_security.vocabulary import DeleteCertificateResult as Delete
from evse_security.vocabulary import GetCertificateSignRequestStatus as Request
from evse_security.vocabulary import InstallCertificateResult as Install


class Answers(NamedTuple):
    """What each family of commands answers to one refusal."""

    install: Install
    validation: Validation
    delete: Delete
    request: Request


def _row(
    install: Install, validation: Validation, delete: Delete = Delete.Failed, request: Request = Request.GenerationError
) -> Answers:
    return Answers(install, validation, delete, request)


_FORMAT = _row(Install.InvalidFormat, Validation.Unknown)
_CHAIN = _row(Install.InvalidCertificateChain, Validation.InvalidChain)
_SIGNATURE = _row(Install.InvalidSignature, Validation.InvalidSignature)
_EXPIRED = _row(Install.Expired, Validation.Expired)
_ISSUER = _row(Install.NoRootCertificateInstalled, Validation.IssuerNotFound)
_DISK = _row(Install.WriteError, Validation.Unknown, request=Request.KeyGenError)
_NO_TYPE = _row(Install.WriteError, Validation.Unknown, request=Request.InvalidRequestedType)

ANSWERS: dict[type[e.Refusal], Answers] = {
    e.NoCertificate: _FORMAT,
    e.MalformedCertificate: _FORMAT,
    e.NotExactlyOne: _FORMAT,
    e.TooLarge: _FORMAT,
    e.NotBase64: _FORMAT,
    e.NoTrustAnchor: _ISSUER,
    e.IssuerNotFound: _ISSUER,
    e.SearchExhausted: _CHAIN,
    e.BadSignature: _SIGNATURE,
    e.Expired: _EXPIRED,
    e.NotYetValid: _EXPIRED,
    e.NotACa: _CHAIN,
    e.NotAnEndEntity: _CHAIN,
    e.WrongUsage: _CHAIN,
    e.PathTooLong: _CHAIN,
    e.WeakKey: _CHAIN,
    e.WeakDigest: _CHAIN,
    e.RefusedByOpenSsl: _CHAIN,
    e.ProfileViolated: _CHAIN,
    e.NotSignedByPredecessor: _CHAIN,
    e.Revoked: _CHAIN,
    e.OcspMalformed: _FORMAT,
    e.OcspUnsuccessful: _FORMAT,
    e.OcspOtherCertificate: _FORMAT,
    e.OcspBadSignature: _SIGNATURE,
    e.OcspNotCurrent: _EXPIRED,
    e.OcspUnknown: _FORMAT,
    e.OcspOlder: _EXPIRED,
    e.NoRequestForType: _NO_TYPE,
    e.AttributeNotEncodable: _FORMAT,
    e.KeyNotGenerated: _DISK,
    e.StoreFull: _row(
        Install.CertificateStoreMaxLengthExceeded, Validation.Unknown, Delete.Failed, Request.KeyGenError
    ),
    e.NotWritable: _DISK,
    e.KeyNotFound: _DISK,
    e.NotInstalled: _row(Install.NoRootCertificateInstalled, Validation.IssuerNotFound, Delete.NotFound),
    e.MustStay: _FORMAT,
    e.NoLeafOfType: _NO_TYPE,
    e.NoPlaceForRoots: _NO_TYPE,
}
"""One row per leaf of the tree of refusals."""


def answers(refusal: e.Refusal) -> Answers:
    """The row of a refusal."""
    return ANSWERS[type(refusal)]

"""What an OCSP response says about a certificate, and whether to believe it (RFC 6960).

Base64 as OCPP carries it becomes DER here; a response is believed when it passes RFC 6960 §3.2 or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from evse_security.errors import (
    OcspBadSignature,
    OcspMalformed,
    OcspNotCurrent,
    OcspOtherCertificate,
    OcspRefused,
    OcspUnknown,
    OcspUnsuccessful,
    WeakKey,
)
from evse_security.pki import algorithm, base64text, der, names
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_key
from evse_security.pki.hashdata import CertID

MAX_RESPONSE_BYTES = 64 * 1024
"""Largest response that is read. Real ones have 0.3 to 3 KiB; OCPP 2.1 carries 18,000 characters of base64."""
SKEW = timedelta(seconds=300)
"""How far the clocks of responder and station may be apart."""
MAX_AGE = timedelta(days=7)
"""How long a response without nextUpdate is offered (M07.FR.09)."""

_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_MAY_SIGN = frozenset({"digitalSignature", "nonRepudiation"})
_NONCE = "1.3.6.1.5.5.7.48.1.2"
_ID_DIGESTS = frozenset({"sha1", "sha256", "sha384", "sha512"})
_EXTENSIONS = 0xA1  # [1] EXPLICIT, of a response and of a single response alike


class OcspStatus(StrEnum):
    """What a responder says about a certificate (RFC 6960 §2.2)."""

    good = "good"
    revoked = "revoked"
    unknown = "unknown"


_STATUSES = {
    ocsp.OCSPCertStatus.GOOD: OcspStatus.good,
    ocsp.OCSPCertStatus.REVOKED: OcspStatus.revoked,
    ocsp.OCSPCertStatus.UNKNOWN: OcspStatus.unknown,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OcspAnswer:
    """What a response says about one certificate. Times are aware; `believe` never answers with `unknown`."""

    this_update: datetime
    next_update: datetime | None
    produced_at: datetime
    status: OcspStatus
    revoked_at: datetime | None
    responder: str
    """The responder's name, or its key hash in hexadecimal: whichever it goes by."""


class Statement(NamedTuple):
    """One single response, unverified: whom it names, and what it says."""

    digest: str | None
    """What its CertID is made with; None where it is none that OCSP uses."""
    issuer_key_hash: str
    serial: int
    answer: OcspAnswer


def decode(text: str) -> bytes:
    """The DER of a response from the base64 of `update_ocsp_cache`, wrapped or not. Raises NotBase64, TooLarge."""
    return base64text.decode(text, what="the OCSP response", limit=MAX_RESPONSE_BYTES)


def believe(encoded: bytes, certificate: Certificate, issuer: Certificate, now: datetime) -> OcspAnswer:
    """What a response (DER) says about `certificate`, which `issuer` signed, if it is to be believed (RFC 6960 §3.2).

    1. It is an OCSPResponse in DER with nothing behind it, and all that is critical in it is understood: OcspMalformed.
    2. The responder had an answer: OcspUnsuccessful.
    3. One of its single responses is about the certificate: OcspOtherCertificate.
    4. The issuer signed it, or a responder that the issuer has delegated to: OcspBadSignature. Whether the issuer has
       revoked that delegation is not asked (RFC 6960 §4.2.2.2.1 leaves it to the client).
    5. It is current: OcspNotCurrent.
    6. The responder knows the certificate: OcspUnknown. A revocation is believed like any other answer.
    """
    with _malformed():
        response = _load(encoded)  # 1, 2
        single = _single(response, certificate, issuer)  # 3
        _check_signature(_Signed.cut(encoded), response, certificate, issuer, now)  # 4
        answer = _answer(response, single)
    problem = _not_current(answer, now)  # 5
    if problem is not None:
        raise OcspNotCurrent(certificate.name, problem)
    if answer.status is OcspStatus.unknown:  # 6
        raise OcspUnknown(certificate.name)
    return answer


def peek(encoded: bytes) -> tuple[Statement, ...]:
    """All that a response (DER) says, whoever it is about; nothing where it cannot be read.

    For showing a file of whatever origin: nothing is verified, so nothing must be decided by it alone.
    """
    try:
        response = _load(encoded)
        return tuple(
            Statement(_id_digest(one), one.issuer_key_hash.hex(), one.serial_number, _answer(response, one))
            for one in response.responses
        )
    except Exception:  # junk raises every class of error
        return ()


def about(statements: Iterable[Statement], wanted: CertID | None) -> OcspAnswer | None:
    """What is said about the certificate of that identity: as `believe` chooses, the newest, then the revocation.

    Responders mostly name certificates under SHA-1, of which a CertID knows nothing but the serial number. Without an
    identity, what is said of any.
    """
    matching = [one.answer for one in statements if wanted is None or _names(one, wanted)]
    return max(matching, key=lambda one: (one.this_update, one.status is OcspStatus.revoked), default=None)


def _names(one: Statement, wanted: CertID) -> bool:
    if one.serial != wanted.serial or one.digest is None:
        return False
    return one.digest != wanted.algorithm.lower() or one.issuer_key_hash == wanted.issuer_key_hash


def current(answer: OcspAnswer, now: datetime) -> bool:
    """Whether `now` lies within thisUpdate … nextUpdate, give or take the skew."""
    return _not_current(answer, now) is None


def turns(answer: OcspAnswer) -> Iterator[datetime]:
    """The moments at which an answer begins or ceases to be current, but for those that no calendar has."""
    begin, end = answer.this_update, answer.next_update
    last = (begin, MAX_AGE + SKEW) if end is None else (end, SKEW)
    for moment, step in ((begin, -SKEW), (last[0], last[1] + datetime.resolution)):
        with suppress(OverflowError):
            yield moment + step


@contextmanager
def _malformed() -> Iterator[None]:
    """Call malformed whatever `cryptography` cannot read: it reads late, and raises every class of error then."""
    try:
        yield
    except OcspRefused:
        raise
    except Exception as error:
        raise OcspMalformed(str(error) or type(error).__name__) from None


def _load(encoded: bytes) -> ocsp.OCSPResponse:
    """Read a successful response, in strict DER."""
    if len(encoded) > MAX_RESPONSE_BYTES:
        raise OcspMalformed(f"larger than {MAX_RESPONSE_BYTES} bytes")
    with _malformed():
        response = ocsp.load_der_ocsp_response(encoded)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise OcspUnsuccessful(response.response_status.name.lower().replace("_", " "))
    return response


class _Signed(NamedTuple):
    """What a response signs and how, as encoded: `cryptography` does not tell the parameters of RSASSA-PSS."""

    tbs: der.Tlv
    algorithm: bytes

    @classmethod
    def cut(cls, encoded: bytes) -> _Signed:
        """Cut a BasicOCSPResponse out of its OCSPResponse (RFC 6960 §4.2.1)."""
        _, response_bytes = der.sequence(encoded, "OCSPResponse")
        _, basic = next(response_bytes.children()).children()
        tbs, signature_algorithm, *_ = der.sequence(basic.value, "BasicOCSPResponse")
        return cls(tbs, signature_algorithm.encoded)

    def critical_extensions(self) -> Iterator[str]:
        """The critical extensions of the response and of its single responses, by dotted identifier."""
        parts = list(self.tbs.children())
        at = next(index for index, part in enumerate(parts) if part.tag == der.SEQUENCE)
        optional = [part for single in parts[at].children() for part in list(single.children())[3:]]
        holders = [part for part in (*parts[at + 1 :], *optional) if part.tag == _EXTENSIONS]
        for extension in (one for holder in holders for one in next(holder.children()).children()):
            identifier, *critical, _ = extension.children()
            if any(der.boolean(flag) for flag in critical):
                yield der.oid(identifier)


def _single(response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate) -> ocsp.OCSPSingleResponse:
    """The newest single response about the certificate; of two equally new ones that which says revoked."""
    matching = [single for single in response.responses if _is_about(single, certificate, issuer)]
    if not matching:
        raise OcspOtherCertificate(certificate.name)
    return max(matching, key=lambda one: (one.this_update_utc, one.certificate_status is ocsp.OCSPCertStatus.REVOKED))


def _is_about(single: ocsp.OCSPSingleResponse, certificate: Certificate, issuer: Certificate) -> bool:
    """Whether a CertID names the certificate, under the digest that it was made with (RFC 6960 §4.1.1)."""
    if single.serial_number != certificate.serial:
        return False
    digest = _id_digest(single)
    if digest is None:
        return False
    issuer_names = {_hash(digest, certificate.issuer), _hash(digest, issuer.subject)}
    return single.issuer_name_hash in issuer_names and single.issuer_key_hash == _hash(digest, issuer.key_bits)


def _id_digest(single: ocsp.OCSPSingleResponse) -> str | None:
    """The digest that a CertID is made with; None where it is none that OCSP uses."""
    try:
        digest = single.hash_algorithm.name
    except UnsupportedAlgorithm:
        return None
    return digest if digest in _ID_DIGESTS else None


def _hash(digest: str, octets: bytes) -> bytes:
    return hashlib.new(digest, octets, usedforsecurity=False).digest()


def _check_signature(
    signed: _Signed, response: ocsp.OCSPResponse, certificate: Certificate, issuer: Certificate, now: datetime
) -> None:
    """Refuse what the issuer or its delegate did not sign, or with a weak algorithm. Raises OcspBadSignature."""
    for extension in signed.critical_extensions():
        if extension != _NONCE:
            raise OcspMalformed(f"the critical extension {extension} is not understood")
    used = algorithm.believed(signed.algorithm)
    if used is None:
        named = algorithm.identifier(signed.algorithm)
        raise OcspBadSignature(certificate.name, f"its signature algorithm {named} is weak or unknown")
    problem = "the responder it names is neither the issuer nor sent along"
    for signer in (issuer, *(Certificate(sent.public_bytes(Encoding.DER)) for sent in response.certificates)):
        if not _is_named(response, signer):
            continue
        objection = _objection(signer, issuer, now)
        if objection is None:
            if algorithm.confirms(signer.public_key(), used, response.signature, signed.tbs.encoded):
                return
            objection = "the key does not confirm the signature"
        problem = f"responder {signer.name}: {objection}"
    raise OcspBadSignature(certificate.name, problem)


def _is_named(response: ocsp.OCSPResponse, signer: Certificate) -> bool:
    """Whether the ResponderID is the signer's: its name, or the SHA-1 of its key (RFC 6960 §4.2.1)."""
    if response.responder_name is not None:
        return names.key(response.responder_name.public_bytes()) == signer.subject_key
    return response.responder_key_hash == _hash("sha1", signer.key_bits)


def _objection(signer: Certificate, issuer: Certificate, now: datetime) -> str | None:
    """Why a certificate gives no right to answer for the issuer; None if it does (RFC 6960 §4.2.2.2)."""
    try:
        check_key(signer)
    except WeakKey as weak:
        return str(weak)
    if signer.spki == issuer.spki and signer.subject_key == issuer.subject_key:
        return None
    usage = signer.key_usage
    checks = {
        "not issued by the certificate's issuer": signer.issuer_key == issuer.subject_key and signer.signed_by(issuer),
        "signed with a weak or unknown algorithm": algorithm.believed(signer.signature_algorithm) is not None,
        "no extended key usage OCSPSigning": _OCSP_SIGNING in (signer.extended_key_usage or ()),
        "key usage without digitalSignature": usage is None or bool(usage & _MAY_SIGN),  # RFC 5280 §4.2.1.12
        "expired": not signer.expired(now, SKEW),
        "not yet valid": not signer.not_yet_valid(now, SKEW),
    }
    return next((problem for problem, passed in checks.items() if not passed), None)


def _answer(response: ocsp.OCSPResponse, single: ocsp.OCSPSingleResponse) -> OcspAnswer:
    name, key_hash = response.responder_name, response.responder_key_hash
    return OcspAnswer(
        this_update=single.this_update_utc,
        next_update=single.next_update_utc,
        produced_at=response.produced_at_utc,
        status=_STATUSES[single.certificate_status],
        revoked_at=single.revocation_time_utc,
        responder=names.text(name.public_bytes()) if name is not None else (key_hash or b"").hex(),
    )


def _not_current(answer: OcspAnswer, now: datetime) -> str | None:
    """Why an answer is not to be offered at `now`; None if it is (RFC 6960 §4.2.2.1)."""
    begin, end = answer.this_update, answer.next_update
    if begin > now + SKEW:
        return f"thisUpdate {_shown(begin)} lies ahead (clock: {_shown(now)})"
    if end is None:
        aged = now - begin > MAX_AGE + SKEW
        return f"no nextUpdate, and thisUpdate {_shown(begin)} is over {MAX_AGE.days} days ago" if aged else None
    if end < begin:
        return f"nextUpdate {_shown(end)} before thisUpdate {_shown(begin)}"
    return f"nextUpdate was {_shown(end)} (clock: {_shown(now)})" if end < now - SKEW else None


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"

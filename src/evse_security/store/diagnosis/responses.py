"""Findings about cached OCSP responses (RFC 6960): in another form, not to be believed, out of date, or missing."""

from __future__ import annotations

from collections.abc import Iterator

from evse_security.errors import NotBase64, OcspNotCurrent, OcspRefused, TooLarge
from evse_security.pki import ocsp
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID, may_name
from evse_security.pki.ocsp import OcspAnswer, OcspStatus
from evse_security.pki.question import responder_url
from evse_security.store.diagnosis.finding import OURS, Command, Finding, Mender, found
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.snapshot import OcspEntry
from evse_security.vocabulary import LeafCertificateType

_QUESTIONS = ((OURS, "call", "get_v2g_ocsp_request_data"),)
"""Says what to ask whom."""
_ADVICE = "ask the responder, and keep the answer with update_ocsp_cache; evse-security serve does so by itself"


def responses(seen: Inspection) -> Iterator[Finding]:
    """What is wrong with each cached response, and which are missing."""
    for entry in seen.snapshot.ocsp:
        yield from _entry(entry, seen)
    yield from _missing(seen)


def _entry(entry: OcspEntry, seen: Inspection) -> Iterator[Finding]:
    """1. Half a pair, 2. about nobody, 3. not DER, 4. not to be believed, 5. what it says."""
    if not (entry.has_hash and entry.has_response):
        who = _sweeper(entry)
        yield found("OcspHalf", "half of a pair", entry.paths, mend=_by_hand(entry, who), mender=who)  # 1
        return
    about = subject(entry, seen)
    if about is None:
        if not _may_be_meant(entry, seen):
            yield from _about_nobody(entry, seen)  # 2
        return
    certificate, issuer = about
    paths = (entry.response_path,)
    held = seen.surroundings.responses.get(entry.response_path)
    if entry.answer is None:
        yield _unreadable(entry, held, certificate, issuer, seen)  # 3
        return
    problem = None if held is None else _objection(held, certificate, issuer, entry.answer)
    if problem is not None:
        what, advice = str(problem), _ADVICE
        yield found(
            "OcspNotBelieved", what, paths, certificate=certificate, reason=problem.code, mend=_QUESTIONS, advice=advice
        )  # 4
        return
    yield from _said(entry, entry.answer, certificate, seen)  # 5


def _sweeper(entry: OcspEntry) -> Mender:
    """A sweep removes those of our names."""
    return Mender.DOCTOR if entry.response_path.name.endswith("_ocsp.der") else Mender.PEOPLE


def _about_nobody(entry: OcspEntry, seen: Inspection) -> Iterator[Finding]:
    who = "its .hash file names nobody" if entry.cert_id is None else f"no installed certificate {entry.cert_id}"
    mender = _sweeper(entry) if seen.snapshot.readable and seen.moment.doubt is None else Mender.PEOPLE
    yield found("OcspAboutNobody", who, entry.paths, mend=_by_hand(entry, mender), mender=mender)


def _by_hand(entry: OcspEntry, mender: Mender) -> list[Command]:
    return [("rm", *map(str, entry.paths))] if mender is Mender.PEOPLE else []


def _may_be_meant(entry: OcspEntry, seen: Inspection) -> bool:
    """Whether it may be about an installed certificate whose issuer is not: that is another finding."""
    cert_id, forest = entry.cert_id, seen.snapshot.forest
    named = (one for one in seen.snapshot.certificates if cert_id is not None and may_name(cert_id, one))
    return any(forest.id_of(one) is None for one in named)


def subject(entry: OcspEntry, seen: Inspection) -> tuple[Certificate, Certificate] | None:
    """The installed certificate that a response is kept for, and its issuer."""
    cert_id: CertID | None = entry.cert_id
    if cert_id is None:
        return None
    forest = seen.snapshot.forest
    for certificate in seen.snapshot.forest.identified(cert_id):
        issuer = forest.issuer_of(certificate)
        if issuer is not None:
            return certificate, issuer
    return None


def decoded(held: bytes | None) -> bytes | None:
    """The DER of a response that EVerest's module kept in base64, as it came; None where it is none."""
    try:
        found_der = ocsp.decode((held or b"").decode("ascii"))
    except (UnicodeDecodeError, NotBase64, TooLarge):
        return None
    return found_der if ocsp.peek(found_der) else None


def believed(held: bytes | None, certificate: Certificate, issuer: Certificate, seen: Inspection) -> bytes | None:
    """The DER of a response in base64, if it is to be kept; None where it is not."""
    encoded = decoded(held)
    if encoded is None:
        return None
    try:
        ocsp.believe(encoded, certificate, issuer, seen.now)
    except OcspRefused:
        return None
    return encoded


def _unreadable(
    entry: OcspEntry, held: bytes | None, certificate: Certificate, issuer: Certificate, seen: Inspection
) -> Finding:
    paths = (entry.response_path,)
    if decoded(held) is not None:
        kept = seen.moment.doubt is None and believed(held, certificate, issuer, seen) is not None
        what = "an OCSP response in base64 instead of DER" + ("" if kept else ", and not one to keep")
        mend, advice, mender = (() if kept else _QUESTIONS), (None if kept else _ADVICE), _mender(kept=kept)
        return found("OcspNotDer", what, paths, certificate=certificate, mend=mend, advice=advice, mender=mender)
    what = "no OCSP response"
    if held is not None and ocsp.peek(held):
        what = "an OCSP response about other certificates than its .hash file says"
    return found("OcspUnreadable", what, paths, certificate=certificate, mend=_QUESTIONS, advice=_ADVICE)


def _mender(*, kept: bool) -> Mender:
    return Mender.DOCTOR if kept else Mender.PEOPLE


def _objection(held: bytes, certificate: Certificate, issuer: Certificate, answer: OcspAnswer) -> OcspRefused | None:
    """Why a response was not to be believed when it was new; being out of date is another matter."""
    try:
        ocsp.believe(held, certificate, issuer, answer.this_update)
    except OcspRefused as refusal:
        return refusal
    except OverflowError:
        return OcspNotCurrent(certificate.name, f"thisUpdate {answer.this_update:%Y-%m-%d} is no time")
    return None


def _said(entry: OcspEntry, answer: OcspAnswer, certificate: Certificate, seen: Inspection) -> Iterator[Finding]:
    paths = (entry.response_path,)
    if answer.status is OcspStatus.revoked:
        since = f"{answer.revoked_at:%Y-%m-%d}" if answer.revoked_at is not None else "an unknown day"
        advice = "have a new certificate issued, with a new key"
        yield found("OcspRevoked", f"revoked since {since}", paths, certificate=certificate, advice=advice)
    elif seen.moment.doubt is None and not ocsp.current(answer, seen.now) and not _fresh(entry, seen):
        until = (
            "without an end" if answer.next_update is None else f"good until {answer.next_update:%Y-%m-%d %H:%M:%SZ}"
        )
        what = f"of {answer.this_update:%Y-%m-%d %H:%M:%SZ}, {until}: out of date"
        yield found("OcspStale", what, paths, certificate=certificate, mend=_QUESTIONS, advice=_ADVICE)


def _fresh(entry: OcspEntry, seen: Inspection) -> bool:
    """Whether another response about the same certificate is current."""
    others = seen.snapshot.ocsp_by_id.get(entry.cert_id, []) if entry.cert_id is not None else []
    return any(other.answer is not None and ocsp.current(other.answer, seen.now) for other in others)


def _missing(seen: Inspection) -> Iterator[Finding]:
    """Certificates of the SECC chains in use that name a responder, and of which nothing is cached.

    There is a chain for each edition of ISO 15118. Where the issuer is not known nobody can ask: that it is missing is
    another finding.
    """
    domain = next(one for one in seen.domains if LeafCertificateType.V2G in one.leaf_types)
    for leaf in filter(None, (domain.chosen, domain.beside)):
        chain = leaf.file.certificates
        lacking = [each for each in chain if responder_url(each) is not None and not _kept(each, seen)]
        if lacking:
            what = f"no OCSP response about {' and '.join(each.name for each in lacking)}"
            paths = (leaf.file.path,)
            yield found("OcspMissing", what, paths, certificate=lacking[0], mend=_QUESTIONS, advice=_ADVICE)


def _kept(certificate: Certificate, seen: Inspection) -> bool:
    cert_id = seen.snapshot.forest.id_of(certificate)
    return cert_id is None or bool(seen.snapshot.ocsp_by_id.get(cert_id))

"""What an answer means for what is remembered of a renewal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from evse_security.agents.enrolment.port import Answer, Later, Published, Refused, Signed
from evse_security.agents.renewal.record import Outcome, Record
from evse_security.agents.renewal.rules import LONGEST_HOLD
from evse_security.pki.certificate import Certificate
from evse_security.pki.enrolled import token_of_request
from evse_security.pki.keytoken import token_of_certificate
from evse_security.service.renewals import Renewed


def after(record: Record, answer: Answer | None, now: datetime) -> Record:
    """What is remembered of an answer; None: its leaf was installed, as the next look sees."""
    match answer:
        case None | Signed():
            return record
        case Published():  # unless it was refused already
            return record.became(Outcome.asked) if record.outcome is Outcome.begun else record
        case Refused(reason):
            return record.became(Outcome.refused, reason)
        case Later(reason, seconds):
            until = None if seconds is None else now + min(timedelta(seconds=seconds), LONGEST_HOLD)
            return record.became(Outcome.failed, reason, until)


def answered(published: Mapping[Renewed, Record], given: Certificate | None) -> Sequence[Renewed]:
    """Whose request is answered by a certificate that was refused; None: it could not be read.

    Of requests for both editions of ISO 15118 it is the one whose key it has, also if that waits no longer. One that is
    not meant must not wait for a trigger that nobody sends.
    """
    waiting = [leaf for leaf, record in published.items() if record.waits]
    meant = [leaf for leaf, one in published.items() if given is not None and _has_key(given, one.csr or "")]
    if meant or len(waiting) > 1:
        return [leaf for leaf in waiting if leaf in meant]
    return waiting


def _has_key(certificate: Certificate, csr: str) -> bool:
    try:
        return token_of_certificate(certificate) == token_of_request(csr)
    except ValueError:
        return False

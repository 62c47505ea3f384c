"""What can be wrong with a store: one table of findings by code, and the record of one that was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from evse_security.pki.certificate import Certificate

Command = tuple[str, ...]
"""A program with its arguments. Where it is `evse-security`, whoever shows it adds the options of the station."""

OURS = "evse-security"
BY_LINES = ("sed", "sh")
"""Programs that are told lines by their numbers."""
COPY_LINES = ("sed", "-n")
"""How they are only copied."""
FORBIDDEN = "Permission denied"
"""What the system says of files that the user who asks must not read."""
AS_READER = "run it as the user that the station runs as, or give that user the right to read it"
"""What mends that: nothing is wrong with the file itself, perhaps."""
MOST_PATHS = 8
"""Most files that one command names; more are mended by `doctor --fix` or by a pattern."""


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Something does not work, or is open to others."""
    WARNING = "warning"
    """Something will not work soon, or not for everybody."""
    NOTE = "note"
    """Worth knowing; nothing needs to be done."""


class Mender(StrEnum):
    """Who can mend a finding."""

    DOCTOR = "doctor --fix"
    PEOPLE = "people"


class Kind(NamedTuple):
    """A row of the table: how bad such a finding is, and what it means for the station."""

    severity: Severity
    means: str
    mender: Mender = Mender.PEOPLE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: what it is, what it means for the station, and what mends it."""

    code: str
    severity: Severity
    what: str
    means: str
    paths: tuple[Path, ...]
    certificate: str | None
    """Name and serial number of the certificate concerned."""
    reason: str | None
    """The code of the refusal behind it, as `check` and `explain` have it."""
    mend: tuple[Command, ...]
    """Commands that mend it, to be given one after the other."""
    advice: str | None
    """What mends it where no command does."""
    mender: Mender


def found(  # noqa: PLR0913  a finding has that many facts
    code: str,
    what: str,
    paths: Iterable[Path] = (),
    *,
    certificate: Certificate | None = None,
    reason: str | None = None,
    mend: Iterable[Command] = (),
    advice: str | None = None,
    severity: Severity | None = None,
    mender: Mender | None = None,
) -> Finding:
    """A finding of a kind; `severity` and `mender` where this one differs from its kind."""
    kind = KINDS[code]
    subject = None if certificate is None else f"{certificate.name}, serial {certificate.serial_text}"
    commands, who = tuple(mend), mender or kind.mender
    if who is Mender.DOCTOR and not commands:
        commands = ((OURS, "doctor", "--fix"),)
    return Finding(
        code, severity or kind.severity, what, kind.means, tuple(paths), subject, reason, commands, advice, who
    )


def if_clock_is_right(now: datetime, advice: str) -> str:
    """Advice where the time decides: a clock that is weeks off is believed, and makes all look expired or too new."""
    return f"see first that the clock is right, it shows {now:%Y-%m-%d %H:%M:%SZ}; then: {advice}"


_ERROR, _WARNING, _NOTE = Severity
_DOCTOR = Mender.DOCTOR

KINDS = {
    # ---- the time
    "ClockNotBelieved": Kind(
        _ERROR,
        "Nobody can tell what is valid: no leaf can be chosen rightly, nothing is renewed or swept. Set the clock, and "
        "look again.",
    ),
    # ---- what cannot be read: before what is wrong for that reason
    "BundleUnreadable": Kind(_ERROR, "No root of the domain is known: its peers are all refused."),
    "KeyLocked": Kind(_ERROR, "The leaf of this key cannot be used."),
    "Unreadable": Kind(
        _WARNING, "What it holds is passed over, and no key is swept, since it may be the one that needs it."
    ),
    "LinkBroken": Kind(_WARNING, "What it should lead to is not seen, and may be a key or a certificate in need."),
    "KeyUnreadable": Kind(_WARNING, "A leaf of this key cannot be used."),
    # ---- what the station is
    "NoUsableLeaf": Kind(_ERROR, "The station has no identity to show: connections that need this leaf fail."),
    "NoValidRoot": Kind(_ERROR, "Nothing of this domain can be verified: the peers' certificates are all refused."),
    "WrongBundle": Kind(
        _ERROR, "The root of this leaf is installed, but for another domain, where nobody looks for it."
    ),
    "RootMissing": Kind(_ERROR, "The leaf leads to no installed root: it is used only for want of a better one."),
    "IssuerMissing": Kind(
        _ERROR, "The chain of the leaf has a gap: peers that do not know the missing certificate refuse it."
    ),
    "LeafRefused": Kind(_ERROR, "Peers that verify as this station does will refuse the leaf."),
    "OcspRevoked": Kind(
        _ERROR, "Peers that ask refuse it. A V2G leaf is no longer offered, unless `revoked_leaves` is `offer`."
    ),
    # ---- who may read and write
    "KeyExposed": Kind(_ERROR, "Whoever may read the key can pretend to be the station.", _DOCTOR),
    "KeyAmongCertificates": Kind(_ERROR, "Files of certificates are handed to everybody, and so is this private key."),
    "WritableByAll": Kind(
        _ERROR,
        "Everybody with an account can install roots and replace what is there, and so decide on trust.",
        _DOCTOR,
    ),
    "KeyDirectoryOpen": Kind(
        _WARNING, "Others see which keys there are, and a key written carelessly is theirs at once.", _DOCTOR
    ),
    "OtherOwner": Kind(_WARNING, "Its owner can change it and its mode at will, whatever the mode says."),
    "WritableByGroup": Kind(_NOTE, "The members of the group can install roots and replace what is there."),
    # ---- can it be changed
    "DiskFull": Kind(_ERROR, "The next renewal or installation will fail for want of room."),
    "ReadOnly": Kind(_WARNING, "Nothing can be installed, renewed or deleted there."),
    "NotWritable": Kind(_WARNING, "The user who asked cannot install, renew or delete anything there."),
    "DiskNearlyFull": Kind(_WARNING, "Installations and renewals will soon fail for want of room."),
    "StoreFull": Kind(_ERROR, "Nothing more is installed, unless a sweep makes room."),
    "StoreNearlyFull": Kind(_WARNING, "Installations and renewals will soon be refused."),
    "NetworkFileSystem": Kind(
        _WARNING, "Locks and forced writes may not hold there: two writers can lose changes, a power cut files."
    ),
    "VolatileFileSystem": Kind(_WARNING, "All of it, private keys too, is gone when the machine restarts."),
    "NothingInstalled": Kind(
        _WARNING, "The station trusts nobody and nobody knows it, if this is its directory at all."
    ),
    "DirectoryMissing": Kind(_NOTE, "It is made when something is first written there."),
    # ---- what is not read by all
    "KeyInDer": Kind(_WARNING, "Consumers that are handed the file expect PEM, and may fail to load it."),
    "ReadDifferently": Kind(
        _NOTE, "Other programs may not read it as it is read here; consumers are handed a copy that all read alike."
    ),
    "HoldsNothing": Kind(_NOTE, "It is named like a certificate, but is none."),
    # ---- leaves and their chains
    "LeafExpiring": Kind(_WARNING, "When it expires, connections that need it fail, unless a new one is installed."),
    "LeafWithoutKey": Kind(_WARNING, "The leaf cannot be used: nobody can prove to be its owner."),
    "ChainOutOfOrder": Kind(_WARNING, "TLS wants each certificate followed by its issuer; some peers refuse others."),
    "ChainIncomplete": Kind(
        _WARNING, "The station knows the whole chain, but sends less: peers that know only the root refuse it."
    ),
    "ChainHoldsMore": Kind(
        _NOTE,
        "It is sent at each handshake for nothing, and confuses consumers that count (EVerest's staples nothing).",
    ),
    "ProfileDeviates": Kind(_NOTE, "Peers that hold certificates against ISO 15118 strictly may refuse the leaf."),
    "SharedKey": Kind(_NOTE, "Whoever gets hold of the key has all these leaves; a renewal should bring a new key."),
    "LeafExpired": Kind(_NOTE, "It is not used any more, and swept when enough newer ones are there."),
    "LeafNotYetValid": Kind(_NOTE, "It is not used before its time."),
    "NotALeaf": Kind(_NOTE, "It is trusted for nothing where it lies, and offered to nobody."),
    "NoLeaf": Kind(_NOTE, "The station cannot identify itself there: a request makes it a key and asks for one."),
    # ---- certificates of CAs
    "ForgedRoot": Kind(
        _ERROR, "It says to be a root, but its own key did not sign it: damaged, or somebody's attempt."
    ),
    "NotACa": Kind(_WARNING, "It is trusted for nothing, for it may not sign others."),
    "CaExpired": Kind(_WARNING, "Nothing below it is valid any more."),
    "CaExpiring": Kind(_WARNING, "When it expires, nothing below it is valid any more."),
    "WeakKey": Kind(_WARNING, "Chains through it are refused: the key can be broken."),
    "WeakDigest": Kind(_WARNING, "Signatures of this kind can be forged, and strict peers refuse them."),
    "OrphanSubCa": Kind(_WARNING, "It leads to no root of its bundle, and chains through it fail."),
    "Duplicate": Kind(_NOTE, "It counts once, takes room, and must be deleted everywhere to be gone."),
    "NoRoot": Kind(_NOTE, "Peers of this domain cannot be verified."),
    # ---- keys
    "KeyOrphan": Kind(
        _WARNING, "No certificate came for it; it takes room and is a secret that nobody needs.", _DOCTOR
    ),
    "KeyPending": Kind(_NOTE, "A signing request waits for its answer."),
    # ---- OCSP
    "OcspNotDer": Kind(
        _WARNING, "Who staples it sends garbage, or nothing: EVerest's module leaves responses in base64.", _DOCTOR
    ),
    "OcspUnreadable": Kind(_WARNING, "It is offered to nobody; ask the responder anew."),
    "OcspNotBelieved": Kind(_WARNING, "It was kept without being verified; peers that verify it end the handshake."),
    "OcspStale": Kind(_WARNING, "It is not offered any more; peers that insist on a fresh one refuse the station."),
    "OcspMissing": Kind(_WARNING, "Peers that insist on a stapled response (ISO 15118) refuse the station."),
    "OcspAboutNobody": Kind(_NOTE, "It is about no installed certificate.", _DOCTOR),
    "OcspHalf": Kind(_NOTE, "Half of a pair is offered to nobody.", _DOCTOR),
    # ---- the audit log
    "AuditLogBroken": Kind(_WARNING, "What was changed, and by whom, it does not tell for certain."),
    # ---- derived files and leftovers
    "CopyStale": Kind(
        _WARNING, "Consumers that read the copy see another certificate or key than is installed.", _DOCTOR
    ),
    "LinksStale": Kind(
        _WARNING, "OpenSSL looks up roots by these links, and finds others than are installed.", _DOCTOR
    ),
    "Leftover": Kind(_NOTE, "An interrupted write left it; nothing reads it.", _DOCTOR),
    "ForeignLeftover": Kind(_NOTE, "EVerest's module left it when a write failed; nothing reads it."),
    "FromFuture": Kind(_NOTE, "A clock was wrong when it was written; its age is not known until then."),
}
"""All kinds, in the order of how urgently somebody wants to know."""

RANKS = {code: rank for rank, code in enumerate(KINDS)}

"""Findings about private keys: those that cannot be opened, and those that nobody needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from evse_security.clock import believable
from evse_security.store.diagnosis.finding import (
    AS_READER,
    FORBIDDEN,
    MOST_PATHS,
    OURS,
    Command,
    Finding,
    Mender,
    Severity,
    found,
)
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.diagnosis.places import keys as key_files
from evse_security.store.layout import is_generated
from evse_security.store.snapshot import KeyFile

_IF_LOST = "if nobody knows one that does, the leaf needs a new request, which makes a new key"
_CONFIGURE = (
    f"the command asks for a password: one that fits belongs in a file that private_key_password_file names; {_IF_LOST}"
)
_CORRECT = (
    "the first command asks for a password, and the second says where the configured one comes from: one that fits "
    f"belongs there; {_IF_LOST}"
)
_WEAKEN = "encrypt it anew in a way that is supported, with openssl pkcs8 -topk8"
_INTO_NEW = 'new=$(mktemp "$1.XXXXXX") || exit; '
_IN_ITS_PLACE = '&& sync && mv -f "$new" "$1" || { rm "$new"; exit 1; }'
"""In one command, as those of several go on where one fails: the key is replaced once there is another one.

That is read first, as OpenSSL does not say that a disk was full.
"""
_AS_PEM = f'{_INTO_NEW}openssl pkey -inform DER -in "$1" >"$new" && openssl pkey -noout -in "$new" {_IN_ITS_PLACE}'
_SEALED_AS_PEM = (
    f'{_INTO_NEW}{{ echo -----BEGIN ENCRYPTED PRIVATE KEY-----; openssl base64 -in "$1"; '
    'echo -----END ENCRYPTED PRIVATE KEY-----; } >"$new" '
    f'&& openssl asn1parse -noout -out /dev/stdout -in "$new" | cmp -s - "$1" {_IN_ITS_PLACE}'
)
"""An encrypted one stays so, and nobody is asked for its password."""
_NOT_SWEPT = "no certificate of it can be read, but not all files of certificates can be read"
_DAMAGED_FIRST = "see to the files that cannot be read first: one of them may be its certificate"
_BY_HAND = "no certificate of it is installed, and it was put there by hand: no sweep removes it"


def keys(seen: Inspection) -> Iterator[Finding]:
    """Keys that cannot be read, that consumers cannot read, and that wait in vain or still wait."""
    groups: dict[tuple[Path, str, str, Mender], list[Path]] = defaultdict(list)
    missed = _missed(seen)
    for key in key_files(seen):
        if key.token is None:
            yield _unread(key, Severity.ERROR if key.path in missed else None, seen)
            continue
        if key.path in seen.surroundings.der_keys:
            script = _SEALED_AS_PEM if key.path in seen.surroundings.sealed_keys else _AS_PEM
            as_pem: Command = ("sh", "-c", script, "sh", str(seen.surroundings.real(key.path)))
            yield found("KeyInDer", "a private key in DER", (key.path,), mend=[as_pem])
        if key.token not in seen.needed_tokens:
            code, what, mender = _unneeded(key, seen)
            groups[key.path.parent, code, what, mender].append(key.path)
    for (_, code, what, mender), paths in groups.items():
        sweep = [(OURS, "sweep")] if mender is Mender.DOCTOR else []
        aside = [("mv", "-n", str(path), f"{path}.unused") for path in paths[:MOST_PATHS]] if what == _BY_HAND else []
        advice = _DAMAGED_FIRST if what == _NOT_SWEPT else None
        yield found(code, what, paths, mend=sweep or aside, advice=advice, mender=mender)


def _missed(seen: Inspection) -> set[Path]:
    """The keys that may be the one for want of which a station has no leaf to show."""
    wanting = [one for one in seen.domains if one.leaf_store is not None and one.leaf_store.leaves and not one.chosen]
    return {key.path for one in wanting if one.leaf_store is not None for key in one.leaf_store.keys}


def _unread(key: KeyFile, severity: Severity | None, seen: Inspection) -> Finding:
    paths = (key.path,)
    if key.encrypted:
        return _locked(key, seen)
    if key.size == 0:
        what = "an empty file: a full disk leaves such where writes are not checked"
        return found("KeyUnreadable", what, paths, mend=[("rm", str(key.path))])
    advice = AS_READER if key.problem == FORBIDDEN else "put the key there in PEM (PKCS #8), or remove the file"
    return found("KeyUnreadable", key.problem or "cannot be read", paths, advice=advice, severity=severity)


def _locked(key: KeyFile, seen: Inspection) -> Finding:
    """A key that a password would open: whether another one does, OpenSSL tells."""
    mend: list[Command] = [("openssl", "pkey", "-noout", "-in", str(key.path))]
    advice = _CONFIGURE
    if key.path not in seen.surroundings.locked:
        mend, advice = [], _WEAKEN
    elif seen.surroundings.locked[key.path]:
        mend, advice = [*mend, (OURS, "config")], _CORRECT
    return found("KeyLocked", key.problem or "encrypted", (key.path,), mend=mend, advice=advice)


def _unneeded(key: KeyFile, seen: Inspection) -> tuple[str, str, Mender]:
    """Whether a key without a certificate waits for one, or for nobody; and who would remove it."""
    age = seen.now - key.modified
    if seen.moment.doubt is not None or not believable(key.modified):
        return "KeyPending", "without a certificate; since when, no clock tells", Mender.PEOPLE
    if age <= seen.limits.csr_lifetime:
        return "KeyPending", "waits for its certificate", Mender.PEOPLE
    if not all(store.readable for store in seen.snapshot.leaves.values()):
        return "KeyOrphan", _NOT_SWEPT, Mender.PEOPLE
    if not is_generated(key.path.name):
        return "KeyOrphan", _BY_HAND, Mender.PEOPLE
    return "KeyOrphan", "no certificate came for it in time", Mender.DOCTOR

"""Findings about the station's own leaves: their keys, their validity, and the chains that it sends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from evse_security.errors import ChainRefused, Expired, IssuerNotFound, NoTrustAnchor, NotYetValid, ProfileViolated
from evse_security.pki import names
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import check_end_entity
from evse_security.pki.keytoken import token_of_certificate
from evse_security.pki.path import MAX_PATH, VerifiedChain
from evse_security.pki.profile import EDITION_OF_KEY_TYPE, Edition, ProfileName, check, edition_of, leaf_key_of, serves
from evse_security.store.diagnosis.certificates import deletion, installation, installation_of, weak_digest
from evse_security.store.diagnosis.finding import (
    MOST_PATHS,
    OURS,
    Command,
    Finding,
    Severity,
    found,
    if_clock_is_right,
)
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.kinds import DOMAINS
from evse_security.store.reasons import Domain, Validity
from evse_security.store.snapshot import CertificateFile, Leaf, LeafStore
from evse_security.vocabulary import LeafCertificateType

_SUBJECT = {"--country": "2.5.4.6", "--organization": "2.5.4.10", "--common": names.COMMON_NAME}
"""The attributes of a subject that a signing request is asked for with."""
_THEN_INSTALL = "have its csr signed by the CA, and install the chain that comes back with update_leaf_certificate"
_OPEN_FIRST = "see to the keys that cannot be opened first: one of them may be its own"


def leaves(seen: Inspection) -> Iterator[Finding]:
    """What is wrong with the leaves of each kind: 1. those in use, 2. each of them, 3. files that hold none."""
    for domain in seen.domains:
        store = domain.leaf_store
        if store is None:
            continue
        yield from _in_use(domain, store, seen)  # 1
        for leaf in store.leaves:
            yield from _leaf(domain, store, leaf, seen)  # 2
        yield from _shared_keys(store)
        yield from _copies(store, seen)
        for file in store.files:
            yield from _without_leaf(file, store)  # 3


# ---- 1. the leaf in use


def _in_use(domain: Domain, store: LeafStore, seen: Inspection) -> Iterator[Finding]:
    kind = store.kind.leaf_type
    if domain.chosen is not None:
        for leaf in filter(None, (domain.chosen, domain.beside)):
            yield from _expiring(leaf, store, seen)
            yield from _profile(domain, leaf, seen)
    elif store.leaves and seen.moment.doubt is None:
        shown = store.leaves[:MOST_PATHS]
        reasons = [f"{leaf.file.path.name} {domain.leaf_use(leaf).reason.text}" for leaf in shown]
        more = f"; and {len(store.leaves) - len(shown)} more" if len(store.leaves) > len(shown) else ""
        what = f"no {kind} leaf can be used: {'; '.join(reasons)}{more}"
        closed = any(leaf.key is None for leaf in store.leaves) and _closed(store)
        like = store.leaves[0].certificate
        mend, advice = ([request(store, like, seen)], _THEN_INSTALL) if not closed else ([], _OPEN_FIRST)
        if closed and all(key.encrypted for key in store.keys if key.token is None and key.size > 0):
            mend = [request(store, like, seen)]
            advice = f"{_OPEN_FIRST}; if nobody has the password, the command makes a new one: {_THEN_INSTALL}"
        if not closed and any(domain.validity(leaf.certificate) is not Validity.VALID for leaf in store.leaves):
            advice = if_clock_is_right(seen.now, advice)
        yield found("NoUsableLeaf", what, (store.directory,), mend=mend, advice=advice)
    elif not store.leaves and (store.listed or _is_missing(store, seen)):
        what, mend = f"no {kind} leaf is installed", [request(store, None, seen)]
        yield found("NoLeaf", what, (store.directory,), mend=mend, advice=_THEN_INSTALL)


def _is_missing(store: LeafStore, seen: Inspection) -> bool:
    if any(problem.path == store.directory for problem in seen.snapshot.problems):
        return False  # a directory above it is closed
    return any(place.path == store.directory and place.rights is None for place in seen.surroundings.places)


def request(store: LeafStore, like: Certificate | None, seen: Inspection) -> Command:
    """The command that makes a key and a signing request, for the subject of a certificate that is there.

    A leaf for cars of the edition of ISO 15118 for which the station makes no keys needs one of its own kind.
    """
    told = {option: option[2:].upper() for option in _SUBJECT}
    if like is not None:
        told |= _subject(like)
    options = tuple(word for option, text in told.items() for word in (option, text))
    kind = ("--certificate-type", str(store.kind.leaf_type))
    key = leaf_key_of(like) if like is not None and store.kind.leaf_type is LeafCertificateType.V2G else None
    made = EDITION_OF_KEY_TYPE.get(seen.csr_key_type, Edition.ISO15118_2)
    other = ("--csr-key-type", key.key_type) if key is not None and key.edition is not made else ()
    return (OURS, *other, "call", "generate_certificate_signing_request", *kind, *options, "--no-use-tpm")


def _subject(like: Certificate) -> dict[str, str]:
    try:
        held = {each.oid: each.text for rdn in names.attributes(like.subject) for each in rdn}
    except ValueError:
        return {}
    texts = {option: held.get(oid, "") for option, oid in _SUBJECT.items()}
    return {option: text for option, text in texts.items() if text and text[0] not in "@-"}


def _expiring(leaf: Leaf, store: LeafStore, seen: Inspection) -> Iterator[Finding]:
    end = leaf.certificate.not_after
    edition = edition_of(leaf.certificate) if store.kind.leaf_type is LeafCertificateType.V2G else None
    follows = any(
        other.key is not None and other.certificate.not_before <= end and other.certificate.not_after - end > seen.warn
        for other in store.leaves
        if serves(other.certificate, edition)
    )
    if seen.moment.doubt is None and end - seen.now <= seen.warn and not follows:
        days = (end - seen.now).days
        what = f"the {store.kind.leaf_type} leaf in use expires on {end:%Y-%m-%d}, in {days} days"
        mend = [request(store, leaf.certificate, seen)]
        paths, advice = _paths(leaf), _THEN_INSTALL
        yield found("LeafExpiring", what, paths, certificate=leaf.certificate, mend=mend, advice=advice)


def _profile(domain: Domain, leaf: Leaf, seen: Inspection) -> Iterator[Finding]:
    """What strict peers would refuse, where the station itself is lenient."""
    chain = seen.verdict(domain, leaf)
    if isinstance(chain, VerifiedChain) and seen.profile is ProfileName.LENIENT:
        try:
            check(ProfileName.ISO15118, chain.path, domain.leaf_types)
        except ProfileViolated as refusal:
            advice = "ask the issuer for certificates of the profile (ISO 15118-2 Annex F, -20 Annex B)"
            yield found(
                "ProfileDeviates",
                str(refusal),
                _paths(leaf),
                certificate=leaf.certificate,
                reason=refusal.code,
                advice=advice,
            )


# ---- 2. each leaf


def _leaf(domain: Domain, store: LeafStore, leaf: Leaf, seen: Inspection) -> Iterator[Finding]:
    certificate, paths = leaf.certificate, _paths(leaf)
    try:
        check_end_entity(certificate, domain.leaf_types)
    except ChainRefused as refusal:
        gone = _gone(store, leaf, seen)
        code, bad = "LeafRefused", Severity.WARNING
        yield found(code, str(refusal), paths, certificate=certificate, reason=refusal.code, mend=gone, severity=bad)
        return
    if leaf.key is None:
        yield _without_key(store, leaf)
    validity = domain.validity(certificate)
    if validity is not Validity.VALID:
        yield from _untimely(validity, leaf, seen)
    elif leaf.key is not None:
        yield from weak_digest(certificate, paths)
        verdict = seen.verdict(domain, leaf)
        if isinstance(verdict, VerifiedChain):
            if not set(verdict.sent) <= set(leaf.file.certificates):
                own = seen.as_sent(domain, leaf)
                verdict = own if isinstance(own, VerifiedChain) else verdict
            yield from _sent(verdict, store, leaf)
        elif seen.moment.doubt is None or not isinstance(verdict, Expired | NotYetValid):
            yield _refused(verdict, domain, leaf, store, seen)


def _without_key(store: LeafStore, leaf: Leaf) -> Finding:
    """A leaf whose key is not there, or may be one of those that cannot be opened: then nobody should delete it."""
    what = f"no private key in {store.key_directory} fits"
    advice, mend = f"put its key into {store.key_directory}, from a backup perhaps; or set the leaf aside", _aside(leaf)
    closed = _closed(store)
    if closed:
        what = f"{what}, but {closed} of the keys there cannot be opened"
        advice, mend = _OPEN_FIRST, []
    return found("LeafWithoutKey", what, _paths(leaf), certificate=leaf.certificate, mend=mend, advice=advice)


def _closed(store: LeafStore) -> int:
    """How many keys cannot be opened; of an empty file nobody ever will."""
    return sum(key.token is None and key.size > 0 for key in store.keys)


def _gone(store: LeafStore, leaf: Leaf, seen: Inspection) -> list[Command]:
    """How a leaf is deleted: by command, but CSMS leaves, which no command deletes (M04.FR.06), set aside."""
    if store.kind.leaf_type is LeafCertificateType.CSMS:
        return _aside(leaf)
    return deletion(seen.snapshot, leaf.certificate)


def _aside(leaf: Leaf) -> list[Command]:
    """How a leaf is given names that are not read: its key may turn up."""
    return [("mv", "-n", str(path), f"{path}.unused") for path in _paths(leaf)[:MOST_PATHS]]


def _untimely(validity: Validity, leaf: Leaf, seen: Inspection) -> Iterator[Finding]:
    if seen.moment.doubt is not None:
        return
    certificate = leaf.certificate
    if validity is Validity.EXPIRED:
        what, code, reason = f"expired on {certificate.not_after:%Y-%m-%d}", "LeafExpired", "Expired"
    else:
        what, code, reason = f"valid from {certificate.not_before:%Y-%m-%d}", "LeafNotYetValid", "NotYetValid"
    yield found(code, what, _paths(leaf), certificate=certificate, reason=reason)


def _refused(refusal: ChainRefused, domain: Domain, leaf: Leaf, store: LeafStore, seen: Inspection) -> Finding:
    """Why the chain of a valid leaf with its key does not verify; and where that lies which is missing."""
    paths, certificate, what = _paths(leaf), leaf.certificate, str(refusal)
    severity = None if domain.chosen is leaf else Severity.WARNING
    advice: str | None = _THEN_INSTALL
    code, mend = "LeafRefused", [request(store, certificate, seen)]
    if isinstance(refusal, Expired | NotYetValid) and refusal.certificate != certificate.name:
        advice = "the reason is a CA above the leaf: ask the issuer for a chain that is valid now, and for its root"
    if isinstance(refusal, NoTrustAnchor | IssuerNotFound):
        code = "RootMissing" if isinstance(refusal, NoTrustAnchor) else "IssuerMissing"
        mend = [installation(domain.store, "ISSUER.pem")]
        wanted = refusal.issuer if isinstance(refusal, IssuerNotFound) else _wanted_root(certificate, seen)
        advice = f"ISSUER.pem is the certificate of {wanted}: ask who issued the leaf for it"
        missing = _missing(leaf, domain, seen)
        if missing is not None:
            where = seen.files_of(missing)
            what = f"{refusal}; {missing.name} lies in {where[0]}"
            bundled = [file.path for one in seen.bundles for file in one.files if missing in file.certificates]
            code = "WrongBundle" if missing.self_signed and bundled else code
            there = installation_of(missing, where, domain.store, seen)
            mend = there or mend
            block = f"the certificate with serial {missing.serial_text} in {where[0]}"
            advice = None if there else f"ISSUER.pem is {block}: copy its block"
            if code == "WrongBundle" and there:
                advice = f"it stays in {bundled[0]}, too: take it out there if nobody of that domain needs it"
    return found(
        code,
        what,
        paths,
        certificate=certificate,
        reason=refusal.code,
        mend=mend,
        advice=advice,
        severity=severity,
    )


def _wanted_root(certificate: Certificate, seen: Inspection) -> str:
    """The root that a leaf leads to, as far up as anything that is there says so."""
    for _ in range(MAX_PATH):
        issuer = seen.snapshot.forest.issuer_of(certificate)
        if issuer is None or issuer == certificate:
            break
        certificate = issuer
    return f"{certificate.issuer_name}, or of the root above it"


def _missing(leaf: Leaf, domain: Domain, seen: Inspection) -> Certificate | None:
    """The first issuer upwards that is installed somewhere, but neither sent along nor where the domain looks."""
    sent = leaf.chain.certificates if leaf.chain is not None else ()
    held = {*domain.store.certificates, *(certificate for certificate in sent if not certificate.self_signed)}
    current = leaf.certificate
    for _ in range(MAX_PATH):
        issuer = seen.snapshot.forest.issuer_of(current)
        if issuer is None or issuer == current:
            return None
        if issuer not in held:
            return issuer
        current = issuer
    return None


def _sent(chain: VerifiedChain, store: LeafStore, leaf: Leaf) -> Iterator[Finding]:
    """Whether the files hold what a TLS server sends: each certificate followed by its issuer, without the root."""
    held = leaf.chain.certificates if leaf.chain is not None else (leaf.certificate,)
    missing = [each.name for each in chain.sent if each not in held]
    more = [each.name for each in held if each not in chain.sent]
    again = ("--certificate-chain", f"@{leaf.file.path}", "--certificate-type", str(store.kind.leaf_type))
    mend = [(OURS, "call", "update_leaf_certificate", *again)]
    paths, certificate = (leaf.file.path,), leaf.certificate
    if missing:
        what = f"its file lacks {' and '.join(missing)}"
        yield found("ChainIncomplete", what, paths, certificate=certificate, mend=mend)
    if more:
        what = f"its file holds more than the chain: {', '.join(more[:MOST_PATHS])}"
        yield found("ChainHoldsMore", what, paths, certificate=certificate, mend=mend)
    in_file = [each for each in held if each in chain.sent]
    if in_file != [each for each in chain.sent if each in held]:
        what = f"its file has the order {' <- '.join(each.name for each in in_file)}"
        yield found("ChainOutOfOrder", what, paths, certificate=certificate, mend=mend)


def _shared_keys(store: LeafStore) -> Iterator[Finding]:
    users: dict[bytes, list[Leaf]] = defaultdict(list)
    for leaf in store.leaves:
        if leaf.key is not None:
            users[token_of_certificate(leaf.certificate)].append(leaf)
    for sharing in users.values():
        if len(sharing) > 1:
            paths = tuple(leaf.file.path for leaf in sharing)
            yield found("SharedKey", f"{len(sharing)} leaves have one key", paths)


def _copies(store: LeafStore, seen: Inspection) -> Iterator[Finding]:
    """Leaves that are there more often than alone and with their chain. Links to a file are that file."""
    for leaf in store.leaves:
        kept = {seen.surroundings.real(file.path) for file in (leaf.single, leaf.chain) if file is not None}
        copies = (file.path for file in leaf.copies if not file.damaged)
        spare = [path for path in copies if seen.surroundings.real(path) not in kept]
        if spare:
            what, paths = f"is there {len(leaf.copies)} times", (*spare, *(p for p in _paths(leaf) if p not in spare))
            mend = [("mv", "-n", str(path), f"{path}.unused") for path in spare[:MOST_PATHS]]
            yield found("Duplicate", what, paths, certificate=leaf.certificate, mend=mend)


# ---- 3. files without a leaf


def _without_leaf(file: CertificateFile, store: LeafStore) -> Iterator[Finding]:
    """Files of a leaf directory that do not begin with a leaf: their leaf is not seen, or they hold none."""
    if not file.certificates or file.leaf is not None:
        return
    first, paths = file.certificates[0], (file.path,)
    below = [each for each in file.certificates if each.basic_constraints is None or not each.basic_constraints.ca]
    if below:
        what = f"begins with {first.name}, which is a CA; the leaf {below[0].name} is not seen"
        advice = "put the leaf first in the file"
        bad = Severity.ERROR
        yield found("ChainOutOfOrder", what, paths, certificate=below[0], advice=advice, severity=bad)
    else:
        domain = DOMAINS[store.kind.ca_type].ca_type
        what = f"holds only CA certificates, the first {first.name}"
        advice = f"install them for {domain}, where they are looked for, and remove the file"
        yield found("NotALeaf", what, paths, certificate=first, advice=advice)


def _paths(leaf: Leaf) -> tuple[Path, ...]:
    return tuple(file.path for file in leaf.copies)

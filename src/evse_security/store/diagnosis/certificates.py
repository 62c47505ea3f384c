"""Findings about files of certificates that cannot be read, and about CA certificates that are not to be trusted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from evse_security.errors import WeakDigest, WeakKey
from evse_security.pki.certificate import Certificate
from evse_security.pki.demands import COLLIDING, check_digest, check_key, why_not_ca
from evse_security.pki.pem import Block, Flaw
from evse_security.store.diagnosis.finding import (
    AS_READER,
    COPY_LINES,
    FORBIDDEN,
    MOST_PATHS,
    OURS,
    Command,
    Finding,
    Severity,
    found,
    if_clock_is_right,
)
from evse_security.store.diagnosis.inspection import Inspection, Span
from evse_security.store.reasons import Domain, Validity
from evse_security.store.snapshot import CaStore, CertificateFile, LeafStore, Snapshot, StoreForm

_LEADS_NOWHERE = "a link that leads nowhere"


def deletion(snapshot: Snapshot, certificate: Certificate) -> list[Command]:
    """The command that deletes a certificate; none for one without identity, or that shares it with others."""
    cert_id = snapshot.forest.id_of(certificate)
    if cert_id is None or snapshot.identified(cert_id) != {certificate}:
        return []
    data = cert_id.hash_data
    asked = {
        "hash_algorithm": data.hash_algorithm,
        "issuer_name_hash": data.issuer_name_hash,
        "issuer_key_hash": data.issuer_key_hash,
        "serial_number": data.serial_number,
    }
    return [(OURS, "call", "delete_certificate", "--json", json.dumps({"certificate_hash_data": asked}))]


def _deletion_from_bundle(snapshot: Snapshot, certificate: Certificate) -> list[Command]:
    """The same, but for one that is a leaf, too: the command would take the leaf with it, and its key."""
    leaves = {leaf.certificate for store in snapshot.leaves.values() for leaf in store.leaves}
    return [] if certificate in leaves else deletion(snapshot, certificate)


_BY_HAND = "take its block out of the file"


# ---- files


def files(seen: Inspection) -> Iterator[Finding]:
    """Files of certificates that cannot be read, hold something else, or that others read differently."""
    stores: tuple[CaStore | LeafStore, ...] = (*seen.bundles, *seen.snapshot.leaves.values())
    told: set[Path] = set()
    for store in stores:
        for file in store.files:
            if file.path not in told:
                told.add(file.path)
                yield from _file(file, store, seen)
    told |= {key.path for one in seen.snapshot.leaves.values() for key in one.keys}
    for ca in seen.bundles:
        if ca.form is StoreForm.UNREADABLE:
            told.add(ca.path)
            yield found("BundleUnreadable", "the bundle cannot be looked at", (ca.path,), advice=AS_READER)
    for path in seen.surroundings.astray:
        advice = "bring back what it leads to, such as a disk that is not mounted"
        yield found("LinkBroken", _LEADS_NOWHERE, (path,), advice=advice, severity=Severity.ERROR)
    yield from _unseen(seen, told)


def _unseen(seen: Inspection, told: set[Path]) -> Iterator[Finding]:
    """What could not even be looked at."""
    of_leaves = {path for store in seen.snapshot.leaves.values() for path in (store.directory, store.key_directory)}
    for problem in seen.snapshot.problems:
        if problem.path in told:
            continue
        if problem.text == _LEADS_NOWHERE:
            advice = "bring back what it leads to, such as a disk that is not mounted; or remove the link"
            yield found("LinkBroken", problem.text, (problem.path,), mend=[("rm", str(problem.path))], advice=advice)
        else:
            advice = AS_READER if problem.text == FORBIDDEN else "make it a regular file, or remove it"
            bad = Severity.ERROR if problem.path in of_leaves else None
            yield found("Unreadable", problem.text, (problem.path,), advice=advice, severity=bad)


def _file(file: CertificateFile, store: CaStore | LeafStore, seen: Inspection) -> Iterator[Finding]:
    paths = (file.path,)
    if file.problem is not None:
        aside = _set_aside(file, seen)
        forbidden = AS_READER if file.problem == FORBIDDEN else "see that it is a file of certificates"
        advice = None if aside else forbidden
        yield found("Unreadable", file.problem, paths, mend=aside, advice=advice)
    if bad := [block for block in file.blocks if block.problem is not None]:
        yield _bad_blocks(file, bad, seen)
    for flaw in dict.fromkeys(block.flaw for block in file.blocks if block.flaw is not None and block.problem is None):
        first = next(block for block in file.blocks if block.flaw is flaw)
        advice = None if flaw is Flaw.FORM else "look what it is, and take it out"
        yield found("ReadDifferently", f"{_where(file, first, seen)}: {flaw.value}", paths, advice=advice)
    is_bundle = isinstance(store, CaStore) and store.form is StoreForm.FILE
    if not (file.blocks or file.problem or file.holds_more or is_bundle):
        yield found("HoldsNothing", "named like a certificate, but holds none", paths, mend=_set_aside(file, seen))
    if file.path in seen.surroundings.with_keys:
        yield _key_among(file, store, seen)


def _where(file: CertificateFile, block: Block, seen: Inspection) -> str:
    span = seen.surroundings.spans.get((file.path, block.start))
    return f"at byte {block.start}" if span is None else f"at line {span.first} (byte {block.start})"


def _set_aside(file: CertificateFile, seen: Inspection) -> list[Command]:
    """Give a file a name that is not read; bundles stay, since the configuration names them."""
    if file.path in seen.layout.bundles.values() or file.problem == FORBIDDEN:
        return []
    return [("mv", "-n", str(file.path), f"{file.path}.bad")]


def _bad_blocks(file: CertificateFile, bad: list[Block], seen: Inspection) -> Finding:
    """All bad blocks of a file with one command, as lines have other numbers once some are cut out."""
    told = [f"{_where(file, block, seen)}: {block.problem}" for block in bad[:MOST_PATHS]]
    told += [f"and {len(bad) - MOST_PATHS} more"] if len(bad) > MOST_PATHS else []
    spans = _lines(file, bad, seen)
    mend = [_cut(file, spans, ".bad", seen)] if spans else []
    if file.in_der or len(file.blocks) == 1:
        mend = _set_aside(file, seen)
    by_hand = not mend or 0 < len(spans) < len(bad)
    advice = "take the block out, or install the certificate anew" if by_hand else None
    return found("Unreadable", "; ".join(told), (file.path,), mend=mend, advice=advice)


def _lines(file: CertificateFile, blocks: Iterable[Block], seen: Inspection) -> list[Span]:
    """On which lines blocks are, of those that have lines of their own."""
    spans = (seen.surroundings.spans.get((file.path, block.start)) for block in blocks)
    return [span for span in spans if span is not None and span.alone]


def _cut(file: CertificateFile, spans: Iterable[Span], suffix: str, seen: Inspection) -> Command:
    """The command that takes lines out of a file and keeps a copy of it; where it is a link, of what it leads to."""
    lines = ";".join(f"{span.first},{span.last}d" for span in spans)
    return ("sed", f"-i{suffix}", lines, str(seen.surroundings.real(file.path)))


def _key_among(file: CertificateFile, store: CaStore | LeafStore, seen: Inspection) -> Finding:
    """Private keys among certificates: each gets a file of its own, where the station looks for the keys of leaves.

    Without a copy of the file, which would hold them, and without writing over what has that name, as it may be the
    key already: then nothing is cut out either.
    """
    what = "holds a private key beside certificates"
    advice = "treat it as known to others: let its certificate be replaced"
    spans = seen.surroundings.with_keys[file.path]
    if not 0 < len(spans) <= MOST_PATHS or not all(span.alone for span in spans):
        advice = f"move the key to a file of its own with mode 0600, and {advice}"
        return found("KeyAmongCertificates", what, (file.path,), advice=advice)
    real = seen.surroundings.real(file.path)
    directory = store.key_directory if isinstance(store, LeafStore) else real.parent
    names = [directory / f"{real.name}{'' if number == 1 else f'.{number}'}.key" for number in range(1, len(spans) + 1)]
    moves = [f'sed -n {span.first},{span.last}p "$1" >"${{{number}}}"' for number, span in enumerate(spans, 2)]
    lines = ";".join(f"{span.first},{span.last}d" for span in spans)
    script = " && ".join(("umask 077", "set -C", *moves, "sync", f'sed -i "{lines}" "$1"'))
    mend = [("sh", "-c", script, "sh", str(real), *map(str, names))]
    return found("KeyAmongCertificates", what, (file.path,), mend=mend, advice=advice)


# ---- CA certificates


def authorities(seen: Inspection) -> Iterator[Finding]:
    """CA certificates that are not to be trusted, not valid, misplaced, weak or there twice; bundles without a root."""
    told: set[Path] = set()
    for domain in seen.domains:
        store = domain.store
        yield from _roots(domain, seen)
        if store.path in told:
            continue
        told.add(store.path)
        yield from _duplicates(store, domain, seen)
        for certificate in store.certificates:
            yield from _authority(certificate, domain, seen)


def _roots(domain: Domain, seen: Inspection) -> Iterator[Finding]:
    store = domain.store
    if store.anchors and seen.moment.doubt is None and not store.valid_roots(seen.now):
        what = f"none of the roots of {store.ca_type} is valid now (there: {len(store.anchors)})"
        advice = if_clock_is_right(seen.now, "ROOT.pem is a root that is valid now: ask whose it is for it")
        yield found("NoValidRoot", what, (store.path,), mend=[installation(store)], advice=advice)
    elif not store.anchors and store.form is StoreForm.FILE and any(f.problem == FORBIDDEN for f in store.files):
        what = f"no root of {store.ca_type} can be read: {FORBIDDEN}"
        yield found("BundleUnreadable", what, (store.path,), advice=AS_READER)
    elif not store.anchors and store.form is StoreForm.FILE and not store.readable:
        what = f"no root of {store.ca_type} can be read: the bundle is damaged, as a full disk leaves it"
        yield found("BundleUnreadable", what, (store.path,), mend=[installation(store)])
    elif not store.anchors and store.path in seen.surroundings.hollow:
        what = f"no root of {store.ca_type} can be read: the bundle holds something else than certificates"
        yield found("BundleUnreadable", what, (store.path,), mend=[installation(store)])
    elif not (store.anchors or store.is_unused or store.form is StoreForm.UNREADABLE or _missed_by_leaf(domain)):
        yield found("NoRoot", f"no root of {store.ca_type} is installed", (store.path,), mend=[installation(store)])


def _missed_by_leaf(domain: Domain) -> bool:
    """Whether a leaf that could be used says that its root is missing."""
    leaves = domain.leaves.values()
    return any(leaf.key is not None and domain.validity(leaf.certificate) is Validity.VALID for leaf in leaves)


def installation(store: CaStore, source: str = "ROOT.pem") -> Command:
    """The command that installs a CA certificate from a file."""
    arguments = ("--certificate", f"@{source}", "--certificate-type", str(store.ca_type))
    return (OURS, "call", "install_ca_certificate", *arguments)


def installation_of(certificate: Certificate, where: Iterable[Path], store: CaStore, seen: Inspection) -> list[Command]:
    """The commands that install a CA certificate from where it lies; none where it is not in lines of its own there."""
    paths = tuple(where)
    if (alone := single_file(paths, seen)) is not None:
        return [installation(store, alone)]
    for file in (file for bundle in seen.bundles for file in bundle.files if file.path in paths):
        blocks = [block for block in file.blocks if block.certificate == certificate]
        copy = f"{file.path}.{certificate.serial_text}"
        if copy.isprintable() and (spans := _lines(file, blocks[:1], seen)):
            lines = f"{spans[0].first},{spans[0].last}w {copy}"
            return [(*COPY_LINES, lines, str(file.path)), installation(store, copy), ("rm", copy)]
    return []


def _authority(certificate: Certificate, domain: Domain, seen: Inspection) -> Iterator[Finding]:
    paths, store = domain.files[certificate], domain.store
    gone = _deletion_from_bundle(seen.snapshot, certificate)
    problem = why_not_ca(certificate)
    if problem is not None:
        advice = None if gone else _BY_HAND
        yield found("NotACa", problem, paths, certificate=certificate, reason="NotACa", mend=gone, advice=advice)
        return
    if certificate.self_issued and not certificate.self_signed and domain.forest.issuer_of(certificate) is None:
        what = "its own key does not confirm its signature"
        advice, bad = None if gone else _BY_HAND, "BadSignature"
        yield found("ForgedRoot", what, paths, certificate=certificate, reason=bad, mend=gone, advice=advice)
        return
    yield from _validity(certificate, domain, seen)
    yield from _strength(certificate, paths, gone)
    if not store.trust.is_anchor(certificate) and store.forest.issuer_of(certificate) is None:
        yield _orphan(certificate, domain, seen)


def _orphan(certificate: Certificate, domain: Domain, seen: Inspection) -> Finding:
    """A sub-CA whose issuer is not in its bundle; perhaps it is in another's."""
    issuer = seen.snapshot.forest.issuer_of(certificate)
    where = seen.files_of(issuer) if issuer is not None else ()
    what = f"its issuer {certificate.issuer_name} is not installed"
    if where:
        what = f"its issuer {certificate.issuer_name} is not in this bundle, but in {where[0]}"
    paths, store = domain.files[certificate], domain.store
    mend = installation_of(issuer, where, store, seen) if issuer is not None else []
    mend = mend or [installation(store, "ISSUER.pem")]
    return found("OrphanSubCa", what, paths, certificate=certificate, reason="IssuerNotFound", mend=mend)


def single_file(paths: Iterable[Path], seen: Inspection) -> str | None:
    """Of these files one that holds a single certificate: that can be installed as it is."""
    texts = {
        file.path
        for store in seen.snapshot.stores
        for file in store.files
        if len(file.certificates) == 1 and not file.in_der and not file.damaged
    }
    return next((str(path) for path in paths if path in texts), None)


def _validity(certificate: Certificate, domain: Domain, seen: Inspection) -> Iterator[Finding]:
    if seen.moment.doubt is not None:
        return
    paths, gone = domain.files[certificate], _deletion_from_bundle(seen.snapshot, certificate)
    validity, end = domain.validity(certificate), certificate.not_after
    new = (installation(domain.store, "NEW.pem"),)
    if validity is Validity.EXPIRED:
        what = f"expired on {end:%Y-%m-%d}"
        yield found("CaExpired", what, paths, certificate=certificate, reason="Expired", mend=(*new, *gone))
    elif validity is Validity.VALID and end - seen.now <= seen.warn:
        yield found("CaExpiring", f"expires on {end:%Y-%m-%d}", paths, certificate=certificate, mend=new)


def _strength(certificate: Certificate, paths: tuple[Path, ...], gone: list[Command]) -> Iterator[Finding]:
    try:
        check_key(certificate)
    except WeakKey as weak:
        advice = None if gone else _BY_HAND
        yield found("WeakKey", str(weak), paths, certificate=certificate, reason=weak.code, mend=gone, advice=advice)
    if not certificate.self_signed:  # nobody relies on the signature of a root
        yield from weak_digest(certificate, paths)


def weak_digest(certificate: Certificate, paths: tuple[Path, ...]) -> Iterator[Finding]:
    """A signature made with a digest for which collisions are known, or in a way nobody knows."""
    try:
        check_digest(certificate, COLLIDING)
    except WeakDigest as weak:
        advice = "ask its issuer for a certificate signed with SHA-256 or better"
        yield found("WeakDigest", str(weak), paths, certificate=certificate, reason=weak.code, advice=advice)


def _duplicates(store: CaStore, domain: Domain, seen: Inspection) -> Iterator[Finding]:
    """Certificates that are in a bundle more than once, in one file or in several. Links to a file are that file."""
    named = {file.path: file for file in store.files}
    real = {seen.surroundings.real(file.path): file for file in store.files}
    files = [named.get(path, file) for path, file in real.items()]
    there: dict[Certificate, list[tuple[CertificateFile, Block]]] = defaultdict(list)
    for file in files:
        for block in file.blocks:
            if block.certificate is not None:
                there[block.certificate].append((file, block))
    alone = {file.path for file in files if len(file.blocks) == 1 and not file.holds_more}
    here = {file.path for file in files}
    among: dict[Certificate, list[tuple[CertificateFile, Block]]] = {}
    for certificate, blocks in there.items():
        paths = tuple(path for path in domain.files[certificate] if path in here)
        spare = [path for path in paths if path in alone][: len(paths) - 1]
        if spare:
            what, mend = f"is there {len(blocks)} times", [("rm", *map(str, spare))]
            yield found("Duplicate", what, paths, certificate=certificate, mend=mend)
        elif len(blocks) > 1:
            among[certificate] = blocks
    if among:
        yield _spare_blocks(among, seen)


def _spare_blocks(among: dict[Certificate, list[tuple[CertificateFile, Block]]], seen: Inspection) -> Finding:
    """What is to be taken out of files that hold more, with one command each: lines have other numbers afterwards."""
    spare: dict[CertificateFile, list[Block]] = defaultdict(list)
    for blocks in among.values():
        for file, block in blocks[1:]:
            spare[file].append(block)
    paths = dict.fromkeys(file.path for blocks in among.values() for file, _ in blocks)
    mend, by_hand = [], False
    for file, doomed in spare.items():
        spans = _lines(file, doomed, seen)
        mend += [_cut(file, sorted(spans), ".twice", seen)] if spans else []
        by_hand |= len(spans) < len(doomed)
    advice = "take all but one of its blocks out" if by_hand else None
    certificate, times = next((one, len(blocks)) for one, blocks in among.items())
    what = f"is there {times} times"
    if len(among) > 1:
        names = ", ".join(one.name for one in islice(among, MOST_PATHS))
        rest = f" and {len(among) - MOST_PATHS} more" if len(among) > MOST_PATHS else ""
        what = f"{len(among)} certificates are there more than once: {names}{rest}"
    named = certificate if len(among) == 1 else None
    return found("Duplicate", what, paths, certificate=named, mend=mend, advice=advice)

"""Findings about what is made of other files, and about what was left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evse_security.store.diagnosis.finding import Finding, Mender, found
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.info import source_of
from evse_security.store.snapshot import CertificateFile


def derived(seen: Inspection) -> Iterator[Finding]:
    """Copies and links that are not what they should be, leftovers."""
    for copy in outdated(seen):
        what = f"not what {source_of(copy)} holds now"
        yield found("CopyStale", what, (copy,), mender=Mender.DOCTOR)
    for directory, changes in sorted(seen.surroundings.links.items()):
        if changes:
            names = ", ".join(sorted({change.path.name for change in changes})[:8])
            yield found("LinksStale", f"links by subject hash are missing or wrong: {names}", (directory,))
    if seen.snapshot.leftovers:
        doubted = seen.moment.doubt is not None  # then nothing is swept
        by_hand = [("rm", "-f", *map(str, seen.snapshot.leftovers))] if doubted else []
        mender = Mender.PEOPLE if doubted else Mender.DOCTOR
        yield found(
            "Leftover", "left over by an interrupted write", seen.snapshot.leftovers, mend=by_hand, mender=mender
        )
    for path in seen.surroundings.strays:
        yield found("ForeignLeftover", "a bundle that was being written", (path,), mend=[("rm", str(path))])


def outdated(seen: Inspection) -> dict[Path, bytes | None]:
    """The copies that are not what they should be, with what they should hold; None: to be made anew when needed."""
    files = {file.path: file for store in seen.snapshot.leaves.values() for file in store.files}
    tokens = {key.path: key.token for store in seen.snapshot.leaves.values() for key in store.keys}
    wrong: dict[Path, bytes | None] = {}
    for copy, held in sorted(seen.surroundings.copies.items()):
        source = source_of(copy)
        file = files.get(source) if source is not None else None
        right = None if file is None else _content(copy, file)
        if right is not None and held != right:
            wrong[copy] = right
    for copy, token in sorted(seen.surroundings.key_copies.items()):
        source = source_of(copy)
        if source in tokens and tokens[source] is not None and token != tokens[source]:
            wrong[copy] = None
    return wrong


def _content(copy: Path, file: CertificateFile) -> bytes | None:
    """What a copy of a file should hold; None where the file holds nothing to copy."""
    shown = file.certificates[:1] if ".leaf." in copy.name[len(file.path.name) :] else file.certificates
    if not shown:
        return None
    if copy.suffix == ".pem":
        return "".join(certificate.pem for certificate in shown).encode()
    return b"".join(certificate.der for certificate in shown)

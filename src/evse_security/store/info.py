"""The files of a leaf as the interface hands them out, in PEM or DER. Copies, where it takes them, are only planned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evse_security.pki.certificate import Certificate
from evse_security.store.changes import SECRET_MODE, Write
from evse_security.store.layout import CERTIFICATE_SUFFIXES, DER_DIRECTORY, KEY_SUFFIXES
from evse_security.store.snapshot import CertificateFile, Leaf
from evse_security.vocabulary import EncodingFormat

_MARKS = {
    ".leaf.der": CERTIFICATE_SUFFIXES,
    ".chain.der": CERTIFICATE_SUFFIXES,
    ".leaf.pem": CERTIFICATE_SUFFIXES,
    ".chain.pem": CERTIFICATE_SUFFIXES,
    ".der": KEY_SUFFIXES,
}
"""How the names of copies end, and those of what they are copies of."""


class LeafFiles(NamedTuple):
    """Where a leaf, its chain and its key are, in one encoding, and the copies that must be there first."""

    key: Path
    single: Path | None
    chain: Path | None
    length: int
    copies: tuple[Write, ...]

    @property
    def certificate(self) -> Path:
        """The chain file, or the single one where there is none."""
        found = self.chain or self.single
        if found is None:
            raise LookupError("a leaf without a file")
        return found


def files_in(leaf: Leaf, encoding: EncodingFormat, key_der: bytes | None = None) -> LeafFiles:
    """The files of a usable leaf. For DER `key_der` is its key in that encoding (encrypted as the file is)."""
    if leaf.key is None:
        raise LookupError("a leaf without a key")
    length = len(leaf.chain.certificates) if leaf.chain else 1
    if encoding == EncodingFormat.PEM:
        return _in_pem(leaf, leaf.key.path, length)
    certificates = leaf.chain.certificates if leaf.chain else (leaf.certificate,)
    single, chain = (leaf.single or leaf.file).path, leaf.chain.path if leaf.chain else None
    copies = copies_in_der((leaf.key.path, key_der or b""), single, chain, certificates)
    return LeafFiles(copies[0].path, copies[1].path, copies[2].path if leaf.chain else None, length, copies)


def copies_in_der(
    key: tuple[Path, bytes], single: Path | None, chain: Path | None, certificates: Sequence[Certificate]
) -> tuple[Write, ...]:
    """The copies of a key, given with what it is in DER, and of the files of its leaf: `certificates` begin with it."""
    copies = [Write(_copy_of(key[0], ".der"), key[1], SECRET_MODE)]
    if single is not None:
        copies.append(Write(_copy_of(single, ".leaf.der"), certificates[0].der))
    if chain is not None:
        copies.append(Write(_copy_of(chain, ".chain.der"), b"".join(one.der for one in certificates)))
    return tuple(copies)


def _in_pem(leaf: Leaf, key: Path, length: int) -> LeafFiles:
    """The files as they lie there, and copies of those that others may read differently, or that are in DER only."""
    single, chain = _text(leaf.single, ".leaf.pem"), _text(leaf.chain, ".chain.pem")
    if single is None and chain is None:
        single = Write(_copy_of(leaf.file.path, ".leaf.pem"), leaf.certificate.pem.encode())
    copies = tuple(copy for copy in (single, chain) if isinstance(copy, Write))
    return LeafFiles(key, _path(single), _path(chain), length, copies)


def _text(file: CertificateFile | None, suffix: str) -> Path | Write | None:
    """A file that is fit to be handed out, or a copy of it that is."""
    if file is None:
        return None
    if file.fit:
        return file.path
    return Write(_copy_of(file.path, suffix), "".join(certificate.pem for certificate in file.certificates).encode())


def _path(found: Path | Write | None) -> Path | None:
    return found.path if isinstance(found, Write) else found


def _copy_of(source: Path, suffix: str) -> Path:
    return source.parent.joinpath(DER_DIRECTORY, f"{source.name}{suffix}")


def copies_of(source: Path) -> list[Path]:
    """Where the copies of a file are, if they are there."""
    return [_copy_of(source, mark) for mark, suffixes in _MARKS.items() if source.suffix.lower() in suffixes]


def source_of(copy: Path) -> Path | None:
    """The file that a copy was made of; None for a file that is no such copy."""
    for mark, suffixes in _MARKS.items():
        source = copy.parent.parent / copy.name.removesuffix(mark)
        if copy.parent.name == DER_DIRECTORY and copy.name.endswith(mark) and source.suffix.lower() in suffixes:
            return source
    return None

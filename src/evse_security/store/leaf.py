"""One leaf certificate with the files that hold it, and what leaves are ordered by."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from evse_security.pki.certificate import Certificate
from evse_security.store.contents import CertificateFile, KeyFile, stem_of
from evse_security.store.layout import is_generated

Age = tuple[float, float, int, str]
"""What leaves are ordered by: the newest is the least."""

_AGES: dict[str, Callable[[Certificate], tuple[float, float]]] = {
    "not_after": lambda certificate: (certificate.not_after.timestamp(), certificate.not_before.timestamp()),
    "not_before": lambda certificate: (certificate.not_before.timestamp(), certificate.not_after.timestamp()),
}


class Leaf:
    """A leaf certificate with the files that hold it. Never altered once made.

    `single` and `chain` are texts without a bad block, and fit to be handed out if there are such; of several those
    that the station wrote: what was placed by hand is left behind when the leaf is updated.
    """

    __slots__ = ("certificate", "chain", "copies", "key", "single")

    certificate: Certificate
    copies: tuple[CertificateFile, ...]
    single: CertificateFile | None
    chain: CertificateFile | None
    key: KeyFile | None

    def __init__(self, certificate: Certificate, copies: Sequence[CertificateFile], keys: Sequence[KeyFile]) -> None:
        """Choose among the files that begin with it, in their order, and the keys that fit."""
        self.certificate = certificate
        self.copies = tuple(copies)
        self.single = _preferred(file for file in copies if len(file.certificates) == 1)
        self.chain = _preferred(file for file in copies if len(file.certificates) > 1)
        self.key = nearest(keys, {stem_of(file.location) for file in copies} if len(keys) > 1 else ())

    def __repr__(self) -> str:
        return f"<Leaf {self.certificate.name} in {self.file.location}>"

    @property
    def file(self) -> CertificateFile:
        """The chain file, or the single one where there is none."""
        return self.chain or self.single or self._sound or self.copies[0]

    @property
    def servable(self) -> bool:
        """Whether a file of it, or a copy, can be handed to a TLS server. None is made of one with a bad block."""
        return self._sound is not None

    @property
    def _sound(self) -> CertificateFile | None:
        return next((file for file in self.copies if not file.damaged), None)

    def age(self, newest_by: str) -> Age:
        """What it is ordered by. Validity has whole seconds: within one, the newest is the one with the newest key."""
        later, earlier = _AGES[newest_by](self.certificate)
        return -later, -earlier, -self.key.modified_ns if self.key is not None else 1, self.copies[0].location


def _preferred(files: Iterable[CertificateFile]) -> CertificateFile | None:
    texts = [file for file in files if not file.in_der and not file.damaged]
    if len(texts) < 2:
        return texts[0] if texts else None
    return min(texts, key=lambda file: (not file.fit, not is_generated(file.path.name)))


def nearest(keys: Sequence[KeyFile], stems: Container[str]) -> KeyFile | None:
    """The key; of several copies the one named like one of the files."""
    if len(keys) < 2:
        return keys[0] if keys else None
    return min(keys, key=lambda key: (stem_of(key.location) not in stems, key.location))

"""What a consumer is handed to verify others with: a bundle file, or a directory hashed for OpenSSL."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from evse_security.clock import Moment
from evse_security.pki.certificate import Certificate
from evse_security.store.changes import Write
from evse_security.store.rehash import is_hashed, name_of, rehash
from evse_security.store.snapshot import CaStore, StoreForm


class Writer(Protocol):
    """Brings derived files up to date."""

    def ensure(self, copies: Iterable[Write], moment: Moment) -> None:
        """Write those whose content is not what it should be. Raises `NotWritable`."""

    def alone(self) -> AbstractContextManager[None]:
        """Be the only writer."""


def _worth_offering(store: CaStore, moment: Moment) -> tuple[Certificate, ...]:
    """The valid anchors; all of them while the clock is not believed, for then nobody knows which are valid."""
    return store.anchors if moment.doubt is not None else store.valid_roots(moment.now)


def verify_file(store: CaStore, moment: Moment, writer: Writer) -> Path | None:
    """A file with all valid roots: the bundle; of a directory the file that holds them, or one made of them."""
    anchors = _worth_offering(store, moment)
    if not anchors:
        return None
    if store.form is not StoreForm.DIRECTORY:
        return store.path
    for file in store.files:
        if not file.in_der and not file.problems and set(anchors) <= set(file.certificates):
            return file.path
    bundle = store.copy_of_roots
    writer.ensure((Write(bundle, "".join(c.pem for c in anchors).encode()),), moment)
    return bundle


def verify_location(store: CaStore, moment: Moment, writer: Writer) -> Path | None:
    """The bundle file, or the directory with a link for each certificate. Raises `NotWritable`."""
    if not _worth_offering(store, moment):
        return None
    if store.form is not StoreForm.DIRECTORY:
        return store.path
    in_der = [file for file in store.files if file.in_der and file.certificates]
    writer.ensure((Write(store.path / name_of(file), file.certificates[0].pem.encode()) for file in in_der), moment)
    if is_hashed(store.path, store.files):
        return store.path
    with writer.alone():
        rehash(store.path, store.files)
    return store.path

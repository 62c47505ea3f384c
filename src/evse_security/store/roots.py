"""What a consumer is handed to verify others with: a bundle file, or a directory hashed for OpenSSL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from evse_security.clock import Moment
from evse_security.errors import NotWritable
from evse_security.pki.certificate import Certificate
from evse_security.store import rehash
from evse_security.store.changes import Change, Write
from evse_security.store.snapshot import CaStore, StoreForm


class Writer(Protocol):
    """Brings derived files up to date."""

    def ensure(self, copies: Iterable[Write], moment: Moment) -> None:
        """Write those whose content is not what it should be. Raises `NotWritable`."""

    def arrange(self, plan: Callable[[], Sequence[Change]], moment: Moment) -> None:
        """Make the changes that a plan finds necessary, if any, as the only writer. Raises `NotWritable`."""


def worth_offering(store: CaStore, moment: Moment) -> tuple[Certificate, ...]:
    """The valid anchors; all of them while the clock is not believed, for then nobody knows which are valid."""
    return store.anchors if moment.doubt is not None else store.valid_roots(moment.now)


def verify_file(store: CaStore, moment: Moment, writer: Writer) -> Path | None:
    """A file with all valid roots, in text that everybody reads alike: consumers use OpenSSL, and others.

    It is the bundle, or the file of a directory that holds them all; otherwise one made of them. A bundle with a bad
    block is offered where nothing can be made, but none in which others may find roots that nobody installed. Raises
    `NotWritable`.
    """
    anchors = worth_offering(store, moment)
    if not anchors:
        return None
    for file in store.files:
        if file.fit and set(anchors) <= set(file.certificates):
            return file.path
    try:
        writer.ensure((Write(store.copy_of_roots, "".join(c.pem for c in anchors).encode()),), moment)
    except NotWritable:
        if store.form is StoreForm.DIRECTORY or any(file.hides for file in store.files):
            raise
        return store.path
    return store.copy_of_roots


def verify_location(store: CaStore, moment: Moment, writer: Writer) -> Path | None:
    """The bundle file, or the directory with a link for each certificate. Raises `NotWritable`."""
    if store.form is not StoreForm.DIRECTORY or not worth_offering(store, moment):
        return verify_file(store, moment, writer)
    try:
        writer.ensure(rehash.copies(store.path, store.files), moment)
        writer.arrange(lambda: rehash.links(store.path, store.files), moment)
    except NotWritable:
        if not _is_hashed(store):
            raise
    return store.path


def _is_hashed(store: CaStore) -> bool:
    """Whether all certificates are found, though perhaps links that lead nowhere could not be removed."""
    try:
        return rehash.every_one_is_found(rehash.links(store.path, store.files))
    except OSError:
        return False

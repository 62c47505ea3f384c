"""Backups of a station's store, and restoring them."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from evse_security import __version__
from evse_security.clock import Moment
from evse_security.core import Core
from evse_security.errors import BackupRefused, EvseSecurityError
from evse_security.store import archive as archives
from evse_security.store import backup as files
from evse_security.store.archive import Archive, LeftOut
from evse_security.store.changes import Decision, Write
from evse_security.store.layout import Layout
from evse_security.store.rules.restore import Names, Others, Restored, places, restore, strange_names, unseen
from evse_security.store.snapshot import Snapshot
from evse_security.visible import printable

__all__ = ["BackupReport", "Others", "Recovery", "RestoreReport"]

log = logging.getLogger(__name__)

LARGEST = 128 << 20
"""Bytes of a store that are backed up and restored, or twice what the store may have by its configuration."""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup that was made."""

    path: Path
    files: int
    size: int
    plain_keys: int
    """Private keys that nothing protects but the mode of the backup's file."""
    left_out: tuple[LeftOut, ...]
    """Files of the store that could not be read."""
    sha256: str


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restoration changed or would change."""

    made: str
    """When the backup was made."""
    changes: tuple[Restored, ...]
    kept: Path | None
    """The backup of what was there before."""
    dry_run: bool
    left_out: tuple[LeftOut, ...]
    """What the backup lacks, since it could not be read then."""
    names: Names | None = None
    """Whose leaves are in the backup and whose are installed, where no name is the same: is it another station's?"""


class Recovery:
    """Makes backups of a store and restores them."""

    def __init__(self, core: Core) -> None:
        """Work on this store."""
        self._core = core
        self._limit = max(LARGEST, 2 * core.config.max_store_bytes)

    def backup(self, path: Path, passphrase: str | None) -> BackupReport:
        """Write all that the store is made of to one new file, as it is at one moment. Raises `BackupRefused`.

        Without a passphrase the private keys in it are protected by nothing but the file's mode, which is 0600.
        """
        with self._core.deed("backup") as deed:
            _check_passphrase(passphrase, path)
            files.check_new(path)
            self._check_outside(path)
            with self._core.still() as (snapshot, moment):
                archive = self._packed(snapshot, moment)
            report = self._written(path, archive, passphrase)
            protection = "in plain" if passphrase is None else "encrypted"
            deed.note = f"{report.files} files, {protection}, SHA-256 {report.sha256}, to {path}"
            self._core.note(deed, moment)
        return report

    def restore(
        self, path: Path, passphrase: str | None, *, others: Others = Others.STAY, dry_run: bool = False,
        keep: Path | None = None,
    ) -> RestoreReport:  # fmt: skip
        """Verify a backup, and only then put its files in place: all of them or none.

        What was there is backed up before, with the same protection: to `keep`, or beside the backup. Raises
        `BackupRefused` or `NotWritable`; then nothing was changed.
        """
        if dry_run:
            archive, _ = self._opened(path, passphrase)
            snapshot, moment = self._core.look()
            _, changes = self._decided(archive, snapshot, moment, others, path)
            return _report(archive, changes, None, strange_names(archive, snapshot), dry_run=True)
        kept: list[tuple[Path, Snapshot, Archive]] = []
        said: list[tuple[tuple[Restored, ...], Names | None]] = []

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            decision, changes = self._decided(archive, snapshot, moment, others, path)
            said.append((changes, strange_names(archive, snapshot)))
            if decision.changes and not kept and next(places(snapshot), None) is not None:
                beside = keep or _beside(path, moment)
                doomed = {one.path for one in changes if one.what == "removed"}
                kept.append((beside, snapshot, self._keep(snapshot, moment, beside, passphrase, doomed)))
            return decision

        with self._core.deed("restore") as deed:
            archive, digest = self._opened(path, passphrase)
            deed.note = f"made {archive.made:%Y-%m-%dT%H:%M:%SZ}, SHA-256 {digest}, from {path}"
            try:
                self._core.change(decide, deed)
            except EvseSecurityError:
                for backup, before, held in kept:
                    if self._is_there(before, held):  # nothing needs it, and there are keys in it
                        files.remove(backup)
                    else:  # a disk that fails may not have let everything be taken back
                        log.error("what was there before is not as it was; it is in %s", printable(str(backup)))
                raise
        changes, names = said[-1]
        return _report(archive, changes, kept[0][0] if kept else None, names, dry_run=False)

    def _is_there(self, snapshot: Snapshot, archive: Archive) -> bool:
        """Whether the store's files are those that were packed."""
        items, _ = files.items_of(places(snapshot), self._limit)
        return tuple(items) == archive.items

    def _keep(
        self, snapshot: Snapshot, moment: Moment, path: Path, passphrase: str | None, doomed: set[Path]
    ) -> Archive:
        """Back up what is there. Raises `BackupRefused` where something would be removed that is not in it."""
        files.check_new(path)
        self._check_outside(path)
        archive = self._packed(snapshot, moment)
        unread = {one.path: one.why for one in archive.left_out}
        for place in places(snapshot) if unread else ():
            if place.file in doomed and (why := unread.get(f"{place.role}/{place.path}")) is not None:
                problem = (
                    f"it would be removed, and cannot be backed up before: {why}; move it away, or restore the rest"
                )
                raise BackupRefused(str(place.file), problem)
        self._written(path, archive, passphrase)
        return archive

    def _packed(self, snapshot: Snapshot, moment: Moment) -> Archive:
        items, left_out = files.items_of(places(snapshot), self._limit)
        left_out += [LeftOut(path, why) for path, why in unseen(snapshot)]
        return Archive(tuple(items), moment.now, __version__, tuple(left_out))

    def _written(self, path: Path, archive: Archive, passphrase: str | None) -> BackupReport:
        content = archives.packed(archive)
        if passphrase is not None:
            content = files.seal(content, passphrase, path)
        files.write(path, content)
        plain_keys = archives.secrets_in(archive.items) if passphrase is None else 0
        digest = hashlib.sha256(content).hexdigest()
        return BackupReport(path, len(archive.items), len(content), plain_keys, archive.left_out, digest)

    def _opened(self, path: Path, passphrase: str | None) -> tuple[Archive, str]:
        """The verified archive, and the digest of its file."""
        content = files.read_file(path, self._limit)
        digest = hashlib.sha256(content).hexdigest()
        if files.is_sealed(content):
            if passphrase is None:
                raise BackupRefused(str(path), "it is encrypted, and no passphrase is given")
            content = files.unsealed(content, passphrase, path)
        elif passphrase is not None:
            raise BackupRefused(str(path), "it is not encrypted, but a passphrase is given: is it the right file?")
        try:
            return archives.opened(content), digest
        except archives.Unreadable as problem:
            raise BackupRefused(str(path), str(problem)) from None

    def _decided(
        self, archive: Archive, snapshot: Snapshot, moment: Moment, others: Others, path: Path
    ) -> tuple[Decision, tuple[Restored, ...]]:
        decision, changes = restore(archive, snapshot, others, files.present, lambda: self._core.token(moment))
        writes = [(one.path, len(one.content)) for one in decision.changes if isinstance(one, Write)]
        files.check_room(writes, path)
        return decision, changes

    def _check_outside(self, path: Path) -> None:
        """A backup among the certificates would be read as one of them, and swept."""
        layout = Layout.of(self._core.config)
        directories = [
            *layout.bundles.values(),
            *(place for leaf in layout.leaves.values() for place in (leaf.certificates, leaf.keys)),
        ]
        directory = os.path.dirname(os.path.realpath(path))  # where Path.resolve() may raise, as at links in a circle
        for one in directories:
            if Path(directory).is_relative_to(os.path.realpath(one)):
                raise BackupRefused(str(path), f"it would lie in {one}, among the files of the store")


def _check_passphrase(passphrase: str | None, path: Path) -> None:
    if passphrase is not None and not passphrase:
        raise BackupRefused(str(path), "the passphrase is empty")


def _beside(path: Path, moment: Moment) -> Path:
    """A new name beside a backup for what was there before it was restored."""
    stem = f"{path.name}.before-{moment.now:%Y%m%dT%H%M%SZ}"
    number = 1
    while (found := path.with_name(stem if number == 1 else f"{stem}-{number}")).exists():
        number += 1
    return found


def _report(
    archive: Archive, changes: tuple[Restored, ...], kept: Path | None, names: Names | None, *, dry_run: bool
) -> RestoreReport:
    made = f"{archive.made:%Y-%m-%dT%H:%M:%SZ}"
    return RestoreReport(made, changes, kept, dry_run, archive.left_out, names)

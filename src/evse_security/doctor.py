"""What is wrong with a station's store, and mending what can be mended safely."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from evse_security.clock import Moment
from evse_security.core import Core
from evse_security.errors import AuditLogUnusable, NotWritable, Refusal
from evse_security.keys.files import public_key_of
from evse_security.store import rehash
from evse_security.store.aside import keep_aside, set_mode
from evse_security.store.changes import Decision
from evse_security.store.diagnosis import Diagnosis, diagnose
from evse_security.store.diagnosis.inspection import Inspection
from evse_security.store.diagnosis.mending import Treatment, treatment
from evse_security.store.layout import Layout
from evse_security.store.limits import WARN_DAYS
from evse_security.store.snapshot import Snapshot
from evse_security.store.surroundings import surroundings


@dataclass(frozen=True, slots=True)
class Mended:
    """Something that was done with a file or directory, or would be; or why it could not be done."""

    path: Path
    what: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class MendReport:
    """What was mended or would be, and where copies of the files are kept as they were."""

    deeds: tuple[Mended, ...]
    kept_in: Path | None
    dry_run: bool


class Doctor:
    """Looks at a store and mends it."""

    def __init__(self, core: Core) -> None:
        """Work on this store."""
        self._core = core
        self._layout = Layout.of(core.config)

    def diagnose(self, warn_days: int = WARN_DAYS) -> Diagnosis:
        """Everything that is wrong, the worst first."""
        return diagnose(self._inspection(*self._core.look(), warn_days))

    def mend(self, aside: Path | None = None, *, dry_run: bool = False) -> MendReport:
        """Mend what can be mended safely; files that change are copied to `aside` first, a directory that is not there.

        By default that is beside the store, named after the time. Raises `NotWritable`; then nothing was changed.
        """
        if aside is not None and self._is_read_from(aside):
            raise NotWritable(str(aside), "it lies in the store, which would read what is kept there as its own")
        made: list[Treatment] = []
        kept: list[Path] = []

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            made.append(treatment(self._inspection(snapshot, moment, WARN_DAYS), self._core.limits.keep_newest))
            while kept:  # this is decided once more, and others may have changed the store since
                shutil.rmtree(kept.pop(), ignore_errors=True)
            if made[-1].said and not dry_run:
                kept.append(aside or self._beside(moment))
                keep_aside(made[-1].said, self._common(), kept[0])
            return made[-1].decision

        if dry_run:
            decide(*self._core.look())
        else:
            with self._core.deed("mend") as request:
                self._core.change(decide, request)
        deeds = [Mended(path, what) for path, what in made[-1].said.items()]
        deeds += self._rights(made[-1], dry_run=dry_run)
        deeds += self._links(made[-1], dry_run=dry_run)
        return MendReport(tuple(deeds), kept[0] if kept else None, dry_run)

    def _inspection(self, snapshot: Snapshot, moment: Moment, warn_days: int) -> Inspection:
        config = self._core.config
        around = surroundings(snapshot, self._layout, lambda data: public_key_of(data, config.private_key_password))
        around = replace(around, audit_problem=self._audit_problem())
        return Inspection(
            snapshot=snapshot,
            moment=moment,
            layout=self._layout,
            limits=self._core.limits,
            surroundings=around,
            newest_by=config.newest_by,
            profile=self._core.profile,
            warn=timedelta(days=warn_days),
            csr_key_type=config.csr_key_type,
            said=self._core.revocations(snapshot),
        )

    def _audit_problem(self) -> str | None:
        """What is wrong with the audit log; None where it is whole, none is kept, or none was begun."""
        log = self._core.config.audit_log
        if log is None or not os.path.lexists(log.parent):
            return None
        if log.parent.is_dir() and os.access(log.parent, os.R_OK) and not any(log.parent.glob(f"{log.name}*")):
            return None
        try:
            verdict = self._core.audit_log.verify()
        except AuditLogUnusable as unusable:
            return str(unusable)
        return None if verdict.intact else str(verdict.findings[0])

    def _common(self) -> Path:
        """The directory below which all of the store lies."""
        places = [bundle.parent for bundle in self._layout.bundles.values()]
        places += [directory for leaf in self._layout.leaves.values() for directory in (leaf.certificates, leaf.keys)]
        return Path(os.path.commonpath(places))

    def _is_read_from(self, aside: Path) -> bool:
        """Whether a directory lies in one of the store's, where keys are found at any depth."""
        places = [directory for leaf in self._layout.leaves.values() for directory in (leaf.certificates, leaf.keys)]
        real = Path(os.path.realpath(aside))
        return any(real.is_relative_to(os.path.realpath(one)) for one in (*places, *self._layout.bundles.values()))

    def _beside(self, moment: Moment) -> Path:
        common = self._common()
        if not common.name:
            raise NotWritable("a directory beside the store", "it lies all over the machine: say where")
        return common.with_name(f"{common.name}.before-fix-{moment.now:%Y%m%dT%H%M%SZ}")

    def _rights(self, made: Treatment, *, dry_run: bool) -> Iterator[Mended]:
        for path, old, new in made.modes:
            what, problem = f"mode {old:04o} made {new:04o}", None
            try:
                if not dry_run:
                    set_mode(path, new)
            except Refusal as refusal:
                problem = str(refusal)
            yield Mended(path, what, problem)

    def _links(self, made: Treatment, *, dry_run: bool) -> Iterator[Mended]:
        snapshot, moment = self._core.look()
        for store in {store.path: store for store in snapshot.cas.values()}.values():
            if store.path not in made.links:
                continue
            problem = None
            try:
                if not dry_run:
                    self._core.ensure(rehash.copies(store.path, store.files), moment)
                    self._core.arrange(lambda: rehash.links(store.path, store.files), moment)  # noqa: B023  called here
            except Refusal as refusal:
                problem = str(refusal)
            yield Mended(store.path, "links by subject hash made anew", problem)

"""Look, decide, apply, announce: how every command works on the store."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TypeVar
from weakref import WeakSet

from evse_security.additions import AnyCaType, OemStoreUpdate, StoreUpdate
from evse_security.clock import Moment, judge
from evse_security.config import StationConfig
from evse_security.errors import AuditLogUnusable, EvseSecurityError, InvalidConfiguration, NotWritable, Refusal
from evse_security.keys.files import public_key_of
from evse_security.pki.profile import ProfileName
from evse_security.store import layout
from evse_security.store.audit import AuditLog
from evse_security.store.changes import Change, Decision, Write
from evse_security.store.deeds import Deed, Refused
from evse_security.store.disk import Disk
from evse_security.store.files import Files
from evse_security.store.layout import Layout
from evse_security.store.limits import Limits
from evse_security.store.lock import Missing
from evse_security.store.parts import EVERYTHING, Parts, RootsOf
from evse_security.store.picture import Picture
from evse_security.store.rules.revoked import NONE, Revocations
from evse_security.store.snapshot import CaStore, Snapshot
from evse_security.vocabulary import CertificateStoreUpdate

log = logging.getLogger(__name__)

Subscriber = Callable[[CertificateStoreUpdate], object]
T = TypeVar("T")

BRIEFLY = 0.5
"""Seconds that a command which reads waits for writers, of this process and again of others, to renew its copies."""


_cores: WeakSet[Core] = WeakSet()
"""Those of this process."""


def _begin_in_fork() -> None:
    for core in tuple(_cores):
        core.begin_in_fork()


os.register_at_fork(after_in_child=_begin_in_fork)


class Core:
    """One store, its clock, and those who are told of its changes."""

    def __init__(self, config: StationConfig, files: Files | None = None) -> None:
        """Nothing is read yet. `files` are the steps of writing; tests give their own."""
        self.config = config
        self.profile = ProfileName(config.certificate_profile)
        self.limits = Limits(
            config.max_store_entries,
            config.max_store_bytes,
            config.certificate_store_max_length,
            timedelta(seconds=config.csr_lifetime),
            config.keep_newest,
        )
        self._places = places = Layout.of(config)
        picture = Picture(
            places,
            lambda data: public_key_of(data, config.private_key_password),
            additional_anchors=config.additional_root_certificate_check,
        )
        self._disk = Disk(places, picture, files)
        self._audit = AuditLog(config.audit_log, sync=config.audit_log_sync) if config.audit_log else None
        self._changing = threading.RLock()
        self.working = threading.Lock()
        """For who works out what others would work out as well."""
        self._subscribers: list[Subscriber] = []
        self._hearing_oem: list[Callable[[OemStoreUpdate], object]] = []
        self._hearing_refusals: list[Callable[[Refused], object]] = []
        self._hearing_paths: list[Callable[[frozenset[Path]], object]] = []
        self._numbers = count()
        _cores.add(self)

    def begin_in_fork(self) -> None:
        """Start anew in a process that was forked."""
        self._changing, self.working = threading.RLock(), threading.Lock()
        self._disk.begin_in_fork()
        if self._audit is not None:
            self._audit.begin_in_fork()

    def check_places(self) -> None:
        """Refuse leaf directories that are something else, and a clock without zone. Raises `InvalidConfiguration`."""
        if self.config.clock().tzinfo is None:
            raise InvalidConfiguration("clock", "must tell aware datetimes, such as datetime.now(timezone.utc)")
        for key in (
            "csms_leaf_cert_directory",
            "csms_leaf_key_directory",
            "secc_leaf_cert_directory",
            "secc_leaf_key_directory",
        ):
            path = getattr(self.config, key)
            if os.path.exists(path) and not os.path.isdir(path):  # where Path.exists() may raise
                raise InvalidConfiguration(key, f"{path} is not a directory")

    def close(self) -> None:
        """Tell nobody any more."""
        with self._changing:
            self._subscribers.clear()
            self._hearing_oem.clear()
            self._hearing_refusals.clear()
            self._hearing_paths.clear()
        self._disk.close()

    def look(self, parts: Parts = EVERYTHING) -> tuple[Snapshot, Moment]:
        """The store, or the parts of it that are needed, and the time, for one command."""
        snapshot = self._disk.look(parts)
        return snapshot, judge(self.config.clock(), snapshot.newest_written)

    def roots_of(self, ca_type: AnyCaType) -> tuple[CaStore | None, Moment]:
        """The CA certificates of one domain and the time; None where the configuration has no place for them."""
        snapshot, moment = self.look([RootsOf(ca_type)] if ca_type in self._places.bundles else [])
        return snapshot.cas.get(ca_type), moment

    def is_still(self, snapshot: Snapshot) -> bool:
        """Whether the store is surely as in this snapshot of all of it. Where that is not sure, a look tells."""
        return self._disk.is_still(snapshot)

    def would_show(self, snapshot: Snapshot, locations: Iterable[str], after_ns: int) -> bool:
        """Whether any change of these files after that time is sure to be told, and to give another picture."""
        return self._disk.is_watched and snapshot.listing.would_show(locations, after_ns)

    def revocations(self, snapshot: Snapshot) -> Revocations:
        """What OCSP responders said is revoked, if that has consequences here."""
        return snapshot.revocations if self.config.revoked_leaves == "withdraw" else NONE

    @property
    def audit_log(self) -> AuditLog:
        """The audit log. Raises `AuditLogUnusable` where none is kept."""
        if self._audit is None:
            raise AuditLogUnusable("audit_log", "none is kept: the configuration names no place for it")
        return self._audit

    @contextmanager
    def still(self) -> Iterator[tuple[Snapshot, Moment]]:
        """The store and the time, while nobody changes it. Raises `NotWritable` where others do so for too long."""
        with self._changing, self._disk.writing(missing=Missing.LEAVE):
            yield self.look()

    def note(self, deed: Deed, moment: Moment) -> None:
        """Record what was done with the store, though nothing was changed."""
        deed.done = True
        if self._audit is not None:
            self._audit.record(deed.made(Decision()), moment.now)

    @contextmanager
    def deed(self, command: str, about: str = "") -> Iterator[Deed]:
        """A request to change the store: what is refused or fails within is recorded in the audit log."""
        deed = Deed(command, str(about))
        try:
            yield deed
        except Exception as why:
            if self._audit is not None and not deed.done:
                self._audit.record(deed.refused(why), self.config.clock())
            if isinstance(why, EvseSecurityError):
                self._tell(self._hearing_refusals, Refused(command, deed.about, why, tuple(deed.given)))
            raise

    def change(self, decide: Callable[[Snapshot, Moment], Decision], deed: Deed) -> Decision:
        """Be the only writer, look, decide, apply; then announce. Raises what the rule or the disk refuses.

        What was changed is recorded as that `deed`.

        Directories and lock files that are missing are made only for a change: a refusal changes nothing.
        """
        with self._changing:
            decision = self._changed(decide, deed, Missing.LEAVE)
            if decision is None:
                self._disk.make_directories()
                decision = self._changed(decide, deed, Missing.MAKE) or Decision()
            if decision.changes:
                self._disk.show()
                self._tell(self._hearing_paths, frozenset(change.path for change in decision.changes))
            self._announce(decision.updates)
        return decision

    def _changed(self, decide: Callable[[Snapshot, Moment], Decision], deed: Deed, missing: Missing) -> Decision | None:
        """Decide and apply; None where something is to be changed, and not all directories could be locked."""
        with self._disk.writing(missing=missing) as complete:
            snapshot, moment = self.look()
            decision = decide(snapshot, moment)
            if decision.changes and not complete and missing is Missing.LEAVE:
                return None
            self._disk.apply(decision.changes, moment.now)
            self._record(deed, decision, moment)
            self._copy(decision.copies, moment)
        return decision

    def _record(self, deed: Deed, decision: Decision, moment: Moment) -> None:
        deed.done = True
        if self._audit is not None and decision.changes:
            self._audit.record(deed.made(decision), moment.now)

    def _copy(self, copies: Iterable[Write], moment: Moment) -> None:
        try:
            self._disk.apply(self._disk.outdated(copies), moment.now)
        except NotWritable as refusal:
            told("DER copies", refusal)

    def ensure(
        self, copies: Iterable[Write], moment: Moment, *, while_true: Callable[[Snapshot], bool] = lambda _: True
    ) -> None:
        """Bring derived files up to date, unless what they derive from is gone meanwhile. Raises `NotWritable`."""
        outdated = self._disk.outdated(copies)
        if not outdated:
            return
        with self._writing_briefly():
            if while_true(self._disk.look()):
                self._disk.apply(outdated, moment.now)

    def arrange(self, plan: Callable[[], Sequence[Change]], moment: Moment) -> None:
        """Make the changes that a plan finds necessary, if any, as the only writer. Raises `NotWritable`."""
        if not self._planned(plan):
            return
        with self._writing_briefly():
            self._disk.apply(self._planned(plan), moment.now)

    @contextmanager
    def _writing_briefly(self) -> Iterator[None]:
        """Be the only writer, unless that takes long: who only reads must not wait for who writes."""
        if not self._changing.acquire(timeout=BRIEFLY):
            raise NotWritable("the store", "another thread is changing it")
        try:
            with self._disk.writing(BRIEFLY):
                yield
        finally:
            self._changing.release()

    @staticmethod
    def _planned(plan: Callable[[], Sequence[Change]]) -> Sequence[Change]:
        try:
            return plan()
        except OSError as error:
            raise NotWritable(str(error.filename or "the store"), error.strerror or str(error)) from error

    def token(self, moment: Moment) -> str:
        """The varying part of new file names."""
        return layout.token(moment.now, next(self._numbers), secrets.randbits(31))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell somebody of every change, after the write and before the answer. Returns how to stop that."""
        return self._add(self._subscribers, subscriber)

    def hear_oem(self, hear: Callable[[OemStoreUpdate], object]) -> Callable[[], None]:
        """Tell somebody of every change of the OEM roots, as `subscribe` does. Returns how to stop that."""
        return self._add(self._hearing_oem, hear)

    def hear_refusals(self, hear: Callable[[Refused], object]) -> Callable[[], None]:
        """Tell somebody of every change that was refused, before the answer. Returns how to stop that."""
        return self._add(self._hearing_refusals, hear)

    def hear_paths(self, hear: Callable[[frozenset[Path]], object]) -> Callable[[], None]:
        """Tell somebody which files every change made, replaced or removed. Returns how to stop that."""
        return self._add(self._hearing_paths, hear)

    def _add(self, listeners: list[Callable[[T], object]], listener: Callable[[T], object]) -> Callable[[], None]:
        """Add a listener, though it may be one already, and say how to take just this one away."""

        def remove() -> None:
            with self._changing:
                if entry in listeners:
                    listeners.remove(entry)

        def entry(told: T) -> object:
            return listener(told)

        with self._changing:
            listeners.append(entry)
        return remove

    def _announce(self, updates: Iterable[StoreUpdate]) -> None:
        for update in updates:
            if isinstance(update, OemStoreUpdate):
                self._tell(self._hearing_oem, update)
            else:
                self._tell(self._subscribers, update)

    @staticmethod
    def _tell(listeners: Iterable[Callable[[T], object]], told: T) -> None:
        for listener in tuple(listeners):
            try:
                listener(told)
            except Exception:  # what was done is done; whoever listens must not undo the answer
                log.exception("a subscriber failed at %s", type(told).__name__)


@contextmanager
def telling(command: str) -> Iterator[None]:
    """Say why something is refused that raises the refusal."""
    try:
        yield
    except Refusal as refusal:
        told(command, refusal)
        raise


def told(command: str, refusal: Refusal) -> None:
    """Say why a command answers with a refusal; where it arose is forgotten: those frames hold keys being written."""
    log.warning("%s refused: %s: %s", command, refusal.code, refusal)
    error: BaseException | None = refusal
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__

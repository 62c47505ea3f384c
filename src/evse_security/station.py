"""A charging station's security module: the interface's commands on a directory of certificates."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from evse_security.additions import AnyCaType, OemStoreUpdate
from evse_security.clock import Moment
from evse_security.commands import CheckReport, Commands
from evse_security.config import StationConfig
from evse_security.core import Core, Subscriber
from evse_security.errors import MalformedRequest, NoPlaceForRoots
from evse_security.interface import NEWEST, WITH_OEM, r2023_10, r2026_04, r2026_04_oem
from evse_security.leaves import Leaves
from evse_security.older import Commands202310
from evse_security.pki.hashdata import asked_for
from evse_security.renewal import Renewal
from evse_security.serve.dispatch import dispatch
from evse_security.serve.typed import Typed
from evse_security.store.changes import Decision
from evse_security.store.deeds import Refused
from evse_security.store.deletion import Deletion, deletion
from evse_security.store.files import Files
from evse_security.store.inventory import Inventory, inventory
from evse_security.store.journal import Link, Verdict
from evse_security.store.limits import WARN_DAYS
from evse_security.store.rules.ask import OcspQuestion, OcspState, ocsp_questions
from evse_security.store.rules.restore import Others
from evse_security.store.rules.sweep import Sweep, SweptFile, sweep
from evse_security.store.snapshot import Snapshot
from evse_security.vocabulary import CertificateHashData, LeafCertificateType
from evse_security.withoem import CommandsWithOem

if TYPE_CHECKING:
    from evse_security.cars import ShownToCars
    from evse_security.chains import Chains, Installed
    from evse_security.contracts import ContractReport
    from evse_security.doctor import Doctor, Mended, MendReport
    from evse_security.recovery import BackupReport, Recovery, RestoreReport
    from evse_security.store.diagnosis import Diagnosis
    from evse_security.store.diagnosis.finding import Finding
    from evse_security.store.explanation import Explanation, PathTried
    from evse_security.store.overview import DomainOverview, Node, Overview, PendingKey
    from evse_security.store.trial import Attempt, FileExplanation, Received

_HOME = {
    "Attempt": "store.trial",
    "BackupReport": "recovery",
    "Diagnosis": "store.diagnosis",
    "DomainOverview": "store.overview",
    "Explanation": "store.explanation",
    "FileExplanation": "store.trial",
    "Finding": "store.diagnosis.finding",
    "MendReport": "doctor",
    "Mended": "doctor",
    "Node": "store.overview",
    "Overview": "store.overview",
    "PathTried": "store.explanation",
    "PendingKey": "store.overview",
    "Received": "store.trial",
    "RestoreReport": "recovery",
}
"""Where those are that a station speaks of when a person asks: until then nobody waits for them."""

__all__ = [
    "Attempt",
    "BackupReport",
    "CheckReport",
    "Deletion",
    "Diagnosis",
    "DomainOverview",
    "Explanation",
    "FileExplanation",
    "Finding",
    "Inventory",
    "MendReport",
    "Mended",
    "Moment",
    "Node",
    "OcspQuestion",
    "OcspState",
    "Others",
    "Overview",
    "PathTried",
    "PendingKey",
    "Received",
    "Refused",
    "RestoreReport",
    "Station",
    "SweepReport",
    "SweptFile",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    """Import one of those when its name is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"evse_security.{_HOME[name]}"), name)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep removed or would remove, and why nothing where the clock is not believed."""

    removed: tuple[SweptFile, ...]
    dry_run: bool
    kept_because: str | None

    def __str__(self) -> str:
        if self.kept_because is not None:
            return f"nothing swept: {self.kept_because}"
        verb = "would remove" if self.dry_run else "removed"
        return "\n".join(f"{verb} {file.path}: {file.reason}" for file in self.removed) or "nothing to sweep"


class Station:
    """The security module of one station. Safe to use from several threads, and beside other processes."""

    def __init__(self, config: StationConfig, files: Files | None = None) -> None:
        """Use `Station.open`. `files` are the steps of writing; tests give their own."""
        self._core = Core(config, files)
        self._leaves = Leaves(self._core)
        commands = Commands(self._core)
        self._commands = commands
        self.renewal = Renewal(self._core, self._leaves, commands)
        """For those who renew leaves and replace roots, as the agents do, and the adapter for OCPP."""
        self._revisions: dict[str, Any] = {
            "2023-10": Commands202310(self._core, commands),
            "2026-04": commands,
            WITH_OEM: CommandsWithOem(commands),
        }
        self._typed: dict[str, Any] = {name: Typed(found, name) for name, found in self._revisions.items()}

    @classmethod
    def open(cls, config: StationConfig) -> Station:
        """Open a station. Nothing is written; directories that do not exist are made when something is installed.

        Raises `InvalidConfiguration` where a leaf directory's path leads to something else.
        """
        station = cls(config)
        station._core.check_places()
        return station

    def __enter__(self) -> Station:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything. Subscribers are told no more."""
        self._core.close()

    @property
    def config(self) -> StationConfig:
        """The configuration."""
        return self._core.config

    # ---- the interface

    @overload
    def interface(self, revision: Literal["2023-10"]) -> r2023_10.Interface: ...
    @overload
    def interface(self, revision: Literal["2026-04"] = ...) -> r2026_04.Interface: ...
    @overload
    def interface(self, revision: Literal["2026-04-oem"]) -> r2026_04_oem.Interface: ...
    def interface(self, revision: str = NEWEST) -> r2023_10.Interface | r2026_04.Interface | r2026_04_oem.Interface:
        """The commands of one revision, typed. They raise `MalformedRequest` for what is not of its argument's type.

        `2026-04-oem` is ours: the commands about CA certificates with the domain OEM, which no revision has.
        """
        self._implementation(revision)
        found: r2023_10.Interface | r2026_04.Interface | r2026_04_oem.Interface = self._typed[revision]
        return found

    def dispatch(self, command: str, arguments: object, *, revision: str = NEWEST) -> Any:
        """Answer one command in JSON: arguments by name in, the result out; absent optionals are absent keys.

        Raises `MalformedRequest` naming the field, and `CommandRefused` where a result has no word for failure.
        """
        return dispatch(self._implementation(revision), command, arguments, revision=revision)

    def _implementation(self, revision: str) -> Any:
        if revision not in self._revisions:
            raise MalformedRequest("revision", f"must be one of {', '.join(self._revisions)}")
        return self._revisions[revision]

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell somebody of each change of the store, after the write, before the answer. Returns how to stop that.

        Those of the OEM roots, for which the interface has no word, are told by `hear_oem`.
        """
        return self._core.subscribe(subscriber)

    def hear_oem(self, hear: Callable[[OemStoreUpdate], object]) -> Callable[[], None]:
        """Tell somebody of each change of the OEM roots, as `subscribe` does. Returns how to stop that."""
        return self._core.hear_oem(hear)

    # ---- beyond it

    def hear_paths(self, hear: Callable[[frozenset[Path]], object]) -> Callable[[], None]:
        """Tell somebody which files each change here made, replaced or removed. Returns how to stop that."""
        return self._core.hear_paths(hear)

    def time(self) -> Moment:
        """What time it is, and why that is not believed, if it is not."""
        return self._core.look()[1]

    def inventory(self) -> Inventory:
        """Which certificates are installed where; the same object as before, as long as nothing changed."""
        snapshot, _ = self._core.look()
        known = snapshot.memory.get(Inventory)
        if isinstance(known, Inventory):
            return known
        found = snapshot.memory[Inventory] = inventory(snapshot)
        return found

    def identified(self, data: CertificateHashData) -> frozenset[str]:
        """Fingerprints of the installed certificates that a deletion by this identity is about."""
        snapshot, wanted = self._core.look()[0], asked_for(data)
        found = () if wanted is None else snapshot.identified(wanted)
        return frozenset(one.fingerprint for one in found)

    def ocsp_questions(self) -> tuple[OcspQuestion, ...]:
        """What to ask OCSP responders about the SECC chains, and what is cached of their answers."""
        snapshot, moment = self._core.look()
        return ocsp_questions(snapshot, self.config.newest_by, moment)

    def hear_refusals(self, hear: Callable[[Refused], object]) -> Callable[[], None]:
        """Tell somebody of each change that was refused, with its reason, before the answer. Returns how to stop."""
        return self._core.hear_refusals(hear)

    def check(self, certificate_chain: str, certificate_types: Sequence[LeafCertificateType]) -> CheckReport:
        """Verify a leaf or chain (PEM), with the reason."""
        return self._commands.check(certificate_chain, certificate_types)

    def check_contract(self, certificate_chain: str, responses: Sequence[bytes] = ()) -> ContractReport:
        """Verify a contract chain (PEM), with the reason, and with what OCSP responses (DER), given or cached, say."""
        from evse_security.contracts import check_contract

        return check_contract(self._core, certificate_chain, responses)

    def leaf_expiry_days(self, certificate_type: LeafCertificateType) -> int | None:
        """Whole days until the newest usable leaf expires; None if there is none, 0 on its last day."""
        return self._commands.leaf_expiry_days(certificate_type)

    def chains(self, certificate_type: LeafCertificateType) -> Installed:
        """The V2G or CSMS chains that a TLS stack may send now, newest first; the same object until that changes."""
        return self._chains.installed(certificate_type)

    def shown_to_cars(self) -> ShownToCars:
        """Which chain cars of each edition of ISO 15118 are shown, and why the others are not."""
        from evse_security.cars import shown_to_cars

        return shown_to_cars(self.chains(LeafCertificateType.V2G))

    @cached_property
    def _doctor(self) -> Doctor:
        from evse_security.doctor import Doctor

        return Doctor(self._core)

    @cached_property
    def _recovery(self) -> Recovery:
        from evse_security.recovery import Recovery

        return Recovery(self._core)

    @cached_property
    def _chains(self) -> Chains:
        from evse_security.chains import Chains  # who speaks no TLS does not wait for it

        return Chains(self._core, self._leaves)

    def overview(self) -> Overview:
        """All that is installed, as trees, and why each certificate is or is not used."""
        from evse_security.store.overview import overview

        snapshot, moment = self._core.look()
        return overview(snapshot, moment, self.config.newest_by, self._core.profile, self._core.revocations(snapshot))

    def diagnose(self, warn_days: int = WARN_DAYS) -> Diagnosis:
        """Everything that is wrong with the store, the worst first; certificates that expire in so many days, too."""
        return self._doctor.diagnose(warn_days)

    def mend(self, aside: Path | None = None, *, dry_run: bool = False) -> MendReport:
        """Mend what is safe to mend, and say what that was. Files that change are copied to `aside` first.

        That is a directory that is not there yet, by default beside the store. Raises `NotWritable`.
        """
        return self._doctor.mend(aside, dry_run=dry_run)

    def explain(self, domain: AnyCaType, *, fingerprint: str | None = None) -> Explanation:
        """Why each certificate of a domain is or is not used, with every path of each chain that was tried.

        With a fingerprint only the certificate that has it: each path of thousands takes its time. Raises
        `NoPlaceForRoots`.
        """
        from evse_security.store.explanation import explain

        snapshot, moment = self._core.look()
        if domain not in snapshot.cas:
            raise NoPlaceForRoots(domain)
        store, config, said = snapshot.cas[domain], self.config, self._core.revocations(snapshot)
        return explain(snapshot, store, moment, config.newest_by, self._core.profile, said, only=fingerprint)

    def explain_text(self, certificates: str) -> FileExplanation:
        """Whether each command would take these certificates (PEM, leaf first), and why not. Nothing is changed."""
        from evse_security.store.trial import explain_text

        snapshot, moment = self._core.look()
        limits, profile, newest_by = self._core.limits, self._core.profile, self.config.newest_by
        said = self._core.revocations(snapshot)
        return explain_text(snapshot, certificates, moment, limits, profile, newest_by=newest_by, said=said)

    def deletion(self, certificate_hash_data: CertificateHashData) -> Deletion:
        """What delete_certificate would take with this certificate, or why it would refuse. Nothing is changed."""
        snapshot, _ = self._core.look()
        return deletion(snapshot, asked_for(certificate_hash_data))

    def backup(self, path: Path, *, passphrase: str | None) -> BackupReport:
        """Write everything, private keys too, to one new file; encrypted, unless the passphrase is None.

        Raises `BackupRefused`.
        """
        return self._recovery.backup(path, passphrase)

    def restore(
        self,
        path: Path,
        *,
        passphrase: str | None,
        others: Others = Others.STAY,
        dry_run: bool = False,
        keep: Path | None = None,
    ) -> RestoreReport:
        """Verify a backup, then put its files in place, all or none; `others` are files that it does not name.

        What was there is backed up before, with the same protection: to `keep`, or beside the backup. Raises
        `BackupRefused` or `NotWritable`; then nothing was changed, or that backup stays and the latter says so.
        """
        return self._recovery.restore(path, passphrase, others=others, dry_run=dry_run, keep=keep)

    def verify_audit_log(self, noted: tuple[int, str] | None = None) -> Verdict:
        """Check the chain of the audit log. `noted`: number and hash of an entry that were noted elsewhere.

        Raises `AuditLogUnusable`.
        """
        return self._core.audit_log.verify(None if noted is None else Link(*noted))

    def audit_entries(self) -> Iterator[Mapping[str, Any]]:
        """The entries of the audit log, the oldest first, as far as they can be read. Raises `AuditLogUnusable`."""
        return (entry.body for entry in self._core.audit_log.entries())

    def sweep(self, *, dry_run: bool = False) -> SweepReport:
        """Remove what nobody needs any more, and say what that was. Raises `NotWritable`."""
        done: list[Sweep] = []

        def decide(snapshot: Snapshot, moment: Moment) -> Decision:
            limits = self._core.limits
            done.append(
                sweep(
                    snapshot,
                    moment,
                    csr_lifetime=limits.csr_lifetime,
                    keep_newest=limits.keep_newest,
                    protected=limits.kept,
                )
            )
            return done[-1].decision

        if dry_run:
            decide(*self._core.look())
        else:
            with self._core.deed("sweep") as deed:
                self._core.change(decide, deed)
        return SweepReport(done[-1].removed, dry_run, done[-1].kept_because)

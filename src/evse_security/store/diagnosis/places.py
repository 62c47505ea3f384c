"""Findings about directories and file systems: who may read and write, whether there is room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from evse_security.clock import SKEW
from evse_security.store.diagnosis.finding import MOST_PATHS, OURS, Command, Finding, Mender, Severity, found
from evse_security.store.diagnosis.inspection import Inspection, Place, Rights, Volume
from evse_security.store.layout import DER_DIRECTORY
from evse_security.store.snapshot import KeyFile, StoreForm

OTHERS, GROUP_OR_OTHERS = 0o007, 0o077
_WRITE_ALL, _WRITE_GROUP, _STICKY = 0o002, 0o020, 0o1000

ROOM_BYTES, ROOM_INODES = 256 * 1024, 32
"""What the next renewal needs: key, leaf, chain, copies in DER and OCSP responses, each once more while it is staged,
in blocks of up to 16 KiB."""
SCARCE_BYTES, SCARCE_INODES = 16 * 1024 * 1024, 1024
"""Less than this is used up by one log file."""
_NEARLY = 0.9

_NETWORK = frozenset({"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3"})
_VOLATILE = frozenset({"ramfs", "tmpfs"})


def directories(seen: Inspection) -> Iterator[Finding]:
    """Directories that are missing, open to others, somebody else's, or closed to who asks."""
    yield from _emptiness(seen)
    closed = {problem.path for problem in seen.snapshot.problems}
    for place in seen.surroundings.places:
        if place.rights is None:
            if place.path not in closed:
                yield found("DirectoryMissing", "there is no such directory", (place.path,))
            continue
        yield from _open_directory(place, place.rights)
        if not (place.can_write or place.is_read_only):
            what = f"user {seen.surroundings.user} cannot write there (mode {place.rights.mode:04o})"
            yield found("NotWritable", what, (place.path,), advice=_as_owner(place.rights))
        yield from _owned((place.path,), place.rights.owner, seen)
    yield from _replaceable(seen)


def _replaceable(seen: Inspection) -> Iterator[Finding]:
    """Directories above the store in which everybody may put another in its place, as nobody may in `/tmp`."""
    for path, rights in seen.surroundings.parents.items():
        if rights.mode & _WRITE_ALL and not rights.mode & _STICKY:
            what = f"writable by everybody (mode {rights.mode:04o}), above the store: all of it can be replaced"
            yield found("WritableByAll", what, (path,), mend=_chmod("o-w", (path,)), mender=Mender.PEOPLE)


def _emptiness(seen: Inspection) -> Iterator[Finding]:
    """A new station, one that was wiped, or the directory of another."""
    snapshot = seen.snapshot
    is_empty = not snapshot.certificates and not any(store.keys for store in snapshot.leaves.values())
    if is_empty and all(store.form is not StoreForm.UNREADABLE for store in snapshot.cas.values()):
        advice = "look whether this is the right directory (--certs, --config), then install roots"
        paths = (store.path for store in snapshot.cas.values() if not store.is_unused)
        yield found("NothingInstalled", "there is neither a certificate nor a key", paths, advice=advice)


def _as_owner(rights: Rights) -> str:
    return f"run it as the owner, user {rights.owner}, or give the user the right to write there"


def _open_directory(place: Place, rights: Rights) -> Iterator[Finding]:
    mode, paths = rights.mode, (place.path,)
    if mode & _WRITE_ALL:
        yield found("WritableByAll", f"writable by everybody (mode {mode:04o})", paths, mend=_chmod("o-w", paths))
    elif mode & _WRITE_GROUP:
        what = f"writable by its group (mode {mode:04o})"
        yield found("WritableByGroup", what, paths, mend=_chmod("g-w", paths))
    if place.holds_keys and mode & GROUP_OR_OTHERS:
        yield found(
            "KeyDirectoryOpen",
            f"directory of private keys open to {_who(mode)} (mode {mode:04o})",
            paths,
            mend=_chmod("0700", paths),
            severity=None if mode & OTHERS else Severity.NOTE,
            mender=_unless_meant(mode),
        )


def _who(mode: int) -> str:
    return "everybody" if mode & OTHERS else "its group"


def _unless_meant(mode: int) -> Mender:
    """What only a group may do may be meant so, for a TLS server of another user: people decide."""
    return Mender.DOCTOR if mode & OTHERS else Mender.PEOPLE


def _owned(paths: tuple[Path, ...], owner: int, seen: Inspection) -> Iterator[Finding]:
    if owner in seen.surroundings.owners:
        return
    wanted = next(iter(sorted(seen.surroundings.owners - {0}, reverse=True)), 0)
    mend = [("chown", "-h", str(wanted), *map(str, paths))] if len(paths) <= MOST_PATHS else []
    advice = None if mend else f"give them to user {wanted} with chown"
    yield found("OtherOwner", f"owned by user {owner}", paths, mend=mend, advice=advice)


def _chmod(mode: str, paths: Iterable[Path]) -> list[Command]:
    given = tuple(map(str, paths))
    return [("chmod", mode, *given)] if len(given) <= MOST_PATHS else []


def files(seen: Inspection) -> Iterator[Finding]:
    """Keys open to others, files that others may change or own, and files of a time to come; by directory."""
    yield from _open_keys(seen)
    writable: dict[tuple[Path, int], list[Path]] = defaultdict(list)
    owned: dict[tuple[Path, int], list[Path]] = defaultdict(list)
    future: list[Path] = []
    private = {key.path for key in keys(seen)} | seen.surroundings.key_copies.keys()
    for path, rights in sorted(seen.surroundings.files.items()):
        if rights.leads_to is not None and rights.mode & _WRITE_ALL:
            yield _writable_elsewhere(path, rights.leads_to)
        elif rights.mode & (_WRITE_ALL | _WRITE_GROUP) and path not in private and rights.leads_to is None:
            writable[path.parent, rights.mode & _WRITE_ALL].append(path)
        owned[path.parent, rights.owner].append(path)
        if seen.moment.doubt is None and rights.modified > seen.now + SKEW:
            future.append(path)
    for (_, everybody), paths in writable.items():
        if everybody:
            yield found("WritableByAll", "writable by everybody", paths, mend=_chmod("o-w", paths))
        else:
            yield found("WritableByGroup", "writable by the group", paths, mend=_chmod("g-w", paths))
    for (_, owner), paths in owned.items():
        yield from _owned(tuple(paths), owner, seen)
    if future:
        mend = [("touch", *map(str, future))] if len(future) <= MOST_PATHS else []
        yield found("FromFuture", f"written after now ({seen.now:%Y-%m-%d %H:%M:%SZ})", future, mend=mend)


def _writable_elsewhere(path: Path, leads_to: Path) -> Finding:
    advice = "see what that file is, and take the right to write from everybody"
    what = f"writable by everybody, a link to {leads_to}"
    return found("WritableByAll", what, (path,), advice=advice, mender=Mender.PEOPLE)


def keys(seen: Inspection) -> tuple[KeyFile, ...]:
    """The private key files of all stores, each once."""
    found_keys = {key.path: key for store in seen.snapshot.leaves.values() for key in store.keys}
    return tuple(found_keys.values())


def _open_keys(seen: Inspection) -> Iterator[Finding]:
    groups: dict[tuple[Path, int], list[Path]] = defaultdict(list)
    modes = {key.path: key.mode for key in keys(seen)}
    for copy in seen.surroundings.key_copies:
        if copy in seen.surroundings.files:
            modes[copy] = seen.surroundings.files[copy].mode
    for path, mode in sorted(modes.items()):
        leads_to = seen.surroundings.leads_to(path)
        if mode & GROUP_OR_OTHERS and leads_to is not None:
            yield _exposed_elsewhere(path, leads_to, mode)
        elif mode & GROUP_OR_OTHERS:
            groups[path.parent, mode].append(path)
    for (_, mode), paths in groups.items():
        yield found(
            "KeyExposed",
            f"private key open to {_who(mode)} (mode {mode:04o})",
            paths,
            mend=_chmod("0600", paths),
            severity=None if mode & OTHERS else Severity.WARNING,
            mender=_unless_meant(mode),
        )


def _exposed_elsewhere(path: Path, leads_to: Path, mode: int) -> Finding:
    """A key that is a link: other programs may need what it leads to as it is."""
    what = (
        f"private key open to {'everybody' if mode & OTHERS else 'its group'} (mode {mode:04o}), a link to {leads_to}"
    )
    advice = "see what that file is; if it is the key and nobody else's, take the rights on it from others"
    return found(
        "KeyExposed",
        what,
        (path,),
        advice=advice,
        severity=None if mode & OTHERS else Severity.WARNING,
        mender=Mender.PEOPLE,
    )


def volumes(seen: Inspection) -> Iterator[Finding]:
    """File systems that are read-only, full, far away, or gone at the next start."""
    for volume in seen.surroundings.volumes:
        paths = (volume.path,)
        if volume.is_read_only:
            yield found(
                "ReadOnly", "on a read-only file system", paths, mend=[("mount", "-o", "remount,rw", str(volume.mount))]
            )
        else:
            yield from _room(volume)
        if volume.kind in _NETWORK:
            yield found("NetworkFileSystem", f"on a network file system ({volume.kind})", paths, advice=_ELSEWHERE)
        elif volume.kind in _VOLATILE and not volume.is_read_only:
            yield found("VolatileFileSystem", f"in memory ({volume.kind})", paths, advice=_ELSEWHERE)


_ELSEWHERE = "keep the store on a local disk"


def _room(volume: Volume) -> Iterator[Finding]:
    inodes = SCARCE_INODES if volume.free_inodes is None else volume.free_inodes
    left = f"{volume.free_bytes // 1024} KiB left" + ("" if volume.free_inodes is None else f", {inodes} files")
    if volume.free_bytes < ROOM_BYTES or inodes < ROOM_INODES:
        what = f"the disk is full: {left}; a renewal needs {ROOM_BYTES // 1024} KiB, {ROOM_INODES} files"
        yield found("DiskFull", what, (volume.path,), advice="remove what is not needed from that file system")
    elif volume.free_bytes < SCARCE_BYTES or inodes < SCARCE_INODES:
        advice = "remove what is not needed from that file system"
        yield found("DiskNearlyFull", f"the disk is nearly full: {left}", (volume.path,), advice=advice)


def limits(seen: Inspection) -> Iterator[Finding]:
    """Limits of the store that are reached, or nearly so."""
    snapshot, given = seen.snapshot, seen.limits
    entries = sum(path.parent.name != DER_DIRECTORY for path in snapshot.names)
    counted = [
        ("max_store_entries", "files", entries, given.max_entries),
        ("max_store_bytes", "bytes", snapshot.size, given.max_bytes),
    ]
    if given.max_ca_certificates is not None:
        counted.append(
            ("certificate_store_max_length", "CA certificates", snapshot.ca_count(), given.max_ca_certificates)
        )
    for key, unit, value, limit in counted:
        mend = [(OURS, "sweep")] if key != "certificate_store_max_length" else []
        advice = f"raise {key} in the configuration, or delete certificates"
        if value >= limit:
            yield found("StoreFull", f"{value} {unit}, {key} = {limit}", mend=mend, advice=advice)
        elif value >= _NEARLY * limit:
            yield found("StoreNearlyFull", f"{value} {unit}, {key} = {limit}", mend=mend, advice=advice)

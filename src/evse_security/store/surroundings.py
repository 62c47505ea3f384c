"""Looking at what surrounds the files of a store: rights, owners, links, file systems, lines of bad blocks.

Reading only. What cannot be looked at is left out: the snapshot names it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from evse_security.keys.encryption import rounds
from evse_security.keys.files import MAX_KEY_BYTES, KeyProblem, KeyReading
from evse_security.pki import der
from evse_security.pki.certificate import Certificate
from evse_security.pki.ocsp import MAX_RESPONSE_BYTES
from evse_security.pki.pem import MAX_FILE_BYTES, Block
from evse_security.store import rehash
from evse_security.store.changes import Change
from evse_security.store.diagnosis.inspection import Place, Rights, Span, Surroundings, Volume
from evse_security.store.info import source_of
from evse_security.store.layout import KEY_SUFFIXES, Layout
from evse_security.store.scan import read
from evse_security.store.snapshot import CaStore, CertificateFile, LeafStore, Snapshot, StoreForm

KeyReader = Callable[[bytes], KeyReading]

_PRIVATE_KEY = b"PRIVATE KEY-----"
_KEY_BEGIN = re.compile(rb"-----BEGIN (?P<label>[A-Z0-9 ]{0,64}PRIVATE KEY)-----")
"""What follows is sought by hand: a pattern for a text of any length takes 80 times its memory where no end comes."""
_MAX_LINES_READ = 100
"""Files with bad blocks that are read once more to say on which lines those are."""
_MAX_SPANS = 1000
"""Blocks of a file whose lines are told."""
_LONGEST_BLANK = 1024
"""Where more is before or behind a block on its line, that is something, though it were blanks."""
_BASE64_ROOM = 2
"""A response in base64 is at most so many times as long as in DER."""


def surroundings(snapshot: Snapshot, layout: Layout, read_key: KeyReader) -> Surroundings:
    """Look around. `read_key` tells the token of a private key's file."""
    directories = _directories(layout, snapshot)
    files = _files(snapshot)
    bundles = [store.path for store in snapshot.cas.values() if store.form is StoreForm.FILE]
    copies = [copy for copy in snapshot.derived if source_of(copy) is not None]
    of_keys = [copy for copy in copies if (source_of(copy) or copy).suffix in KEY_SUFFIXES]
    der_keys = frozenset(key.path for one in snapshot.leaves.values() for key in one.keys if _is_der(key.path))
    return Surroundings(
        user=os.geteuid(),
        owners=_owners(directories),
        places=tuple(_place(path, holds_keys=holds_keys) for path, holds_keys in directories.items()),
        parents=_parents(directories),
        files=files,
        volumes=tuple(_volumes((*directories, *bundles))),
        spans=_spans(snapshot),
        hollow=frozenset(bundle for bundle in _bare(snapshot) if _bytes(bundle).strip()),
        with_keys=_with_keys(snapshot),
        locked=locked(snapshot),
        der_keys=der_keys,
        sealed_keys=frozenset(filter(_is_sealed, der_keys)),
        responses=_contents(
            (e.response_path for e in snapshot.ocsp if e.has_response), MAX_RESPONSE_BYTES * _BASE64_ROOM
        ),
        copies=_contents((copy for copy in copies if copy not in of_keys), MAX_FILE_BYTES),
        key_copies={copy: read_key(_bytes(copy, MAX_KEY_BYTES)).token for copy in of_keys},
        links={store.path: made for store in snapshot.cas.values() if (made := _links(store))},
        strays=tuple(path for bundle in layout.bundles.values() if os.path.isfile(path := Path(f"{bundle}$"))),
        astray=tuple(path for path in layout.bundles.values() if os.path.islink(path) and not os.path.exists(path)),
    )


def _directories(layout: Layout, snapshot: Snapshot) -> dict[Path, bool]:
    """The directories that hold the store's files, and whether those are private keys."""
    stores = (store for store in snapshot.cas.values() if store.form is not StoreForm.UNREADABLE)
    found = {one.directory: False for one in stores if not one.is_unused or os.path.isdir(one.directory)}
    found |= {leaf.certificates: False for leaf in layout.leaves.values()}
    return found | {leaf.keys: True for leaf in layout.leaves.values()}


def _owners(directories: Iterable[Path]) -> frozenset[int]:
    """Root, who asks, and whose all of it is."""
    common = os.path.commonpath(list(map(os.fspath, directories)))
    with suppress(OSError):
        return frozenset({0, os.geteuid(), os.stat(common).st_uid})
    return frozenset({0, os.geteuid()})


def _parents(directories: Iterable[Path]) -> dict[Path, Rights]:
    """The directories above, where the store lies in truth: who may write there can put others in its place."""
    real = {Path(os.path.realpath(each)) for each in directories}
    above = {parent for each in real for parent in each.parents} - real
    return {path: rights for path in sorted(above) if (rights := _rights(path)) is not None}


def _place(path: Path, *, holds_keys: bool) -> Place:
    can_write = os.access(path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
    is_read_only = False
    with suppress(OSError):
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    return Place(path, _rights(path), holds_keys, can_write, is_read_only)


def _rights(path: Path) -> Rights | None:
    try:
        found = os.stat(path)
        leads_to = Path(os.path.realpath(path)) if path.is_symlink() else None
    except (OSError, ValueError):
        return None
    try:
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
    except (OverflowError, ValueError, OSError):
        modified = datetime.max.replace(tzinfo=UTC)
    return Rights(stat.S_IMODE(found.st_mode), found.st_uid, modified, leads_to)


def _files(snapshot: Snapshot) -> dict[Path, Rights]:
    """All files of the store, and bundles."""
    paths = {*snapshot.names, *(file.path for store in snapshot.stores for file in store.files)}
    paths |= {path for entry in snapshot.ocsp for path in entry.paths}
    return {path: rights for path in sorted(paths) if (rights := _rights(path)) is not None}


# ---- file systems


def _volumes(places: Iterable[Path]) -> Iterator[Volume]:
    """The file systems that hold the store, each once; twice where one is mounted read-only as well.

    A bundle may be mounted by itself, as containers have it: then it matters whether anybody can write it.
    """
    kinds = _mounted()
    told: set[tuple[int, bool]] = set()
    for place in places:
        path = next((each for each in (place, *place.parents) if os.path.exists(each)), Path("/"))
        with suppress(OSError):
            device, room, real = os.stat(path).st_dev, os.statvfs(path), Path(os.path.realpath(path))
            is_read_only = bool(room.f_flag & os.ST_RDONLY)
            if (device, is_read_only) not in told and (is_read_only or os.path.isdir(path)):
                told.add((device, is_read_only))
                mount = _mount(real, kinds)
                yield Volume(
                    path,
                    mount,
                    kinds.get(os.fspath(mount), ""),
                    is_read_only,
                    room.f_bavail * room.f_frsize,
                    room.f_favail if room.f_files else None,
                )


def _mounted() -> dict[str, str]:
    """Kinds of file systems by mount point, the last mounted on top (proc_pid_mountinfo(5)); empty where unknown."""
    kinds = {}
    with suppress(OSError), open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            if after:
                kinds[before.split(" ")[4].replace("\\040", " ")] = after.split(" ", 1)[0]
    return kinds


def _mount(real: Path, kinds: dict[str, str]) -> Path:
    """Where the file system of a directory is mounted. The device tells only where nothing was mounted from itself."""
    return next(each for each in (real, *real.parents) if os.fspath(each) in kinds or os.path.ismount(each))


# ---- contents


def _bytes(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    with suppress(OSError, ValueError):
        return read(path, limit)
    return b""


def _contents(paths: Iterable[Path], limit: int) -> dict[Path, bytes]:
    return {path: content for path in paths if (content := _bytes(path, limit))}


def locked(snapshot: Snapshot) -> dict[Path, bool]:
    """Keys that want a password, and whether one is configured, which does not open them."""
    wanting = (KeyProblem.Encrypted, KeyProblem.WrongPassword)
    keys = (key for store in snapshot.leaves.values() for key in store.keys if key.problem in wanting)
    return {key.path: key.problem == KeyProblem.WrongPassword for key in keys}


def _is_der(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return False
    try:
        return os.read(descriptor, 1) == b"\x30"
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _is_sealed(path: Path) -> bool:
    try:
        return rounds(_bytes(path, MAX_KEY_BYTES)) > 0
    except der.Malformed:
        return False


def _certificate_files(snapshot: Snapshot) -> list[CertificateFile]:
    stores: tuple[CaStore | LeafStore, ...] = snapshot.stores
    return list({file.path: file for store in stores for file in store.files}.values())


def _holding_more(snapshot: Snapshot) -> list[CertificateFile]:
    """Files with more than certificates in them, a key with something else on its lines, too."""
    odd = (file for file in _certificate_files(snapshot) if file.holds_more or any(b.flaw for b in file.blocks))
    return list(odd)


def _with_keys(snapshot: Snapshot) -> dict[Path, tuple[Span, ...]]:
    contents = ((file.path, _bytes(file.path)) for file in _holding_more(snapshot))
    return {path: key_spans(content) for path, content in contents if _PRIVATE_KEY in content}


def key_spans(content: bytes) -> tuple[Span, ...]:
    """On which lines of a text private keys are."""
    return tuple(spans(content, islice(_key_blocks(content), _MAX_SPANS)))


def _key_blocks(content: bytes) -> Iterator[tuple[int, int]]:
    """Where private keys begin and end; five dashes are in none."""
    at = 0
    while (begin := _KEY_BEGIN.search(content, at)) is not None:
        stop = content.find(b"-----", begin.end())
        at = begin.end() - len(b"-----")  # they may be the first of another
        if stop < 0:
            return
        if content.startswith(b"END %b-----" % begin["label"], stop + len(b"-----")):
            at = stop + len(b"-----END -----") + len(begin["label"])
            yield begin.start(), at


def _bare(snapshot: Snapshot) -> list[Path]:
    """Bundle files without any certificate."""
    bundles = (store for store in snapshot.cas.values() if store.form is StoreForm.FILE)
    return [file.path for store in bundles for file in store.files if not (file.blocks or file.problem)]


def _spans(snapshot: Snapshot) -> dict[tuple[Path, int], Span]:
    """On which lines the blocks are that may have to be taken out."""
    found: dict[tuple[Path, int], Span] = {}
    for file, blocks in islice(to_be_found(snapshot), _MAX_LINES_READ):
        told = [(block.start, block.end) for block in blocks[:_MAX_SPANS]]
        lines = spans(_bytes(file.path), told)
        found |= {(file.path, start): span for (start, _), span in zip(told, lines, strict=True)}
    return found


def to_be_found(snapshot: Snapshot) -> Iterator[tuple[CertificateFile, list[Block]]]:
    """The blocks that may have to be taken out, by file: those that are bad, what is in a bundle once more, and roots.

    Roots, as they may be in the wrong one.
    """
    done: set[Path] = set()
    for store in snapshot.stores:
        told: set[Certificate] = set()
        for file in store.files:
            blocks = []
            for block in file.blocks:
                root = len(file.blocks) > 1 and block.certificate is not None and block.certificate.self_signed
                of_bundle = isinstance(store, CaStore) and (root or block.certificate in told)
                if block.problem or block.flaw or of_bundle:
                    blocks.append(block)
                if block.certificate is not None:
                    told.add(block.certificate)
            if blocks and not file.in_der and file.path not in done:
                done.add(file.path)
                yield file, blocks


def spans(content: bytes, pieces: Iterable[tuple[int, int]]) -> Iterator[Span]:
    """The lines that pieces of a text occupy, each given by its first byte and the one behind it; best in order."""
    first, at = 1, 0
    for start, end in pieces:
        if start < at:
            first, at = 1, 0
        first += content.count(b"\n", at, start)
        at = start
        piece = content[start:end].rstrip(b"\r\n")
        before = content[max(start - _LONGEST_BLANK, 0) : start].rpartition(b"\n")[2]
        behind = content[start + len(piece) : start + len(piece) + _LONGEST_BLANK].partition(b"\n")[0]
        is_alone = len(before) < _LONGEST_BLANK and len(behind) < _LONGEST_BLANK and not (before + behind).strip()
        yield Span(first, first + piece.count(b"\n"), is_alone)


def _links(store: CaStore) -> tuple[Change, ...]:
    """What is to be done so that a hashed directory is right; nothing for one that nobody has hashed."""
    if store.form is not StoreForm.DIRECTORY:
        return ()
    try:
        with os.scandir(store.path) as entries:
            is_hashed = any(entry.is_symlink() and rehash.is_name(entry.name) for entry in entries)
        return tuple(rehash.links(store.path, store.files)) if is_hashed else ()
    except OSError:
        return ()

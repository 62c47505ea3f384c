"""The steps that a write is made of. Everything of the store that reaches the disk goes through here.

One class, so that tests can stop before any step, fail any step, or forget what was not synchronised.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from evse_security.pki.pem import MAX_FILE_BYTES

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Recalled(NamedTuple):
    """What a file was: what it takes to make it anew."""

    content: bytes
    mode: int
    owner: tuple[int, int] | None
    time: float
    """When it was written last, in seconds of the epoch."""


class Files:
    """The operating system's files. What changes something is a step, but `force` and what is done in further steps.

    Each raises OSError.
    """

    _places: dict[str, int] | None = None
    """Directories that are open, by the paths that led to them; None where there is no writer."""

    @contextmanager
    def within(self, places: Mapping[Path, int]) -> Iterator[None]:
        """Work relative to these open directories: whoever swaps in a link for one of them, or below, gains nothing."""
        known = {str(path): descriptor for path, descriptor in places.items()}
        opened = self._places = dict(known)
        try:
            yield
        finally:
            self._places = None
            for path, descriptor in opened.items():
                if path not in known:
                    os.close(descriptor)

    @property
    def places(self) -> tuple[Path, ...]:
        """The directories that are open."""
        return tuple(map(Path, self._places or ()))

    def enter(self, directory: Path, leads_to: Path) -> None:
        """Open a directory below those that are open, before it is looked at: what is swapped in later is not meant."""
        with suppress(OSError):
            found = self._directory(str(leads_to))
            if found is not None and self._places is not None and str(directory) not in self._places:
                self._places[str(directory)] = os.dup(found)

    def hold(self, directory: Path, descriptor: int) -> None:
        """Work relative to one more open directory; it is closed at the end."""
        if self._places is None or str(directory) in self._places:
            os.close(descriptor)
        else:
            self._places[str(directory)] = descriptor

    # ---- steps

    def make_directory(self, path: Path, mode: int) -> None:
        """Make one directory."""
        name, at = self._at(path)
        os.mkdir(name, mode, dir_fd=at)

    def make_directories(self, path: Path, mode: int) -> None:
        """Make a directory with its parents, each forced to the disk, in further steps; the last has its own mode."""
        missing = takewhile(lambda one: not os.path.isdir(one), (path, *path.parents))
        for one in reversed(list(missing)):
            with suppress(FileExistsError):
                self.make_directory(one, mode if one == path else 0o755)
                self.sync_directory(one.parent)

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        """Write a file that does not exist yet and force it to the disk; its mode is set before its content.

        `time` is the modification time, in seconds of the epoch: that of the command's clock.
        """
        descriptor = self._written(path, content, mode, owner, time)
        try:
            self.force(descriptor)
        finally:
            os.close(descriptor)

    def write_copy(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        """The same without forcing it: for what is compared before it is handed out, and can be made again."""
        os.close(self._written(path, content, mode, owner, time))

    def make_link(self, path: Path, leads_to: str) -> None:
        """Make a symbolic link that does not exist yet."""
        name, at = self._at(path)
        os.symlink(leads_to, name, dir_fd=at)

    def keep(self, path: Path, aside: Path) -> None:
        """Give what has a name a second one, so that it can come back after it was replaced."""
        (name, at), (second, there) = self._at(path), self._at(aside)
        os.link(name, second, src_dir_fd=at, dst_dir_fd=there, follow_symlinks=False)

    def copy(self, path: Path, aside: Path) -> bool:
        """The same where the file system knows no second names, in further steps; false for neither file nor link.

        Raises ValueError for a file that is too large to be the store's.
        """
        name, at = self._at(path)
        found = os.lstat(name, dir_fd=at)
        if stat.S_ISLNK(found.st_mode):
            self.make_link(aside, os.readlink(name, dir_fd=at))
        elif stat.S_ISREG(found.st_mode):
            self.write_new(aside, *self._as_it_was(path, found))
        else:
            return False
        return True

    def replace(self, source: Path, target: Path) -> None:
        """Give a file its name; what had that name is gone at the same moment."""
        (name, at), (second, there) = self._at(source), self._at(target)
        os.replace(name, second, src_dir_fd=at, dst_dir_fd=there)

    def remove(self, path: Path) -> None:
        """Remove a name; one that is not there is removed already."""
        name, at = self._at(path)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=at)

    def sync_directory(self, path: Path) -> None:
        """Force the names in a directory to the disk."""
        known = self._directory(str(path))
        if known is not None:
            self.force(known)
            return
        descriptor = os.open(path, _DIRECTORY)
        try:
            self.force(descriptor)
        finally:
            os.close(descriptor)

    def force(self, descriptor: int) -> None:
        """Force to the disk what an open file holds, or which names an open directory has. Part of other steps."""
        os.fsync(descriptor)

    def append(self, path: Path, addition: bytes) -> None:
        """Add to the end of a file in place, and take it back if it does not fit.

        Only for files that cannot be replaced because they are mounted by themselves. A crash may leave a piece of the
        last block, which is passed over; nothing that was there is touched.
        """
        name, at = self._at(path)
        descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        try:
            size = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, addition)
                self.force(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                    self.force(descriptor)
                raise
        finally:
            os.close(descriptor)

    # ---- looking, where the steps are made

    def status(self, path: Path) -> os.stat_result:
        """What has a name, without following it if it is a link."""
        name, at = self._at(path)
        return os.lstat(name, dir_fd=at)

    def read(self, path: Path, *, follow_links: bool) -> bytes:
        """What a regular file holds. Raises OSError, or ValueError for what is none or larger than the store's."""
        name, at = self._at(path)
        descriptor = os.open(name, _TO_READ | (0 if follow_links else os.O_NOFOLLOW), dir_fd=at)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("not a regular file")
            content = bytearray()
            while len(content) <= MAX_FILE_BYTES and (piece := file.read(MAX_FILE_BYTES + 1 - len(content))):
                content += piece
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        return bytes(content)

    def recall(self, path: Path) -> Recalled | None:
        """What a file was; None for what writing would not make again: links, one of several names, unreadable ones."""
        name, at = self._at(path)
        with suppress(OSError, ValueError):
            found = os.lstat(name, dir_fd=at)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                return self._as_it_was(path, found)
        return None

    def _as_it_was(self, path: Path, found: os.stat_result) -> Recalled:
        owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        return Recalled(self.read(path, follow_links=False), found.st_mode & 0o777, owner, found.st_mtime)

    def is_where_it_was(self, directory: Path) -> bool:
        """Whether a path still leads to the directory in which the steps were made."""
        known = self._directory(str(directory))
        if known is None:
            return True
        here, there = os.fstat(known), os.stat(directory)
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    # ---- names

    def _at(self, path: Path) -> tuple[str | Path, int | None]:
        """A name and the open directory that it is in; the path alone outside of all places."""
        parent, _, name = str(path).rpartition("/")
        directory = self._directory(parent)
        return (path, None) if directory is None else (name, directory)

    def _directory(self, path: str) -> int | None:
        """An open directory: one of the places, or below one, where no link is followed; None outside of all."""
        if not self._places or not path:
            return None
        known = self._places.get(path)
        if known is not None:
            return known
        above, _, name = path.rpartition("/")
        parent = self._directory(above)
        if parent is None:
            return None
        self._places[path] = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        return self._places[path]

    def _written(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> int:
        """The descriptor of a new file with its content. Nobody else may read it before it has its mode."""
        name, at = self._at(path)
        descriptor = os.open(name, _NEW, 0o600, dir_fd=at)
        try:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            _write_all(descriptor, content)
            os.utime(descriptor, (time, time))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]

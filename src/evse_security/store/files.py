"""The steps that a write is made of. Everything of the store that reaches the disk goes through here.

One class, so that tests can stop before any step, fail any step, or forget what was not synchronised.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from evse_security.pki.pem import MAX_FILE_BYTES
from evse_security.store.scan import read


class Files:
    """The operating system's files. Every method but `copy` and `force` is one step; each raises OSError."""

    def make_directory(self, path: Path, mode: int) -> None:
        """Make one directory."""
        path.mkdir(mode=mode)

    def write_new(self, path: Path, content: bytes, mode: int, owner: tuple[int, int] | None, time: float) -> None:
        """Write a file that does not exist yet and force it to the disk; its mode is set before its content.

        `time` is the modification time, in seconds of the epoch: that of the command's clock.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            _write_all(descriptor, content)
            os.utime(descriptor, (time, time))
            self.force(descriptor)
        finally:
            os.close(descriptor)

    def make_link(self, path: Path, leads_to: str) -> None:
        """Make a symbolic link that does not exist yet."""
        path.symlink_to(leads_to)

    def keep(self, path: Path, aside: Path) -> None:
        """Give what has a name a second one, so that it can come back after it was replaced."""
        os.link(path, aside, follow_symlinks=False)

    def copy(self, path: Path, aside: Path) -> bool:
        """The same where the file system knows no second names, in further steps; false for neither file nor link.

        Raises ValueError for a file that is too large to be the store's.
        """
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            self.make_link(aside, os.readlink(path))
        elif stat.S_ISREG(found.st_mode):
            owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
            self.write_new(aside, read(path, MAX_FILE_BYTES), found.st_mode & 0o777, owner, found.st_mtime)
        else:
            return False
        return True

    def replace(self, source: Path, target: Path) -> None:
        """Give a file its name; what had that name is gone at the same moment."""
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        """Remove a name; one that is not there is removed already."""
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """Force the names in a directory to the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
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
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
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


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]

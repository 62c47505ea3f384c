"""Putting the module where EVerest's manager finds it, in place of what was there, and taking it away again.

The module is made beside its place and then changes places with what was there in one step, so that at no time there
is half a module. Whatever an interruption leaves is known by `MARK`, the file that only we make.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from evse_security.errors import InvalidConfiguration
from evse_security.everest.manifest import manifest
from evse_security.everest.wire import MODULE

MARK = ".evse-security.json"
"""Says that a directory is ours. Written first, removed last."""
OURS = {MARK, ".venv", "__pycache__", "manifest.yaml", "module.py"}

MODULE_PY = '''\
"""The module EvseSecurity of EVerest; written by `evse-security everest install`, which writes it anew."""

import sys

from evse_security.daemon.module import main

if __name__ == "__main__":
    sys.exit(main())
'''

_NEEDED = ("evse_security", "aiomqtt", "paho", "cryptography", "OpenSSL", "cffi", "_cffi_backend", "typing_extensions")
"""What the module imports, by the directories in which it is linked to the running installation."""
_KEY = "PREFIX"
_NOT_EXCHANGEABLE = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD


class Place:
    """The module's place below a prefix, and those beside it that installing needs."""

    def __init__(self, prefix: Path) -> None:
        """Raises `InvalidConfiguration` for what is no EVerest."""
        libexec = prefix.absolute() / "libexec" / "everest"
        self.home = libexec / "modules" / MODULE
        self.aside = libexec / f"{MODULE}.replaced"
        """What was there before us."""
        self.new = libexec / f"{MODULE}.new"
        if not self.home.parent.is_dir():
            raise InvalidConfiguration(_KEY, f"{prefix} is no EVerest: there is no {self.home.parent}")

    def tidy(self) -> None:
        """Bring to its end what an interruption left."""
        if _is_ours(self.aside):
            _remove(self.aside)
        if _is_ours(self.new):
            _remove(self.new)
        elif self.new.exists() and not self.aside.exists():
            self.new.rename(self.aside)


def install(prefix: Path, source: str | None = None) -> Path:
    """Install the module, or install it anew; returns its directory.

    `source` is what pip installs into its `.venv`: a wheel, a directory or a requirement. None: the module is linked
    to the running installation. Raises `InvalidConfiguration`; then nothing was changed.
    """
    place = Place(prefix)
    place.tidy()
    there = os.path.lexists(place.home)
    if there and not _is_ours(place.home) and place.aside.exists():
        raise InvalidConfiguration(
            _KEY, f"both {place.home} and {place.aside} are not ours; remove the one that shall not be put back"
        )
    _refuse_foreign(place.home)
    mask = os.umask(0o022)  # EVerest may run as another user than who installs
    try:
        _make(place.new, source)
    except BaseException:
        _remove(place.new)
        raise
    finally:
        os.umask(mask)
    if not there:
        place.new.rename(place.home)
    else:
        _exchange(place.new, place.home)
        place.tidy()
    return place.home


def uninstall(prefix: Path) -> Path | None:
    """Take the module away, and put back what was there before; returns that. Raises `InvalidConfiguration`."""
    place = Place(prefix)
    place.tidy()
    if not os.path.lexists(place.home):
        if not place.aside.exists():
            raise InvalidConfiguration(_KEY, f"there is no module {place.home}")
        place.aside.rename(place.home)
        return place.home
    if not _is_ours(place.home):
        raise InvalidConfiguration(_KEY, f"{place.home} is not ours: it stays")
    _refuse_foreign(place.home)
    if place.aside.exists():
        _exchange(place.aside, place.home)
        place.tidy()
        return place.home
    place.home.rename(place.new)
    place.tidy()
    return None


def _is_ours(directory: Path) -> bool:
    """Whether a directory was made here: it has our mark, or nothing yet or any more."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    names = os.listdir(directory)
    return MARK in names or not names


def _refuse_foreign(home: Path) -> None:
    """EVerest may have been installed over us: a binary of that name would win over module.py."""
    if not _is_ours(home):
        return
    foreign = sorted(set(os.listdir(home)) - OURS)
    if foreign:
        raise InvalidConfiguration(_KEY, f"{home} holds what is not ours: {', '.join(foreign)[:200]}")


# ---- making


def _make(directory: Path, source: str | None) -> None:
    from evse_security import __version__

    directory.mkdir()
    (directory / MARK).write_text(json.dumps({"made_by": "evse-security", "version": __version__}) + "\n")
    (directory / "manifest.yaml").write_text(manifest())
    (directory / "module.py").write_text(MODULE_PY)
    environment = directory / ".venv"
    try:
        venv.EnvBuilder(symlinks=True, with_pip=source is not None).create(environment)
    except (OSError, subprocess.CalledProcessError) as problem:
        raise InvalidConfiguration(_KEY, f"no virtual environment can be made: {problem}") from None
    if source is None:
        _link(environment)
    else:
        _run(environment, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _requirement(source))
    _run(environment, "-c", "import evse_security.daemon.module, evse_security.mqtt.client")


def _link(environment: Path) -> None:
    """Have the environment see the packages of the running installation."""
    found: dict[str, None] = {}
    for package in _NEEDED:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            if package in ("evse_security", "aiomqtt"):
                raise InvalidConfiguration(_KEY, f"{package} is not installed here: install evse-security[mqtt]")
            continue
        path = Path(spec.origin)
        found[str(path.parent.parent if path.stem == "__init__" else path.parent)] = None
    lines = [f"import site; site.addsitedir({directory!r})" for directory in found]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (environment / "lib" / version / "site-packages" / "evse-security.pth").write_text("\n".join(lines) + "\n")


def _requirement(source: str) -> str:
    """What pip shall install, with what MQTT needs."""
    path = Path(source)
    return f"evse-security[mqtt] @ {path.resolve().as_uri()}" if path.exists() else source


def _run(environment: Path, *arguments: str) -> None:
    """Run the environment's Python as the manager would: without our own path."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(environment / "bin" / "python3"), *arguments]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise InvalidConfiguration(_KEY, f"the module cannot be made, python3 {arguments[0]} failed: {last[:300]}")


# ---- changing places


def _exchange(one: Path, other: Path) -> None:
    """Have two paths change places, in one step where the file system can."""
    libc = ctypes.CDLL(None, use_errno=True)
    rename = getattr(libc, "renameat2", None)
    number = errno.ENOSYS
    if rename is not None:
        if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
    if number not in _NOT_EXCHANGEABLE:
        raise InvalidConfiguration(_KEY, f"{other} cannot be replaced: {os.strerror(number)}")
    _take_turns(one, other)


def _take_turns(one: Path, other: Path) -> None:
    """The same by copying, as in layers of container images, where directories cannot be renamed."""
    between = one.with_name(f"{MODULE}.between")
    shutil.rmtree(between, ignore_errors=True)
    shutil.copytree(other, between, symlinks=True)
    shutil.rmtree(other)
    shutil.copytree(one, other, symlinks=True)
    _remove(one) if _is_ours(one) else shutil.rmtree(one)
    between.rename(one)


def _remove(directory: Path) -> None:
    """Remove what is ours, the mark last: until then it is known what it is."""
    if not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        if entry.name == MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (directory / MARK).unlink(missing_ok=True)
    directory.rmdir()

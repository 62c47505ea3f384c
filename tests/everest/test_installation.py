"""Putting the module into an EVerest, and taking it away: what was there comes back as it was."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import venv
from pathlib import Path

import pytest

from evse_security.cli import main
from evse_security.errors import InvalidConfiguration
from evse_security.everest import installation
from evse_security.everest.installation import MARK, Place, install, uninstall
from evse_security.everest.wire import Generation
from tests.everest.manager import Manager
from tests.everest.test_module import environment
from tests.mqtt.broker import Mosquitto

Tree = dict[str, tuple[str, int, object]]


def tree(directory: Path) -> Tree:
    """Everything about a directory that matters: kinds, modes, times, contents."""
    found: Tree = {}
    for path in sorted([directory, *directory.rglob("*")]):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(directory))] = (stat.filemode(status.st_mode), int(status.st_mtime), content)
    return found


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An EVerest with a module of its own."""
    home = tmp_path / "libexec" / "everest" / "modules" / "EvseSecurity"
    home.mkdir(parents=True)
    (home / "EvseSecurity").write_bytes(b"\x7fELF")
    (home / "EvseSecurity").chmod(0o755)
    (home / "manifest.yaml").write_text("description: theirs\n")
    (home / "link").symlink_to("EvseSecurity")
    os.utime(home / "manifest.yaml", (1, 1))
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a real environment: making one takes a second."""
    monkeypatch.setattr(venv.EnvBuilder, "create", lambda self, path: Path(path).mkdir())
    monkeypatch.setattr(installation, "_link", lambda environment: None)
    monkeypatch.setattr(installation, "_run", lambda environment, *arguments: None)


def entries(place: Place) -> set[str]:
    return {path.name for path in place.home.parent.parent.iterdir()}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("exchange", ["one step", "copies"])
def test_what_was_there_comes_back(prefix: Path, monkeypatch: pytest.MonkeyPatch, exchange: str) -> None:
    if exchange == "copies":
        monkeypatch.setattr(installation, "_EXCHANGE", 1 << 20)  # EINVAL: as where directories cannot be renamed
    place = Place(prefix)
    before = tree(place.home)
    for _ in range(3):
        assert install(prefix) == place.home
        assert {path.name for path in place.home.iterdir()} == {MARK, ".venv", "manifest.yaml", "module.py"}
        assert entries(place) == {"modules", "EvseSecurity.replaced"}
    assert uninstall(prefix) == place.home
    assert tree(place.home) == before
    assert entries(place) == {"modules"}


@pytest.mark.usefixtures("quick")
def test_where_nothing_was_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "libexec/everest/modules").mkdir(parents=True)
    install(tmp_path)
    install(tmp_path)
    assert uninstall(tmp_path) is None
    assert entries(Place(tmp_path)) == {"modules"}
    assert not Place(tmp_path).home.exists()


@pytest.mark.usefixtures("quick")
def test_what_is_not_ours_stays(prefix: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="not ours: it stays"):
        uninstall(prefix)
    install(prefix)
    place = Place(prefix)
    (place.home / "EvseSecurity").write_bytes(b"installed over us")
    for act in (install, uninstall):
        with pytest.raises(InvalidConfiguration, match="holds what is not ours: EvseSecurity"):
            act(prefix)
    shutil.rmtree(place.home)
    place.home.mkdir()
    (place.home / "EvseSecurity").write_bytes(b"installed in our place")
    with pytest.raises(InvalidConfiguration, match="both"):
        install(prefix)
    assert (place.aside / "EvseSecurity").read_bytes() == b"\x7fELF"


def test_what_is_no_everest_is_refused(tmp_path: Path) -> None:
    for act in (install, uninstall):
        with pytest.raises(InvalidConfiguration, match="is no EVerest"):
            act(tmp_path)
    (tmp_path / "libexec/everest/modules").mkdir(parents=True)
    with pytest.raises(InvalidConfiguration, match="there is no module"):
        uninstall(tmp_path)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("step", ["make", "exchange", "rename", "remove"])
def test_an_interruption_is_mended_by_the_next_run(prefix: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    class Cut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise Cut

    place = Place(prefix)
    before = tree(place.home)
    if step == "remove":
        install(prefix)
    with monkeypatch.context() as patched, pytest.raises(Cut):
        if step == "make":
            patched.setattr(installation, "_link", cut)
            patched.setattr(installation, "_remove", cut)  # as if the process were gone
        elif step == "exchange":
            patched.setattr(installation, "_exchange", cut)
        elif step == "rename":
            patched.setattr(Path, "rename", cut)
        else:
            patched.setattr(shutil, "rmtree", cut)
        install(prefix)
    install(prefix)
    assert uninstall(prefix) == place.home
    assert tree(place.home) == before
    assert entries(place) == {"modules"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("step", ["exchange", "tidy"])
def test_an_interrupted_uninstall_is_mended(prefix: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    place = Place(prefix)
    before = tree(place.home)
    install(prefix)
    if step == "exchange":  # the copying one, after the module was removed
        shutil.rmtree(place.home)
    else:
        installation._exchange(place.aside, place.home)
        install(prefix)
    assert uninstall(prefix) == place.home
    assert tree(place.home) == before
    assert entries(place) == {"modules"}


@pytest.mark.usefixtures("quick")
def test_a_module_that_cannot_be_made_changes_nothing(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise InvalidConfiguration("PREFIX", "the module cannot be made")

    before = tree(prefix / "libexec")
    monkeypatch.setattr(installation, "_run", fails)
    with pytest.raises(InvalidConfiguration, match="cannot be made"):
        install(prefix)
    after = tree(prefix / "libexec")
    del before["everest"], after["everest"]  # its time
    assert after == before


def test_other_problems_are_told(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_NOT_EXCHANGEABLE", set())
    monkeypatch.setattr(installation, "_EXCHANGE", 1 << 20)
    with pytest.raises(InvalidConfiguration, match=os.strerror(errno.EINVAL)):
        installation._exchange(prefix / "x", prefix / "y")


def test_the_installed_module_is_started_as_the_manager_does(
    mosquitto: Mosquitto, prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For real: with its own environment, linked to the packages of the running installation."""
    assert main(["everest", "install", str(prefix)]) == 0
    home = Place(prefix).home
    assert capsys.readouterr().out == f"installed {home}\n"
    python = home / ".venv" / "bin" / "python3"

    async def work() -> None:
        variables = environment(mosquitto, prefix)
        variables["PYTHONPATH"] = str(prefix / "lib/everest/everestpy")
        variables["VIRTUAL_ENV"] = str(home / ".venv")
        async with asyncio.timeout(30), Manager(mosquitto.address, f"{prefix.name}/", Generation.C, {}) as manager:
            process = await asyncio.create_subprocess_exec(
                str(python), str(home / "module.py"), env=variables, stderr=asyncio.subprocess.PIPE, cwd="/"
            )
            await manager.ready()
            assert (await manager.call("get_verify_file", {"certificate_type": "V2G"}))["retval"] == ""
            await manager.say("shutdown", True)
            _, log = await process.communicate()
            assert process.returncode == 0, log.decode()

    asyncio.run(work())
    assert main(["everest", "uninstall", str(prefix)]) == 0
    assert capsys.readouterr().out == f"uninstalled, and put back {home}\n"
    assert (home / "EvseSecurity").read_bytes() == b"\x7fELF"

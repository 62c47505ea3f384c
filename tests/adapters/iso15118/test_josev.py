"""Josev with our context. It pins cryptography 44.0.0 and cannot be in this environment, so its module is a stand-in
with its one call. `josev_run.py` has a whole session with the real one, in an environment of its own.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from evse_security.adapters.iso15118 import server_context
from evse_security.adapters.iso15118_josev import MAKER, SERVER, serve_josev
from evse_security.errors import InvalidConfiguration
from tests.adapters.iso15118.secc import P256, Site


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    names = [SERVER.rsplit(".", left)[0] for left in (3, 2, 1)] + [SERVER]
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    return sys.modules[SERVER]


def test_its_server_gets_our_context(site: Site, server: ModuleType) -> None:
    def own(_server_side: bool) -> None:  # noqa: FBT001
        return None

    setattr(server, MAKER, own)
    site.stock(P256)
    with site.open() as station:
        context = server_context(station)
        undo = serve_josev(context)
        assert getattr(server, MAKER)(True) is context
        with pytest.raises(ValueError, match="of a SECC"):
            getattr(server, MAKER)(False)
        undo()
    assert getattr(server, MAKER) is own


@pytest.mark.usefixtures("server")
def test_another_version_is_refused(site: Site) -> None:
    with site.open() as station, pytest.raises(InvalidConfiguration, match="this version is not known"):
        serve_josev(server_context(station))


def test_it_must_be_installed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "iso15118", None)
    with site.open() as station, pytest.raises(InvalidConfiguration, match="cannot be imported"):
        serve_josev(server_context(station))

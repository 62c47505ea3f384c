"""What surrounds the files of a store on a real disk, and keeping files aside."""

import os
import stat
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evse_security.config import StationConfig
from evse_security.errors import NotWritable
from evse_security.keys.files import KeyReading, public_key_of
from evse_security.store.aside import keep_aside, set_mode
from evse_security.store.diagnosis.inspection import Surroundings
from evse_security.store.disk import Disk
from evse_security.store.layout import Layout
from evse_security.store.picture import Picture
from evse_security.store.surroundings import key_spans, spans, surroundings
from tests.builders import world
from tests.laws import children
from tests.store.pictures import junk_block, token

W = world("Root > Sub > SECC")


def read_key(data: bytes) -> KeyReading:
    return public_key_of(data, None)


def around(certs: Path) -> Surroundings:
    layout = Layout.of(StationConfig.under(certs))
    return surroundings(Disk(layout, Picture(layout, read_key)).look(), layout, read_key)


def put(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_directories_that_are_not_there_are_places_all_the_same(tmp_path: Path) -> None:
    found = around(tmp_path / "certs")
    assert [place.path.relative_to(tmp_path / "certs").as_posix() for place in found.places] == [
        "ca/v2g", "ca/mo", "ca/csms", "ca/mf", "client/cso", "client/csms",
    ]  # fmt: skip
    assert {place.rights for place in found.places} == {None}
    assert [place.holds_keys for place in found.places] == [False] * 4 + [True] * 2
    assert (len(found.volumes), found.volumes[0].is_read_only) == (1, False)
    assert found.volumes[0].path in (tmp_path, *tmp_path.parents)
    assert os.path.ismount(found.volumes[0].mount)
    assert found.volumes[0].kind


@children.forks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_whoever_may_not_look_into_the_directory_is_told_that_nothing_can_be_seen(tmp_path: Path) -> None:
    (tmp_path / "certs/ca/v2g").mkdir(parents=True)
    (tmp_path / "certs/ca/v2g/V2G_ROOT_CA.pem").symlink_to("gone")
    tmp_path.chmod(0o700)
    assert around(tmp_path / "certs").astray

    def look() -> None:
        os.setuid(65534)
        found = around(tmp_path / "certs")
        assert not found.astray
        assert not any(place.can_write for place in found.places)

    assert children.run(look) == 0


def test_rights_and_owners(tmp_path: Path) -> None:
    key = put(tmp_path / "client/cso/a.key", W["SECC"].key_pem(), 0o640)
    (tmp_path / "client/cso/link.pem").symlink_to(put(tmp_path / "elsewhere.pem", W["Root"].pem))
    found = around(tmp_path)
    assert (found.files[key].mode, found.files[key].owner, found.files[key].leads_to) == (0o640, os.geteuid(), None)
    assert found.leads_to(tmp_path / "client/cso/link.pem") == (tmp_path / "elsewhere.pem").resolve()
    assert found.leads_to(tmp_path / "gone") is None
    assert os.geteuid() in found.owners


def test_times_that_no_calendar_has(tmp_path: Path) -> None:
    key = put(tmp_path / "client/cso/a.key", W["SECC"].key_pem())
    try:
        os.utime(key, ns=(0, 2**62))
    except OSError:  # pragma: no cover  a file system without such times
        pytest.skip("this file system keeps no such times")
    assert around(tmp_path).files[key].modified > datetime(2100, 1, 1, tzinfo=UTC)


def test_what_files_hold_beside_certificates(tmp_path: Path) -> None:
    mixed = put(tmp_path / "client/cso/mixed.pem", W["SECC"].pem + W["SECC"].key_pem())
    put(tmp_path / "client/cso/request.pem", W["SECC"].pem + junk_block("CERTIFICATE REQUEST"))
    der_key = put(tmp_path / "client/cso/a.key", b"\x30\x03\x02\x01\x00")
    bad = put(tmp_path / "client/cso/bad.pem", "one\ntwo\n" + junk_block())
    found = around(tmp_path)
    assert (set(found.with_keys), set(found.der_keys)) == ({mixed}, {der_key})
    [(where, span)] = found.spans.items()
    assert (where, span.first, span.last, span.alone) == ((bad, 8), 3, 5, True)


def test_copies_and_responses_are_read(tmp_path: Path) -> None:
    names = f"SECC_LEAF_{token(1)}"
    put(tmp_path / f"client/cso/{names}.key", W["SECC"].key_pem(), 0o600)
    copy = put(tmp_path / f"client/cso/der/{names}.pem.leaf.der", W["SECC"].der)
    key_copy = put(tmp_path / f"client/cso/der/{names}.key.der", W["SECC"].key_pem(), 0o600)
    put(tmp_path / "client/cso/der/foreign.txt", "not ours")
    response = put(tmp_path / "client/cso/ocsp/a.der", b"anything")
    found = around(tmp_path)
    assert found.copies == {copy: W["SECC"].der}
    assert found.key_copies == {key_copy: public_key_of(W["SECC"].key_pem().encode(), None).token}
    assert found.responses == {response: b"anything"}


def test_nothing_of_a_key_is_in_what_is_kept_of_it(tmp_path: Path) -> None:
    key = W["SECC"].key_pem()
    put(tmp_path / f"client/cso/SECC_LEAF_{token(1)}.key", key, 0o600)
    put(tmp_path / f"client/cso/der/SECC_LEAF_{token(1)}.key.der", key, 0o600)
    put(tmp_path / "client/cso/mixed.pem", W["SECC"].pem + key)
    assert key.splitlines()[1] not in repr(around(tmp_path))


def test_links_are_looked_at_only_where_somebody_hashed(tmp_path: Path) -> None:
    directory = tmp_path / "ca/mo/MO_ROOT_CA.pem"
    put(directory / "root.pem", W["Root"].pem)
    assert around(tmp_path).links == {}
    (directory / "00000000.0").symlink_to("root.pem")
    assert directory in around(tmp_path).links


# ---- aside


def test_files_are_kept_with_mode_and_time_and_links_as_links(tmp_path: Path) -> None:
    key = put(tmp_path / "certs/client/a.key", "secret", 0o644)
    os.utime(key, (1000, 1000))
    link = tmp_path / "certs/client/link.pem"
    link.symlink_to("a.key")
    os.mkfifo(tmp_path / "certs/fifo")
    aside = tmp_path / "kept/deep"
    keep_aside([key, link, tmp_path / "certs/gone", tmp_path / "certs/fifo"], tmp_path / "certs", aside)
    kept = (aside / "client/a.key").stat()
    assert ((aside / "client/a.key").read_text(), stat.S_IMODE(kept.st_mode), kept.st_mtime) == ("secret", 0o644, 1000)
    assert stat.S_IMODE(aside.stat().st_mode) == 0o700
    assert os.readlink(aside / "client/link.pem") == "a.key"
    assert sorted(path.name for path in aside.rglob("*")) == ["a.key", "client", "link.pem"]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(NotWritable, match="nothing is mended before the files are kept"):
        keep_aside([], tmp_path, tmp_path / "kept")


def test_what_is_kept_aside_is_on_the_disk_before_anything_is_removed(tmp_path: Path) -> None:
    """Else a power cut after that would leave neither."""
    (directory := tmp_path / "certs/keys").mkdir(parents=True)
    (directory / "a.key").write_text("key")
    forced = list[int]()
    keep_aside(
        [directory / "a.key"], tmp_path / "certs", tmp_path / "deep/kept", lambda at: forced.append(os.fstat(at).st_ino)
    )
    kept = tmp_path / "deep/kept"
    made = [kept / "keys/a.key", kept / "keys", kept, tmp_path / "deep", tmp_path]
    assert forced == [path.stat().st_ino for path in made]


def test_modes_of_files_and_directories_but_of_nothing_else(tmp_path: Path) -> None:
    file = put(tmp_path / "file", "")
    set_mode(file, 0o600)
    set_mode(tmp_path, 0o700)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    os.mkfifo(tmp_path / "fifo", 0o644)
    (tmp_path / "link").symlink_to(file)
    for name in ("fifo", "link", "gone"):
        with pytest.raises(NotWritable):
            set_mode(tmp_path / name, 0o600)
    assert stat.S_IMODE((tmp_path / "fifo").stat().st_mode) == 0o644


def test_what_begins_like_a_key_and_does_not_end_takes_no_memory() -> None:
    content = b"-----BEGIN PRIVATE KEY-----\n" + b"-a" * (1 << 20)
    tracemalloc.start()
    try:
        assert key_spans(content) == ()
        assert tracemalloc.get_traced_memory()[1] < len(content)
    finally:
        tracemalloc.stop()
    assert [(one.first, one.last) for one in key_spans(content + b"\n-----END PRIVATE KEY-----\n")] == [(1, 3)]


def test_a_text_is_looked_through_once_for_the_lines_of_all_its_blocks() -> None:
    """A thousand blocks of a large file, counted from its beginning each, would take a minute."""
    looked = []

    class Text(bytes):
        def count(self, sought: bytes, start: int, end: int) -> int:  # type: ignore[override]
            looked.append(end - start)
            return super().count(sought, start, end)

    content = Text(b"a\n" * 1000 + b"block\n" * 100)
    found = list(spans(content, [(at, at + 6) for at in range(2000, len(content), 6)]))
    assert [(one.first, one.last, one.alone) for one in found] == [(n, n, True) for n in range(1001, 1101)]
    assert sum(looked) < len(content)
    long = b"a" * 2000 + b"block" + b" " * 2000
    assert [one.alone for one in spans(long, [(2000, 2005)])] == [False]
    assert [one.alone for one in spans(b"x\n  block  \n", [(4, 9)])] == [True]

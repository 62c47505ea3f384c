"""The station as an object: opened, asked in both ways, listened to, swept, shown; and what it must never show."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import evse_security
from evse_security import (
    CaCertificateType,
    CertificateHashData,
    CertificateStoreUpdate,
    CommandRefused,
    InvalidConfiguration,
    LeafCertificateType,
    MalformedRequest,
    Refusal,
    Station,
    StationConfig,
)
from evse_security.errors import NoRequestForType
from evse_security.store.picture import Picture
from tests.builders import DAY, NOW, csms, world
from tests.conformance.kit import NEW, OLD, PASSWORD, bench, standard, tree

W = standard()
ROOT = W["V2GRoot"].pem


# ---- opening


def test_opening_and_reading_change_nothing(tmp_path: Path) -> None:
    with Station.open(StationConfig.under(tmp_path, clock=lambda: NOW)) as station:
        for command in ("get_verify_file", "get_verify_location", "is_ca_certificate_installed"):
            station.dispatch(command, {"certificate_type": "V2G"})
        station.dispatch("get_installed_certificates", {"certificate_types": ["V2GRootCertificate"]})
        station.overview()
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("key", ["secc_leaf_cert_directory", "csms_leaf_key_directory"])
def test_a_leaf_directory_that_is_a_file_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfiguration) as refused:
        Station.open(StationConfig.under(tmp_path, **{key: "file"}))
    assert refused.value.key == key


@pytest.mark.parametrize(
    "places",
    [
        {"v2g_ca_bundle": "leaves", "secc_leaf_cert_directory": "leaves"},
        {"v2g_ca_bundle": "leaves/", "secc_leaf_cert_directory": "x/../leaves"},
        {"mo_ca_bundle": "store", "csms_leaf_cert_directory": "store/leaves"},
    ],
)
def test_leaves_and_trust_anchors_do_not_share_a_directory_however_spelled(
    tmp_path: Path, places: dict[str, str]
) -> None:
    with pytest.raises(InvalidConfiguration):
        StationConfig.under(tmp_path, **places)


def test_a_clock_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="aware") as refused:
        Station.open(StationConfig.under(tmp_path, clock=lambda: NOW.replace(tzinfo=None)))
    assert refused.value.key == "clock"


def test_relative_paths_are_refused() -> None:
    with pytest.raises(InvalidConfiguration):
        StationConfig.under("certs")


# ---- asking


def test_revisions_and_commands_that_do_not_exist(tmp_path: Path) -> None:
    station: Any = bench(tmp_path).station
    asks: list[Callable[[], object]] = [
        lambda: station.interface("2022-01"),
        lambda: station.dispatch("get_verify_file", {"certificate_type": "V2G"}, revision="2022-01"),
        lambda: station.dispatch("get_key_pair", {"certificate_type": "V2G", "encoding": "PEM"}, revision=NEW),
        lambda: station.dispatch("get_v2g_ocsp_request_data", {}, revision=OLD),
        lambda: station.dispatch("", {}),
        lambda: station.dispatch("__init__", {}),
        lambda: station.dispatch("check", {"certificate_chain": "", "certificate_types": []}),
    ]
    for ask in asks:
        with pytest.raises(MalformedRequest):
            ask()


DATA = "certificate_hash_data"
HASH = {"hash_algorithm": "SHA256", "issuer_name_hash": "00", "issuer_key_hash": "00", "serial_number": "1"}


@pytest.mark.parametrize(
    ("command", "arguments", "path"),
    [
        ("get_verify_file", {}, "certificate_type"),
        ("get_verify_file", [], "arguments"),
        ("get_verify_file", None, "arguments"),
        ("get_verify_file", {"certificate_type": None}, "certificate_type"),
        ("get_verify_file", {"certificate_type": "v2g"}, "certificate_type"),
        ("get_verify_file", {"certificate_type": "V2G", "more": 1}, "more"),
        ("get_installed_certificates", {"certificate_types": "V2GRootCertificate"}, "certificate_types"),
        ("get_installed_certificates", {"certificate_types": ["MFRootCertificate", 7]}, "certificate_types[1]"),
        ("install_ca_certificate", {"certificate": 5, "certificate_type": "V2G"}, "certificate"),
        ("install_ca_certificate", {"certificate": "\ud800", "certificate_type": "V2G"}, "certificate"),
        ("delete_certificate", {"certificate_hash_data": HASH | {"serial_number": 1}}, f"{DATA}.serial_number"),
        ("delete_certificate", {"certificate_hash_data": HASH | {"serial_number": "1" * 41}}, f"{DATA}.serial_number"),
        ("delete_certificate", {"certificate_hash_data": HASH | {"hash_algorithm": "SHA1"}}, f"{DATA}.hash_algorithm"),
        ("delete_certificate", {"certificate_hash_data": {}}, "certificate_hash_data.hash_algorithm"),
        (
            "get_leaf_certificate_info",
            {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": "yes"},
            "include_ocsp",
        ),
    ],
)
def test_a_malformed_argument_is_named_by_its_path(tmp_path: Path, command: str, arguments: Any, path: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        bench(tmp_path).station.dispatch(command, arguments)
    assert refused.value.path == path
    assert path in str(refused.value)


@pytest.mark.parametrize(
    ("command", "arguments", "path"),
    [
        ("get_verify_file", {"certificate_type": "v2g"}, "certificate_type"),
        ("get_verify_file", {"certificate_type": 1}, "certificate_type"),
        ("install_ca_certificate", {"certificate": b"bytes", "certificate_type": "V2G"}, "certificate"),
        ("get_installed_certificates", {"certificate_types": "V2GRootCertificate"}, "certificate_types"),
        ("get_installed_certificates", {"certificate_types": 1}, "certificate_types"),
        ("verify_certificate", {"certificate_chain": "", "certificate_types": ("V2G", "X")}, "certificate_types[1]"),
        ("delete_certificate", {"certificate_hash_data": HASH}, "certificate_hash_data"),
        (
            "delete_certificate",
            {"certificate_hash_data": CertificateHashData(**HASH | {"hash_algorithm": "MD5"})},  # type: ignore[arg-type]
            "certificate_hash_data.hash_algorithm",
        ),
        (
            "get_leaf_certificate_info",
            {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": "yes"},
            "include_ocsp",
        ),
    ],
)
def test_a_typed_call_is_checked_as_well(tmp_path: Path, command: str, arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        getattr(bench(tmp_path).station.interface(), command)(**arguments)
    assert refused.value.path == path


def test_the_older_revision_knows_no_contracts(tmp_path: Path) -> None:
    b = bench(tmp_path)
    old: Any = b.station.interface(OLD)
    with pytest.raises(MalformedRequest):
        old.verify_certificate(certificate_chain=ROOT, certificate_type="MO")
    with pytest.raises(MalformedRequest):
        b.station.dispatch("get_leaf_expiry_days_count", {"certificate_type": "MO"}, revision=OLD)


def test_commands_take_keywords_only_and_say_what_they_are(tmp_path: Path) -> None:
    interface: Any = bench(tmp_path).station.interface()
    with pytest.raises(TypeError):
        interface.get_verify_file("V2G")
    with pytest.raises(TypeError):
        interface.get_verify_file()
    assert "2026-04" in repr(interface)
    assert interface.get_verify_file.__doc__


def test_json_nested_deeply_is_refused_like_any_other(tmp_path: Path) -> None:
    nested: Any = "x"
    for _ in range(100_000):
        nested = [nested]
    b = bench(tmp_path)
    for arguments in (
        {"certificate": nested, "certificate_type": "V2G"},
        {"certificate": "", "certificate_type": nested},
    ):
        with pytest.raises(MalformedRequest):
            b.station.dispatch("install_ca_certificate", arguments)


# ---- subscribing


def test_updates_come_after_the_write_and_before_the_answer(tmp_path: Path) -> None:
    b = bench(tmp_path)
    order: list[object] = []

    def listen(update: CertificateStoreUpdate) -> None:
        order.append((update.ca_certificate_type, b.ask("is_ca_certificate_installed", certificate_type="V2G")))

    b.station.subscribe(listen)
    order.append(b.install(ROOT))
    assert order == [(CaCertificateType.V2G, True), "Accepted"]


def test_who_reads_after_a_change_reads_no_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    b = bench(tmp_path)
    assert b.install(ROOT) == "Accepted"  # which makes directories: everything is looked at
    assert b.install(ROOT, "MO") == "Accepted"
    with monkeypatch.context() as blind:
        blind.setattr(Picture, "take", lambda *_, **__: pytest.fail("it was not looked at yet"))
        assert b.ask("is_ca_certificate_installed", certificate_type="MO")


def test_a_look_after_a_change_that_fails_undoes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    b = bench(tmp_path)
    assert b.install(ROOT) == "Accepted"

    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    with monkeypatch.context() as sick:
        sick.setattr(Picture, "take", failing)
        assert b.install(ROOT, "MO") == "Accepted"
    assert "could not be looked at after it was changed" in caplog.text
    assert b.ask("is_ca_certificate_installed", certificate_type="MO")


def test_a_subscriber_that_fails_spoils_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    b = bench(tmp_path)
    later: list[CertificateStoreUpdate] = []

    def failing(update: CertificateStoreUpdate) -> None:
        raise RuntimeError("out of order")

    b.station.subscribe(failing)
    b.station.subscribe(later.append)
    assert b.install(ROOT) == "Accepted"
    assert len(later) == 1
    assert "a subscriber failed at CertificateStoreUpdate" in caplog.text


def test_who_hears_refusals_is_told_the_command_and_why_before_the_answer(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []
    with Station.open(StationConfig.under(tmp_path, clock=lambda: NOW)) as station:
        stop = station.hear_refusals(lambda one: told.append((one.command, one.about, one.why.code)))
        arguments = {"certificate": "nothing", "certificate_type": "V2G"}
        assert station.dispatch("install_ca_certificate", arguments) == "InvalidFormat"
        station.dispatch("get_verify_file", {"certificate_type": "V2G"})
        stop()
        station.dispatch("install_ca_certificate", arguments)
    assert told == [("install_ca_certificate", "V2G", "NoCertificate")]


def test_a_subscriber_may_use_the_station(tmp_path: Path) -> None:
    b = bench(tmp_path)

    def listen(_: CertificateStoreUpdate) -> None:
        stop()
        b.install(W["Sub1"].pem)

    stop = b.station.subscribe(listen)
    assert b.install(ROOT) == "Accepted"
    assert len(b.seen) == 2


def test_who_unsubscribes_or_subscribes_twice(tmp_path: Path) -> None:
    b = bench(tmp_path)
    heard: list[CertificateStoreUpdate] = []
    first, second = b.station.subscribe(heard.append), b.station.subscribe(heard.append)
    first()
    first()
    b.install(ROOT)
    assert len(heard) == 1
    second()
    b.install(W["Sub1"].pem)
    assert len(heard) == 1
    assert len(b.seen) == 2


def test_a_closed_station_tells_nobody(tmp_path: Path) -> None:
    b = bench(tmp_path)
    with b.station:
        pass
    assert b.install(ROOT) == "Accepted"
    assert b.seen == []


# ---- sweeping, expiry, overview


def test_a_dry_sweep_says_what_a_sweep_does(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    b.request()
    b.set_clock(NOW + DAY)
    with b.watched() as change:
        would = b.station.sweep(dry_run=True)
    assert change.nothing
    with b.watched() as change:
        done = b.station.sweep()
    assert [file.path for file in would.removed] == [file.path for file in done.removed]
    assert change.is_like(removed=(r"client/cso/SECC_LEAF_.*\.key",))
    assert change.updates == []
    assert str(done.removed[0].path) in str(done)
    assert "would remove" in str(would)
    assert b.station.sweep().removed == ()


def test_nothing_is_swept_by_a_clock_that_is_not_believed(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    b.request()
    for wrong in (NOW.replace(year=1970), NOW - DAY):
        b.set_clock(wrong)
        report = b.station.sweep()
        assert report.removed == ()
        assert report.kept_because is not None
        assert report.kept_because in str(report)


def test_the_last_day_of_a_leaf_is_not_none(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    assert b.station.leaf_expiry_days(LeafCertificateType.V2G) is None
    b.renew(W, not_after=NOW + 2 * DAY)
    table = [(timedelta(0), 2), (timedelta(seconds=1), 1), (1.5 * DAY, 0), (2 * DAY, 0), (2.1 * DAY, None)]
    for later, days in table:
        b.set_clock(NOW + later)
        assert b.station.leaf_expiry_days(LeafCertificateType.V2G) == days
        assert b.ask("get_leaf_expiry_days_count", certificate_type="V2G") == (days or 0)


def test_the_overview_shows_trees_and_what_is_wrong(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    b.renew(W)
    b.put("client/cso/BROKEN.pem", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    seen = b.station.overview()
    [v2g] = [domain for domain in seen.domains if domain.domain is CaCertificateType.V2G]
    [root] = v2g.trees
    names = []
    node = root
    while node.children:
        names.append(node.name.split(",")[0])
        [node] = node.children
    assert names == ["CN=V2GRoot", "CN=Sub1", "CN=Sub2"]
    assert node.used
    assert node.private_key is not None
    assert [problem.path.name for problem in seen.problems] == ["BROKEN.pem"]


def test_check_gives_the_reason(tmp_path: Path) -> None:
    b = bench(tmp_path)
    report = b.station.check(W.pem("SECC", "Sub2", "Sub1"), [LeafCertificateType.V2G])
    assert isinstance(report.reason, Refusal)
    b.install(ROOT)
    report = b.station.check(W.pem("SECC", "Sub2", "Sub1"), [LeafCertificateType.V2G])
    assert report.reason is None
    assert [part.split(",")[0] for part in report.path] == ["CN=SECC", "CN=Sub2", "CN=Sub1", "CN=V2GRoot"]


# ---- what must not be shown


def test_no_repr_shows_a_password_or_a_key(tmp_path: Path) -> None:
    b = bench(tmp_path, private_key_password=PASSWORD)
    b.install(ROOT)
    b.renew(W)
    answer = b.station.interface().get_leaf_certificate_info(
        certificate_type=LeafCertificateType.V2G, encoding=evse_security.EncodingFormat.PEM, include_ocsp=True
    )
    pair = b.station.interface(OLD).get_key_pair(
        certificate_type=LeafCertificateType.V2G, encoding=evse_security.EncodingFormat.PEM
    )
    assert answer.info is not None
    assert answer.info.password == PASSWORD
    assert pair.key_pair is not None
    assert pair.key_pair.password == PASSWORD
    shown = [answer, pair, b.station, b.station.config, b.station.interface(), b.station.overview(), b.station.sweep()]
    for one in shown:
        assert PASSWORD not in f"{one!r} {one!s}"
        assert "PRIVATE KEY" not in f"{one!r} {one!s}"
    bad = StationConfig.under
    with pytest.raises(InvalidConfiguration) as refused:
        bad(tmp_path, private_key_password=PASSWORD, csr_key_type="rot13")
    assert PASSWORD not in f"{refused.value!r} {refused.value!s}"


def test_a_request_with_a_key_of_its_own_for_a_leaf_of_two_kinds(tmp_path: Path) -> None:
    """The key lies with both kinds, and the leaf is installed with both or with none."""
    made = world("Root > Sub >", "Other > OtherSub >")
    both = (LeafCertificateType.V2G, LeafCertificateType.CSMS)
    with Station.open(StationConfig.under(tmp_path / "certs", clock=lambda: NOW)) as station:
        for kind in both:
            arguments = {"certificate": made["Root"].pem, "certificate_type": kind}
            assert station.dispatch("install_ca_certificate", arguments) == "Accepted"
        subject = {"country": "", "organization": "Operator", "common": "CS1"}
        request = station.renewal.signing_request(both, **subject, key_type="secp521r1")
        assert len(list(tmp_path.rglob("*.key"))) == 2
        with pytest.raises(Refusal):
            station.renewal.install_leaf(csms(made, "OtherSub").answer(request), both)
        station.renewal.install_leaf(csms(made, "Sub").answer(request), both)
        assert [station.chains(kind).chains[0].key_kind for kind in both] == ["EC 521"] * 2
        with pytest.raises(MalformedRequest, match="key_type"):
            station.renewal.signing_request(both, **subject, key_type="dsa")
        with pytest.raises(MalformedRequest, match="certificate_types"):
            station.renewal.signing_request((), **subject)
        with pytest.raises(MalformedRequest, match="certificate_types"):
            station.renewal.install_leaf("", ())
        with pytest.raises(NoRequestForType):
            station.renewal.signing_request((LeafCertificateType.MO,), **subject)


def test_answers_are_json(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.install(ROOT)
    b.renew(W)
    asked = {"certificate_type": "V2G", "encoding": "PEM", "include_ocsp": True}
    answer = b.station.dispatch("get_leaf_certificate_info", asked)
    assert json.loads(json.dumps(answer)) == answer
    assert "password" not in answer["info"]


def test_a_refused_command_without_a_word_for_it_raises(tmp_path: Path) -> None:
    b = bench(tmp_path)
    for revision in (OLD, NEW):
        with pytest.raises(CommandRefused) as refused:
            b.station.dispatch(
                "update_ocsp_cache", {"certificate_hash_data": HASH, "ocsp_response": "AA=="}, revision=revision
            )
        assert refused.value.reason.code == "NotInstalled"
        assert refused.value.__cause__ is refused.value.reason
    assert tree(tmp_path) == {}


def test_two_stations_on_one_directory_see_each_other(tmp_path: Path) -> None:
    one, other = bench(tmp_path), bench(tmp_path)
    csr = one.request()
    other.install(ROOT)
    assert other.update(csms(W, "Sub2").answer(csr)) == "Accepted"
    assert one.info()["status"] == "Accepted"

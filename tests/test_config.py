"""The configuration: EVerest's keys with its defaults, ours, and what is refused."""

import ast
import inspect
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from evse_security.config import DEFAULT_PATHS, StationConfig, same_place
from evse_security.errors import InvalidConfiguration

CERTS = Path("/station/certs")
PATHS = tuple(DEFAULT_PATHS)
INTEGERS = ("max_store_bytes", "max_store_entries", "csr_lifetime", "keep_newest", "certificate_store_max_length")
CHOICES = ("certificate_profile", "ocsp_check", "newest_by", "revoked_leaves", "csr_key_type")
LISTS = ("csr_dns_names", "csr_ip_addresses")
SWITCHES = ("additional_root_certificate_check", "audit_log_sync")
OTHERS = ("private_key_password", "clock", "audit_log", "oem_ca_bundle")


def under(**overrides: Any) -> StationConfig:
    return StationConfig.under(CERTS, **overrides)


def rebuilt(**changes: Any) -> StationConfig:
    """By the constructor instead of `under`."""
    return replace(under(), **changes)


def refused(key: str, **overrides: Any) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        under(**overrides)
    assert caught.value.key == key
    return str(caught.value)


def test_every_key_is_tested_here() -> None:
    assert {one.name for one in fields(StationConfig)} == {*PATHS, *INTEGERS, *CHOICES, *LISTS, *SWITCHES, *OTHERS}


def test_under_a_directory_the_defaults_are_everests() -> None:
    config = under()
    assert {key: str(getattr(config, key).relative_to(CERTS)) for key in PATHS} == {
        "csms_ca_bundle": "ca/csms/CSMS_ROOT_CA.pem",
        "mf_ca_bundle": "ca/mf/MF_ROOT_CA.pem",
        "mo_ca_bundle": "ca/mo/MO_ROOT_CA.pem",
        "v2g_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem",
        "csms_leaf_cert_directory": "client/csms",
        "csms_leaf_key_directory": "client/csms",
        "secc_leaf_cert_directory": "client/cso",
        "secc_leaf_key_directory": "client/cso",
    }
    assert (config.max_store_bytes, config.max_store_entries) == (50 * 1024 * 1024, 2000)
    assert (config.csr_lifetime, config.keep_newest) == (3600, 10)
    assert (config.csr_key_type, config.csr_dns_names, config.csr_ip_addresses) == ("secp256r1", (), ())
    assert (config.certificate_profile, config.ocsp_check, config.newest_by) == ("lenient", "verified", "not_after")
    assert config.private_key_password is None
    assert config.certificate_store_max_length is None
    assert config.additional_root_certificate_check is False
    assert config.clock().tzinfo is not None


def test_every_key_can_be_given_by_keyword_as_text_or_path() -> None:
    given: dict[str, Any] = {key: f"/elsewhere/{key}" for key in PATHS}
    for paths in (given, {key: Path(value) for key, value in given.items()}):
        config = StationConfig(**paths)
        assert {key: str(getattr(config, key)) for key in PATHS} == given


@pytest.mark.parametrize("key", PATHS)
def test_all_paths_are_needed(key: str) -> None:
    with pytest.raises(TypeError, match=key):
        StationConfig(**{other: f"/elsewhere/{other}" for other in PATHS if other != key})  # type: ignore[arg-type]


def test_it_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        under().keep_newest = 3  # type: ignore[misc]  # that is the point
    assert replace(under(), keep_newest=3).keep_newest == 3


def test_the_password_is_not_shown() -> None:
    assert "geheim" not in repr(under(private_key_password="geheim"))


# ---- paths


@pytest.mark.parametrize("key", PATHS)
def test_relative_paths_are_joined_to_the_directory_and_refused_without_one(key: str) -> None:
    assert getattr(under(**{key: "my own/place"}), key) == CERTS / "my own/place"
    assert getattr(under(**{key: "/absolute/plåce"}), key) == Path("/absolute/plåce")
    with pytest.raises(InvalidConfiguration, match="absolute") as caught:
        rebuilt(**{key: Path("relative")})
    assert caught.value.key == key


@pytest.mark.parametrize("certs", ["", "certs", "./certs", "../certs"])
def test_the_directory_itself_must_be_absolute(certs: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        StationConfig.under(certs)
    assert caught.value.key == "certs"


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("value", [None, 7, 1.5, True, b"/bytes", ["/list"], object()])
def test_what_is_no_path_is_refused(key: str, value: object) -> None:
    assert "must be a path" in refused(key, **{key: value})
    with pytest.raises(InvalidConfiguration):
        rebuilt(**{key: value})


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/bytes"


def test_paths_of_bytes_are_refused() -> None:
    assert "must be a path" in refused("v2g_ca_bundle", v2g_ca_bundle=BytesPath())


@pytest.mark.parametrize("value", ["", "/with\0zero"])
def test_paths_that_cannot_exist_are_refused(value: str) -> None:
    with pytest.raises(InvalidConfiguration, match="is no path"):
        rebuilt(v2g_ca_bundle=value)


def test_paths_are_kept_as_they_are_spelled() -> None:
    assert str(under(v2g_ca_bundle="/a/../b/x.pem").v2g_ca_bundle) == "/a/../b/x.pem"


def test_unknown_keys_are_refused_by_name() -> None:
    assert "no such key" in refused("v2g_bundle", v2g_bundle="x")


# ---- numbers


@pytest.mark.parametrize("key", INTEGERS)
@pytest.mark.parametrize("value", [-1, True, False, 1.0, float("nan"), "10", b"1", ()])
def test_what_is_no_sensible_number_is_refused(key: str, value: object) -> None:
    assert "whole number of at least" in refused(key, **{key: value})


@pytest.mark.parametrize("key", INTEGERS)
def test_only_the_number_of_ca_certificates_may_be_without_limit(key: str) -> None:
    if key == "certificate_store_max_length":
        assert under(**{key: None}).certificate_store_max_length is None
    else:
        refused(key, **{key: None})


@pytest.mark.parametrize(("key", "least"), [(key, 0 if key == "csr_lifetime" else 1) for key in INTEGERS])
def test_the_least_of_each_is_taken_and_nothing_below(key: str, least: int) -> None:
    assert getattr(under(**{key: least}), key) == least
    refused(key, **{key: least - 1})


def test_a_lifetime_that_no_date_can_bear_is_refused() -> None:
    assert under(csr_lifetime=10**9 - 1).csr_lifetime == 10**9 - 1
    assert "at most 999999999" in refused("csr_lifetime", csr_lifetime=10**9)


@pytest.mark.parametrize("key", INTEGERS)
def test_numbers_beyond_any_machine_are_refused(key: str) -> None:
    assert "at most" in refused(key, **{key: 2**64})


# ---- choices and switches


@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("certificate_profile", ("lenient", "iso15118")),
        ("ocsp_check", ("verified", "unchecked")),
        ("newest_by", ("not_after", "not_before")),
        ("revoked_leaves", ("withdraw", "offer")),
        (
            "csr_key_type",
            ("secp256r1", "secp384r1", "secp521r1", "ed25519", "ed448", "rsa2048", "rsa3072", "rsa4096"),
        ),
    ],
)
def test_choices_are_taken_as_spelled_and_others_refused(key: str, choices: tuple[str, ...]) -> None:
    for choice in choices:
        assert getattr(under(**{key: choice}), key) == choice
    wrong: tuple[object, ...] = ("", choices[0].upper(), None, 1, True, [], {})
    for other in wrong:
        assert all(choice in refused(key, **{key: other}) for choice in choices)


@pytest.mark.parametrize("value", [None, 0, 1, "true", "", ()])
def test_a_switch_is_true_or_false(value: object) -> None:
    refused("additional_root_certificate_check", additional_root_certificate_check=value)
    assert under(additional_root_certificate_check=True).additional_root_certificate_check


# ---- text


def test_an_empty_password_is_none() -> None:
    assert under(private_key_password="").private_key_password is None
    assert under(private_key_password="geheim").private_key_password == "geheim"


@pytest.mark.parametrize("value", [b"geheim", 4711, False, ["geheim"]])
def test_a_password_of_another_type_is_refused_and_not_shown(value: object) -> None:
    text = refused("private_key_password", private_key_password=value)
    assert "geheim" not in text
    assert "4711" not in text


@pytest.mark.parametrize("key", LISTS)
def test_names_are_given_as_a_list(key: str) -> None:
    names = ["127.0.0.1", "::1"]
    for given in (names, tuple(names)):
        assert getattr(under(**{key: given}), key) == ("127.0.0.1", "::1")
    for wrong in ("127.0.0.1", None, 7, b"x", [1], [None], {"a": "b"}, iter(names)):
        refused(key, **{key: wrong})


@pytest.mark.parametrize("address", ["localhost", "127.0.0", "300.1.1.1", "10.0.0.0/8", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    refused("csr_ip_addresses", csr_ip_addresses=[address])


@pytest.mark.parametrize("value", [None, 0, "now"])
def test_a_clock_can_be_asked(value: object) -> None:
    refused("clock", clock=value)


# ---- places that must be apart


@pytest.mark.parametrize("leaf", ["csms_leaf_cert_directory", "secc_leaf_cert_directory"])
@pytest.mark.parametrize("bundle", ["csms_ca_bundle", "mf_ca_bundle", "mo_ca_bundle", "v2g_ca_bundle", "oem_ca_bundle"])
@pytest.mark.parametrize(
    ("leaf_at", "bundle_at"),
    [
        ("place", "place"),
        ("place", "place/"),
        ("place", "x/../place"),
        ("place/below/it", "place"),
        ("place", "place/ROOT.pem"),
        ("place", "./place/roots"),
    ],
)
def test_23_30_fault_43_leaves_and_roots_lie_apart(leaf: str, bundle: str, leaf_at: str, bundle_at: str) -> None:
    assert f"overlaps {bundle}" in refused(leaf, **{leaf: leaf_at, bundle: bundle_at})


def test_23_30_however_a_link_spells_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    refused("secc_leaf_cert_directory", secc_leaf_cert_directory=tmp_path / "link", mo_ca_bundle=tmp_path / "real")
    refused(
        "csms_leaf_cert_directory", csms_leaf_cert_directory=tmp_path / "real", mf_ca_bundle=tmp_path / "link/x.pem"
    )
    assert same_place(tmp_path / "link", tmp_path / "x/../real")


@pytest.mark.parametrize(
    "places",
    [
        {"csms_ca_bundle": "ca/v2g/V2G_ROOT_CA.pem"},
        {
            "csms_leaf_cert_directory": "client",
            "secc_leaf_cert_directory": "client",
            "csms_leaf_key_directory": "client",
        },
        {"secc_leaf_key_directory": "keys", "csms_leaf_key_directory": "keys"},
    ],
)
def test_bundles_may_be_shared_and_so_may_leaf_and_key_directories(places: dict[str, str]) -> None:
    config = under(**places)
    assert {key: getattr(config, key) for key in places} == {key: CERTS / place for key, place in places.items()}


@pytest.mark.parametrize("other", ["v2g_ca_bundle", "mo_ca_bundle", "mf_ca_bundle", "oem_ca_bundle"])
def test_a_csms_root_that_is_replaced_takes_no_other_domains_roots_with_it(other: str) -> None:
    shared = {"csms_ca_bundle": "ca/shared.pem", other: "ca/x/../shared.pem"}
    assert "of its own" in refused(
        "additional_root_certificate_check", additional_root_certificate_check=True, **shared
    )
    assert under(**shared).csms_ca_bundle == CERTS / "ca/shared.pem"


@pytest.mark.parametrize("other", ["v2g_ca_bundle", "mo_ca_bundle", "mf_ca_bundle", "oem_ca_bundle"])
def test_nobody_installs_a_csms_root_under_the_name_of_another_domain(other: str) -> None:
    shared = {"csms_ca_bundle": "ca", other: "ca/other.pem"}
    assert "of its own" in refused(
        "additional_root_certificate_check", additional_root_certificate_check=True, **shared
    )


def test_what_type_checkers_see_are_the_fields() -> None:
    [declared] = [node for node in ast.parse(inspect.getsource(StationConfig)).body if isinstance(node, ast.ClassDef)]
    guarded = next(node for node in declared.body if isinstance(node, ast.If))
    signature = next(node for node in guarded.body if isinstance(node, ast.FunctionDef))
    written = zip(signature.args.kwonlyargs, signature.args.kw_defaults, strict=True)
    seen = {argument.arg: default is not None for argument, default in written}
    assert seen == {one.name: one.default is not MISSING for one in fields(StationConfig)}


# ---- OEM roots


def test_oem_roots_have_a_place_and_can_be_elsewhere_or_nowhere() -> None:
    assert under().oem_ca_bundle == CERTS / "ca/oem/OEM_ROOT_CA.pem"
    assert under(oem_ca_bundle="oem").oem_ca_bundle == CERTS / "oem"
    assert under(oem_ca_bundle=None).oem_ca_bundle is None
    elsewhere: dict[str, Any] = {key: f"/elsewhere/{key}/x" for key in PATHS}
    assert StationConfig(**elsewhere).oem_ca_bundle is None
    assert StationConfig(**elsewhere, oem_ca_bundle="/oem.pem").oem_ca_bundle == Path("/oem.pem")
    with pytest.raises(InvalidConfiguration, match="absolute"):
        rebuilt(oem_ca_bundle="relative")


# ---- the audit log


def test_the_audit_log_has_a_directory_of_its_own_and_can_be_elsewhere_or_nowhere() -> None:
    assert under().audit_log == CERTS / "audit/audit.jsonl"
    assert under(audit_log="log").audit_log == CERTS / "log"
    assert under(audit_log="/var/log/station.jsonl").audit_log == Path("/var/log/station.jsonl")
    assert under(audit_log=None).audit_log is None
    elsewhere: dict[str, Any] = {key: f"/elsewhere/{key}/x" for key in PATHS}
    assert StationConfig(**elsewhere).audit_log is None


@pytest.mark.parametrize("place", ["client/cso", "client/csms/audit", "ca/v2g", "ca/mf/MF_ROOT_CA.pem", "ca/oem"])
def test_the_audit_log_lies_in_no_directory_of_certificates(place: str) -> None:
    assert "lies in the directory of" in refused("audit_log", audit_log=f"{place}/audit.jsonl")


def test_what_is_no_path_is_no_audit_log() -> None:
    assert "must be a path" in refused("audit_log", audit_log=7)
    with pytest.raises(InvalidConfiguration, match="absolute"):
        rebuilt(audit_log="relative")

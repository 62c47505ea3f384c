"""Layers of the configuration: which value takes effect, where it came from, and what is refused."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from evse_security.config import StationConfig
from evse_security.configkeys import CERTS, PASSWORD, all_keys, descriptions, keys
from evse_security.errors import InvalidConfiguration
from evse_security.service.config import ServiceConfig
from evse_security.settings import LONGEST_FILE, settings

Sources = dict[str, tuple[Any, str]]


def effective(environment: dict[str, str] | None = None, /, **options: str) -> Sources:
    found = settings(options=options, environment=environment or {}).effective()
    return {each.key: (each.value, each.source) for each in found}


def toml(directory: Path, text: str) -> str:
    path = directory / "station.toml"
    path.write_text(text)
    return str(path)


def refusal(environment: dict[str, str] | None = None, /, **options: str) -> InvalidConfiguration:
    with pytest.raises(InvalidConfiguration) as refused:
        settings(options=options, environment=environment or {}).station_config()
    return refused.value


# ---- layers


def test_one_directory_is_enough_and_the_rest_are_defaults() -> None:
    found = effective(certs="/etc/everest/certs")
    assert found.pop(CERTS) == (Path("/etc/everest/certs"), "--certs")
    assert found.pop("v2g_ca_bundle") == (Path("/etc/everest/certs/ca/v2g/V2G_ROOT_CA.pem"), "certs")
    assert found.pop("max_store_entries") == (2000, "default")
    assert found.pop(PASSWORD) == (None, "default")
    assert {source for _, source in found.values()} == {"certs", "default"}


def test_every_key_is_there_once_but_the_clock() -> None:
    names = [each.name for declaration in (StationConfig, ServiceConfig) for each in fields(declaration)]
    assert sorted([*effective(certs="/x"), "clock"]) == sorted([CERTS, *names])
    assert set(all_keys()) == {*names, CERTS, "private_key_password_file"} - {"clock", PASSWORD}


def test_each_layer_is_over_the_one_before(tmp_path: Path) -> None:
    file = toml(tmp_path, 'certs = "/file"\ncsr_lifetime = 1\nkeep_newest = 1\nmax_store_bytes = 1\n')
    environment = {
        "EVSE_SECURITY_CONFIG": file,
        "EVSE_SECURITY_KEEP_NEWEST": "2",
        "EVSE_SECURITY_MAX_STORE_BYTES": "2",
    }
    found = effective(environment, max_store_bytes="3")
    assert found[CERTS] == (Path("/file"), file)
    assert found["csr_lifetime"] == (1, file)
    assert found["keep_newest"] == (2, "EVSE_SECURITY_KEEP_NEWEST")
    assert found["max_store_bytes"] == (3, "--max-store-bytes")
    assert found["max_store_entries"] == (2000, "default")


def test_the_file_of_the_option_is_read_instead_of_the_one_of_the_environment(tmp_path: Path) -> None:
    file = toml(tmp_path, 'certs = "/file"')
    assert effective({"EVSE_SECURITY_CONFIG": "/nowhere"}, config=file)[CERTS] == (Path("/file"), file)


def test_every_path_can_be_given_without_a_directory_of_certificates() -> None:
    paths = {key: f"/{key}/x" for key, kind in keys(StationConfig).items() if kind.words == "a path"}
    found = effective(**paths)
    assert CERTS not in found
    assert found["mf_ca_bundle"] == (Path("/mf_ca_bundle/x"), "--mf-ca-bundle")


def test_one_path_can_be_moved() -> None:
    config = settings(options={"certs": "/a", "v2g_ca_bundle": "/b/V2G.pem"}, environment={}).station_config()
    assert config == StationConfig.under("/a", v2g_ca_bundle="/b/V2G.pem")


def test_empty_variables_and_variables_of_others_are_left_alone() -> None:
    found = effective({"EVSE_SECURITY_KEEP_NEWEST": "", "EVSE_SECURITY_PORT": "tcp://10.0.0.1:443"}, certs="/x")
    assert found["keep_newest"] == (10, "default")


def test_relative_paths_start_where_they_were_written(tmp_path: Path) -> None:
    file = toml(tmp_path, 'certs = "certs"\nv2g_ca_bundle = "../v2g/V2G.pem"')
    found = effective(config=file)
    assert found[CERTS][0] == tmp_path / "certs"
    assert found["v2g_ca_bundle"][0] == tmp_path / "../v2g/V2G.pem"
    assert effective(certs="certs")[CERTS][0] == Path.cwd() / "certs"
    assert effective({"EVSE_SECURITY_CERTS": "certs"})[CERTS][0] == Path.cwd() / "certs"


# ---- kinds of values

VALUES = [
    ("csr_lifetime", "7200", "7200", 7200),
    ("csr_key_type", "ed448", '"ed448"', "ed448"),
    ("csr_dns_names", "a.example, b.example", '["a.example", "b.example"]', ("a.example", "b.example")),
    ("csr_ip_addresses", "192.0.2.1,2001:db8::1", '["192.0.2.1", "2001:db8::1"]', ("192.0.2.1", "2001:db8::1")),
    ("certificate_store_max_length", "20", "20", 20),
    ("additional_root_certificate_check", "true", "true", True),
    ("additional_root_certificate_check", "false", "false", False),
    ("newest_by", "not_before", '"not_before"', "not_before"),
    ("csms_ca_bundle", "/x", '"/x"', Path("/x")),
    ("audit_log", "/x", '"/x"', Path("/x")),
    ("audit_log", "none", '"none"', None),
]


@pytest.mark.parametrize(("key", "text", "in_toml", "value"), VALUES)
def test_values_are_the_same_in_every_layer(tmp_path: Path, key: str, text: str, in_toml: str, value: object) -> None:
    file = toml(tmp_path, f"{key} = {in_toml}")
    for found in (
        effective(certs="/certs", config=file),
        effective({f"EVSE_SECURITY_{key.upper()}": text}, certs="/certs"),
        effective(**{"certs": "/certs", key: text}),
    ):
        assert found[key][0] == value
        assert type(found[key][0]) is type(value) or isinstance(value, Path)


MALFORMED = [
    ("csr_lifetime", "soon", '"3600"', "expected a whole number"),
    ("csr_lifetime", "1.5", "1.5", "expected a whole number"),
    ("csr_lifetime", "", "true", "expected a whole number"),
    ("csr_lifetime", "-1", "-1", "must be a whole number of at least 0"),
    ("csr_dns_names", None, '"a.example"', "expected a list of strings"),
    ("csr_dns_names", None, "[1]", "expected a list of strings"),
    ("csr_ip_addresses", "localhost", '["localhost"]', "holds something that is no IP address"),
    ("additional_root_certificate_check", "yes", '"true"', "expected true or false"),
    ("newest_by", "luck", '"luck"', "must be one of not_after, not_before"),
    ("newest_by", None, "1", "expected one of not_after, not_before"),
    ("v2g_ca_bundle", "", '""', "expected a path"),
    ("v2g_ca_bundle", "a\0b", "[]", "expected a path"),
    ("audit_log", "", '""', "expected a path, or none"),
    ("certs", "", "7", "expected a path"),
    ("secc_leaf_cert_directory", "/certs/ca/v2g", '"/certs/ca/v2g"', "overlaps v2g_ca_bundle"),
]


@pytest.mark.parametrize(("key", "text", "in_toml", "problem"), MALFORMED)
def test_malformed_values_are_refused_with_key_and_source(
    tmp_path: Path, key: str, text: str | None, in_toml: str, problem: str
) -> None:
    file = toml(tmp_path, f"{key} = {in_toml}")
    refused = refusal({} if key == CERTS else {"EVSE_SECURITY_CERTS": "/certs"}, config=file)
    assert (refused.key, refused.problem) == (key, f"{problem} ({file})")
    if text is not None:
        refused = refusal(**({} if key == CERTS else {"certs": "/certs"}), **{key: text})
        assert (refused.key, refused.problem) == (key, f"{problem} (--{key.replace('_', '-')})")
    if text:
        refused = refusal({f"EVSE_SECURITY_{key.upper()}": text}, certs="/certs")
        assert (refused.key, refused.problem) == (key, f"{problem} (EVSE_SECURITY_{key.upper()})")


def test_without_any_directory_it_says_what_to_do() -> None:
    assert str(refusal()).startswith(
        "configuration certs: no directory of certificates is given: say --certs DIR, EVSE_SECURITY_CERTS=DIR, or"
    )
    assert "csms_ca_bundle is not given" in str(refusal())


# ---- files


def test_unknown_keys_are_refused_with_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, 'certs = "/x"\nv2g_bundle = "/y"')
    refused = refusal(config=file)
    assert refused.key == '"v2g_bundle"'
    assert refused.problem.startswith(f"no such key ({file}); there are certs, csms_ca_bundle, ")


def test_text_that_is_not_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    file = toml(tmp_path, "certs = /x")
    assert str(refusal(config=file)).startswith(f"configuration config: {file} is not TOML: ")
    assert "line 1" in str(refusal(config=file))


@pytest.mark.parametrize(
    ("text", "problem"),
    {
        "digits": ("csr_lifetime = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        "brackets": ("certs = " + "[" * 60_000, "is not TOML: "),
        "tables within tables": ("a" + ".a" * 30_000 + " = 1", "has more than 200 dots in line 1"),
        "the same in a header": ("\n[" + "a." * 30_000 + "a]", "has more than 200 dots in line 2"),
    }.values(),
)
def test_hostile_text_is_refused_before_it_costs_anything(tmp_path: Path, text: str, problem: str) -> None:
    file = toml(tmp_path, text)
    assert f"{file} {problem}" in str(refusal(config=file))


def test_a_path_that_is_none_is_refused() -> None:
    assert refusal(config="a\0b").key == "config"


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert str(refusal(config="/nowhere/x.toml")) == (
        "configuration config: /nowhere/x.toml cannot be read: No such file or directory"
    )
    assert str(refusal(config=str(tmp_path))) == f"configuration config: {tmp_path} cannot be read: Is a directory"
    (tmp_path / "latin").write_bytes(b"certs = '/\xfc'")
    assert str(refusal(config=str(tmp_path / "latin"))).endswith("is not UTF-8 text")
    (tmp_path / "large").write_bytes(b"#" * (LONGEST_FILE + 1))
    assert str(refusal(config=str(tmp_path / "large"))).endswith("has more than 65536 bytes")


def test_a_pipe_is_read_but_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    asking = ThreadPoolExecutor(1).submit(refusal, config=str(tmp_path / "pipe"))
    try:
        assert str(asking.result(5)).endswith("pipe is a pipe into which nobody writes")
    finally:
        with suppress(OSError):  # whoever waits still
            os.close(os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK))

    def later(writer: FileIO) -> None:
        with writer:
            writer.write(b'certs = "/x"')

    read, write = os.pipe()
    with FileIO(write, "wb") as writer:
        threading.Timer(0.1, later, [writer]).start()
        assert effective(config=f"/dev/fd/{read}")[CERTS][0] == Path("/x")
    os.close(read)


def test_a_byte_order_mark_does_not_hurt(tmp_path: Path) -> None:
    (tmp_path / "bom.toml").write_bytes(b'\xef\xbb\xbfcerts = "/x"\r\n')
    assert effective(config=str(tmp_path / "bom.toml"))[CERTS][0] == Path("/x")


# ---- the password


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name in ("option", "variable", "file", "evse-security.private-key-password"):
        (tmp_path / name).write_text(f"of {name}\n")
    return tmp_path


def test_the_password_is_taken_from_the_strongest_source(secrets: Path) -> None:
    options = {"certs": "/x", "config": toml(secrets, f'private_key_password_file = "{secrets}/file"')}
    environment: dict[str, str] = {}
    expected = [
        (f"of {each}", str(secrets / each)) for each in ("file", "evse-security.private-key-password", "variable")
    ]
    for added, (password, source) in zip(
        [
            {},
            {"CREDENTIALS_DIRECTORY": str(secrets)},
            {"EVSE_SECURITY_PRIVATE_KEY_PASSWORD_FILE": str(secrets / "variable")},
            {"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "plain"},
        ],
        [*expected, ("plain", "EVSE_SECURITY_PRIVATE_KEY_PASSWORD")],
        strict=True,
    ):
        environment |= added
        found = settings(options=options, environment=environment)
        assert (found.password, found.password_source) == (password, source)
    options["private_key_password_file"] = str(secrets / "option")
    assert settings(options=options, environment=environment).password == "of option"


def test_the_password_reaches_the_station_but_is_never_shown(secrets: Path) -> None:
    found = settings(options={"certs": "/x"}, environment={"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "hunter2"})
    assert found.station_config().private_key_password == "hunter2"
    assert "hunter2" not in repr(found)
    assert "hunter2" not in repr(list(found.effective()))
    assert {each.key: each.value for each in found.effective()}[PASSWORD] == "(set)"


def test_credentials_of_other_names_are_not_taken(tmp_path: Path) -> None:
    found = settings(options={"certs": "/x"}, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (found.password, found.password_source) == (None, "default")


def test_the_end_of_the_line_does_not_belong_to_the_password(tmp_path: Path) -> None:
    for content, password in [(b"a b \r\n", "a b "), (b"x\n\n", "x\n"), (b"x", "x"), ("\ufeffü\n".encode(), "ü")]:
        (tmp_path / "p").write_bytes(content)
        options = {"certs": "/x", "private_key_password_file": str(tmp_path / "p")}
        assert settings(options=options, environment={}).password == password


def test_password_files_that_hold_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    refused = refusal(certs="/x", private_key_password_file=str(tmp_path / "empty"))
    assert (refused.key, refused.problem) == ("private_key_password_file", f"{tmp_path / 'empty'} is empty")
    refused = refusal(certs="/x", private_key_password_file=str(tmp_path / "absent"))
    assert refused.problem == f"{tmp_path / 'absent'} cannot be read: No such file or directory"


def test_a_password_in_the_configuration_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    refused = refusal(config=toml(tmp_path, 'private_key_password = "hunter2"'))
    assert refused.key == PASSWORD
    assert refused.problem.endswith("put it in a file, and its path in private_key_password_file")
    assert "hunter2" not in str(refused)


# ---- what the keys mean


def test_the_keys_are_described_where_the_configuration_describes_them() -> None:
    assert descriptions()["max_store_entries"].startswith("Most files of the store")
    assert set(descriptions()) - {"clock", PASSWORD} <= set(all_keys())

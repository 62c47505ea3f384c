"""`evse-security config`: every value and where it came from."""

from pathlib import Path

from evse_security.configkeys import keys
from tests.cli.conftest import Run


def test_every_key_is_a_line_with_its_value_and_source(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "station.toml"
    file.write_text('certs = "/etc/everest/certs"\ncsr_dns_names = ["a.example", "b.example"]\n')
    ran = run("config", "--newest-by", "not_before", environment={"EVSE_SECURITY_CONFIG": str(file)})
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert [row[0] for row in rows] == ["certs", *keys(), "private_key_password"]
    assert rows[0] == ["certs", "/etc/everest/certs", str(file)]
    found = {row[0]: row[1:] for row in rows}
    assert found["v2g_ca_bundle"] == ["/etc/everest/certs/ca/v2g/V2G_ROOT_CA.pem", "certs"]
    assert found["csr_dns_names"] == ["a.example,b.example", str(file)]
    assert found["csr_ip_addresses"] == ["-", "default"]
    assert found["newest_by"] == ["not_before", "--newest-by"]
    assert found["additional_root_certificate_check"] == ["false", "default"]
    assert found["certificate_store_max_length"] == ["-", "default"]
    assert found["private_key_password"] == ["-", "default"]


def test_the_same_as_json(run: Run) -> None:
    ran = run("--certs", "/x", "config", "--json", "--additional-root-certificate-check", "--csr-dns-names", "a,b")
    assert ran.json["v2g_ca_bundle"] == {"value": "/x/ca/v2g/V2G_ROOT_CA.pem", "source": "certs"}
    assert ran.json["additional_root_certificate_check"] == {
        "value": True,
        "source": "--additional-root-certificate-check",
    }
    assert ran.json["csr_dns_names"] == {"value": ["a", "b"], "source": "--csr-dns-names"}
    assert ran.json["private_key_password"] == {"value": None, "source": "default"}


def test_a_boolean_can_be_taken_back(run: Run) -> None:
    environment = {"EVSE_SECURITY_ADDITIONAL_ROOT_CERTIFICATE_CHECK": "true", "EVSE_SECURITY_CERTS": "/x"}
    for options, value in (([], True), (["--no-additional-root-certificate-check"], False)):
        ran = run("config", "--json", *options, environment=environment)
        assert ran.json["additional_root_certificate_check"]["value"] is value


def test_the_password_is_never_shown(run: Run, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2")
    for environment, options in (
        ({"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "hunter2"}, []),
        ({}, ["--private-key-password-file", tmp_path / "password"]),
    ):
        for form in ([], ["--json"]):
            ran = run("--certs", "/x", "config", *options, *form, environment=environment)
            assert ran.code == 0
            assert "hunter2" not in ran.out + ran.err
            assert "(set)" in ran.out


def test_the_password_is_no_option(run: Run) -> None:
    # Nor an abbreviation of --private-key-password-file.
    ran = run("--certs", "/x", "config", "--private-key-password", "x")
    assert (ran.code, ran.out) == (2, "")
    assert "unrecognized arguments" in ran.err


def test_a_configuration_that_cannot_be_exits_with_2(run: Run, tmp_path: Path) -> None:
    ran = run("config")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("evse-security: configuration certs: no directory of certificates is given: ")
    file = tmp_path / "station.toml"
    file.write_text('certs = "/x"\ncsr_lifetime = "1h"')
    for subcommand in (["config"], ["show"], ["sweep"], ["check", "/dev/null", "--type", "V2G"]):
        ran = run("--config", file, *subcommand)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"evse-security: configuration csr_lifetime: expected a whole number ({file})\n"


def test_every_key_is_an_option_with_help(run: Run) -> None:
    out = run("config", "--help").out
    for key in keys():
        assert f"--{key.replace('_', '-')}" in out
    assert "Most files of the store" in out

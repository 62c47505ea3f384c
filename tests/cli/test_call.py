"""`evse-security call`: every command of both revisions, its arguments as options."""

import json
from pathlib import Path

import pytest

from evse_security.cli.call import command_parser, is_yes
from evse_security.configkeys import all_keys, option_of
from evse_security.interface import EVERYTHING, REVISIONS
from evse_security.lab.hierarchy import Pki
from evse_security.lab.layouts import write_everest
from evse_security.serve.command import Argument, Command, commands
from evse_security.vocabulary import CertificateHashData
from tests.cli.conftest import Run

HASH_DATA = '{"hash_algorithm": "SHA256", "issuer_name_hash": "aa", "issuer_key_hash": "bb", "serial_number": "01"}'


def test_the_answer_is_json_on_stdout(run: Run, certs: Path) -> None:
    ran = run("call", "--certs", certs, "get_key_pair", "--certificate-type", "V2G", "--encoding", "PEM")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {
        "status": "Accepted",
        "key_pair": {
            "key": str(certs / "client/cso/SECC_LEAF.key"),
            "certificate": str(certs / "client/cso/CPO_CERT_CHAIN.pem"),
        },
    }
    assert ran.out.startswith('{\n  "status": "Accepted",\n')


def test_options_of_the_configuration_may_stand_anywhere(run: Run, certs: Path) -> None:
    place, call = ["--certs", certs], ["get_verify_file", "--certificate-type", "V2G"]
    for argv in ([*place, "call", *call], ["call", *place, *call], ["call", *call, *place]):
        assert run(*argv).json == str(certs / "ca/v2g/V2G_ROOT_CA.pem")


def test_a_text_is_read_from_a_file(run: Run, certs: Path, pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "root.pem"
    file.write_text(pki["OEM_ROOT_CA"].pem)
    ran = run(
        "--certs", certs, "call", "install_ca_certificate", "--certificate", f"@{file}", "--certificate-type", "MO"
    )
    assert (ran.code, ran.out, ran.err) == (0, '"Accepted"\n', "")
    assert pki["OEM_ROOT_CA"].pem.strip() in (certs / "ca/mo/MO_ROOT_CA.pem").read_text()


def test_a_certificate_can_be_written_out_although_it_begins_with_dashes(run: Run, certs: Path, pki: Pki) -> None:
    arguments = ["--certificate", pki["OEM_ROOT_CA"].pem, "--certificate-type", "MO"]
    assert run("--certs", certs, "call", "install_ca_certificate", *arguments).out == '"Accepted"\n'


def test_a_refusal_is_the_answer_and_its_reason_is_on_stderr(run: Run, certs: Path) -> None:
    ran = run("--certs", certs, "call", "install_ca_certificate", "--certificate", "x", "--certificate-type", "V2G")
    assert (ran.code, ran.out) == (1, '"InvalidFormat"\n')
    assert ran.err.startswith("evse-security: install_ca_certificate refused: NoCertificate: ")


def test_a_command_without_a_word_for_failure_fails_in_words(run: Run, certs: Path) -> None:
    ran = run(
        "--certs", certs, "call", "update_ocsp_cache", "--certificate-hash-data", HASH_DATA, "--ocsp-response", "MAo="
    )
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("evse-security: update_ocsp_cache: no installed certificate with ")
    assert ran.err.count("\n") == 1


def test_records_by_dotted_options_by_json_and_arrays_by_repeating(run: Run, certs: Path) -> None:
    listed = run(
        "--certs", certs, "call", "get_installed_certificates",
        "--certificate-types", "MORootCertificate", "--certificate-types", "MFRootCertificate",
    )  # fmt: skip
    assert listed.code == 0
    chain = listed.json["certificate_hash_data_chain"]
    assert [each["certificate_type"] for each in chain] == ["MORootCertificate", "MFRootCertificate"]
    mo, mf = (each["certificate_hash_data"] for each in chain)
    dotted = [
        part for name, value in mo.items() for part in (f"--certificate-hash-data.{name.replace('_', '-')}", value)
    ]
    assert run("--certs", certs, "call", "delete_certificate", *dotted).out == '"Accepted"\n'
    assert run("--certs", certs, "call", "delete_certificate", *dotted).out == '"NotFound"\n'
    ran = run("--certs", certs, "call", "delete_certificate", "--certificate-hash-data", json.dumps(mf))
    assert (ran.code, ran.out) == (0, '"Accepted"\n')


def test_all_arguments_as_json(run: Run, certs: Path, tmp_path: Path) -> None:
    arguments = '{"certificate_type": "V2G"}'
    file = tmp_path / "arguments.json"
    file.write_text(arguments)
    for given in (arguments, f"@{file}"):
        ran = run("--certs", certs, "call", "get_verify_location", "--json", given)
        assert (ran.code, ran.json) == (0, str(certs / "ca/v2g/V2G_ROOT_CA.pem"))


def test_the_revision_may_be_chosen_before_or_after_the_command(run: Run, certs: Path) -> None:
    arguments = ["--certificate-chain", f"@{certs}/client/cso/CPO_CERT_CHAIN.pem"]
    newest = run("--certs", certs, "call", "verify_certificate", *arguments, "--certificate-types", "V2G")
    assert (newest.code, newest.out) == (0, '"Valid"\n')
    for argv in (
        ["call", "--revision", "2023-10", "verify_certificate", *arguments, "--certificate-type", "V2G"],
        ["call", "verify_certificate", "--revision", "2023-10", *arguments, "--certificate-type", "V2G"],
        ["call", "verify_certificate", *arguments, "--certificate-type", "V2G", "--revision=2023-10"],
    ):
        older = run("--certs", certs, *argv)
        assert (older.code, older.out) == (0, '"Accepted"\n')


def test_booleans_are_pairs_of_options(run: Run, certs: Path) -> None:
    subject = ["--country", "DE", "--organization", "O", "--common", "CN", "--certificate-type", "V2G"]
    command = ["--certs", certs, "call", "generate_certificate_signing_request", *subject]
    with_tpm = run(*command, "--use-tpm")
    assert (with_tpm.code, with_tpm.json) == (1, {"status": "KeyGenError"})
    ran = run(*command, "--no-use-tpm")
    assert (ran.code, ran.json["status"]) == (0, "Accepted")
    neither = run(*command)
    assert (neither.code, neither.out, neither.err) == (2, "", "evse-security: use_tpm: is required\n")


def test_the_password_is_in_an_answer_that_has_one_and_nowhere_else(run: Run, tmp_path: Path, pki: Pki) -> None:
    write_everest(pki, tmp_path / "certs", key_password="hunter2")
    environment = {"EVSE_SECURITY_PRIVATE_KEY_PASSWORD": "hunter2"}
    call = ["--certs", tmp_path / "certs", "call", "get_key_pair", "--certificate-type", "V2G", "--encoding", "PEM"]
    ran = run(*call, environment=environment)
    assert (ran.json["key_pair"]["password"], ran.err) == ("hunter2", "")
    without = run(*call)
    assert (without.code, without.json) == (1, {"status": "PrivateKeyNotFound"})
    assert "hunter2" not in without.out + without.err


NO = [
    ["is_ca_certificate_installed", "--certificate-type", "CSMS"],
    ["get_verify_file", "--certificate-type", "CSMS"],
    ["get_installed_certificates", "--certificate-types", "CSMSRootCertificate"],
    ["get_key_pair", "--certificate-type", "CSMS", "--encoding", "PEM"],
    ["verify_file_signature", "--file-path", "/nowhere", "--signing-certificate", "", "--signature", ""],
]


@pytest.mark.parametrize("call", NO, ids=[each[0] for each in NO])
def test_an_answer_that_is_no_exits_with_1(run: Run, tmp_path: Path, call: list[str]) -> None:
    ran = run("--certs", tmp_path / "empty", "call", *call)
    assert ran.code == 1
    assert ran.json in (False, "") or ran.json["status"] == "NotFound"
    assert not (tmp_path / "empty").exists()


def test_an_answer_that_is_a_fact_exits_with_0(run: Run, tmp_path: Path) -> None:
    ran = run("--certs", tmp_path, "call", "get_leaf_expiry_days_count", "--certificate-type", "V2G")
    assert (ran.code, ran.out) == (0, "0\n")
    ran = run("--certs", tmp_path, "call", "get_v2g_ocsp_request_data")
    assert (ran.code, ran.json) == (0, {"ocsp_request_data_list": []})


def test_what_is_yes_and_what_is_no() -> None:
    for name, reply, yes in [
        ("install_ca_certificate", "Accepted", True),
        ("install_ca_certificate", "Expired", False),
        ("delete_certificate", "Failed", False),
        ("is_ca_certificate_installed", True, True),
        ("is_ca_certificate_installed", False, False),
        ("get_verify_file", "/Accepted", True),
        ("get_verify_file", "", False),
        ("update_ocsp_cache", None, True),
        ("get_leaf_expiry_days_count", 0, True),
        ("get_leaf_certificate_info", {"status": "NotFoundValid"}, False),
        ("get_leaf_certificate_info", {"status": "Accepted"}, True),
        ("verify_certificate", "Valid", True),
        ("verify_certificate", "Unknown", False),
    ]:
        assert is_yes(commands("2026-04")[name], reply) is yes, (name, reply)


MISUSED = [
    (["nope"], "revision 2026-04 has no command nope; evse-security call --list lists them"),
    (["get_keypair"], "revision 2026-04 has no command get_keypair; did you mean get_key_pair?"),
    (
        ["--revision", "2026-04", "get_key_pair"],
        "revision 2026-04 has no command get_key_pair; revision 2023-10 has it",
    ),
    (["get_key_pair", "--revision"], "argument --revision: expected one argument"),
    (["get_verify_file"], "certificate_type: is required"),
    (["get_verify_file", "--json", "{"], "arguments: not JSON: "),
    (["get_verify_file", "--json", "[]"], "arguments: expected an object with the command's arguments by name"),
    (
        ["get_verify_file", "--json", '{"certificate_type": "x"}'],
        "certificate_type: expected one of V2G, MO, CSMS, MF, OEM, got",
    ),
    (["get_verify_file", "--json", '{"a": 1, "a": 2}'], "arguments.a: occurs twice"),
    (["get_verify_file", "--json", "@/nowhere"], "/nowhere cannot be read: No such file or directory"),
    (
        ["get_verify_file", "--json", "{}", "--certificate-type", "MO"],
        "--json and --certificate-type: give all arguments",
    ),
    (["install_ca_certificate", "--certificate", "@/nowhere"], "/nowhere cannot be read: No such file or directory"),
    (["install_ca_certificate", "--certificate", "@a\0b"], "a path with a NUL character"),
    (["install_ca_certificate", "--certificate", "@/dev/zero"], "/dev/zero has more than 4194304 bytes"),
    (["delete_certificate", "--certificate-hash-data", "x"], "certificate_hash_data: not JSON: "),
    (
        ["delete_certificate", "--certificate-hash-data", "[]"],
        "certificate_hash_data: expected an object, got an array",
    ),
    (
        ["delete_certificate", "--certificate-hash-data.serial-number", "1"],
        "certificate_hash_data.hash_algorithm: is req",
    ),
    (
        ["delete_certificate", "--certificate-hash-data.serial-number", "1", "--certificate-hash-data", HASH_DATA],
        "--certificate-hash-data.serial-number and --certificate-hash-data: give the record in one way",
    ),
    (
        ["delete_certificate", "--certificate-hash-data.serial-number", "1", "--certificate-hash-data", "[]"],
        "--certificate-hash-data is not an object, so it has no serial_number",
    ),
]


@pytest.mark.parametrize(("call", "problem"), MISUSED, ids=[" ".join(each[0])[:60] for each in MISUSED])
def test_what_is_not_asked_rightly_exits_with_2_and_does_nothing(
    run: Run, tmp_path: Path, call: list[str], problem: str
) -> None:
    ran = run("--certs", tmp_path / "certs", "call", *call)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"evse-security: {problem}")
    assert ran.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


USAGE = [
    (["call"], "the following arguments are required: COMMAND"),
    (["call", "get_verify_file", "--certificate-type", "oem"], "invalid choice: 'oem'"),
    (["call", "get_key_pair", "--certificate-type", "MO"], "invalid choice: 'MO'"),
    (["call", "get_verify_file", "--certificate", "MO"], "unrecognized arguments: --certificate MO"),
    (["call", "--revision", "1", "get_verify_file"], "invalid choice: '1'"),
]


@pytest.mark.parametrize(("argv", "problem"), USAGE, ids=[" ".join(each[0]) for each in USAGE])
def test_usage_is_said_with_the_problem(run: Run, argv: list[str], problem: str) -> None:
    ran = run(*argv)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("usage: evse-security call")
    assert problem in ran.err


def test_an_at_sign_can_be_written(run: Run, certs: Path) -> None:
    subject = ["--country", "DE", "--organization", "@@home", "--common", "CN", "--certificate-type", "V2G"]
    ran = run("--certs", certs, "call", "generate_certificate_signing_request", *subject, "--no-use-tpm")
    assert (ran.code, ran.err) == (0, "")


def test_a_file_that_is_not_text_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "der").write_bytes(b"\x30\x82\xff")
    ran = run("--certs", tmp_path, "call", "install_ca_certificate", "--certificate", f"@{tmp_path}/der")
    assert (ran.code, ran.err) == (2, f"evse-security: {tmp_path}/der is not UTF-8 text\n")


def test_text_from_the_command_line_cannot_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    ran = run("--certs", tmp_path, "call", "\x1b[2Jx\udcff")
    assert ran.err.startswith("evse-security: revision 2026-04 has no command \\x1b[2Jx\\udcff; ")


def test_the_list_has_every_command_with_its_revisions(run: Run) -> None:
    ran = run("call", "--list")
    assert ran.code == 0
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    for revision in EVERYTHING:
        for name in commands(revision):
            assert f" {revision} " in lines[name]
    assert "2026-04" not in lines["get_key_pair"]
    assert len(lines) == 18


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_command_has_help_with_an_option_for_every_argument(run: Run, revision: str) -> None:
    for name, command in commands(revision).items():
        ran = run("call", name, "--revision", revision, "--help")
        assert ran.code == 0
        assert command.summary.partition(";")[0].split()[0] in ran.out
        for argument in command.arguments:
            assert f"--{argument.name.replace('_', '-')}" in ran.out


def test_no_option_of_a_command_is_one_of_the_configuration() -> None:
    # argparse would refuse to make the parser.
    for revision in REVISIONS:
        for command in commands(revision).values():
            options = set(command_parser(command, revision)._option_string_actions)
            assert {option_of(key) for key in all_keys()} < options


def test_whatever_a_command_may_take_one_day_has_an_option() -> None:
    command = Command(
        name="renumber",
        arguments=(
            Argument("count", int, required=True),
            Argument("records", tuple[CertificateHashData, ...], required=True),
            Argument("note", str | None, required=False),
        ),
        result=type(None),
        summary="Renumber.",
        changes_the_store=False,
    )
    parsed = vars(command_parser(command, "2026-04").parse_args(["--count", "3", "--records", "{}", "--records", "@f"]))
    assert (parsed["argument:count"], parsed["argument:records"]) == (3, ["{}", "@f"])
    assert "argument:note" not in parsed

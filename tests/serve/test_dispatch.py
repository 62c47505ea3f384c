"""Calling commands with JSON arguments."""

from typing import Any

import pytest

from evse_security.errors import CommandRefused, EvseSecurityError, MalformedRequest, OcspMalformed, StoreFull
from evse_security.interface import EVERYTHING
from evse_security.serve.command import commands
from evse_security.serve.dispatch import dispatch, error_reply
from evse_security.vocabulary import (
    CaCertificateType,
    CertificateHashData,
    CertificateType,
    GetCertificateSignRequestResult,
    GetCertificateSignRequestStatus,
    HashAlgorithm,
    InstallCertificateResult,
    LeafCertificateType,
)

HASH_DATA = {"hash_algorithm": "SHA256", "issuer_name_hash": "aa", "issuer_key_hash": "bb", "serial_number": "01"}


class Recorder:
    """Answers every command with what it was told to, and remembers the call."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.calls: list[tuple[str, dict[str, object]]] = []

    def __getattr__(self, name: str) -> Any:
        def command(**arguments: object) -> object:
            self.calls.append((name, arguments))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return command


def test_a_command_gets_typed_arguments_and_its_answer_is_json() -> None:
    module = Recorder(InstallCertificateResult.Accepted)
    arguments = {"certificate": "PEM", "certificate_type": "V2G"}
    answer = dispatch(module, "install_ca_certificate", arguments, revision="2026-04")
    assert answer == "Accepted"
    assert type(answer) is str
    assert module.calls == [
        ("install_ca_certificate", {"certificate": "PEM", "certificate_type": CaCertificateType.V2G})
    ]
    assert isinstance(module.calls[0][1]["certificate_type"], CaCertificateType)


def test_records_and_arrays_are_typed_too() -> None:
    module = Recorder()
    arguments = {"certificate_hash_data": HASH_DATA, "ocsp_response": "MAo="}
    assert dispatch(module, "update_ocsp_cache", arguments, revision="2023-10") is None
    assert module.calls[0][1]["certificate_hash_data"] == CertificateHashData(
        hash_algorithm=HashAlgorithm.SHA256, issuer_name_hash="aa", issuer_key_hash="bb", serial_number="01"
    )


def test_absent_fields_of_the_answer_are_absent_keys() -> None:
    module = Recorder(GetCertificateSignRequestResult(status=GetCertificateSignRequestStatus.KeyGenError))
    arguments = {"certificate_type": "V2G", "country": "DE", "organization": "O", "common": "CN", "use_tpm": True}
    answer = dispatch(module, "generate_certificate_signing_request", arguments, revision="2026-04")
    assert answer == {"status": "KeyGenError"}


MALFORMED: list[tuple[str, object, object, str, str | None]] = [
    ("2026-04", "reboot", {}, "command", 'expected a command of revision 2026-04, got "reboot"'),
    ("2026-04", "get_key_pair", {}, "command", 'expected a command of revision 2026-04, got "get_key_pair"'),
    ("2026-04", "__init__", {}, "command", 'expected a command of revision 2026-04, got "__init__"'),
    ("2026-04", "", {}, "command", 'expected a command of revision 2026-04, got ""'),
    ("2026-04", None, {}, "command", "expected a command of revision 2026-04, got null"),
    ("2026-04", ["get_verify_file"], {}, "command", "expected a command of revision 2026-04, got an array"),
    ("2026-04", 10**5000, {}, "command", "expected a command of revision 2026-04, got an integer"),
    (
        "1999-12",
        "get_verify_file",
        {},
        "revision",
        "no such revision of the interface; there are 2023-10, 2026-04, 2026-04-oem",
    ),
    ("2026-04", "get_verify_file", [], "arguments", "expected an object with the command's arguments by name"),
    ("2026-04", "get_verify_file", None, "arguments", "expected an object with the command's arguments by name"),
    ("2026-04", "get_verify_file", {}, "certificate_type", "is required"),
    ("2026-04", "get_verify_file", {"certificate_type": "X"}, "certificate_type", None),
    (
        "2026-04",
        "get_verify_file",
        {"certificate_type": "MO", "x": 1},
        "x",
        "no such field; there are certificate_type",
    ),
    ("2026-04", "get_verify_file", {"certificate_type": "MO", 1: 1}, "an integer", None),
    ("2026-04", "get_v2g_ocsp_request_data", {"x": 1}, "x", "no such field; there are none"),
    (
        "2026-04",
        "delete_certificate",
        {"certificate_hash_data": {}},
        "certificate_hash_data.hash_algorithm",
        "is required",
    ),
    (
        "2026-04",
        "delete_certificate",
        {"certificate_hash_data": HASH_DATA | {"serial_number": 1}},
        "certificate_hash_data.serial_number",
        "expected a string, got an integer",
    ),
    (
        "2026-04",
        "get_installed_certificates",
        {"certificate_types": ["MORootCertificate", 1]},
        "certificate_types[1]",
        None,
    ),
    ("2023-10", "get_leaf_expiry_days_count", {"certificate_type": "MO"}, "certificate_type", None),
]


@pytest.mark.parametrize(("revision", "name", "arguments", "path", "problem"), MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_calls_are_refused_before_the_module_sees_them(
    revision: str, name: object, arguments: object, path: str, problem: str | None
) -> None:
    module = Recorder()
    with pytest.raises(MalformedRequest) as refused:
        dispatch(module, name, arguments, revision=revision)
    assert refused.value.path == path
    assert problem in (None, refused.value.problem)
    assert module.calls == []


@pytest.mark.parametrize("revision", EVERYTHING)
def test_every_command_of_a_revision_can_be_called_and_no_argument_may_be_missing(revision: str) -> None:
    for name, command in commands(revision).items():
        for absent in command.arguments:
            arguments = {each.name: EXAMPLES[each.name] for each in command.arguments if each is not absent}
            with pytest.raises(MalformedRequest) as refused:
                dispatch(Recorder(), name, arguments, revision=revision)
            assert (refused.value.path, refused.value.problem) == (absent.name, "is required")
        module = Recorder(StoreFull("max_store_entries", 2000))
        with pytest.raises(StoreFull):
            dispatch(module, name, {each.name: EXAMPLES[each.name] for each in command.arguments}, revision=revision)
        assert [call[0] for call in module.calls] == [name]


EXAMPLES: dict[str, object] = {
    "certificate": "PEM",
    "certificate_chain": "PEM",
    "certificate_hash_data": HASH_DATA,
    "certificate_type": "V2G",
    "certificate_types": [],
    "common": "CN",
    "country": "DE",
    "encoding": "PEM",
    "file_path": "/firmware",
    "include_ocsp": False,
    "ocsp_response": "MAo=",
    "organization": "O",
    "signature": "MAo=",
    "signing_certificate": "PEM",
    "use_tpm": False,
}


def test_the_types_that_certificate_types_means_depend_on_the_command() -> None:
    module = Recorder(StoreFull("entries", 1))
    for name, member in [
        ("verify_certificate", LeafCertificateType.MO),
        ("get_installed_certificates", CertificateType.MFRootCertificate),
    ]:
        arguments = {"certificate_types": [str(member)]} | (
            {"certificate_chain": ""} if name == "verify_certificate" else {}
        )
        with pytest.raises(StoreFull):
            dispatch(module, name, arguments, revision="2026-04")
        assert module.calls[-1][1]["certificate_types"] == (member,)


def test_an_error_reply_says_what_and_where() -> None:
    assert error_reply(MalformedRequest("certificate_types[1]", "is required")) == {
        "error": {
            "code": "MalformedRequest",
            "message": "certificate_types[1]: is required",
            "path": "certificate_types[1]",
        }
    }
    assert error_reply(StoreFull("max_store_entries", 2000)) == {
        "error": {"code": "StoreFull", "message": "the store is full: max_store_entries = 2000"}
    }


def test_the_reply_about_a_refused_command_names_the_reason() -> None:
    refused: EvseSecurityError = CommandRefused("update_ocsp_cache", OcspMalformed("too short"))
    assert error_reply(refused) == {
        "error": {
            "code": "CommandRefused",
            "message": "update_ocsp_cache: not an OCSP response: too short",
            "reason": "OcspMalformed",
        }
    }

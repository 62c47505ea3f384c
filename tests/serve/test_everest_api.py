"""What stands in the messages of EVerest API v1: forms of requests, paths of refusals, bytes of answers."""

import json
from typing import Any

import pytest

from evse_security.errors import CommandRefused, MalformedRequest, ServiceBusy
from evse_security.serve.command import commands
from evse_security.serve.everest_api import (
    REVISION,
    SETTLED,
    Request,
    Topics,
    answer,
    arguments,
    discovered,
    error_answer,
    in_request,
    read_request,
    wanted_leaf,
    written,
)
from evse_security.serve.text import MAX_TEXT

COMMANDS = commands(REVISION)


def request(payload: Any) -> Request:
    return Request({"payload": payload}, {})


def test_topics_are_those_of_everest_with_the_prefix_before_them() -> None:
    topics = Topics("site/", "sec_api")
    assert topics.command("get_verify_location") == (
        "site/everest_api/1/evse_security_consumer/sec_api/m2e/get_verify_location"
    )
    assert topics.heartbeat == "site/everest_api/1/evse_security_consumer/sec_api/e2m/heartbeat"
    assert topics.latest("clock") == "site/everest_api/1/evse_security_consumer/sec_api/m2e/clock/get"
    assert topics.discovery == (
        "site/everest_api/discover",
        "site/everest_api/query-modules/evse_security_consumer",
    )
    assert topics.ready_beacon == "site/everest_api/ready_beacon"


# ---- requests


def test_a_request_says_whom_to_answer() -> None:
    read = read_request(b'{"headers":{"replyTo":"my/reply/1","other":1},"payload":"V2G","more":[]}')
    assert read.reply_to == "my/reply/1"
    assert read.body["payload"] == "V2G"
    assert read_request(b"{}").reply_to == ""


@pytest.mark.parametrize(
    ("message", "path", "problem"),
    [
        (b"", "message", "not JSON"),
        (b"true", "message", "expected an object, got a boolean"),
        (b'"V2G"', "message", "expected an object, got a string"),
        (b'{"headers":"x"}', "headers", "expected an object, got a string"),
        (b'{"headers":null}', "headers", "expected an object, got null"),
        (b'{"headers":{"replyTo":1}}', "headers.replyTo", "expected a string, got an integer"),
        (b'{"headers":{},"headers":{}}', "message.headers", "occurs twice"),
        (b"\xff{}", "message", "not UTF-8 at byte 0"),
        ("{}".encode("utf-16"), "message", "not UTF-8 at byte 0"),
        (b'{"payload":NaN}', "message", "not JSON"),
        (b"[" * 100_000, "message", "not JSON"),
        (b'{"payload":' + b"9" * 5000 + b"}", "message", "not JSON"),
        (b'"' + b"x" * MAX_TEXT + b'"', "message", "at most"),
    ],
)
def test_garbage_is_refused(message: bytes, path: str, problem: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read_request(message)
    assert refused.value.path == path
    assert problem in refused.value.problem


@pytest.mark.parametrize("default", ["told", "silent"])
def test_who_wants_errors_says_so(default: str) -> None:
    unless_said = default == "told"
    assert Request({}, {}).wants_errors(unless_said=unless_said) is unless_said
    assert Request({}, {"replyErrors": True}).wants_errors(unless_said=unless_said) is True
    assert Request({}, {"replyErrors": False}).wants_errors(unless_said=unless_said) is False


@pytest.mark.parametrize("said", [1, "true", None])
def test_what_is_neither_yes_nor_no_is_refused(said: object) -> None:
    with pytest.raises(MalformedRequest, match=r"headers\.replyErrors: expected a boolean"):
        Request({}, {"replyErrors": said}).wants_errors(unless_said=False)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ("V2", "payload"),
        ([], "payload"),
        ({}, "payload"),
        ({"leaf_certificate_type": "V2G"}, "payload"),
        ({"leaf_certificate_type": "V2G", "edition": "20", "more": 1}, "payload"),
        ({"leaf_certificate_type": "V2", "edition": "20"}, "payload.leaf_certificate_type"),
        ({"leaf_certificate_type": "V2G", "edition": "21"}, "payload.edition"),
        ({"leaf_certificate_type": "V2G", "edition": [{}]}, "payload.edition"),
    ],
)
def test_of_which_leaf_the_latest_is_asked_must_be_said_rightly(payload: object, path: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        wanted_leaf(request(payload))
    assert refused.value.path == path


@pytest.mark.parametrize("name", COMMANDS)
def test_one_argument_is_the_payload_and_several_are_its_members(name: str) -> None:
    command = COMMANDS[name]
    values = {argument.name: f"value of {argument.name}" for argument in command.arguments}
    if not values:
        assert arguments(command, Request({}, {})) == {}
    elif len(values) == 1:
        assert arguments(command, request(next(iter(values.values())))) == values
    else:
        assert arguments(command, request(values)) == values


@pytest.mark.parametrize("name", COMMANDS)
def test_payloads_of_another_form_are_refused(name: str) -> None:
    command = COMMANDS[name]
    if not command.arguments:
        assert arguments(command, request(None)) == arguments(command, request({})) == {}
        others: list[Any] = ["", [], False, {"x": 1}]
        for payload in others:
            with pytest.raises(MalformedRequest, match="payload: must be absent"):
                arguments(command, request(payload))
        return
    with pytest.raises(MalformedRequest, match="payload: is required"):
        arguments(command, Request({}, {}))
    if len(command.arguments) > 1:
        with pytest.raises(MalformedRequest, match=r"payload: expected an object .* got a string"):
            arguments(command, request("V2G"))


def test_unknown_members_pass_where_everests_module_lets_them_pass_only() -> None:
    for command in COMMANDS.values():
        if len(command.arguments) > 1:
            assert ("more" in arguments(command, request({"more": 1}))) is (command.name not in SETTLED)


@pytest.mark.parametrize(
    ("name", "path", "seen"),
    [
        ("is_ca_certificate_installed", "certificate_type", "payload"),
        ("delete_certificate", "certificate_hash_data.serial_number", "payload.serial_number"),
        ("get_installed_certificates", "certificate_types[2]", "payload[2]"),
        ("verify_certificate", "certificate_types[0]", "payload.certificate_types[0]"),
        ("update_ocsp_cache", "certificate_hash_data.more", "payload.certificate_hash_data.more"),
    ],
)
def test_paths_of_refusals_are_those_of_the_request(name: str, path: str, seen: str) -> None:
    refusal = in_request(COMMANDS[name], MalformedRequest(path, "is wrong"))
    assert (refusal.path, refusal.problem) == (seen, "is wrong")


# ---- answers


def test_answers_are_the_bytes_that_everest_sends() -> None:
    assert answer(COMMANDS["is_ca_certificate_installed"], True) == b"true"
    assert answer(COMMANDS["is_ca_certificate_installed"], False) == b"false"
    assert answer(COMMANDS["get_verify_location"], "/certs/V2G_ROOT_CA.pem") == b"/certs/V2G_ROOT_CA.pem"
    assert answer(COMMANDS["get_verify_location"], "") == b""
    info = {"key": "/k", "certificate": "/c", "certificate_count": 3}
    assert answer(COMMANDS["get_leaf_certificate_info"], {"status": "Accepted", "info": info}).decode() == (
        "{\n"
        '    "info": {\n'
        '        "certificate": "/c",\n'
        '        "certificate_count": 3,\n'
        '        "key": "/k"\n'
        "    },\n"
        '    "status": "Accepted"\n'
        "}"
    )


def test_other_texts_are_json() -> None:
    assert answer(COMMANDS["get_verify_file"], "/certs/ü.pem") == '"/certs/ü.pem"'.encode()
    assert answer(COMMANDS["update_ocsp_cache"], None) == b"null"


def test_a_path_that_is_not_utf_8_can_be_said() -> None:
    path = b"/certs/\xff.pem"
    assert answer(COMMANDS["get_verify_location"], path.decode(errors="surrogateescape")) == path
    text = written(path.decode(errors="surrogateescape"))
    assert json.loads(text.decode()).encode(errors="surrogateescape") == path


def test_an_error_has_a_code_a_message_and_what_is_known_of_where_and_why() -> None:
    malformed = MalformedRequest("payload.encoding", "is required")
    assert json.loads(error_answer(malformed)) == {
        "error": {"code": "MalformedRequest", "message": "payload.encoding: is required", "path": "payload.encoding"}
    }
    refused = CommandRefused("update_ocsp_cache", ServiceBusy(7))
    assert json.loads(error_answer(refused))["error"]["reason"] == "ServiceBusy"


def test_discovery_tells_the_type_and_the_periods() -> None:
    assert discovered("sec_api", heartbeat=1000, communication_check=5) == {
        "apis": [
            {
                "module_id": "sec_api",
                "type": "evse_security_consumer",
                "version": 1,
                "communication_monitoring": {"communication_check_period_s": 5, "heartbeat_period_ms": 1000},
            }
        ]
    }

"""The bytes of the protocol: those that were seen between a real EVerest's modules, and what must not be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.everest.wire import (
    Call,
    Failure,
    Generation,
    NotUnderstood,
    Setting,
    Topics,
    configuration,
    defined_commands,
    generation_shown,
    is_shutdown,
    setting,
)

A, B, C = Generation
TOPICS = Topics("everest/", "evse_security")
IMPLEMENTATION = "everest/modules/evse_security/impl/main"


def same(payload: bytes, expected: str) -> bool:
    """Whether it is the same JSON, and compact."""
    return bool(json.loads(payload) == json.loads(expected)) and b", " not in payload


CALL = (
    b'{"msg_type":"Cmd","data":{"id":"0e3c053c-24e9-4f1e-88e6-7315f28c6700","args":{"certificate_type":"V2G"},'
    b'"origin":"user"}}'
)
ANSWER = (
    '{"msg_type":"CmdResult","data":{"type":"result","data":{"id":"0e3c053c-24e9-4f1e-88e6-7315f28c6700",'
    '"retval":true,"origin":"evse_security"}}}'
)


def test_a_call_and_its_answer() -> None:
    topic = f"{IMPLEMENTATION}/cmd/is_ca_certificate_installed"
    call = TOPICS.call(C, topic, CALL)
    identity = "0e3c053c-24e9-4f1e-88e6-7315f28c6700"
    assert call == Call("is_ca_certificate_installed", identity, "user", {"certificate_type": "V2G"})
    answer = TOPICS.result(C, call, True)
    assert answer.topic == f"{topic}/response/user"
    assert same(answer.payload, ANSWER)
    failure = TOPICS.failure(C, call, Failure.handler, "ValueError: …")
    error = '{"__everest__error_type":"HandlerException","__everest__error_msg":"ValueError: …"}'
    assert same(failure.payload, ANSWER.replace('"retval":true', f'"error":{error}'))


def test_the_first_generation_has_one_topic_for_both() -> None:
    topic = f"{IMPLEMENTATION}/cmd"
    data = {"id": "1", "args": {}, "origin": "user"}
    call = TOPICS.call(A, topic, json.dumps({"name": "get_verify_file", "type": "call", "data": data}).encode())
    assert call == Call("get_verify_file", "1", "user", {})
    answer = TOPICS.result(A, call, "")
    expected = '{"name":"get_verify_file","type":"result","data":{"id":"1","retval":"","origin":"evse_security"}}'
    assert answer.topic == topic
    assert same(answer.payload, expected)
    assert TOPICS.call(A, topic, answer.payload) is None  # we hear what we say
    assert TOPICS.commands(A, ("x", "y")) == (topic,)
    assert TOPICS.commands(B, ("x", "y")) == (f"{topic}/x", f"{topic}/y")


def test_what_a_module_says_when_it_is_ready() -> None:
    metadata = '{"module":"EvseSecurity","provides":{"main":{"interface":"evse_security"}}}'
    for generation, told, ready in (
        (A, metadata, "true"),
        (B, f'{{"msg_type":"GetConfigResponse","data":{metadata}}}', '{"msg_type":"ModuleReady","data":true}'),
        (C, f'{{"msg_type":"ConfigurationResponse","data":{metadata}}}', '{"msg_type":"ModuleReady","data":true}'),
    ):
        first, second = TOPICS.readiness(generation)
        assert (first.topic, second.topic) == (
            "everest/modules/evse_security/metadata",
            "everest/modules/evse_security/ready",
        )
        assert same(first.payload, told)
        assert same(second.payload, ready)


def test_a_variable() -> None:
    update = {"operation": "Installed", "ca_certificate_type": "V2G"}
    said = TOPICS.variable(C, "certificate_store_update", update)
    assert said.topic == f"{IMPLEMENTATION}/var/certificate_store_update"
    expected = '{"msg_type":"Var","data":{"data":{"operation":"Installed","ca_certificate_type":"V2G"}}}'
    assert same(said.payload, expected)


REQUEST = '{"type":"Get","origin":"evse_security","request":{"type":"Module"}}'


def test_the_configuration_is_asked_for() -> None:
    [asked] = TOPICS.configuration_requests(C)
    assert asked.topic == "everest/config/request"
    assert same(asked.payload, f'{{"msg_type":"ConfigurationRequest","data":{REQUEST}}}')
    [asked] = TOPICS.configuration_requests(B)
    assert same(asked.payload, f'{{"msg_type":"GetConfig","data":{REQUEST}}}')
    newer, older = TOPICS.configuration_requests(A)
    assert same(newer.payload, REQUEST)
    assert older == ("everest/modules/evse_security/get_config", b'{"type":"full"}')


RESPONSE = """
{"msg_type":"ConfigurationResponse","data":{"status":"Ok","status_info":"","type":"Get","response":{"type":"Module","data":{
 "mappings":{"evse_security":null},
 "module_config":{"access":null,"connections":{},"mapping":null,"module_id":"evse_security","module_name":"EvseSecurity",
 "standalone":false,"telemetry_enabled":false,
  "configuration_parameters":{"!module":[
   {"name":"csms_ca_bundle","value":"ca/csms/CSMS_ROOT_CA.pem","characteristics":{"datatype":"string","mutability":"ReadOnly"}},
   {"name":"runtime_switch","value":false,"characteristics":{"datatype":"bool","mutability":"ReadWrite"}},
   {"name":"some_int","value":7,"characteristics":{"datatype":"integer"}},
   {"name":"some_number","value":2.5,"characteristics":{"datatype":"number"}}],"main":[]}}}}}}
"""
VALUES = {"csms_ca_bundle": "ca/csms/CSMS_ROOT_CA.pem", "runtime_switch": False, "some_int": 7, "some_number": 2.5}


def test_the_configuration_is_read() -> None:
    assert configuration(C, RESPONSE.encode(), "evse_security") == VALUES
    message = json.loads(RESPONSE)
    bare = json.dumps(message["data"]).encode()
    assert configuration(A, bare, "evse_security") == VALUES
    older = {"module_config": {"evse_security": {"config_maps": {"!module": VALUES, "main": {}}}}}
    assert configuration(A, json.dumps(older).encode(), "evse_security") == VALUES
    message["msg_type"] = "GetConfigResponse"
    assert configuration(B, json.dumps(message).encode(), "evse_security") == VALUES
    with pytest.raises(NotUnderstood, match="no ConfigurationResponse"):
        configuration(C, json.dumps(message).encode(), "evse_security")
    refused = {"msg_type": "ConfigurationResponse", "data": {"status": "Error", "status_info": "x", "response": None}}
    with pytest.raises(NotUnderstood, match="does not give it: 'x'"):
        configuration(C, json.dumps(refused).encode(), "evse_security")


def test_a_change_of_the_configuration() -> None:
    identifier = {"module_id": "evse_security", "configuration_parameter_name": "log_level"}
    request = {"msg_type": "ConfigurationRequest", "data": {"identifier": identifier, "value": "true"}}
    assert setting(C, json.dumps(request).encode()) == Setting(None, "log_level", "true")
    said = TOPICS.set_response(C, "Accepted", "")
    assert said.topic == "everest/modules/evse_security/config/set_response"
    expected = (
        '{"msg_type":"ConfigurationResponse","data":{"status":"Ok","status_info":"","type":"Set",'
        '"response":{"status":"Accepted","status_info":""}}}'
    )
    assert same(said.payload, expected)


@pytest.mark.parametrize(
    ("payload", "generation"),
    [
        (b'{"msg_type":"ConfigurationResponse","data":{"prefix":"/usr"}}', C),
        (b'{"msg_type":"GetConfigResponse","data":{"prefix":"/usr"}}', B),
        (b'{"evse_security":"EvseSecurity","user":"SecurityUser"}', A),
        (b"", None),
        (b"[]", None),
        (b'{"msg_type":"Later","data":{}}', None),
    ],
)
def test_the_generation_is_seen(payload: bytes, generation: Generation | None) -> None:
    assert generation_shown(payload) is generation


@pytest.mark.parametrize(
    ("library", "generation"),
    [(b"..GetConfigResponse\0ConfigurationRequest", B), (b"ConfigurationResponse", C), (b"\x7fELF", A)],
)
def test_the_generation_of_a_library(library: bytes, generation: Generation) -> None:
    assert Generation.named_in(library) is generation


def test_an_interface_definition() -> None:
    cmds = {"get_verify_file": {"arguments": {"certificate_type": {}}, "result": {"type": "string"}}}
    for definition in ({"cmds": cmds}, {"msg_type": "ConfigurationResponse", "data": {"cmds": cmds, "vars": {}}}):
        assert defined_commands(json.dumps(definition).encode()) == cmds


def test_the_word_to_end() -> None:
    assert all(map(is_shutdown, (b"true", b" true\n")))
    assert not any(map(is_shutdown, (b"false", b'{"msg_type":"x","data":true}', b"")))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("Cmd") | st.just("call"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["msg_type", "data", "id", "args", "origin", "name", "type", "response", "module_config",
                         "cmds", "configuration_parameters", "!module", "identifier", "value", "status"]),
        inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(payload=st.binary(max_size=40) | anything.map(lambda value: json.dumps(value).encode()))
def test_reading_raises_nothing_else(payload: bytes) -> None:
    readers: list[Any] = [defined_commands, generation_shown, is_shutdown]
    for generation in Generation:
        readers += [
            lambda text, at=generation: TOPICS.call(at, "x/cmd/y", text),
            lambda text, at=generation: configuration(at, text, "evse_security"),
            lambda text, at=generation: setting(at, text),
        ]
    for read in readers:
        try:
            read(payload)
        except NotUnderstood as problem:
            assert len(str(problem)) < 400

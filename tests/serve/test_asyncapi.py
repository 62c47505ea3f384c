"""The AsyncAPI document: of the format's own schema, complete, and true of the messages."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from evse_security.errors import MalformedRequest
from evse_security.serve.asyncapi import asyncapi
from evse_security.serve.codec import encode
from evse_security.serve.command import commands, variables
from evse_security.serve.everest_api import RAW_TEXT, REVISION, error_answer, read_request
from evse_security.serve.everest_api import arguments as arguments_of
from evse_security.service.eventdata import DATA
from tests.serve.values import of_type

OFFICIAL = Draft7Validator(json.loads((Path(__file__).parent / "asyncapi" / "3.0.0.json").read_text()))
DOCUMENT = asyncapi({kind.value: (kind.value, hint) for kind, hint in DATA.items()})
COMMANDS = commands(REVISION)


def fits(value: object, schema: dict[str, Any]) -> bool:
    return bool(Draft7Validator({**schema, "components": DOCUMENT["components"]}).is_valid(value))


def payload(message: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["components"]["messages"][message]["payload"]
    return found


def test_the_document_is_of_the_official_schema() -> None:
    assert [error.message for error in OFFICIAL.iter_errors(DOCUMENT)] == []


def test_the_official_schema_sees_what_is_wrong() -> None:
    wrong = {**DOCUMENT, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/x"}}}}
    assert not OFFICIAL.is_valid(wrong)


def test_every_reference_leads_somewhere() -> None:
    references = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            references.update([part["$ref"]] if "$ref" in part else [])
            part = list(part.values())
        if isinstance(part, list):
            for each in part:
                walk(each)

    walk(DOCUMENT)
    for reference in references:
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    used = {reference.rpartition("/")[2] for reference in references if "/schemas/" in reference}
    assert used == set(DOCUMENT["components"]["schemas"])


def test_every_schema_is_one() -> None:
    for message in DOCUMENT["components"]["messages"].values():
        Draft7Validator.check_schema(message["payload"])
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("name", COMMANDS)
@given(data=st.data())
def test_requests_and_replies_are_of_their_schemas(name: str, data: st.DataObject) -> None:
    command = COMMANDS[name]
    values = {each.name: encode(each.hint, data.draw(of_type(each.hint))) for each in command.arguments}
    body: dict[str, Any] = {"headers": {"replyTo": "x"}}
    if values:
        body["payload"] = values if len(values) > 1 else next(iter(values.values()))
    assert fits(body, payload(f"send_request_{name}"))
    assert arguments_of(command, read_request(json.dumps(body).encode())) == values
    assert fits(body, payload(f"send_request_{name}")) and not fits([], payload(f"send_request_{name}"))
    assert not values or not fits({"headers": {}}, payload(f"send_request_{name}"))
    assert fits(encode(command.result, data.draw(of_type(command.result))), payload(f"receive_reply_{name}"))


def test_replies_that_are_not_json_say_so() -> None:
    told = {name: message["contentType"] for name, message in DOCUMENT["components"]["messages"].items()}
    raw = {name for name, content in told.items() if content == "text/plain"}
    assert raw == {f"receive_reply_{name}" for name in RAW_TEXT}


def test_variables_of_the_interface_keep_their_type_and_events_have_theirs() -> None:
    for name, variable in variables(REVISION).items():
        update = {"operation": "Installed", "ca_certificate_type": "V2G"}
        assert variable.name in name and fits(update, payload(f"receive_{name}"))
        assert not fits({"operation": "x"}, payload(f"receive_{name}"))
        assert fits(None, payload(f"receive_reply_{name}_get"))
    clock = {"state": "set", "step": -5.0, "text": "stepped"}
    for fine in (clock, clock | {"step": None}, clock | {"later": 1}):
        assert fits(fine, payload("receive_clock")) and fits(fine, payload("receive_reply_clock_get"))
    for wrong in ({}, clock | {"state": "lost"}, clock | {"step": "5"}):
        assert not fits(wrong, payload("receive_clock"))


def test_errors_are_of_their_schema() -> None:
    error = json.loads(error_answer(MalformedRequest("payload", "is required")))
    assert fits(error, payload("receive_error"))

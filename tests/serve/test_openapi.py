"""The OpenAPI document: valid, complete, and the same as the schemas of the revisions."""

import json
from typing import Any

import pytest
from openapi_spec_validator import validate

from evse_security.interface import EVERYTHING
from evse_security.serve.command import commands
from evse_security.serve.openapi import openapi
from evse_security.serve.schema import schema

DOCUMENT = openapi("1")
EVERY = [(revision, name) for revision in EVERYTHING for name in commands(revision)]


def test_it_is_openapi() -> None:
    validate(DOCUMENT)


def test_every_command_of_every_revision_is_in_it() -> None:
    paths = [path for path in DOCUMENT["paths"] if path.startswith("/api/2")]
    assert paths == [f"/api/{revision}/{name}" for revision, name in EVERY]
    assert len(paths) == 13 + 16 + 5
    ids = [item["operationId"] for path in paths for item in DOCUMENT["paths"][path].values()]
    assert len(set(ids)) == len(ids)


def test_commands_that_change_the_store_say_so() -> None:
    for revision, name in EVERY:
        operation = DOCUMENT["paths"][f"/api/{revision}/{name}"]["post"]
        scope = "install" if commands(revision)[name].changes_the_store else "read"
        assert operation["description"] == f"Scope: {scope}."


@pytest.mark.parametrize("revision", EVERYTHING)
def test_arguments_answers_and_types_are_those_of_the_schema(revision: str) -> None:
    prefix = f"{revision}."
    text = json.dumps(schema(revision)).replace("#/$defs/", f"#/components/schemas/{prefix}")
    expected: dict[str, Any] = json.loads(text)
    having = DOCUMENT["components"]["schemas"].items()
    assert {name.removeprefix(prefix): rule for name, rule in having if name.startswith(prefix)} == {
        name: rule for name, rule in expected["$defs"].items() if name not in ONLY_IN_VARIABLES
    }
    for name, rule in expected["properties"]["commands"]["properties"].items():
        operation = DOCUMENT["paths"][f"/api/{revision}/{name}"]["post"]
        arguments = operation["requestBody"]["content"]["application/json"]["schema"]
        assert {**arguments, "required": arguments["required"] or None} == {
            "required": None, **rule["properties"]["arguments"],
        }  # fmt: skip
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer == rule["properties"]["result"]


ONLY_IN_VARIABLES = {"CertificateStoreUpdate", "CertificateStoreUpdateOperation", "OemStoreUpdate", "AddedCaType"}

"""The JSON Schema says what the codec does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_security.errors import MalformedRequest
from evse_security.interface import EVERYTHING, REVISIONS
from evse_security.serve.codec import encode, object_decoder
from evse_security.serve.command import commands, variables
from evse_security.serve.schema import schema, type_schema
from tests.serve.values import of_type

TYPES: dict[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "object": dict,
    "string": str,
}


def fits(value: Any, rule: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a JSON value is valid: the few keywords that our schemas use, and no others (JSON Schema 2020-12)."""
    if "$ref" in rule:
        return fits(value, at(root, rule["$ref"]), root)
    return TYPES[rule["type"]] is type(value) and fits_content(value, rule, root)


def fits_content(value: Any, rule: dict[str, Any], root: dict[str, Any]) -> bool:
    match rule["type"]:
        case "array":
            return all(fits(member, rule["items"], root) for member in value)
        case "string":
            return value in rule.get("enum", [value]) and len(value) <= rule.get("maxLength", len(value))
        case "object":
            assert rule["additionalProperties"] is False
            if not set(rule.get("required", [])) <= set(value) <= set(rule["properties"]):
                return False
            return all(fits(member, rule["properties"][name], root) for name, member in value.items())
    return True


def at(root: dict[str, Any], reference: str) -> dict[str, Any]:
    """The part of a schema that a reference names."""
    assert reference.startswith("#/")
    found = root
    for step in reference[2:].split("/"):
        found = found[step]
    return found


def parts(revision: str, command: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(revision)["properties"]["commands"]["properties"][command]["properties"]
    return found


@pytest.mark.parametrize("revision", EVERYTHING)
def test_every_command_and_variable_is_there_in_order(revision: str) -> None:
    document = schema(revision)
    assert list(document["properties"]["commands"]["properties"]) == list(commands(revision))
    assert list(document["properties"]["variables"]["properties"]) == list(variables(revision))
    for name, command in commands(revision).items():
        arguments = parts(revision, name)["arguments"]
        assert list(arguments["properties"]) == [each.name for each in command.arguments]
        assert arguments.get("required", []) == [each.name for each in command.arguments]


@pytest.mark.parametrize("revision", EVERYTHING)
def test_every_definition_is_used_and_every_reference_leads_somewhere(revision: str) -> None:
    document = schema(revision)
    text = json.dumps(document)
    references = {piece.partition('"')[0] for piece in text.split('"$ref": "')[1:]}
    assert references == {f"#/$defs/{name}" for name in document["$defs"]}


def test_definitions_of_a_revision_are_the_facts_that_were_carried(pytestconfig: pytest.Config) -> None:
    for revision in REVISIONS:
        facts = json.loads((pytestconfig.rootpath / "tests/conformance" / f"interface-{revision}.json").read_text())
        definitions = schema(revision)["$defs"]
        assert {name: definitions[name]["enum"] for name in facts["enums"]} == facts["enums"]
        assert {
            name: (definitions[name].get("required", []), list(definitions[name]["properties"]))
            for name in facts["objects"]
        } == {name: (record["required"], list(record["properties"])) for name, record in facts["objects"].items()}
        for name, record in facts["objects"].items():
            for each, fact in record["properties"].items():
                assert definitions[name]["properties"][each].get("maxLength") == fact.get("max_length"), (name, each)


@given(st.data())
def test_what_we_answer_fits_the_schema(data: st.DataObject) -> None:
    revision = data.draw(st.sampled_from(list(EVERYTHING)))
    command = data.draw(st.sampled_from(list(commands(revision).values())))
    answer = encode(command.result, data.draw(of_type(command.result)))
    assert fits(answer, parts(revision, command.name)["result"], schema(revision))


SEEDS: Any = st.recursive(
    st.sampled_from(["V2G", "MO", "SHA256", "PEM", "V2GRootCertificate", "x" * 41, "x" * 129, "", True, 1, None]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(st.data())
def test_what_fits_the_schema_is_exactly_what_is_decoded(data: st.DataObject) -> None:
    revision = data.draw(st.sampled_from(list(EVERYTHING)))
    command = data.draw(st.sampled_from(list(commands(revision).values())))
    hints = {each.name: each.hint for each in command.arguments}
    arguments: dict[str, Any] = {}
    for name, hint in hints.items():
        kind = data.draw(st.sampled_from(["right", "right", "right", "any", "absent"]))
        if kind != "absent":
            arguments[name] = encode(hint, data.draw(of_type(hint))) if kind == "right" else data.draw(SEEDS)
    if data.draw(st.integers(0, 4)) == 0:
        arguments["surplus"] = "x"
    try:
        object_decoder(hints, frozenset(hints))(arguments)
        decoded = True
    except MalformedRequest:
        decoded = False
    assert fits(arguments, parts(revision, command.name)["arguments"], schema(revision)) == decoded


def test_references_can_point_elsewhere() -> None:
    definitions: dict[str, Any] = {}
    hint = commands("2023-10")["get_key_pair"].result
    assert type_schema(hint, definitions, "#/components/schemas/") == {"$ref": "#/components/schemas/GetKeyPairResult"}
    assert list(definitions) == ["GetKeyPairResult", "GetKeyPairStatus", "KeyPair"]


def test_a_type_that_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^the interface has no values of type "):
        type_schema(bytes, {})


def test_a_revision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(MalformedRequest):
        schema("2025-01")

"""The declaration equals the interface, fact for fact and in its order; the facts are in interface-*.json."""

import importlib
import json
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from evse_security import vocabulary
from evse_security.interface import NEWEST, REVISIONS

HERE = Path(__file__).parent
SCALARS = {str: "string", int: "integer", bool: "boolean", NoneType: "null"}
Facts = dict[str, Any]


def carried(revision: str) -> Facts:
    facts: Facts = json.loads((HERE / f"interface-{revision}.json").read_text())
    return facts


def of_type(hint: Any) -> Facts:
    """A type hint in the words of the facts."""
    if hint in SCALARS:
        return {"type": SCALARS[hint]}
    if get_origin(hint) is Annotated:
        (length,) = hint.__metadata__
        return {"type": "string", "max_length": length.characters}
    if get_origin(hint) is tuple:
        member, ellipsis = get_args(hint)
        assert ellipsis is ...
        return {"type": "array", "items": of_type(member)}
    if get_origin(hint) in (Union, UnionType):
        present, none = get_args(hint)
        assert none is NoneType
        return of_type(present)
    name = type(get_args(hint)[0]).__name__ if get_origin(hint) is Literal else hint.__name__
    return {"type": "object" if is_dataclass(hint) else "string", "ref": name}


def of_command(method: Any) -> Facts:
    hints = get_type_hints(method, include_extras=True)
    result = hints.pop("return")
    return {"arguments": {name: of_type(hint) for name, hint in hints.items()}, "result": of_type(result)}


def of_record(record: Any) -> Facts:
    hints = get_type_hints(record, include_extras=True)
    return {
        "required": [name for name, hint in hints.items() if not optional(hint)],
        "properties": {name: of_type(hint) for name, hint in hints.items()},
    }


def optional(hint: Any) -> bool:
    return NoneType in get_args(hint)


def default_of(record: Any, name: str) -> object:
    """What a field is when it is not given: optional ones None, required ones must be given."""
    return next(each.default for each in fields(record) if each.name == name)


def reachable(hint: Any, found: dict[str, Any]) -> dict[str, Any]:
    """Every enumeration and record that a type is made of, by name."""
    if get_origin(hint) is Literal:
        found[type(get_args(hint)[0]).__name__] = hint
    elif get_origin(hint) is not None:
        for each in get_args(hint):
            reachable(each, found)
    elif isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, StrEnum)):
        found[hint.__name__] = hint
        for each in get_type_hints(hint, include_extras=True).values() if is_dataclass(hint) else ():
            reachable(each, found)
    return found


def declared(revision: str) -> Facts:
    module = importlib.import_module(REVISIONS[revision])
    methods = {name: member for name, member in vars(module.Interface).items() if callable(member) and name[0] != "_"}
    published = get_type_hints(module.Variables, include_extras=True)
    types: dict[str, Any] = {}
    for hints in (*(get_type_hints(each, include_extras=True) for each in methods.values()), published):
        for hint in hints.values():
            reachable(hint, types)
    enums = {name: hint for name, hint in types.items() if not is_dataclass(hint)}
    return {
        "revision": revision,
        "commands": {name: of_command(method) for name, method in methods.items()},
        "variables": {name: of_type(hint) for name, hint in published.items()},
        "enums": {
            name: [each.value for each in (get_args(hint) if get_origin(hint) is Literal else hint)]
            for name, hint in enums.items()
        },
        "objects": {name: of_record(hint) for name, hint in types.items() if is_dataclass(hint)},
    }


def in_order(facts: Facts) -> str:
    """The facts as text, so that order counts; only the order of the definitions among each other does not."""
    return json.dumps(facts | {part: dict(sorted(facts[part].items())) for part in ("enums", "objects")}, indent=1)


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_declaration_is_the_interface(revision: str) -> None:
    assert in_order(declared(revision)) == in_order(carried(revision))


@pytest.mark.parametrize(("revision", "commands", "variables"), [("2023-10", 13, 0), ("2026-04", 16, 1)])
def test_nothing_is_missing_from_the_facts(revision: str, commands: int, variables: int) -> None:
    facts = carried(revision)
    assert (len(facts["commands"]), len(facts["variables"])) == (commands, variables)


def test_every_optional_field_is_absent_unless_given_and_no_required_one_has_a_default() -> None:
    for revision in REVISIONS:
        for name in declared(revision)["objects"]:
            record = getattr(vocabulary, name)
            for each, hint in get_type_hints(record, include_extras=True).items():
                assert default_of(record, each) is (None if optional(hint) else MISSING), f"{name}.{each}"


def test_enumerations_are_spelled_as_they_are_named() -> None:
    for name, enum in vars(vocabulary).items():
        if isinstance(enum, type) and issubclass(enum, StrEnum) and enum is not StrEnum:
            assert [member.name for member in enum] == [member.value for member in enum], name


def test_the_vocabulary_holds_nothing_that_no_revision_uses() -> None:
    used = {name for revision in REVISIONS for part in ("enums", "objects") for name in carried(revision)[part]}
    ours = {
        name
        for name, each in vars(vocabulary).items()
        if isinstance(each, type) and each.__module__ == vocabulary.__name__
    }
    assert ours - used == {"MaxLength"}


def test_the_newest_revision_is_the_last() -> None:
    assert list(REVISIONS)[-1] == NEWEST


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_facts_are_those_that_were_gathered(revision: str, pytestconfig: pytest.Config) -> None:
    gathered = pytestconfig.rootpath.parent / "shared" / "reference" / f"interface-{revision}.json"
    if not gathered.is_file():
        pytest.skip(f"no {gathered}")
    assert json.dumps(carried(revision)) == json.dumps(json.loads(gathered.read_text()))

"""Whether events are what is declared of them, for whoever listens."""

from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from evse_security.serve.schema import data_schema
from evse_security.service.eventdata import DATA
from evse_security.service.events import Event, EventKind


def schema_of(kind: EventKind) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    schema = data_schema(DATA[kind], definitions)
    for each in definitions.values():
        each["additionalProperties"] = False  # here nothing may be published that is not declared
    return {**schema, "$defs": definitions}


_VALIDATORS = {kind: Draft202012Validator(schema_of(kind)) for kind in EventKind}


def check(event: Event) -> None:
    """Fail where the data is of another form."""
    problems = [problem.message for problem in _VALIDATORS[event.kind].iter_errors(event.to_json()["data"])]
    assert not problems, (event.kind, problems)

"""The manifest, as EVerest's manager checks it."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from evse_security.cli import main
from evse_security.config import DEFAULT_PATHS
from evse_security.everest.manifest import manifest

yaml = pytest.importorskip("yaml")

NAME = "^[a-zA-Z_][a-zA-Z0-9_.-]*$"


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


KEY = {
    "oneOf": [
        closed(
            {"description": {"type": "string", "minLength": 2}, "type": {"const": kind}, "default": {"type": kind}},
            "description", "type", "default",
        )
        for kind in ("string", "integer", "number", "boolean")
    ]
}  # fmt: skip
"""As every generation takes it: newer ones know `mutability`, older ones refuse it."""
PROVIDED = closed({"description": {"type": "string"}, "interface": {"const": "evse_security"}}, "interface")
SCHEMA = closed(
    {
        "description": {"type": "string", "minLength": 2},
        "config": {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": KEY},
        "provides": closed({"main": PROVIDED}, "main"),
        "metadata": closed(
            {"license": {"type": "string", "format": "uri"}, "authors": {"type": "array", "minItems": 1}},
            "license", "authors",
        ),
    },
    "description", "provides", "metadata",
)  # fmt: skip


def test_the_manifest_is_what_a_manager_takes(capsys: pytest.CaptureFixture[str]) -> None:
    found = yaml.safe_load(manifest())
    jsonschema.validate(found, SCHEMA)
    config = found["config"]
    assert {name: config[name]["default"] for name in list(config)[:9]} == {**DEFAULT_PATHS, "private_key_password": ""}
    assert main(["everest", "manifest"]) == 0
    assert capsys.readouterr().out == manifest()

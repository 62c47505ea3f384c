"""Commands are called in the revision that an EVerest's interface has of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evse_security.everest.revisions import every_command, revision_of

SHARED = Path(__file__).parents[3] / "shared" / "reference"


def definition(revision: str) -> dict[str, Any]:
    """The definition as the manager of that time has it, from the facts of the interface."""
    path = SHARED / f"interface-{revision}.json"
    if not path.exists():
        pytest.skip("no facts of the interface beside the repository")
    facts = json.loads(path.read_text())["commands"]
    return {name: {**command, "result": refer(command["result"])} for name, command in facts.items()}


def refer(result: dict[str, Any]) -> dict[str, Any]:
    return {"type": result["type"], "$ref": f"/evse_security#/{result['ref']}"} if "ref" in result else result


@pytest.mark.parametrize("revision", ["2023-10", "2026-04"])
def test_the_revision_of_a_whole_definition(revision: str) -> None:
    defined = definition(revision)
    differing = {"verify_certificate", "generate_certificate_signing_request"}
    assert {name for name in defined if revision_of(name, defined) != revision} <= set(defined) - differing
    assert {revision_of(name, defined) for name in differing} == {revision}


def test_what_is_not_defined_is_as_new_as_can_be() -> None:
    assert revision_of("verify_certificate", {}) == "2026-04"
    assert revision_of("get_key_pair", {}) == "2023-10"
    assert revision_of("of_tomorrow", {"of_tomorrow": {}}) == "2026-04"
    assert revision_of("verify_certificate", {"verify_certificate": "garbage"}) == "2026-04"
    assert revision_of("verify_certificate", {"verify_certificate": {"arguments": [], "result": 7}}) in (
        "2023-10", "2026-04",
    )  # fmt: skip
    assert {"get_key_pair", "get_ocsp_request_data", "get_verify_location"} < set(every_command())

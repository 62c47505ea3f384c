"""The table of requirements names tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from evse_security import errors
from evse_security.adapters.ocpp.refusals import reason_code
from evse_security.adapters.ocpp.requirements import REQUIREMENTS, Requirement
from evse_security.adapters.ocpp.words import LONGEST_REASON

COVERED = [row for row in REQUIREMENTS if row.test]


def test_what_no_test_shows_is_said_to_be_not_covered() -> None:
    others = [row for row in REQUIREMENTS if row not in COVERED]
    assert [row.ids for row in others] == ["M05.FR.15, .16"]
    assert all(row.done.startswith("Not covered: ") for row in others)


@pytest.mark.parametrize("row", COVERED, ids=lambda row: row.ids)
def test_every_requirement_is_shown_by_a_test_that_exists(row: Requirement) -> None:
    module, _, name = row.test.partition(":")
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def leaves(tree: type[errors.EvseSecurityError]) -> set[type[errors.EvseSecurityError]]:
    below = tree.__subclasses__()
    return set().union(*map(leaves, below)) if below else {tree}


def test_every_reason_has_a_code_that_ocpp_can_carry_and_none_is_cut() -> None:
    codes = {}
    for leaf in leaves(errors.Refusal):
        refusal = leaf(**dict.fromkeys(getattr(leaf, "__dataclass_fields__", {}), "x"))
        codes[leaf.__name__] = reason_code(refusal)
        assert len(codes[leaf.__name__]) <= LONGEST_REASON
        assert codes[leaf.__name__] != refusal.code[:LONGEST_REASON] or len(refusal.code) <= LONGEST_REASON, leaf

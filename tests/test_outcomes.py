"""Every reason to refuse has an answer in each family of commands, and its words are fit for a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import pytest

from evse_security import errors
from evse_security.outcomes import ANSWERS, answers
from evse_security.vocabulary import (
    CertificateValidationResult,
    DeleteCertificateResult,
    GetCertificateSignRequestStatus,
    InstallCertificateResult,
)


def leaves(kind: type[errors.Refusal] = errors.Refusal) -> Iterator[type[errors.Refusal]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from leaves(one)


BY_NAME = {kind.__name__: kind for kind in leaves()}


def test_one_row_per_leaf_of_the_tree() -> None:
    assert set(ANSWERS) == set(leaves())


@pytest.mark.parametrize("kind", BY_NAME.values(), ids=BY_NAME)
def test_a_refusal_is_never_a_success(kind: type[errors.Refusal]) -> None:
    row = ANSWERS[kind]
    assert row.install is not InstallCertificateResult.Accepted
    assert row.validation is not CertificateValidationResult.Valid
    assert row.delete is not DeleteCertificateResult.Accepted
    assert row.request is not GetCertificateSignRequestStatus.Accepted


@pytest.mark.parametrize("kind", BY_NAME.values(), ids=BY_NAME)
def test_a_refusal_says_its_facts(kind: type[errors.Refusal]) -> None:
    facts = {field.name: f"<{field.name}>" for field in fields(kind)}  # type: ignore[arg-type]
    refusal = kind(**facts)
    assert answers(refusal) is ANSWERS[kind]
    assert refusal.code == kind.__name__
    shown = [fact for fact in facts.values() if fact in str(refusal)]
    assert shown or not facts
    assert "{" not in str(refusal)

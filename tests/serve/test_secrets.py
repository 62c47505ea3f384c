"""Secrets are known by their declaration, wherever they are in an answer."""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import pytest

from evse_security import vocabulary
from evse_security.interface import REVISIONS
from evse_security.serve.codec import encode
from evse_security.serve.command import commands
from evse_security.serve.secrets import without_secrets
from evse_security.vocabulary import (
    CertificateInfo,
    GetCertificateFullInfoResult,
    GetCertificateInfoStatus,
    GetKeyPairResult,
    GetKeyPairStatus,
    KeyPair,
)


def test_a_secret_is_left_out_at_any_depth() -> None:
    pair = GetKeyPairResult(
        status=GetKeyPairStatus.Accepted, key_pair=KeyPair(key="/k", certificate="/c", password="secret")
    )
    infos = GetCertificateFullInfoResult(
        status=GetCertificateInfoStatus.Accepted,
        info=(CertificateInfo(key="/k", certificate_count=1, password="secret"),) * 2,
    )
    values: tuple[Any, ...] = (pair, infos)
    for value in values:
        hint: Any = type(value)
        remove = without_secrets(hint)
        assert remove is not None
        answer = encode(hint, value)
        assert "secret" in str(answer)
        left = remove(answer)
        assert "secret" not in str(left)
        assert "password" not in str(left)
        assert "/k" in str(left)
    remove = without_secrets(GetKeyPairResult)
    assert remove is not None
    assert remove({"status": "NotFound"}) == {"status": "NotFound"}


def test_answers_without_secrets_are_not_walked() -> None:
    having = {
        (revision, name)
        for revision in REVISIONS
        for name, command in commands(revision).items()
        if without_secrets(command.result) is not None
    }
    assert having == {
        ("2023-10", "get_key_pair"),
        ("2026-04", "get_leaf_certificate_info"),
        ("2026-04", "get_all_valid_certificates_info"),
    }


def test_whatever_is_called_a_secret_is_declared_as_one() -> None:
    records = [one for one in vars(vocabulary).values() if is_dataclass(one)]
    named = [each for record in records for each in fields(record) if {"password", "pin", "secret"} & {each.name}]
    assert len(named) == 2
    assert not [each for each in named if each.repr]


def test_a_secret_that_must_be_there_is_a_fault_of_the_declaration() -> None:
    @dataclass(frozen=True)
    class Wrong:
        password: str = field(repr=False)

    wrong: Any = Wrong
    with pytest.raises(TypeError, match="cannot be left out"):
        without_secrets(wrong)

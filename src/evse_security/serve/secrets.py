"""Answers without the secrets in them, for those who may not see these: read off the declaration.

A secret is a field that its record declares with `repr=False`: what must not reach a log is not for every caller.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from evse_security.serve.codec import required_fields, without_none

Remover = Callable[[Any], Any]


@functools.cache
def without_secrets(hint: Any) -> Remover | None:
    """How secrets are removed from JSON answers of a type; None where it has none.

    Raises `TypeError`, a programming error, for a secret that must always be there: it could not be left out.
    """
    hint, _ = without_none(hint)
    if get_origin(hint) is tuple:
        remove_each = without_secrets(get_args(hint)[0])
        return None if remove_each is None else lambda members: [remove_each(member) for member in members]
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_remover(hint)
    return None


def _record_remover(record: type) -> Remover | None:
    secret = frozenset(each.name for each in fields(record) if not each.repr)
    if secret & required_fields(record):
        raise TypeError(f"{record.__name__} has a secret that cannot be left out")
    removers = {name: without_secrets(each) for name, each in get_type_hints(record, include_extras=True).items()}
    below: Mapping[str, Remover] = {name: remove for name, remove in removers.items() if remove is not None}
    if not secret and not below:
        return None

    def remove(answer: dict[str, Any]) -> dict[str, Any]:
        return {
            name: below[name](member) if name in below else member
            for name, member in answer.items()
            if name not in secret
        }

    return remove

"""What the audit log says of a change: the command, the certificates, what was changed on the disk, or why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evse_security.errors import EvseSecurityError
from evse_security.pki.certificate import Certificate
from evse_security.pki.hashdata import CertID
from evse_security.store.changes import Change, Decision, Edit, Link, Remove, Write

LONGEST_TEXT = 300
MOST_MEMBERS = 16
_WORDS: dict[type[Change], str] = {Write: "write", Edit: "edit", Remove: "remove", Link: "link"}


class Refused(NamedTuple):
    """A request to change the store that was refused."""

    command: str
    about: str
    """The domain or type of certificates that it is about."""
    why: EvseSecurityError
    given: tuple[Certificate, ...] = ()
    """The certificates that were handed over, as far as they could be read."""


@dataclass(slots=True)
class Deed:
    """A request to change the store, from its arrival to its end."""

    command: str
    about: str = ""
    """The domain or type of certificates that it is about."""
    given: list[Certificate] = field(default_factory=list)
    """The certificates that were handed over."""
    named: list[CertID] = field(default_factory=list)
    """The certificates that were named."""
    note: str = ""
    done: bool = False
    """Whether the change was made."""

    def made(self, decision: Decision) -> dict[str, Any]:
        """What to record of a change that was made."""
        changes = [{_WORDS[type(one)]: bounded(str(one.path))} for one in decision.changes[:MOST_MEMBERS]]
        body = self._body(decision.concerned)
        return {**body, "result": "done", "changes": _with_rest(changes, len(decision.changes))}

    def refused(self, why: Exception) -> dict[str, Any]:
        """What to record of one that was refused or failed. Messages of other errors than ours may hold anything."""
        if isinstance(why, EvseSecurityError):
            return {**self._body(), "result": "refused", "reason": why.code, "why": bounded(str(why))}
        return {**self._body(), "result": "failed", "reason": type(why).__name__}

    def _body(self, concerned: Sequence[CertID] = ()) -> dict[str, Any]:
        named = list(dict.fromkeys([*self.named, *concerned]))
        received = list(dict.fromkeys(self.given))
        given = [{"sha256": one.fingerprint, "name": bounded(one.name)} for one in received[:MOST_MEMBERS]]
        members = {
            "command": self.command,
            "about": bounded(self.about),
            "given": _with_rest(given, len(received)),
            "certificates": _with_rest([_hash_data(one) for one in named[:MOST_MEMBERS]], len(named)),
            "note": bounded(self.note),
        }
        return {key: value for key, value in members.items() if value}


def _hash_data(identity: CertID) -> dict[str, str]:
    data = identity.hash_data
    return {
        "hash_algorithm": str(data.hash_algorithm),
        "issuer_name_hash": data.issuer_name_hash,
        "issuer_key_hash": data.issuer_key_hash,
        "serial_number": data.serial_number,
    }


def _with_rest(members: Sequence[Any], count: int) -> list[Any]:
    """A list that says how many more there are."""
    return [*members] if count <= len(members) else [*members, {"more": count - len(members)}]


def bounded(text: str) -> str:
    """A text of at most 300 characters."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"

"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a caller may do; each includes those before it."""

    read = "read"
    """See everything but passwords and private keys."""
    install = "install"
    """Change the store: install, delete, request."""
    admin = "admin"
    """See the passwords of key files, too."""


_ORDER = tuple(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a request. `request.state.caller` of every request that reaches a route."""

    name: str
    """For the audit log: `http:local`, `http:token:NAME`, `http:client:SUBJECT`."""
    scope: Scope

    def may(self, needed: Scope) -> bool:
        """Whether the caller's scope includes this one."""
        return _ORDER.index(self.scope) >= _ORDER.index(needed)

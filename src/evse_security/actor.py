"""On whose behalf something is done: what a transport knows of its caller, for the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_actor: ContextVar[str | None] = ContextVar("evse_security_actor", default=None)


@contextmanager
def acting_for(actor: str) -> Iterator[None]:
    """Say who is behind the commands that are called within, such as `ocpp:csms.example` or `web:admin`.

    It holds for this thread or task. The audit log records it beside the process and its user, as it was told.
    """
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def current_actor() -> str | None:
    """Who is behind this; None where nobody said so."""
    return _actor.get()

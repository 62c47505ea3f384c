"""One certificate as the page draws it: its state in a word, its validity, its OCSP response. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from evse_security.http.page.words import Badge, Bar, Some, Tone, day, elapsed, remaining, rest, some, title
from evse_security.station import Node, OcspState


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that everything is judged by."""

    now: datetime
    warn: timedelta
    """Before their end so long certificates expire soon."""
    doubt: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate in a tree or list, and those below it as far as they are shown."""

    node: Node
    domain: str
    title: str
    rest: str
    state: Badge
    remaining: str
    bar: Bar | None
    """None while the clock is not believed."""
    ocsp: Badge
    files: Some
    children: tuple[Row, ...] = ()
    more: int = 0
    """How many below it are not shown."""

    @property
    def tell_why(self) -> bool:
        """Whether the reason says more than the state does: of CAs that are used it does not."""
        return self.node.role == "leaf" or not self.node.used


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """All certificates of these trees."""
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def urgency(node: Node) -> tuple[bool, bool, float]:
    """What comes first: what is used, by when it ends; then what is not, the newest first, what is over last."""
    ends = node.not_after.timestamp()
    return not node.used, node.validity == "expired", ends if node.used else -ends


def row(node: Node, domain: str, clock: Clock, children: tuple[Row, ...] = ()) -> Row:
    """One certificate."""
    soon = node.used and clock.doubt is None and node.not_after - clock.now <= clock.warn
    state = _state(node)
    tone = Tone.SOON if soon and state.tone is Tone.GOOD else state.tone
    bar = None if clock.doubt is not None else Bar(elapsed(node.not_before, node.not_after, clock.now), tone)
    return Row(
        node=node,
        domain=domain,
        title=title(node.name),
        rest=rest(node.name),
        state=state,
        remaining="" if clock.doubt is not None else remaining(node.not_before, node.not_after, clock.now),
        bar=bar,
        ocsp=_ocsp(node.ocsp, names_responder=node.names_responder),
        files=some(node.files),
        children=children,
        more=len(node.children) - len(children),
    )


_USED = {"leaf": "in use", "root": "trusted", "sub-CA": "in use for chains"}


def _state(node: Node) -> Badge:
    """Whether it is used, in a word."""
    if node.used:
        flawed = node.role == "leaf" and node.reason != "InUse"
        return Badge("in use, but refused by peers", Tone.BAD) if flawed else Badge(_USED[node.role], Tone.GOOD)
    if node.validity != "valid":
        return Badge(node.validity, Tone.BAD if node.validity == "expired" and node.role != "leaf" else Tone.IDLE)
    harmless = node.reason in ("NotNewest", "NotYetValid")
    return Badge("not used" if node.role == "leaf" else "not trusted", Tone.IDLE if harmless else Tone.BAD)


def _ocsp(state: OcspState | None, *, names_responder: bool) -> Badge:
    if state is None:
        return Badge("no response cached", Tone.SOON) if names_responder else Badge("names no responder", Tone.IDLE)
    if state.status != "good":
        return Badge(state.status, Tone.BAD)
    if not state.is_current:
        return Badge(f"good on {day(state.this_update)}, out of date", Tone.SOON)
    until = f" until {day(state.next_update)}" if state.next_update else f" on {day(state.this_update)}"
    return Badge(f"good{until}", Tone.GOOD)

"""Performs the play and tells it: a line for each step, then what is installed, then whether all went as expected."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evse_security import Station
from evse_security.cli.show import render
from evse_security.clock import Clock, system_clock
from evse_security.demo.cast import Cast
from evse_security.demo.home import Home
from evse_security.demo.scenes import PLAY
from evse_security.demo.stage import Missing, Scene, Stage, Step, listening
from evse_security.errors import CommandRefused, EvseSecurityError
from evse_security.interface import REVISIONS
from evse_security.serve.command import commands
from evse_security.store.overview import Node, Overview
from evse_security.store.reasons import Role
from evse_security.visible import printable

PLAIN = str.maketrans({"✓": "+", "✗": "!", "├": "|", "└": "`", "│": "|", "─": "-"})
"""For terminals that show nothing but ASCII."""
PROBLEMS = (EvseSecurityError, Missing, OSError, ValueError)
"""What a step may raise. Anything else is a fault of the play."""
RENEWED_IN_VIEW = 2
"""Leaves that were renewed, as the tree shows them for each CA."""


def play(place: Home, shown: Path, clock: Clock = system_clock) -> int:
    """Play the life of a charging station; 1 if a step did not give the expected answer.

    `shown` is the directory as it was given.
    """
    with Station.open(place.config(clock)) as station:
        stage = Stage(place, Cast(place.pki, clock()), station)
        _say_where(shown, place)
        with listening(stage) as reasons:
            outcomes = [_perform(stage, step, reasons) for step in _steps(PLAY)]
        done = [outcome for outcome in outcomes if outcome is not None]
        _say_what_is_installed(station.overview())
        _say_how_it_went(stage, done)
    return 0 if all(done) else 1


def _steps(scenes: tuple[Scene, ...]) -> Iterator[Step]:
    for scene in scenes:
        say(scene.title)
        yield from scene.steps


def _perform(stage: Stage, step: Step, reasons: list[str]) -> bool | None:
    """The funnel: do a step, tell it, and say whether it gave the expected answer; None if there was nothing to do."""
    reasons.clear()
    stage.notes.clear()
    try:
        if not step.when(stage):
            return None
        answer, as_expected = step.act(stage), True
    except CommandRefused as refusal:
        answer, as_expected = f"refused ({refusal.reason.code})", True
    except PROBLEMS as problem:
        answer, as_expected = _in_words(problem), False
    if step.expected is not None:
        as_expected = answer == step.expected
    head = f"{step.name:27}  {step.about}"
    if as_expected:
        say(f"  ✓ {head:49}  {answer}: {'; '.join(stage.notes) or step.meaning}")
    else:
        wanted = f"expected {step.expected}, " if step.expected is not None else ""
        say("; ".join([f"  ✗ {head:49}  {wanted}got {answer}", *reasons]))
    return as_expected


def _in_words(problem: Exception) -> str:
    """What a step gave that raised."""
    if isinstance(problem, Missing):
        return f"nothing, because {problem}"
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{problem.filename}: {problem.strerror}"
    return f"{type(problem).__name__}: {problem}"


def _say_where(directory: Path, place: Home) -> None:
    story = "begins in a new directory" if place.is_new else "goes on"
    say(f"The life of a charging station {story}: {directory}")
    say("  certs/     the station's certificates and keys, in EVerest's layout")
    say(f"  pki/       everyone else's: {len(place.pki)} certificates with their keys, all throw-away")
    say("  firmware/  what it downloads")


def _say_what_is_installed(overview: Overview) -> None:
    say("What is installed")
    domains = tuple(replace(each, trees=tuple(map(_brief, each.trees))) for each in overview.domains)
    for line in render(replace(overview, domains=domains)).splitlines():
        say(f"  {line}")


def _brief(node: Node) -> Node:
    """A certificate by its common name, without those that were renewed long ago (CSMS leaves are never deleted)."""
    renewed = [child for child in node.children if child.role is Role.LEAF and not child.used]
    hidden = sorted(renewed, key=lambda child: child.not_after)[:-RENEWED_IN_VIEW]
    shown = tuple(_brief(child) for child in node.children if child not in hidden)
    more = f" (earlier leaves not shown: {len(hidden)})" if hidden else ""
    return replace(node, name=node.name.split(",")[0] + more, children=shown)


def _say_how_it_went(stage: Stage, done: list[bool]) -> None:
    failed = done.count(False)
    told = f"{failed} of {len(done)} steps did not give" if failed else f"All {len(done)} steps gave"
    counts = []
    for revision in REVISIONS:
        names = {name for _, name in stage.called} & set(commands(revision))
        counts.append(f"{len(names)} of {len(commands(revision))} commands of {revision}")
    say(f"{told} the expected answer")
    say(f"  {', '.join(counts)}; certificate_store_update published {stage.updates} times")


def say(line: str) -> None:
    """Print a line at once, so that a killed play has told how far it got."""
    try:
        line.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        line = line.translate(PLAIN)
    print(printable(line), flush=True)

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.chart import chart
from benchmarks.measure import MIN_ROUNDS, Bound, Row, Target, in_turns, paired
from benchmarks.report import Run, amount, comparison, line, summary, table, wanted


def pairs(measured: list[float], floor: list[float], target: Target | None = None, what: str = "get_key_pair") -> Row:
    return paired(measured, floor, target=target, group="reading", what=what, size="20 leaves", floor_is="stat")


def row(target: Target | None = None, *, measured: float = 3.0, floor: float = 2.0) -> Row:
    return pairs([measured], [floor], target)


def run(*rows: Row) -> Run:
    return Run({"cores": 2}, rows)


def test_a_ratio_is_the_median_pair_by_pair_and_not_the_ratio_of_medians() -> None:
    disturbed = pairs([1.0, 20.0, 3.0], [1.0, 10.0, 1.0])
    assert (disturbed.measured, disturbed.floor, disturbed.ratio) == (3.0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("target", "used"),
    [
        (Target(Bound.RATIO, 1.5), 1.0),
        (Target(Bound.SPEED, 0.5), 0.75),
        (Target(Bound.MEASURED, 2.0), 1.5),
        (Target(Bound.ABOVE_FLOOR, 4.0), 0.25),
    ],
    ids=lambda value: value.bound.name if isinstance(value, Target) else "",
)
def test_the_share_of_a_target_that_is_used(target: Target, used: float) -> None:
    assert row(target).used == pytest.approx(used)


def test_less_than_the_floor_uses_nothing_of_what_is_allowed_above_it() -> None:
    assert row(Target(Bound.ABOVE_FLOOR, 1.0), measured=1.0).used == 0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.5, "s", "1.5 s"), (0.0123, "s", "12.3 ms"), (3.21e-5, "s", "32.1 µs"), (4096, "B", "4 KiB"), (7, "B", "7 B")],
)
def test_amounts_are_told_in_the_unit_that_suits_them(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_targets_in_words() -> None:
    told = [wanted(Target(bound, 0.003), "s") for bound in Bound]
    assert told == ["≤ 0.003 ×", "≥ 0.003 × speed", "≤ 3 ms", "≤ floor + 3 ms"]


def test_a_line_says_whether_its_target_is_met() -> None:
    assert " yes " in line(row(Target(Bound.RATIO, 2)))
    assert " NO " in line(row(Target(Bound.RATIO, 1)))
    assert summary(run(row(Target(Bound.RATIO, 2)), row(Target(Bound.RATIO, 1)), row())) == "1 of 2 targets met"


def test_a_kept_run_is_the_same_run(tmp_path: Path) -> None:
    before = run(row(Target(Bound.MEASURED, 2)), row())
    before.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json") == before
    assert table(before).count("get_key_pair") == 2


def test_a_run_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="measure again"):
        Run.load(tmp_path / "run.json")


def test_a_comparison_shows_both_ratios_and_what_is_gone() -> None:
    gone = pairs([1.0], [1.0], what="gone")
    text = comparison(run(row(measured=6.0), gone), run(row(measured=3.0, floor=4.0)))
    assert "2 ×         4 ×  reading | get_key_pair | 20 leaves" in text
    assert "reading | gone | 20 leaves (old only)" in text


def test_the_chart_has_a_bar_for_every_target() -> None:
    drawn = ElementTree.fromstring(chart(run(row(Target(Bound.RATIO, 2)), row(Target(Bound.RATIO, 0.001)), row())))  # noqa: S314
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 2


def test_calls_are_timed_in_turns_and_equally_often() -> None:
    order: list[str] = []
    samples = in_turns({"one": lambda: order.append("one"), "other": lambda: order.append("other")}, seconds=0)
    assert [name for name, _ in groupby(order)] == ["one", "other"] * (1 + MIN_ROUNDS)
    assert len(samples["one"]) == len(samples["other"]) == MIN_ROUNDS

"""Tables and orders are what the same changes make of a dictionary and a list, and older ones stay as they were."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from evse_security.tables import Draft, Notes, Order, Table

CHANGES = st.lists(
    st.dictionaries(st.integers(0, 400), st.one_of(st.none(), st.integers(1, 9)), max_size=90), max_size=8
)
ORDERED = st.lists(st.sets(st.integers(0, 150), max_size=30), max_size=6)


@settings(max_examples=60, deadline=None)
@given(CHANGES)
def test_a_table_is_what_a_dictionary_is(changes: list[dict[int, int | None]]) -> None:
    table: Table[int, int] = Table(dict.fromkeys(range(200), 1))
    plain = dict.fromkeys(range(200), 1)
    for change in changes:
        before, old = table, dict(plain)
        table = table.changed(change)
        for key, value in change.items():
            plain.pop(key, None)
            if value is not None:
                plain[key] = value  # at the end
        assert list(table.items()) == list(plain.items())
        assert len(table) == len(plain)
        assert set(table) == plain.keys()
        assert sorted(table.values()) == sorted(plain.values())
        assert all((key in table, table.get(key)) == (key in plain, plain.get(key)) for key in range(401))
        assert dict(before.items()) == old


def test_a_table_without_a_change_is_the_same_one() -> None:
    table: Table[int, int] = Table({1: 1})
    assert table.changed({}) is table


def test_a_draft_shows_its_changes_and_leaves_the_table_alone() -> None:
    table: Table[int, int] = Table({1: 1, 2: 2})
    draft = Draft(table)
    draft.put(1, 5)
    draft.put(2, 0)
    assert (draft.get(1), draft.get(2), draft.get(3)) == (5, None, None)
    assert dict(draft.done().items()) == {1: 5}
    assert dict(table.items()) == {1: 1, 2: 2}


def test_notes_that_are_derived_share_what_was_noted_before_and_nothing_after() -> None:
    notes: Notes[int, int] = Notes(Table({1: 1}))
    notes.add(2, 2)
    derived = Notes(notes.settled().changed({1: None}))
    notes.add(3, 3)
    derived.add(4, 4)
    assert [notes.get(number) for number in range(5)] == [None, 1, 2, 3, None]
    assert [derived.get(number) for number in range(5)] == [None, None, 2, None, 4]
    assert (len(notes), len(derived)) == (3, 2)


@settings(max_examples=60, deadline=None)
@given(ORDERED)
def test_an_order_is_a_sorted_list(changes: list[set[int]]) -> None:
    """Values that come and go are drawn by chance; those that are there go, others come."""
    values = {number: Number(number) for number in range(100)}
    order = Order(values.values(), Number.rank)
    for numbers in changes:
        before, old = order, [value.number for value in order]
        gone = [values.pop(number) for number in numbers if number in values]
        came = [Number(number) for number in numbers if number % 3 == 0]
        values |= {value.number: value for value in came}
        order = order.changed(gone, came)
        assert [value.number for value in order] == sorted(values)
        assert [value.number for value in before] == old


class Number:
    """Something that is itself only."""

    def __init__(self, number: int) -> None:
        self.number = number

    def rank(self) -> int:
        return self.number

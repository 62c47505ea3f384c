"""Lines that others can cause any number of are as many as a log can bear."""

import threading

from evse_security.service.spate import MOST, PERIOD, Spate


def test_the_first_of_a_period_are_told_and_then_how_many_were_left_out() -> None:
    left_out: list[int] = []
    spate = Spate(left_out.append)
    assert [spate.takes(100 + number / 100) for number in range(MOST + 5)] == [True] * MOST + [False] * 5
    assert (spate.takes(100 + PERIOD), left_out) == (True, [5])
    assert (spate.takes(100 + 2 * PERIOD), left_out) == (True, [5])


def test_threads_are_counted_rightly() -> None:
    told: list[bool] = []
    spate = Spate(print)
    threads = [threading.Thread(target=lambda: told.extend(spate.takes(0) for _ in range(500))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(told) == MOST

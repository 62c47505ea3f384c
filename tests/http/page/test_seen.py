"""What is kept for a moment, and for how long."""

import asyncio

from evse_security.http.page.seen import LONGEST, SHARE, Kept


class Slow:
    """An answer that takes a while by a clock of its own."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.now, self.seconds, self.asked = 0.0, seconds, 0

    async def ask(self) -> int:
        self.asked += 1
        asked = self.asked
        self.now += self.seconds
        await asyncio.sleep(0)
        return asked

    def clock(self) -> float:
        return self.now


def test_an_answer_is_kept_in_proportion_to_what_it_took() -> None:
    async def run() -> None:
        slow = Slow()
        kept = Kept(slow.ask, slow.clock)
        assert await kept.get() == 1
        slow.now += SHARE - 0.5
        assert await kept.get() == 1
        slow.now += 0.5
        assert await kept.get() == 2

    asyncio.run(run())


def test_but_never_too_long() -> None:
    async def run() -> None:
        slow = Slow(seconds=1000)
        kept = Kept(slow.ask, slow.clock)
        await kept.get()
        slow.now += LONGEST
        assert await kept.get() == 2

    asyncio.run(run())


def test_those_who_ask_at_once_share_an_answer_and_a_change_forgets_it() -> None:
    async def run() -> None:
        slow = Slow()
        kept = Kept(slow.ask, slow.clock)
        assert set(await asyncio.gather(*(kept.get() for _ in range(20)))) == {1}
        kept.forget()
        assert await kept.get() == 2

    asyncio.run(run())


def test_what_changed_while_it_was_asked_is_asked_again() -> None:
    async def run() -> None:
        slow = Slow()
        kept = Kept(slow.ask, slow.clock)
        asking = asyncio.ensure_future(kept.get())
        await asyncio.sleep(0)
        kept.forget()
        assert await asking == 1
        assert await kept.get() == 2

    asyncio.run(run())

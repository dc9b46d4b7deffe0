"""So many at a time, so many that wait, and nobody else."""

import asyncio

import pytest

from lingting.errors import BusyError
from lingting.server.turns import Turns


def test_who_comes_when_enough_wait_is_refused() -> None:
    async def run() -> list[str]:
        turns, order, gate = Turns(1, 1, "Too many."), [], asyncio.Event()

        async def take(name: str) -> None:
            async with turns.one():
                order.append(name)
                await gate.wait()

        first = asyncio.create_task(take("first"))
        second = asyncio.create_task(take("second"))
        await asyncio.sleep(0.01)
        with pytest.raises(BusyError, match="Too many"):
            await take("third")
        gate.set()
        await asyncio.gather(first, second)
        await take("fourth")
        return order

    assert asyncio.run(run()) == ["first", "second", "fourth"]


def test_who_gives_up_leaves_no_place_taken() -> None:
    async def run() -> None:
        turns = Turns(1, 1, "Too many.")
        async with turns.one():
            waits = asyncio.create_task(turns.one().__aenter__())
            await asyncio.sleep(0.01)
            waits.cancel()
            await asyncio.gather(waits, return_exceptions=True)
        async with asyncio.timeout(5), turns.one():
            pass

    asyncio.run(run())

"""Events of jobs for everybody who listens: one look at the database serves them all.

While anybody listens, the newest events are read when a worker of this machine rings, and every
0.3 s, and given to each listener they concern. A listener that comes back with the id of its last
event is first given what it missed, page by page, then joins the others; ids decide, so nothing
comes twice and nothing is left out. One that reads too slowly is let go and comes back by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lingting.errors import BusyError, LingtingError
from lingting.jobs.bells import Bell

if TYPE_CHECKING:
    from lingting.jobs import Event
    from lingting.store.records import Sight

log = logging.getLogger("lingting.server")

LOOK_EVERY_S = 0.3
_BREATH_S = 0.02
"""Between two looks, however often it rings."""
_AFTER_A_FAILURE_S = 2.0
_PAGE = 500
_WAITING_EVENTS = 2_000
_LISTENERS = 500

Read = Callable[[int], "Sequence[Event]"]
"""Events behind an id, oldest first, at most a page; may block."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a listener is given."""

    sight: Sight | None = None
    """None: everybody's."""
    job_id: str | None = None
    batch_id: str | None = None

    def has(self, event: Event) -> bool:
        return (
            (self.sight is None or self.sight.has(event.owner, event.department))
            and (self.job_id is None or event.job_id == self.job_id)
            and (self.batch_id is None or event.batch_id == self.batch_id)
        )


@dataclass(eq=False, slots=True)
class _Listener:
    wanted: Wanted
    waiting: asyncio.Queue[Event | None] = field(
        default_factory=lambda: asyncio.Queue(_WAITING_EVENTS)
    )
    is_lost: bool = False


class Broker:
    """Lives on one event loop. ``read`` and ``last_id`` are called in threads."""

    def __init__(
        self, read: Read, last_id: Callable[[], int], run_folder: Path | None = None
    ) -> None:
        """``run_folder`` is where workers of this machine ring."""
        self._run_folder = run_folder
        self._read = read
        self._last_id = last_id
        self._listeners: set[_Listener] = set()
        self._place: int | None = None
        """The id up to which the listeners were given everything; None while nobody listens."""
        self._looking: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.looks = 0
        """How often the database was asked for new events."""

    async def events(
        self,
        wanted: Wanted,
        missed: Callable[[int], Sequence[Event]],
        *,
        after: int | None = None,
        heartbeat_s: float = 15.0,
    ) -> AsyncGenerator[Event | None]:
        """Events for one listener, for ever.

        None comes first, and whenever nothing happened for ``heartbeat_s``.

        ``missed`` reads a page of those it wants behind an id. It ends when the listener is too
        slow. Raises BusyError with too many listeners.
        """
        listener = _Listener(wanted)
        if len(self._listeners) >= _LISTENERS:
            raise BusyError("Too many clients listen already.", retry_after_s=10.0)
        place = await self._join(listener)
        try:
            yield None  # from here on nothing is missed
            given = place if after is None else after
            while given < place:
                page = await asyncio.to_thread(missed, given)
                for event in page:
                    if event.id <= place:
                        yield event
                given = min(page[-1].id, place) if page else place
            while not listener.is_lost or not listener.waiting.empty():
                try:
                    async with asyncio.timeout(heartbeat_s):
                        told = await listener.waiting.get()
                except TimeoutError:
                    yield None
                else:
                    if told is not None and told.id > given:
                        yield told
        finally:
            self._listeners.discard(listener)

    async def _join(self, listener: _Listener) -> int:
        """Everything behind the id that comes back is put into the listener's queue."""
        async with self._turn:
            if self._place is None:
                self._place = await asyncio.to_thread(self._last_id)
            self._listeners.add(listener)
            if self._looking is None:
                self._looking = asyncio.create_task(self._look(), name="events")
            return self._place

    async def _look(self) -> None:
        """Until the last listener has gone: when it rings, and now and then."""
        with self._bell() as rung:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await rung.wait()
                rung.clear()
                async with self._turn:
                    if not self._listeners:
                        self._place = self._looking = None
                        return
                    is_read = await self._is_read()
                await asyncio.sleep(_BREATH_S if is_read else _AFTER_A_FAILURE_S)

    @contextmanager
    def _bell(self) -> Iterator[asyncio.Event]:
        """Set whenever a worker of this machine has changed something."""
        rung, loop = asyncio.Event(), asyncio.get_running_loop()
        bell = None
        if self._run_folder is not None:
            with suppress(OSError):  # no named pipes here: looking now and then is enough
                bell = Bell(self._run_folder, "web")
        if bell is None:
            yield rung
            return

        def hear() -> None:
            bell.hear()
            rung.set()

        loop.add_reader(bell.fileno(), hear)
        try:
            yield rung
        finally:
            loop.remove_reader(bell.fileno())
            bell.close()

    async def _is_read(self) -> bool:
        """Listeners outlive a database that is away for a while."""
        try:
            await self._once()
        except Exception as exc:
            code = exc.code if isinstance(exc, LingtingError) else type(exc).__name__
            log.warning("events cannot be read", extra={"code": code})
            return False
        return True

    async def _once(self) -> None:
        assert self._place is not None
        while True:
            self.looks += 1
            page = await asyncio.to_thread(self._read, self._place)
            for event in page:
                self._give(event)
                self._place = max(self._place, event.id)
            if len(page) < _PAGE:
                return

    def _give(self, event: Event) -> None:
        for listener in list(self._listeners):
            if listener.wanted.has(event):
                try:
                    listener.waiting.put_nowait(event)
                except asyncio.QueueFull:
                    listener.is_lost = True
                    self._listeners.discard(listener)

    def end(self) -> None:
        """Every listener's stream ends; they come back to whoever serves then."""
        for listener in list(self._listeners):
            listener.is_lost = True
            self._listeners.discard(listener)
            if not listener.waiting.full():
                listener.waiting.put_nowait(None)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

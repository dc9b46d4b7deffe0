"""Several engine hosts as one engine: the least loaded is asked first, a dead one is left out.

::

    clips ─ shares by outstanding seconds ─┬─ host A ─ answered
                                           └─ host B ─ broke off, busy ─ its clips to the others
                                                        └ left out; asked again with back-off

A clip is given to another host only when nothing was answered for it. Hosts of ours must run the
same model: one with another is left out, or a recording would be written by two. Clips that wait
for room wait here, first come, first served, and not in a thousand refused requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis
from lingting.engines.envelope import LANES, check_lane
from lingting.engines.remote import load_guarded
from lingting.engines.remote.address import parse_address, split_address
from lingting.engines.remote.host import HostEngine, is_transient, request_sized
from lingting.engines.remote.options import RemoteOptions
from lingting.errors import (
    EngineBusy,
    EngineFailed,
    EngineRefused,
    EngineUnreachable,
    ExtraMissing,
    LingtingError,
    ModelNotInstalled,
    ModelUnknown,
    OptionInvalid,
    WeightsInvalid,
)

_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0
_SHARE_OF_QUEUE = 0.5  # of a host's queue: the rest is for other callers
_OTHER_SERVER_S = 600.0  # outstanding audio that a server which is no host of ours may have
_LOOK_S = 0.5
_MOST_THREADS = 256  # for the second and further shares of calls
_ASK_ONCE = RemoteOptions(attempts=1, connect_timeout_s=3.0, concurrency=16)

# What is wrong with a host and not with the clips it was sent.
_NOT_THE_CLIPS = (EngineRefused, ModelUnknown, ModelNotInstalled, ExtraMissing, WeightsInvalid)


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One host as the pool sees it."""

    address: str
    state: str
    """``ready``, ``busy`` (it has no room just now), ``away`` or ``wrong`` (another model, or it
    refuses us)."""
    outstanding_s: float
    answered: int
    failures: int
    error: str | None


class _Member:
    """A host or server; what is written here is guarded by the pool's lock."""

    def __init__(self, address: str, shown: str) -> None:
        self.address = address
        self.shown = shown
        self.engine: Engine | None = None
        self.facts: EngineFacts | None = None
        self.most_s = _OTHER_SERVER_S
        self.outstanding_s = 0.0
        self.answered = 0
        self.failures = 0
        self.failures_running = 0
        self.not_before_s = 0.0
        self.is_opening = False
        self.is_ours = True
        self.state = "away"
        self.error: LingtingError | None = None

    def ask(self, clips: list[Clip], lane: str) -> list[Hypothesis]:
        """Raises EngineBusy or EngineUnreachable when none was answered."""
        engine = self.engine
        if engine is None:
            raise EngineUnreachable(f"The engine host at {self.shown} is not connected.")
        if isinstance(engine, HostEngine):
            return engine.ask(clips, lane=lane)
        return engine.recognize(clips)


class EnginePool:
    """Safe to use from many threads; a call waits in the thread that makes it."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        model: str | None = None,
        key: str | None = None,
        lane: str = LANES[-1],
        patience_s: float = 60.0,
        wait_s: float = 0.0,
    ) -> None:
        """``addresses`` as ``unix:/run/a.sock`` or ``http://host:8000#model``.

        ``model`` is for addresses that name none; None is a host's default. ``key`` None is that
        of the settings. ``patience_s`` is how long clips wait while no host answers anything; then
        they come back with EngineBusy or EngineUnreachable, which can be tried again.
        ``wait_s`` is how long to wait here for the first host; 0 returns at once, and
        :attr:`facts` waits. Raises OptionInvalid.
        """
        if not addresses:
            raise OptionInvalid("A pool needs the address of an engine host.", "Give one.")
        self._lane = check_lane(lane)
        self._patience_s = patience_s
        self._model, self._key = model, key
        self._members = [_Member(one, _shown(one)) for one in dict.fromkeys(addresses)]
        self._changed = threading.Condition()
        self._queue: list[_Ticket] = []
        self._progress_s = time.monotonic()
        self._is_closed = False
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="lingting-pool")
        self._openers = ThreadPoolExecutor(len(self._members), thread_name_prefix="lingting-open")
        if wait_s > 0:
            self.wait_ready(wait_s)

    # What it looks like ---------------------------------------------------------------------

    @property
    def facts(self) -> EngineFacts:
        """Of the first host that answers. Raises why none does, after ``patience_s``."""
        with self._changed:
            found = self._leader()
        if found is None:
            self.wait_ready(self._patience_s)
            found = self._leader()
        assert found is not None
        return found

    def wait_ready(self, timeout_s: float) -> None:
        """Returns when a host is ready; raises the last reason why none is."""
        until_s = time.monotonic() + timeout_s
        while True:
            self._open_some()
            with self._changed:
                self._check_open()
                if any(member.state in ("ready", "busy") for member in self._members):
                    return
                if time.monotonic() >= until_s:
                    raise self._why()
                self._changed.wait(_LOOK_S)

    def status(self) -> list[MemberStatus]:
        """One row for each host, in the order given."""
        with self._changed:
            return [
                MemberStatus(
                    one.shown,
                    one.state,
                    one.outstanding_s,
                    one.answered,
                    one.failures,
                    None if one.error is None else one.error.code,
                )
                for one in self._members
            ]

    def close(self) -> None:
        """Calls under way end by themselves, with errors."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            engines = [one.engine for one in self._members if one.engine is not None]
        for engine in engines:
            engine.close()
        for threads in (self._threads, self._openers):
            threads.shutdown(wait=False, cancel_futures=True)

    # Recognising ----------------------------------------------------------------------------

    @property
    def lanes(self) -> tuple[str, ...]:
        return LANES

    def recognize(self, clips: Sequence[Clip], *, lane: str | None = None) -> list[Hypothesis]:
        """One hypothesis per clip, in order, whatever host heard it."""
        if self._is_closed:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        lane = check_lane(lane or self._lane)
        found: list[Hypothesis] = [Hypothesis("")] * len(clips)
        left = list(range(len(clips)))
        began_s = time.monotonic()
        while left:
            try:
                shares = self._place(left, clips, lane, began_s)
            except LingtingError as error:
                for at in left:
                    found[at] = Hypothesis("", clips[at].options.language, error=error)
                break
            for positions, heard in self._run(shares, clips, lane):
                for at, hypothesis in zip(positions, heard, strict=True):
                    found[at] = hypothesis
            # What was not placed, and what came back without an answer.
            placed = {at for _, positions in shares for at in positions}
            began_s = time.monotonic()  # patience begins anew: something happened
            left = [at for at in left if at not in placed or is_transient(found[at].error)]
        return found

    def _run(
        self, shares: list[tuple[_Member, list[int]]], clips: Sequence[Clip], lane: str
    ) -> Iterator[tuple[list[int], list[Hypothesis]]]:
        """Each share at its host; all but the first in other threads."""
        given = [(member, [clips[at] for at in positions]) for member, positions in shares]
        others = [self._threads.submit(self._ask, *one, lane) for one in given[1:]]
        yield shares[0][1], self._ask(*given[0], lane)
        for (_, positions), other in zip(shares[1:], others, strict=True):
            yield positions, other.result()

    def _ask(self, member: _Member, clips: list[Clip], lane: str) -> list[Hypothesis]:
        """Hypotheses with errors where a host gave none; keeps the books."""
        seconds = sum(clip.duration_s for clip in clips)
        try:
            heard = member.ask(clips, lane)
        except LingtingError as error:
            heard = _failed(clips, self._seen(member, error))
        except Exception as exc:  # ours; the call must come back all the same
            failure = EngineFailed("The engine pool failed on a clip.")
            failure.__cause__ = exc
            heard = _failed(clips, failure)
        with self._changed:
            member.outstanding_s = max(0.0, member.outstanding_s - seconds)
            self._judge(member, heard)
            self._changed.notify_all()
        return heard

    def _seen(self, member: _Member, error: LingtingError) -> LingtingError:
        """A host that refuses everything is left out, and its clips may go to another."""
        if is_transient(error) or not isinstance(error, _NOT_THE_CLIPS):
            return error
        with self._changed:
            self._leave_out(member, error, "wrong")
        found = EngineUnreachable(f"The engine host at {member.shown} refuses every clip.")
        found.__cause__ = error
        return found

    def _judge(self, member: _Member, heard: Sequence[Hypothesis]) -> None:
        """What the answers say about the host."""
        passing = [one.error for one in heard if is_transient(one.error)]
        member.answered += len(heard) - len(passing)
        if len(passing) < len(heard):
            self._progress_s = time.monotonic()
        if not passing:
            member.failures_running = 0
            if member.state == "busy":
                member.state = "ready"
            return
        error = passing[0]
        assert error is not None
        member.error = error
        if isinstance(error, EngineBusy):
            member.state = "busy"
            member.not_before_s = time.monotonic() + min(error.retry_after_s, _LONGEST_WAIT_S)
        elif member.state != "wrong":
            self._leave_out(member, error, "away")

    def _leave_out(self, member: _Member, error: LingtingError, state: str) -> None:
        now_s = time.monotonic()
        if member.state == state and member.not_before_s > now_s:
            return  # many calls were under way when it went; it went once
        member.failures += 1
        member.failures_running += 1
        wait_s = _FIRST_WAIT_S * 2.0 ** min(member.failures_running - 1, 10)
        member.not_before_s = now_s + min(wait_s, _LONGEST_WAIT_S)
        member.state, member.error = state, error

    # Placing --------------------------------------------------------------------------------

    def _place(
        self, left: Sequence[int], clips: Sequence[Clip], lane: str, began_s: float
    ) -> list[tuple[_Member, list[int]]]:
        """Shares for hosts that have room, at least one clip; waits for room, in order of coming.

        Live clips do not wait for room. Raises EngineBusy or EngineUnreachable when nothing was
        answered by anybody for as long as the pool's patience.
        """
        with self._turn(lane) as ticket:
            while True:
                self._open_some()
                with self._changed:
                    self._check_open()
                    if self._queue[0] is ticket or lane == LANES[0]:
                        shares = self._shared_out(left, clips, lane)
                        if shares:
                            return shares
                    since_s = max(began_s, self._progress_s)
                    if time.monotonic() - since_s > self._patience_s:
                        raise self._why()
                    self._changed.wait(self._next_look_s())

    @contextmanager
    def _turn(self, lane: str) -> Iterator[_Ticket]:
        """A place in the queue; interactive callers stand before bulk ones."""
        ticket = _Ticket(LANES.index(lane))
        with self._changed:
            at = len(self._queue)
            while at and self._queue[at - 1].lane > ticket.lane:
                at -= 1
            self._queue.insert(at, ticket)
        try:
            yield ticket
        finally:
            with self._changed:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _shared_out(
        self, left: Sequence[int], clips: Sequence[Clip], lane: str
    ) -> list[tuple[_Member, list[int]]]:
        """Each clip to the host with the fewest outstanding seconds, as long as it has room."""
        now_s = time.monotonic()
        open_ = [
            one
            for one in self._members
            if one.state == "ready" or (one.state == "busy" and one.not_before_s <= now_s)
        ]
        shares: dict[int, list[int]] = {}
        for at in left:
            roomy = [
                one
                for one in open_
                if lane == LANES[0]
                or one.outstanding_s == 0.0
                or one.outstanding_s + clips[at].duration_s <= one.most_s
            ]
            if not roomy:
                break
            member = min(roomy, key=lambda one: one.outstanding_s)
            member.outstanding_s += clips[at].duration_s
            shares.setdefault(self._members.index(member), []).append(at)
        sized: list[tuple[_Member, list[int]]] = []
        for number, positions in shares.items():
            for part in request_sized(positions, clips):
                sized.append((self._members[number], part))
        return sized

    def _next_look_s(self) -> float:
        now_s = time.monotonic()
        waits = [one.not_before_s - now_s for one in self._members if one.state != "ready"]
        return min([_LOOK_S, *(max(0.01, wait) for wait in waits)])

    # Hosts that come and go ----------------------------------------------------------------

    def _open_some(self) -> None:
        """Connect those whose time has come, in threads of their own."""
        now_s = time.monotonic()
        with self._changed:
            due = [
                one
                for one in self._members
                if one.state in ("away", "wrong") and not one.is_opening
                if one.not_before_s <= now_s
            ]
            for member in due:
                member.is_opening = True
        for member in due:
            try:
                self._openers.submit(self._connect, member)
            except RuntimeError:  # closed meanwhile
                return

    def _connect(self, member: _Member) -> None:
        engine, error = member.engine, None
        try:
            # An engine that was there is made anew: the host may have another model by now.
            fresh = load_guarded(
                member.address, model=self._model, key=self._key, options=_ASK_ONCE
            )
            facts = fresh.facts
        except LingtingError as exc:
            error = exc
        except Exception as exc:
            error = EngineUnreachable(f"The engine host at {member.shown} cannot be used.")
            error.__cause__ = exc
        with self._changed:
            member.is_opening = False
            if error is not None:
                is_wrong = not isinstance(error, EngineBusy | EngineUnreachable)
                self._leave_out(member, error, "wrong" if is_wrong else "away")
            else:
                self._admit(member, fresh, facts)
            self._changed.notify_all()
        if error is None and engine is not None:
            engine.close()

    def _admit(self, member: _Member, engine: Engine, facts: EngineFacts) -> None:
        is_ours = isinstance(engine, HostEngine)
        leader = self._leader(without=member) if is_ours else None
        member.engine, member.facts, member.is_ours = engine, facts, is_ours
        if leader is not None and leader.model.id != facts.model.id:
            error = EngineRefused(
                f"The engine host at {member.shown} has another model than the others.",
                "Name one model for all with LINGTING_MODEL, or behind each address after #.",
            )
            self._leave_out(member, error, "wrong")
            return
        if isinstance(engine, HostEngine) and engine.queue_s > 0:
            member.most_s = engine.queue_s * _SHARE_OF_QUEUE
        member.state, member.error, member.failures_running = "ready", None, 0

    def _leader(self, without: _Member | None = None) -> EngineFacts | None:
        """Facts of the first host in use; its model is that of all hosts of ours.

        What another server calls its model says nothing, so it stands behind.
        """
        used = [
            one
            for one in self._members
            if one is not without and one.facts is not None and one.state != "wrong"
        ]
        ours = [one for one in used if one.is_ours]
        if without is not None:
            used = ours
        return next((one.facts for one in (*ours, *used)), None)

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineFailed("The engine was closed.", "Make a new one.")

    def _why(self) -> LingtingError:
        """The best reason for having no answer: room is short, or nobody is there."""
        errors = [one.error for one in self._members if one.error is not None]
        busy = [one for one in errors if isinstance(one, EngineBusy)]
        if busy or any(one.state in ("ready", "busy") for one in self._members):
            return EngineBusy(
                "No engine host had room for as long as was waited.",
                retry_after_s=max([1.0, *(one.retry_after_s for one in busy)]),
            )
        wrong = [one for one in errors if not is_transient(one)]
        if wrong and len(wrong) == len(self._members):
            return wrong[0]
        return EngineUnreachable("No engine host can be reached.")


def _failed(clips: Sequence[Clip], error: LingtingError) -> list[Hypothesis]:
    return [Hypothesis("", clip.options.language, error=error) for clip in clips]


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    lane: int


def _shown(address: str) -> str:
    return parse_address(split_address(address)[0]).shown

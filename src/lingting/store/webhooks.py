"""Webhooks and their deliveries: kept, taken up to be sent, tried again for days, replayed.

::

    pending ──► done
      ▲  │
      │  └────► failed      after the last try, or when the webhook was disabled
      └─ replay ──┘

A delivery is taken up for a while: its row names who sends it and when another one may. Who is
killed meanwhile has sent it or not, so a receiver can hear a message twice, under the same id; none
is lost.
"""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.orm import Session

from lingting.errors import OptionInvalid, WebhookNotFound
from lingting.store import audit, changes, outbox
from lingting.store.database import affected
from lingting.store.records import Actor, Attempt, Delivery, DeliveryState, Reach, Webhook
from lingting.store.rows import storable
from lingting.store.schema import DeliveryRow, WebhookRow

if TYPE_CHECKING:
    from lingting.store.database import Database

_MAX_OF_ONE_OWNER = 20
_MAX_NOTE_CHARS = 200
_LOGGED_ATTEMPTS = 30
RETRIES_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits between attempts, as Standard Webhooks proposes them; about 75 hours."""
_JITTER = 0.2
_LONGEST_WAIT_S = 86_400.0
DISABLED_AFTER = timedelta(days=5)
"""Of nothing but failures."""
OLD_SECRET_FOR = timedelta(days=1)
KEPT_FOR = timedelta(days=30)
"""How long deliveries are listed."""
LEASE_S = 60.0
_GONE = 410
_BY_THE_SERVICE = Actor("webhooks", "service")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that was taken up, with what is needed to send it."""

    delivery_id: int
    webhook_id: str
    holder: str
    message_id: str
    kind: str
    at: datetime
    data: Mapping[str, Any]
    url: str
    secrets: tuple[str, ...]
    """The newest first; behind it the one before, while it is valid."""
    includes_text: bool
    attempt: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: a status of 2xx is success."""

    status: int | None
    error: str | None
    took_ms: int
    retry_after_s: float | None = None

    @property
    def is_success(self) -> bool:
        return self.error is None and self.status is not None and 200 <= self.status < 300


class Webhooks:
    """The webhooks of a store. May be used by many threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Keeping -----------------------------------------------------------------------------------

    def add(
        self,
        url: str,
        events: Iterable[str],
        *,
        owner: str,
        reach: Reach = "own",
        department: str | None = None,
        includes_text: bool = False,
        note: str = "",
        actor: Actor | None = None,
    ) -> tuple[Webhook, str]:
        """A webhook, and its secret, which is not shown again. ``url`` was checked before.

        Raises OptionInvalid for events nobody knows, or one too many.
        """
        kinds, secret, now = _events(events), _new_secret(), changes.now()
        if (reach == "department") != (department is not None):
            raise OptionInvalid("A department belongs to the reach department, and to no other.")
        with self._database.write() as session:
            count = select(func.count()).where(WebhookRow.owner == owner)
            if (session.scalar(count) or 0) >= _MAX_OF_ONE_OWNER:
                raise OptionInvalid(
                    f"One user has at most {_MAX_OF_ONE_OWNER} webhooks.", "Delete one of them."
                )
            row = WebhookRow(
                id=changes.new_id(), owner=owner, reach=reach,
                department=None if department is None else storable(department), url=url,
                note=_note(note), events=kinds, includes_text=includes_text, secret=secret,
                created_at=now, changed_at=now,
            )  # fmt: skip
            session.add(row)
            session.flush()
            audit.note(
                session, actor, "webhook.added", "webhook", row.id,
                reach=reach, events=len(kinds), text=int(includes_text),
            )  # fmt: skip
            return _webhook(row), secret

    def listed(self, *, owner: str | None = None, department: str | None = None) -> list[Webhook]:
        """Those that ``owner`` made, and those of ``department``; without both, all."""
        query = select(WebhookRow).order_by(WebhookRow.created_at, WebhookRow.id)
        parts: list[ColumnElement[bool]] = []
        if owner is not None:
            parts.append(WebhookRow.owner == owner)
        if department is not None:
            parts.append(WebhookRow.department == department)
        if parts:
            query = query.where(or_(*parts))
        with self._database.read() as session:
            return [_webhook(row) for row in session.scalars(query)]

    def get(self, webhook_id: str) -> Webhook:
        """Raises WebhookNotFound."""
        with self._database.read() as session:
            return _webhook(_row(session, webhook_id))

    def change(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Iterable[str] | None = None,
        includes_text: bool | None = None,
        note: str | None = None,
        is_active: bool | None = None,
        actor: Actor | None = None,
    ) -> Webhook:
        """What is given is changed. Enabled again, it hears what happens from now on."""
        with self._database.write() as session:
            row = _row(session, webhook_id, is_locked=True)
            if url is not None:
                row.url = url
            if events is not None:
                row.events = _events(events)
            if includes_text is not None:
                row.includes_text = includes_text
            if note is not None:
                row.note = _note(note)
            if is_active is True:
                row.disabled_at = row.disabled_for = row.failing_since = None
            elif is_active is False and row.disabled_at is None:
                _disable(session, row, "user")
            row.changed_at = changes.now()
            session.flush()
            audit.note(
                session, actor, "webhook.changed", "webhook", row.id,
                events=len(row.events), text=int(row.includes_text),
                active=int(row.disabled_at is None),
            )  # fmt: skip
            return _webhook(row)

    def rotate(self, webhook_id: str, *, actor: Actor | None = None) -> tuple[Webhook, str]:
        """Another secret. For a day messages are signed with the one before as well."""
        with self._database.write() as session:
            row = _row(session, webhook_id, is_locked=True)
            row.old_secret, row.secret = row.secret, _new_secret()
            row.changed_at = changes.now()
            row.old_until = row.changed_at + OLD_SECRET_FOR
            session.flush()
            audit.note(session, actor, "webhook.rotated", "webhook", row.id)
            return _webhook(row), row.secret

    def delete(self, webhook_id: str, *, actor: Actor | None = None) -> Webhook:
        """With its deliveries. It is returned once more."""
        with self._database.write() as session:
            row = _row(session, webhook_id, is_locked=True, is_leaving=True)
            found = _webhook(row)
            session.execute(delete(DeliveryRow).where(DeliveryRow.webhook_id == row.id))
            session.delete(row)
            audit.note(session, actor, "webhook.deleted", "webhook", found.id)
            return found

    # Deliveries --------------------------------------------------------------------------------

    def test(self, webhook_id: str) -> Delivery:
        """Tell it something that did not happen. Raises OptionInvalid while it is disabled."""
        with self._database.write() as session:
            row = _row(session, webhook_id)
            _refuse_disabled(row)
            values = outbox.delivery_values(
                row.id, outbox.new_message_id(), outbox.TEST, changes.now(), {"webhook_id": row.id}
            )
            made = session.scalars(insert(DeliveryRow).returning(DeliveryRow), [values]).one()
            return _delivery(made)

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: DeliveryState | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Delivery]:
        """A page, the newest first; go on with ``before=page[-1].id``."""
        query = select(DeliveryRow).where(DeliveryRow.webhook_id == storable(webhook_id))
        if state is not None:
            query = query.where(DeliveryRow.state == state)
        if before is not None:
            query = query.where(DeliveryRow.id < before)
        with self._database.read() as session:
            _row(session, webhook_id)
            rows = session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit))
            return [_delivery(row) for row in rows]

    def delivery(self, webhook_id: str, delivery_id: int) -> Delivery:
        """Raises WebhookNotFound."""
        with self._database.read() as session:
            return _delivery(_delivery_row(session, webhook_id, delivery_id))

    def replay(
        self, webhook_id: str, delivery_id: int | None = None, *, actor: Actor | None = None
    ) -> int:
        """Send one again, or all that failed; how many. They keep the ids of their messages."""
        with self._database.write() as session:
            hook = _row(session, webhook_id)
            _refuse_disabled(hook)
            if delivery_id is not None:
                rows = [_delivery_row(session, webhook_id, delivery_id, is_locked=True)]
            else:
                failed = select(DeliveryRow).where(
                    DeliveryRow.webhook_id == webhook_id, DeliveryRow.state == "failed"
                )
                rows = list(session.scalars(failed.order_by(DeliveryRow.id).with_for_update()))
            now = changes.now()
            for row in rows:
                row.state, row.next_at, row.attempts = "pending", now, 0
                row.holder = row.finished_at = None
            audit.note(
                session, actor, "webhook.replayed", "webhook", webhook_id, deliveries=len(rows)
            )
            return len(rows)

    # Sending -----------------------------------------------------------------------------------

    def has_due(self) -> bool:
        with self._database.read() as session:
            query = select(DeliveryRow.id).where(_is_due(changes.now()))
            return session.scalar(query.limit(1)) is not None

    def claim(
        self, room: int, *, of_one: int, busy: Mapping[str, int], lease_s: float = LEASE_S
    ) -> list[Parcel]:
        """Take up at most ``room`` deliveries that are due, in turn over their webhooks.

        ``busy`` says how many of each are under way here; ``of_one`` is the most of one.
        """
        found: list[Parcel] = []
        now, holder = changes.now(), changes.new_id()
        with self._database.write() as session:
            for hook in self._due_hooks(session, now):
                left = min(room - len(found), of_one - busy.get(hook.id, 0))
                if left <= 0:
                    continue
                rows = session.scalars(
                    select(DeliveryRow)
                    .where(DeliveryRow.webhook_id == hook.id, _is_due(now))
                    .order_by(DeliveryRow.next_at, DeliveryRow.id)
                    .limit(left)
                    .with_for_update(skip_locked=True)
                )
                for row in rows:
                    row.attempts += 1
                    row.holder = holder
                    row.next_at = now + timedelta(seconds=lease_s)
                    found.append(_parcel(row, hook, now))
        return found

    def _due_hooks(self, session: Session, now: datetime) -> list[WebhookRow]:
        ids = select(DeliveryRow.webhook_id).where(_is_due(now)).distinct()
        found = list(session.scalars(select(WebhookRow).where(WebhookRow.id.in_(ids))))
        random.shuffle(found)
        return found

    def settle(self, parcel: Parcel, outcome: Outcome, *, now: datetime | None = None) -> None:
        """Note how an attempt went; nothing when another one took the delivery meanwhile."""
        at = now or changes.now()
        with self._database.write() as session:
            # In the order of ``change`` and ``replay``: first the webhook, then its deliveries.
            hook = session.get(WebhookRow, parcel.webhook_id, with_for_update={"key_share": True})
            row = session.get(DeliveryRow, parcel.delivery_id, with_for_update=True)
            if hook is None or row is None or row.holder != parcel.holder:
                return
            if row.state != "pending":
                return
            entry = [at.isoformat(), outcome.status, outcome.error, outcome.took_ms]
            row.log = [*row.log, entry][-_LOGGED_ATTEMPTS:]
            row.holder = None
            if outcome.is_success:
                row.state, row.finished_at = "done", at
                hook.failing_since = None
                return
            hook.failing_since = hook.failing_since or at
            wait_s = _wait_s(row.attempts, outcome.retry_after_s)
            if wait_s is None:
                row.state, row.finished_at = "failed", at
            else:
                row.next_at = at + timedelta(seconds=wait_s)
            session.flush()
            if hook.disabled_at is None:
                if outcome.status == _GONE:
                    _disable(session, hook, "gone")
                elif at - hook.failing_since >= DISABLED_AFTER:
                    _disable(session, hook, "failures")

    def forget_old(self) -> int:
        """Remove deliveries that ended long ago; how many."""
        with self._database.write() as session:
            found = session.execute(
                delete(DeliveryRow).where(
                    DeliveryRow.state != "pending",
                    DeliveryRow.finished_at < changes.now() - KEPT_FOR,
                )
            )
            return affected(found)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return (DeliveryRow.state == "pending") & (DeliveryRow.next_at <= now)


def _wait_s(attempts: int, retry_after_s: float | None) -> float | None:
    """Until the next attempt; None behind the last one."""
    if attempts > len(RETRIES_S):
        return None
    planned_s = RETRIES_S[attempts - 1] * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
    return min(max(planned_s, retry_after_s or 0.0), _LONGEST_WAIT_S * (1 + _JITTER))


def _disable(session: Session, row: WebhookRow, reason: str) -> None:
    """It is told nothing more; what waits for it fails, and can be replayed."""
    now = changes.now()
    row.disabled_at, row.disabled_for = now, reason
    waiting = select(DeliveryRow).where(
        DeliveryRow.webhook_id == row.id, DeliveryRow.state == "pending"
    )
    for one in session.scalars(waiting.order_by(DeliveryRow.id).with_for_update()):
        one.state, one.finished_at, one.holder = "failed", now, None
    if reason != "user":
        audit.note(
            session, _BY_THE_SERVICE, "webhook.disabled", "webhook", row.id, reason=reason
        )  # fmt: skip


def _refuse_disabled(row: WebhookRow) -> None:
    if row.disabled_at is not None:
        raise OptionInvalid("The webhook is disabled.", "Enable it first.")


def _row(
    session: Session, webhook_id: str, *, is_locked: bool = False, is_leaving: bool = False
) -> WebhookRow:
    """Locked against other changes, or against new deliveries too when it is to leave."""
    query = select(WebhookRow).where(WebhookRow.id == storable(webhook_id))
    if is_locked:
        query = query.with_for_update(key_share=not is_leaving)
    row = session.scalars(query).one_or_none()
    if row is None:
        raise WebhookNotFound("There is no webhook with this id.")
    return row


def _delivery_row(
    session: Session, webhook_id: str, delivery_id: int, *, is_locked: bool = False
) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id, with_for_update=is_locked or None)
    if row is None or row.webhook_id != webhook_id:
        raise WebhookNotFound("The webhook has no delivery with this id.")
    return row


def _events(given: Iterable[str]) -> list[str]:
    wanted = set(given)
    if not wanted or not wanted <= set(outbox.EVENTS):
        raise OptionInvalid(f"A webhook hears of one or more of {', '.join(outbox.EVENTS)}.")
    return [one for one in outbox.EVENTS if one in wanted]


def _note(given: str) -> str:
    note = storable(given.strip())
    if len(note) > _MAX_NOTE_CHARS or (note and not note.isprintable()):
        raise OptionInvalid(f"A webhook's note has at most {_MAX_NOTE_CHARS} characters.")
    return note


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _parcel(row: DeliveryRow, hook: WebhookRow, now: datetime) -> Parcel:
    old = hook.old_secret if hook.old_until is not None and hook.old_until > now else None
    assert row.holder is not None
    return Parcel(
        row.id, hook.id, row.holder, row.message_id, row.kind, row.at, dict(row.data), hook.url,
        (hook.secret,) if old is None else (hook.secret, old), hook.includes_text, row.attempts,
    )  # fmt: skip


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        owner=row.owner,
        reach=cast(Reach, row.reach),
        department=row.department,
        url=row.url,
        note=row.note,
        events=tuple(row.events),
        includes_text=row.includes_text,
        created_at=row.created_at,
        changed_at=row.changed_at,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
        disabled_for=row.disabled_for,
        old_secret_until=row.old_until,
    )


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        webhook_id=row.webhook_id,
        message_id=row.message_id,
        kind=row.kind,
        at=row.at,
        data=dict(row.data),
        state=cast(DeliveryState, row.state),
        attempts=row.attempts,
        next_at=row.next_at if row.state == "pending" else None,
        finished_at=row.finished_at,
        log=tuple(
            Attempt(datetime.fromisoformat(at), status, error, took_ms)
            for at, status, error, took_ms in row.log
        ),
    )

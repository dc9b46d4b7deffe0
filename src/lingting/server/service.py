"""What the routes work with, made once for an application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lingting.config import Settings
from lingting.server.access import Access
from lingting.server.backups import Backups
from lingting.server.broker import Broker
from lingting.server.engines import Engines
from lingting.server.guard import Patience
from lingting.server.health import Readiness
from lingting.server.hearing import Hearing
from lingting.server.limits import Turnstile
from lingting.server.metrics import Metrics, Scrape
from lingting.server.oidc import Provider
from lingting.server.openai.names import Models
from lingting.server.openai.waiting import Doors
from lingting.server.principal import Principal
from lingting.server.pulls import Pulls
from lingting.server.readings import Readings
from lingting.server.resumable import Resumables
from lingting.server.sender import Sender
from lingting.server.system import Observer
from lingting.server.uploads import Uploads
from lingting.store.records import Limits

if TYPE_CHECKING:
    from lingting.jobs import Desk, Event
    from lingting.store import Store

EVENTS_AT_ONCE = 500
FETCHES_AT_ONCE = 4
"""Recordings that are fetched by address at a time; each holds the place of an upload."""
_EXPORTS = 2
"""At a time: a writer has the whole transcript in memory."""

_SIGN_INS = 2
"""At a time: each hashes for a while, and must not take the threads of everybody else."""


def default_limits(settings: Settings) -> Limits:
    """Of everybody, as the program was set up; 0 is no limit."""
    return Limits(
        settings.requests_per_minute or None,
        settings.audio_s_per_day or None,
        settings.stored_bytes or None,
    )


class Service:
    """The store, the desk of jobs and who may use them.

    The store is opened when it is first needed: the web process starts, and says that it is not
    ready, while a database is away.
    """

    def __init__(self, settings: Settings, *, patience: Patience | None = None) -> None:
        self.settings = settings
        self.started_at = datetime.now(UTC)
        self.patience = patience or Patience()
        self.uploads = Uploads(max_bytes=settings.max_upload_bytes)
        self.fetches = asyncio.Semaphore(FETCHES_AT_ONCE)
        self.resumables = Resumables(self)
        self.sender = Sender(self)
        self.broker = Broker(self._events, lambda: self.desk.last_event_id(), settings.run_folder)
        self.readiness = Readiness(self)
        self.metrics = Metrics()
        self.scrape = Scrape(self)
        self.models = Models(self)
        self.doors = Doors()
        self.turnstile = Turnstile()
        self.provider = Provider(settings)
        self.readings = Readings()
        self.hearing = Hearing(settings)
        self.engines = Engines(settings)
        self.pulls = Pulls(settings)
        self.backups = Backups(self)
        self.observer = Observer(self)
        self.fetching_samples = asyncio.Lock()
        self.verifying = asyncio.Lock()
        self.exporting = asyncio.Semaphore(_EXPORTS)
        self.signing_in = asyncio.Semaphore(_SIGN_INS)
        self._opening = threading.Lock()
        self._parts: tuple[Store, Desk, Access] | None = None

    @property
    def store(self) -> Store:
        """May block, and raises StoreUnreachable or StoreSchema; not for the event loop."""
        return self._opened()[0]

    @property
    def desk(self) -> Desk:
        return self._opened()[1]

    @property
    def access(self) -> Access:
        return self._opened()[2]

    def remembered(self, key: str) -> Principal | None:
        """Whose key it is, if that is known without asking the database."""
        return None if self._parts is None else self._parts[2].remembered(key)

    def _opened(self) -> tuple[Store, Desk, Access]:
        if self._parts is None:
            with self._opening:
                if self._parts is None:
                    self._parts = self._open()
        return self._parts

    def _open(self) -> tuple[Store, Desk, Access]:
        from lingting.jobs import Desk
        from lingting.store import open_store

        now = self.settings
        if now.blob_url is not None:
            store = open_store()  # a bucket is named by the process's own settings
        else:
            url = None if now.database_url is None else now.database_url.get_secret_value()
            store = open_store(now.data_folder, url=url)
        return (
            store,
            Desk(store),
            Access(store, defaults=default_limits(now), session_s=now.session_hours * 3600.0),
        )

    def _events(self, after: int) -> Sequence[Event]:
        return self.desk.events(after, limit=EVENTS_AT_ONCE)

    @property
    def is_secure(self) -> bool:
        """Clients reach it by TLS, here or at the proxy."""
        return self.settings.behind_proxy or self.settings.tls_certificate is not None

    def close(self) -> None:
        self.uploads.close()
        self.hearing.close()
        self.pulls.close()
        with self._opening:
            if self._parts is not None:
                self._parts[0].close()
                self._parts = None

"""Who listens for speech, and who has gone meanwhile."""

import asyncio
import io
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from lingting.config import settings
from lingting.server.hearing import Hearing


class Gone:
    async def is_disconnected(self) -> bool:
        return True


def test_who_went_while_waiting_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: Any) -> None:
        raise AssertionError("nobody waits for it")

    monkeypatch.setattr(Hearing, "_process", made)

    async def run() -> None:
        hearing, stream = Hearing(settings()), io.BytesIO(b"x")
        with pytest.raises(ClientDisconnect):
            await hearing.report(Gone(), stream, {}, 1.0)  # type: ignore[arg-type]
        assert stream.closed
        hearing.close()

    asyncio.run(run())

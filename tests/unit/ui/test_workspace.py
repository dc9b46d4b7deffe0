"""What stands in front of Gradio."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from lingting.server.workspace import _GRADIO, Message, Workspace


def test_a_websocket_is_closed_and_not_left_open() -> None:
    told: list[Message] = []

    async def send(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    asyncio.run(Workspace()({"type": "websocket", "path": "/app/"}, receive, send))
    assert [one["type"] for one in told] == ["websocket.close"]


_WARMED = """
import asyncio
from lingting.server.workspace import Workspace

async def tasks():
    await Workspace().warm()
    await asyncio.sleep(0)
    return len(asyncio.all_tasks())

print("tasks:", asyncio.run(tasks()))
"""


def test_gradio_has_nothing_to_do_while_nobody_asks() -> None:
    """In a process of its own: importing Gradio leaves an event loop and warnings behind."""
    done = subprocess.run(
        [sys.executable, "-c", _WARMED], text=True, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "tasks: 1" in done.stdout, "the one that counts"


@pytest.mark.parametrize(
    ("path", "is_reachable"),
    [
        ("assets/index-abc.js", True), ("theme.css", True), ("assets/../config", False),
        ("static/..", False), ("config", False), ("assets/", False),
    ],
)  # fmt: skip
def test_of_gradio_only_files_of_its_pages_are_reachable(path: str, is_reachable: bool) -> None:
    assert bool(_GRADIO.fullmatch(path)) == is_reachable

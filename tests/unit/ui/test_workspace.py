"""What stands in front of Gradio."""

from __future__ import annotations

import asyncio

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


def test_gradio_has_nothing_to_do_while_nobody_asks() -> None:
    async def tasks() -> int:
        await Workspace().warm()
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(tasks()) == 1, "the one that counts"


@pytest.mark.parametrize(
    ("path", "is_reachable"),
    [
        ("assets/index-abc.js", True), ("theme.css", True), ("assets/../config", False),
        ("static/..", False), ("config", False), ("assets/", False),
    ],
)  # fmt: skip
def test_of_gradio_only_files_of_its_pages_are_reachable(path: str, is_reachable: bool) -> None:
    assert bool(_GRADIO.fullmatch(path)) == is_reachable

"""A service that takes no more, a quota that is used up, an address without https: a way on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from playwright.sync_api import Playwright, expect
from workplace import Desk, Workplace, browsing, until

from lingting.server.uploads import AT_ONCE, QUEUED

DONE_MS = 60_000


@contextmanager
def every_place_taken(workplace: Workplace) -> Iterator[None]:
    """As many uploads as the service takes and as may wait, none of which goes on."""
    key = (workplace.folder / "run" / "key").read_text().strip()
    begun = (
        "POST /api/v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    ).encode()
    held = []
    try:
        for _ in range(AT_ONCE + QUEUED):
            held.append(socket.create_connection(("127.0.0.1", workplace.port)))
            held[-1].sendall(begun)
        until(lambda: _is_turned_away(f"{workplace.url}/api/v1/recordings", key))
        yield
    finally:
        for one in held:
            one.close()


def _is_turned_away(address: str, key: str) -> bool:
    headers = {"Authorization": f"Bearer {key}"}
    try:
        answer = httpx.post(
            address, headers=headers, files={"file": ("a.mp3", b"sound")}, timeout=2
        )
    except httpx.TimeoutException:
        return False  # it stood in the queue itself
    return answer.status_code == 503


def test_a_full_queue_is_said_and_waited_for(
    desk: Desk, workplace: Workplace, samples: Path
) -> None:
    desk.expected += ["503"]
    page = desk.open("")
    clip = min(samples.glob("zh-aishell1-*"), key=lambda file: file.stat().st_size)
    row = page.locator(".lt-transcribe-row", has_text="queue.flac").first
    with every_place_taken(workplace):
        page.locator("lt-transcribe input[multiple]").first.set_input_files(
            {"name": "queue.flac", "mimeType": "audio/flac", "buffer": clip.read_bytes()}
        )
        page.keyboard.press("Control+Enter")
        expect(row).to_contain_text("The service is busy", timeout=20_000)
    expect(row).to_contain_text("Done", timeout=DONE_MS)


def test_a_quota_that_is_used_up_is_said(
    desk_of: Callable[..., Desk], workplace: Workplace, samples: Path
) -> None:
    workplace.add_user("packrat")
    workplace.client.admin.change_user("packrat", limits={"stored_bytes": 10})
    desk = desk_of("packrat", locale="zh-CN")
    desk.expected += ["429", "413", "409", "403", "507"]
    page = desk.open("")
    clip = min(samples.glob("zh-aishell1-*"), key=lambda file: file.stat().st_size)
    page.locator("lt-transcribe input[multiple]").first.set_input_files(clip)
    page.keyboard.press("Control+Enter")
    row = page.locator(".lt-transcribe-row", has_text=clip.name).first
    expect(row).to_contain_text("上传失败")
    expect(page.locator("#lt-main")).to_contain_text("存储空间已用完")


def test_without_https_the_microphone_is_explained(
    playwright: Playwright, workplace: Workplace
) -> None:
    with browsing(playwright, "--host-resolver-rules=MAP lingting.test 127.0.0.1") as browser:
        there = SimpleNamespace(
            url=f"http://lingting.test:{workplace.port}", port=workplace.port, sessions={}
        )
        desk = Desk(browser, cast(Any, there))
        desk.expected += ["left the machine: http://lingting.test"]
        page = desk.sign_in().open("")
        page.get_by_role("button", name="Record", exact=True).click()
        told = "Browsers give the microphone only to pages with https"
        expect(page.get_by_role("alert").filter(has_text=told)).to_be_visible()
        desk.context.close()
        desk.check()


pytestmark = pytest.mark.model

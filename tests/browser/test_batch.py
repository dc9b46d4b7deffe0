"""Batches: many files, looked after together, and what comes back of them."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Download, Page, Route, expect
from workplace import PHONE, Desk, Workplace, serious, shot, undo

DONE_MS = 180_000


def begin(page: Page, name: str, files: list[Path]) -> None:
    """A batch of these files, until its own page is there."""
    page.get_by_role("button", name="New batch").first.click()
    page.get_by_label("Name").fill(name)
    page.set_input_files("lt-batch input[multiple]", files)
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url(re.compile(r"batch\?id="))
    page.get_by_role("heading", name=name, level=1).wait_for()


def clips(samples: Path, count: int) -> list[Path]:
    return sorted(samples.glob("zh-aishell1-*"), key=lambda file: file.stat().st_size)[:count]


def downloaded(page: Page, entry: str) -> Download:
    page.get_by_role("button", name="Download", exact=True).first.click()
    with page.expect_download() as given:
        page.get_by_role("menuitem", name=entry).click()
    return given.value


def test_a_batch_is_paused_goes_on_and_comes_back_as_files(
    desk: Desk, workplace: Workplace, samples: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no sound at all" * 99)
    page = desk.open("batch")
    begin(page, "lectures", [*clips(samples, 3), broken])
    expect(page.locator(".lt-batch-row")).to_have_count(4)
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Go on", exact=True).wait_for()
    expect(page.locator(".lt-top .lt-badge")).to_have_text("Paused")
    id = page.url.rpartition("id=")[2]
    assert workplace.client.batch(id).state == "paused"
    shot(page, "batch-paused")
    page.get_by_role("button", name="Go on", exact=True).click()
    facts = page.locator(".lt-batch-facts")
    expect(facts).to_contain_text("3 of 4 done", timeout=DONE_MS)
    expect(facts).to_contain_text("1 failed", timeout=DONE_MS)
    shot(page, "batch-done")
    assert serious(page) == []
    page.get_by_label("Show", exact=True).select_option("failed")
    expect(page.locator(".lt-batch-row")).to_have_count(1)
    page.get_by_role("button", name="Why broken.mp3 failed").click()
    expect(page.get_by_role("dialog")).to_contain_text("convert it to MP3 or WAV")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Try 1 again").click()
    expect(page.locator("[data-state=failed]")).to_have_count(1, timeout=DONE_MS)

    table = downloaded(page, "Table as CSV")
    rows = list(csv.reader(io.StringIO(Path(table.path()).read_text("utf-8-sig"))))
    assert len(rows) == 5
    told = json.loads(Path(downloaded(page, "Table as JSON").path()).read_text())
    assert "broken.mp3" in json.dumps(told)
    page.get_by_role("button", name="Download", exact=True).first.click()
    page.get_by_role("menuitem", name="ZIP").click()
    dialog = page.get_by_role("dialog", name="Download as ZIP")
    dialog.get_by_label("SRT").check()
    dialog.get_by_label("Word (DOCX)").uncheck()
    with page.expect_download() as given:
        dialog.get_by_role("button", name="Download").click()
    names = zipfile.ZipFile(given.value.path()).namelist()
    assert len([one for one in names if one.endswith(".srt")]) == 3
    assert not [one for one in names if one.endswith(".docx")]

    page.get_by_role("link", name="All batches").click()
    row = page.get_by_role("row", name=re.compile("lectures"))
    expect(row).to_contain_text("4 of 4")
    expect(row).to_contain_text("1 failed")


def test_a_batch_is_cancelled_and_taken_up_again(desk: Desk, samples: Path) -> None:
    page = desk.open("batch")
    begin(page, "second thoughts", clips(samples, 2))
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".lt-top .lt-badge")).to_have_text("Paused")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".lt-batch-facts")).to_contain_text("2 cancelled", timeout=DONE_MS)
    undo(page)
    expect(page.locator(".lt-batch-facts")).to_contain_text("2 of 2 done", timeout=DONE_MS)


def test_starting_twice_sends_once_and_a_download_is_given_up(desk: Desk, samples: Path) -> None:
    page = desk.open("batch")
    held: list[Route] = []
    page.route("**/api/v1/batches", lambda route: held.append(route)
               if route.request.method == "POST" else route.continue_())  # fmt: skip
    page.get_by_role("button", name="New batch").first.click()
    page.get_by_label("Name").fill("impatient")
    page.set_input_files("lt-batch input[multiple]", clips(samples, 1))
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    while not held:
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    page.get_by_role("heading", name="impatient", level=1).wait_for()
    expect(page.locator(".lt-batch-row")).to_have_count(1)
    expect(page.locator(".lt-batch-facts")).to_contain_text("1 of 1 done", timeout=DONE_MS)
    page.route("**/api/v1/exports", lambda route: held.append(route))
    page.get_by_role("button", name="Download", exact=True).first.click()
    page.get_by_role("menuitem", name="ZIP").click()
    with page.expect_request("**/api/v1/exports"):
        page.get_by_role("dialog").get_by_role("button", name="Download").click()
    with page.expect_event("requestfailed"):
        page.keyboard.press("Escape")


def test_a_thousand_files_stay_fluid(
    desk_of: Callable[..., Desk], workplace: Workplace, tiny_wav: Path
) -> None:
    """None waits for a transcript: the batch is paused before it holds anything."""
    desk = desk_of(viewport=PHONE, locale="zh-CN")
    batch = workplace.client.open_batch("thousand")
    workplace.client.change_batch(batch.id, "pause")
    page = desk.open(f"batch?id={batch.id}")
    page.evaluate(
        """bytes => { const input = document.querySelector("lt-batch input[multiple]");
           const data = new DataTransfer();
           for (let i = 0; i < 1000; i += 1)
             data.items.add(new File([new Uint8Array(bytes)], `clip-${i}.wav`));
           input.files = data.files;
           input.dispatchEvent(new Event("change")); }""",
        list(tiny_wav.read_bytes()),
    )
    expect(page.locator(".lt-batch-facts")).to_contain_text("/ 1000")
    assert page.locator(".lt-batch-row").count() < 60
    page.locator(".lt-window").evaluate("one => { one.scrollTop = one.scrollHeight; }")
    expect(page.get_by_text("clip-999.wav")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1
    shot(page, "batch-thousand-zh-phone")
    assert serious(page) == []
    page.get_by_role("button", name="取消批次").click()
    expect(page.locator(".lt-batch-facts")).to_contain_text("/ 1000已取消 1000", timeout=60_000)


def test_somebody_elses_batch_is_not_there(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    batch = workplace.client.open_batch("private")
    workplace.add_user("neighbour")
    desk = desk_of("neighbour", locale="zh-CN")
    desk.expected += ["404"]
    page = desk.open(f"batch?id={batch.id}")
    expect(page.get_by_role("alert")).to_contain_text("没有这个批次")
    page.get_by_role("link", name="全部批次").click()
    expect(page.get_by_text("还没有批次")).to_be_visible()

"""Speech activity on the page: a real clip, sliders that change what is found, tables and files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect
from workplace import PHONE, Desk, serious, shot

CLIP = "zh-long-vad70s.flac"
SPANS = "[data-total=spans]"


def chosen(desk: Desk, clip: Path) -> Page:
    page = desk.open("vad")
    page.locator("input[type=file]").set_input_files(clip)
    page.locator(SPANS).wait_for()
    return page


def test_a_moved_slider_changes_the_spans(desk: Desk, samples: Path) -> None:
    page = chosen(desk, samples / CLIP)
    before = page.locator(SPANS).inner_text()
    assert int(before) > 5
    assert page.locator("tbody tr").count() == int(before)
    shot(page, "vad-result")
    slider = page.get_by_label("Longest span", exact=True)
    slider.fill("2000")
    expect(page.locator(SPANS)).not_to_have_text(before)
    changed = page.locator(SPANS).inner_text()
    assert int(changed) > int(before)
    page.get_by_label("Longest span, as a number").fill("3000")
    page.keyboard.press("Tab")
    expect(page.locator(SPANS)).not_to_have_text(changed)
    page.get_by_role("button", name="Reset all").click()
    expect(page.locator(SPANS)).to_have_text(before)


def test_spans_are_played_and_exported(desk: Desk, samples: Path, tmp_path: Path) -> None:
    page = chosen(desk, samples / CLIP)
    page.get_by_role("button", name=re.compile("Play from")).nth(1).click()
    page.get_by_role("button", name="Pause", exact=True).wait_for()
    page.get_by_role("button", name="Play", exact=True).wait_for()  # at the span's end
    for what, name in (("Spans as CSV", "spans.csv"), ("Everything as JSON", "speech.json")):
        page.get_by_role("button", name="Export").click()
        with page.expect_download() as downloading:
            page.get_by_role("menuitem", name=what).click()
        assert downloading.value.suggested_filename == f"zh-long-vad70s.{name}"
        downloading.value.save_as(tmp_path / name)
    lines = (tmp_path / "spans.csv").read_text().splitlines()
    assert lines[0] == "start_s,end_s,duration_s,score"
    found = json.loads((tmp_path / "speech.json").read_text())
    assert len(found["spans"]) == len(lines) - 1 == int(page.locator(SPANS).inner_text())


def test_a_recording_on_a_phone_and_settings_that_clash(
    desk_of: Callable[..., Desk], samples: Path
) -> None:
    desk = desk_of(viewport=PHONE, locale="zh-CN")
    desk.expected += ["400"]
    desk.workplace.client.submit(samples / CLIP)
    page = desk.open("vad")
    page.get_by_role("button", name="选择录音").click()
    page.get_by_role("button", name=re.compile(CLIP)).first.click()
    page.locator(SPANS).wait_for()
    assert "recording=" in page.url
    page.get_by_text("语音检测", exact=True).last.click()
    page.get_by_label("结束静音", exact=True).fill("100")
    page.get_by_role("alert").get_by_text("“结束静音”与“语音转静音”").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1
    assert serious(page) == []
    shot(page, "vad-phone")


def test_a_recording_that_comes_late_changes_no_other_page(desk: Desk, samples: Path) -> None:
    id = desk.workplace.client.submit(samples / CLIP).recording_id
    held: list[Route] = []
    page = desk.page
    page.route(f"**/api/v1/recordings/{id}", lambda route: held.append(route))
    with page.expect_request(f"**/api/v1/recordings/{id}"):
        desk.open(f"vad?recording={id}")
    page.get_by_role("link", name="Glossaries", exact=True).click()
    page.get_by_role("heading", name="Glossaries", level=1).wait_for()
    with page.expect_response(f"**/api/v1/recordings/{id}"):
        held[0].continue_()
    page.wait_for_timeout(100)
    assert "recording=" not in page.url


def test_what_is_no_audio_is_said(desk: Desk, tmp_path: Path) -> None:
    desk.expected += ["400", "415", "422"]
    (tmp_path / "notes.txt").write_text("no audio")
    page = desk.open("vad")
    page.locator("input[type=file]").set_input_files(tmp_path / "notes.txt")
    page.get_by_role("alert").wait_for()

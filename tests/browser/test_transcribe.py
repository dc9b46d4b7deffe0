"""Transcribe: files and the microphone in, progress, and the text in place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, Route, expect
from workplace import DESKTOP, PHONE, Desk, Workplace, browsing, serious, shot, undo, until

DONE_MS = 120_000


def clips(samples: Path, count: int) -> list[Path]:
    """The shortest Mandarin ones."""
    found = sorted(samples.glob("zh-aishell1-*"), key=lambda file: file.stat().st_size)
    assert len(found) >= count
    return found[:count]


def row(page: Page, name: str):
    return page.locator(".lt-transcribe-row", has_text=name).first


def drop(page: Page, files: list[tuple[str, str, bytes]]) -> None:
    """As from the file manager: names, types and content."""
    given = page.evaluate_handle(
        """files => { const data = new DataTransfer();
           for (const [name, type, bytes] of files)
             data.items.add(new File([new Uint8Array(bytes)], name, {type}));
           return data; }""",
        [[name, kind, list(content)] for name, kind, content in files],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("lt-transcribe h2", kind, {"dataTransfer": given})


def test_two_dropped_clips_become_text_in_place(
    desk_of: Callable[..., Desk], workplace: Workplace, samples: Path
) -> None:
    desk = desk_of()
    first, second = clips(samples, 2)
    page = desk.open("")
    page.get_by_label("Language").select_option("zh")
    drop(page, [(f"drop-{n}.flac", "audio/flac", one.read_bytes()) for n, one in
                enumerate((first, second))])  # fmt: skip
    expect(row(page, "drop-0.flac")).to_contain_text("Ready")
    clear = page.locator(".lt-transcribe-head button").first.element_handle()
    shot(page, "transcribe-ready")
    page.keyboard.press("Control+Enter")
    for n in (0, 1):
        expect(row(page, f"drop-{n}.flac")).to_contain_text("Done", timeout=DONE_MS)
    assert workplace.client.jobs(limit=500)  # the native API knows them
    assert clear.evaluate("one => one.isConnected")  # and can be pressed while jobs get on
    row(page, "drop-0.flac").get_by_role("button", name="Show the text").click()
    text = row(page, "drop-0.flac").locator(".lt-transcribe-text p").first
    expect(text).to_contain_text(re.compile("[一-鿿]{2}"))
    row(page, "drop-0.flac").get_by_role("button", name="Copy").click()
    page.get_by_text("Copied.").wait_for()
    assert re.search("[一-鿿]{2}", page.evaluate("navigator.clipboard.readText()"))
    row(page, "drop-0.flac").get_by_role("button", name="Download").click()
    with page.expect_download() as given:
        page.get_by_role("menuitem", name="SRT").click()
    assert given.value.suggested_filename == "drop-0.srt"
    assert "-->" in Path(given.value.path()).read_text()
    shot(page, "transcribe-done")
    assert serious(page) == []
    page.reload()
    page.wait_for_selector("#lt-main h1")
    expect(row(page, "drop-1.flac")).to_contain_text("Done")
    expect(page.get_by_label("Language")).to_have_value("zh")
    row(page, "drop-1.flac").get_by_role("link", name="Open").click()
    page.wait_for_url(re.compile(r"/app/recordings\?id=\w+"))


def test_what_is_no_recording_gets_a_sentence(desk: Desk) -> None:
    page = desk.open("")
    drop(page, [("notes.txt", "text/plain", b"words"), ("empty.mp3", "audio/mpeg", b"")])
    expect(page.get_by_role("alert").filter(has_text="notes.txt")).to_contain_text(
        "not a recording"
    )
    expect(page.get_by_role("alert").filter(has_text="empty.mp3")).to_contain_text("is empty")
    expect(page.locator("[data-state=staged]")).to_have_count(0)
    drop(page, [("broken.mp3", "audio/mpeg", b"no sound at all" * 99)])
    page.keyboard.press("Control+Enter")
    expect(row(page, "broken.mp3")).to_contain_text("Failed", timeout=DONE_MS)
    expect(row(page, "broken.mp3")).to_contain_text("Check that it plays elsewhere")
    expect(
        row(page, "broken.mp3").get_by_role("button", name="Try broken.mp3 again")
    ).to_be_visible()
    files = page.get_by_role("list", name="Files").locator(".lt-transcribe-row")
    page.get_by_role("button", name="Clear what is finished").click()
    expect(files).to_have_count(0)
    undo(page)
    expect(files).to_have_count(1)
    expect(files).to_contain_text("Failed")


def test_what_was_chosen_is_chosen_again(desk: Desk, workplace: Workplace) -> None:
    workplace.client.save_glossary("remembered", ["Lingting"], based_on=0)
    page = desk.open("")
    page.get_by_label("Glossary").select_option(label="remembered")
    page.get_by_label("Language").select_option("ru")
    page.get_by_text("More options").click()
    page.get_by_label("More hotwords").fill("Lingting")
    chosen = page.get_by_label("Glossary").input_value()
    page.wait_for_timeout(300)  # it is kept a moment later
    page.reload()
    page.get_by_role("option", name="remembered").wait_for(state="attached")
    expect(page.get_by_label("Glossary")).to_have_value(chosen)
    expect(page.get_by_label("Language")).to_have_value("ru")
    expect(page.get_by_label("More hotwords")).to_have_value("Lingting")
    assert "Lingting" not in page.evaluate("JSON.stringify(localStorage)")


def test_files_are_taken_back_and_brought_again(desk: Desk, samples: Path) -> None:
    page = desk.open("")
    content = clips(samples, 1)[0].read_bytes()
    drop(page, [(f"back-{n}.flac", "audio/flac", content) for n in range(2)])
    expect(page.locator("[data-state=staged]")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("[data-state=staged]")).to_have_count(0)
    undo(page)
    expect(page.locator("[data-state=staged]")).to_have_count(2)
    page.get_by_role("button", name="Remove back-0.flac").click()
    expect(page.locator("[data-state=staged]")).to_have_count(1)


def test_a_large_file_goes_on_after_a_lost_connection(
    desk: Desk, workplace: Workplace, samples: Path, tmp_path: Path
) -> None:
    """A piece is cut twice; what arrived is not sent again, and it becomes one job."""
    import wave

    desk.expected += ["net::ERR", "failed: PATCH"]
    large = tmp_path / "cut.wav"
    with wave.open(str(large), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(18 << 20))  # three pieces; 98 s of silence are soon transcribed
    page = desk.open("")
    cuts: list[str] = []
    offsets: list[str] = []

    def cut(route: Route) -> None:
        if route.request.method != "PATCH":
            route.continue_()
            return
        offsets.append(route.request.headers["upload-offset"])
        if len(offsets) in {2, 3}:
            cuts.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(re.compile(r"/api/v1/uploads/\w+$"), cut)
    page.set_input_files("lt-transcribe input[multiple]", large)
    page.keyboard.press("Control+Enter")
    expect(row(page, "cut.wav")).to_contain_text("Done", timeout=DONE_MS)
    assert len(cuts) == 2
    assert offsets[1] == offsets[2] == offsets[3] == str(8 << 20)
    assert len([job for job in workplace.client.jobs(limit=500) if job.name == "cut.wav"]) == 1
    row(page, "cut.wav").get_by_role("button", name=re.compile("the text")).first.wait_for()
    expect(row(page, "cut.wav")).to_contain_text("No speech was found")


def test_sending_can_be_stopped_and_begun_again(
    desk: Desk, workplace: Workplace, samples: Path
) -> None:
    """It had arrived when it was stopped: the job that it became is cancelled as well."""
    page = desk.open("")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == "POST" and not held:
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/v1/recordings", hold)
    drop(page, [("stop.flac", "audio/flac", clips(samples, 1)[0].read_bytes())])
    page.keyboard.press("Control+Enter")
    expect(row(page, "stop.flac")).to_contain_text("Sending")
    page.keyboard.press("Escape")
    expect(row(page, "stop.flac")).to_contain_text("Cancelled")
    held[0].continue_()
    until(lambda: [job.state for job in workplace.client.jobs(limit=500) if job.name == "stop.flac"]
          == ["cancelled"])  # fmt: skip
    row(page, "stop.flac").get_by_role("button", name="Try stop.flac again").click()
    expect(row(page, "stop.flac")).to_contain_text("Done", timeout=DONE_MS)


def test_the_first_run_offers_a_sample(
    desk_of: Callable[..., Desk], workplace: Workplace, samples_folder: Path
) -> None:
    workplace.add_user("beginner")
    desk = desk_of("beginner", locale="zh-CN", viewport=PHONE)
    page = desk.open("")
    expect(page.get_by_text("还没有转写过录音")).to_be_visible()
    shot(page, "transcribe-first-zh-phone")
    assert serious(page) == []
    page.get_by_role("button", name="示例：普通话讲座").click()
    sample = row(page, "示例：普通话讲座")
    expect(sample).to_contain_text("转写中", timeout=DONE_MS)
    sample.get_by_role("button", name="取消").click()
    expect(sample).to_contain_text("已取消", timeout=DONE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1


def test_the_microphone_is_recorded(
    playwright: Playwright, workplace: Workplace, samples_folder: Path
) -> None:
    sound = samples_folder / "asr_example.wav"
    with browsing(playwright, "--use-fake-device-for-media-stream",
                  f"--use-file-for-fake-audio-capture={sound}%noloop") as browser:  # fmt: skip
        desk = Desk(browser, workplace, viewport=DESKTOP).sign_in()
        page = desk.open("")
        page.get_by_role("button", name="Record", exact=True).click()
        page.get_by_role("button", name="Stop and keep").wait_for()
        expect(page.locator(".lt-transcribe-clock")).to_have_text("0:05", timeout=30_000)
        shot(page, "transcribe-recording")
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".lt-transcribe-recorder")).to_contain_text("Paused")
        page.get_by_role("button", name="Stop and keep").click()
        expect(row(page, "Recording")).to_contain_text("Ready")
        leave = """() => { const one = new Event("beforeunload", {cancelable: true});
                           dispatchEvent(one); return one.defaultPrevented; }"""
        assert page.evaluate(leave)  # it is nowhere else
        page.keyboard.press("Control+Enter")
        expect(row(page, "Recording")).to_contain_text("Done", timeout=DONE_MS)
        assert not page.evaluate(leave)
        text = row(page, "Recording").locator(".lt-transcribe-text")
        expect(text).to_contain_text(re.compile("交易|情况|几乎"))
        desk.context.close()
        desk.check()


@pytest.mark.parametrize(
    ("name", "told"),
    [("NotAllowedError", "may not use the microphone"), ("NotFoundError", "No microphone"),
     ("NotReadableError", "Another program")],
)  # fmt: skip
def test_without_a_microphone_there_is_a_way_on(name: str, told: str, desk: Desk) -> None:
    page = desk.open("")
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia ="
        " () => Promise.reject(new DOMException('x', name)); }", name
    )  # fmt: skip
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text=told)).to_be_visible()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_enabled()

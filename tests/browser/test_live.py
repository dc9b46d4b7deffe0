"""Live captions of a microphone that plays a real clip: shown, saved, kept when things go wrong."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from playwright.sync_api import Browser, Page, Playwright, Request, Route, expect
from workplace import PHONE, Desk, Workplace, browsing, serious, shot, until

CLIP = "zh-funasr-damo.flac"
HEARD_MS = 90_000


@pytest.fixture(scope="module")
def microphone(
    playwright: Playwright, samples: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose microphone says the clip once, a second after it was opened."""
    file = tmp_path_factory.mktemp("microphone") / "said.wav"
    rate = 48_000
    resampler = av.AudioResampler("s16", "mono", rate)
    with av.open(str(samples / CLIP)) as clip, wave.open(str(file), "wb") as said:
        said.setnchannels(1)
        said.setsampwidth(2)
        said.setframerate(rate)
        said.writeframes(bytes(2 * rate))
        for frame in clip.decode(audio=0):
            for part in resampler.resample(frame):
                said.writeframes(part.to_ndarray().tobytes())
        said.writeframes(bytes(2 * rate * 2))
    with browsing(
        playwright, "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}%noloop",
    ) as found:  # fmt: skip
        yield found


def captioned(desk: Desk) -> Page:
    page = desk.open("live")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    return page


def test_a_caption_is_shown_and_all_of_it_saved(microphone: Browser, workplace: Workplace) -> None:
    desk = Desk(microphone, workplace).signed_in("admin")
    page = captioned(desk)
    caption = page.get_by_role("log").locator("p[data-state=heard]").first
    expect(caption).to_contain_text("欢迎大家", timeout=HEARD_MS)
    assert serious(page) == []
    page.get_by_label("Colours").select_option("yellow")
    page.get_by_role("button", name="Larger").click()
    shot(page, "live-captions")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Name of the recording").fill("Weekly talk")
    page.get_by_role("button", name="Save as a recording").click()
    page.wait_for_url("**/recordings?id=*", timeout=HEARD_MS)
    id = page.url.rpartition("=")[2]
    assert workplace.client.recording(id).name == "Weekly talk.wav"
    assert "欢迎大家" in workplace.client.transcript(id).text
    page = desk.open("live")
    expect(page.get_by_label("Colours")).to_have_value("yellow")
    desk.context.close()
    desk.check()


def test_a_lost_connection_delays_and_loses_nothing(
    microphone: Browser, workplace: Workplace
) -> None:
    desk = Desk(microphone, workplace, viewport=PHONE, locale="zh-CN").signed_in("admin")
    desk.expected += ["ERR_INTERNET_DISCONNECTED", "ERR_NETWORK"]
    page = desk.open("live")
    page.get_by_role("button", name="开始", exact=True).click()
    page.get_by_role("button", name="停止", exact=True).wait_for()
    desk.context.set_offline(True)
    page.get_by_text("录音仍在继续").wait_for(timeout=HEARD_MS)
    page.get_by_role("button", name="保存为录音").click()
    page.get_by_text("恢复后会自动保存").wait_for()
    shot(page, "live-offline-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1
    desk.context.set_offline(False)
    page.wait_for_url("**/recordings?id=*", timeout=HEARD_MS)
    id = page.url.rpartition("=")[2]
    until(lambda: "欢迎大家" in workplace.client.transcript(id).text)
    desk.context.close()
    desk.check()


def test_a_caption_that_is_refused_says_why_and_a_late_one_disturbs_nobody(
    microphone: Browser, workplace: Workplace
) -> None:
    desk = Desk(microphone, workplace).signed_in("admin")
    desk.expected += ["429"]
    refused: list[Route] = []
    held: list[Route] = []

    def answer(route: Route) -> None:
        if refused:
            held.append(route)
            return
        refused.append(route)
        told = {"error": {"code": "limit.audio", "message": "Enough."}}
        route.fulfill(status=429, json=told, headers={"Retry-After": "20000"})

    desk.page.route("**/v1/audio/transcriptions", answer)
    page = captioned(desk)
    failed = page.get_by_role("log").locator("p[data-state=failed]").first
    expect(failed).to_contain_text("used up", timeout=HEARD_MS)
    page.get_by_role("button", name="Stop", exact=True).click()
    failed.get_by_role("button", name="Try again").click()
    while not held:
        page.wait_for_timeout(20)
    page.get_by_role("button", name="Discard").click()
    page.get_by_text("The session was discarded.").wait_for()
    ended: list[Request] = []
    page.on("requestfinished", lambda one: ended.append(one))
    # The page hangs up when it has the whole text.
    page.on("requestfailed", lambda one: ended.append(one))
    for route in held:
        route.fulfill(
            body='data: {"type": "transcript.text.done", "text": "late"}\n\n',
            content_type="text/event-stream",
        )
    while not any("transcriptions" in one.url for one in ended):
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)
    expect(page.locator(".lt-live-lines p")).to_have_count(0)
    desk.context.close()
    desk.check()


def test_a_session_that_heard_nothing_is_not_kept(desk: Desk) -> None:
    page = desk.open("live")
    page.evaluate(
        """() => {
        const stream = new AudioContext().createMediaStreamDestination().stream;
        navigator.mediaDevices.getUserMedia = async () => stream;
        AudioContext.prototype.createMediaStreamSource = () => ({connect() {}});
        window.AudioWorkletNode = class { port = {}; }; }"""
    )
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.get_by_role("link", name="Glossaries", exact=True).click()
    page.get_by_role("heading", name="Glossaries", level=1).wait_for()
    page.get_by_role("link", name="Live", exact=True).click()
    page.get_by_role("button", name="Start", exact=True).wait_for()


@pytest.mark.parametrize(
    ("name", "told"),
    [("NotAllowedError", "may not use the microphone"), ("NotFoundError", "No microphone")],
)
def test_without_a_microphone_the_page_says_what_to_do(name: str, told: str, desk: Desk) -> None:
    page = desk.open("live")
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = "
        "() => Promise.reject(new DOMException('', name)); }",
        name,
    )
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.get_by_role("button", name="Start", exact=True).wait_for()
    assert serious(page) == []

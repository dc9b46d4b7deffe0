"""One recording: heard, read, sought and corrected; what cannot be saved is kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from workplace import DESKTOP, LOOKS, PHONE, Desk, Workplace, serious, shot, undo, until

from lingting.transcript import Segment, Transcript, Word

CLIP = "zh-azure-autumn.flac"
expect.set_options(timeout=20_000)  # a machine that does other things too


@pytest.fixture(scope="module")
def heard(workplace: Workplace, samples: Path) -> str:
    """A real recording with a real transcript."""
    found = workplace.client.submit(
        samples / CLIP, options={"model": "whisper-base", "language": "zh", "words": True}
    )
    done = workplace.client.wait(found.id)
    assert done.state == "done"
    return done.recording_id


@pytest.fixture
def ours(heard: str, workplace: Workplace) -> str:
    """The same with the text of the first test."""
    first = workplace.client.transcript(heard, 1)
    current = workplace.client.recording(heard).revision
    if workplace.client.transcript(heard) != first:
        workplace.client.correct(heard, first, based_on=current)
    return heard


@pytest.fixture(scope="module")
def long(workplace: Workplace, samples: Path, heard: str) -> str:
    """3,000 segments with the texts of the samples, no two alike; the audio is one clip."""
    rows = [json.loads(one) for one in (samples / "manifest.jsonl").read_text().splitlines()]
    texts = [re.findall(r"\S{1,40}", row["text"]) for row in rows if row.get("text")]
    segments = []
    for at in range(3_000):
        said = texts[at % len(texts)]
        words = [*said[at // len(texts) :], f"{at}"][:30]
        step_s = 1.8 / len(words)
        times = tuple(
            Word(one, 2.0 * at + n * step_s, 2.0 * at + (n + 1) * step_s, 0.9)
            for n, one in enumerate(words)
        )
        text = " ".join(words)
        segments.append(
            Segment(
                2.0 * at,
                2.0 * at + 1.8,
                text,
                text,
                "zh",
                times,
                "ctc",
                speaker=f"说话人 {1 + at // 7 % 3}",
            )
        )
    job = workplace.client.submit(
        samples / CLIP, name="很长的会议.flac", options={"model": "whisper-base"}
    )
    id = workplace.client.wait(job.id).recording_id
    whole = Transcript(tuple(segments), 6_000.0, "zh", 5_400.0, 16_000, 1)
    workplace.client.correct(id, whole, based_on=workplace.client.recording(id).revision)
    return id


def rows(page: Page) -> Any:
    return page.locator(".lt-recording-row[data-position]")


def opened(desk: Desk, id: str, more: str = "") -> Page:
    page = desk.open(f"recordings?id={id}{more}")
    rows(page).first.wait_for()
    return page


def time_of(page: Page) -> float:
    return float(
        page.get_by_role("slider", name="Place in the recording").get_attribute("aria-valuenow")
        or 0
    )


def edit(page: Page, at: int) -> Any:
    page.locator(f'.lt-recording-row[data-position="{at}"] .lt-recording-text').dblclick()
    area = page.locator(f'.lt-recording-row[data-position="{at}"] textarea')
    area.wait_for()
    return area


def saved(page: Page) -> None:
    expect(page.locator(".lt-recording-state")).to_have_attribute("data-state", "saved")


@pytest.mark.parametrize(
    ("locale", "scheme", "size"), LOOKS if "SHOTS" in os.environ else LOOKS[:2]
)
def test_it_is_whole(
    locale: str, scheme: str, size: str, long: str, desk_of: Callable[..., Desk]
) -> None:
    viewport = {"desktop": DESKTOP, "phone": PHONE}[size]
    desk = desk_of(locale=locale, color_scheme=scheme, viewport=viewport)
    page = opened(desk, long, "&segment=40")
    page.locator('.lt-recording-row[data-position="40"].lt-lit').wait_for()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"] + 1
    assert serious(page) == []
    shot(page, f"recording-{locale[:2]}-{scheme}-{size}")


def test_it_is_heard_and_sought(desk: Desk, ours: str) -> None:
    page = opened(desk, ours, "&t=13")
    assert time_of(page) == 13
    expect(page.get_by_role("heading", level=1)).to_have_text(CLIP)
    expect(page.locator(".lt-recording-facts")).to_contain_text("0:52")
    word = rows(page).nth(1).locator(".lt-w").nth(3)
    word.click()
    expect(word).to_have_class(re.compile("lt-on"))
    before = time_of(page)
    assert 3 <= before <= 6
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    until(lambda: time_of(page) > before)
    until(lambda: page.locator(".lt-w.lt-on").count() == 1)
    page.keyboard.press("k")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    track = page.get_by_role("slider", name="Place in the recording")
    track.press("End")
    assert time_of(page) == 53
    track.press("ArrowLeft")
    assert 47 <= time_of(page) <= 48


def test_a_correction_is_saved_by_itself_and_taken_back(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    page = opened(desk, ours)
    first = workplace.client.transcript(ours).segments[0].text
    area = edit(page, 0)
    area.fill(f"{first}改过了")
    saved(page)
    assert workplace.client.transcript(ours).segments[0].text == f"{first}改过了"
    area.press("Escape")
    # Words that were not touched are still heard where they were.
    expect(rows(page).nth(0).locator(".lt-w").first).to_be_visible()
    page.keyboard.press("Control+z")
    expect(rows(page).nth(0)).to_contain_text(first)
    expect(rows(page).nth(0)).not_to_contain_text("改过了")
    until(lambda: workplace.client.transcript(ours).segments[0].text == first)
    page.get_by_role("button", name="Redo").click()
    until(lambda: workplace.client.transcript(ours).segments[0].text == f"{first}改过了")
    saved(page)


def test_while_typing_the_keys_play_and_go_on(desk: Desk, ours: str) -> None:
    page = opened(desk, ours)
    area = edit(page, 0)
    area.press("Tab")
    page.get_by_role("button", name="Pause").wait_for()
    area.press("Tab")
    page.get_by_role("button", name="Play", exact=True).wait_for()
    area.press("Enter")
    expect(page.locator('.lt-recording-row[data-position="1"] textarea')).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("textarea")).to_have_count(0)


def test_what_cannot_be_sent_is_kept_and_sent_when_it_can(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    desk.expected += ["failed: ", "ERR_INTERNET_DISCONNECTED", "ERR_FAILED"]
    page = opened(desk, ours)
    desk.context.set_offline(True)
    edit(page, 1).fill("离线时写的")
    state = page.locator(".lt-recording-state")
    expect(state).to_have_attribute("data-state", "offline")
    assert workplace.client.transcript(ours).segments[1].text != "离线时写的"
    desk.context.set_offline(False)
    saved(page)
    assert workplace.client.transcript(ours).segments[1].text == "离线时写的"


def test_what_was_not_saved_is_back_when_the_page_is_loaded_again(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    page = opened(desk, ours)
    page.on("dialog", lambda asked: asked.accept())
    page.route("**/api/v1/transcripts/*", lambda route: route.abort())
    desk.expected += ["failed: PATCH", "ERR_FAILED"]
    edit(page, 2).fill("还没保存")
    expect(page.locator(".lt-recording-state")).to_have_attribute("data-state", "offline")
    page.unroute("**/api/v1/transcripts/*")
    page.reload()
    rows(page).first.wait_for()
    until(lambda: workplace.client.transcript(ours).segments[2].text == "还没保存")


def theirs(workplace: Workplace, id: str, at: int, text: str) -> None:
    """What somebody else writes meanwhile."""
    client = workplace.client
    whole = client.transcript(id)
    changed = list(whole.segments)
    changed[at] = replace(changed[at], text=text, edits=())
    client.correct(
        id, replace(whole, segments=tuple(changed)), based_on=client.recording(id).revision
    )


def test_two_people_at_different_places_lose_nothing(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    desk.expected += ["409"]
    page = opened(desk, ours)
    theirs(workplace, ours, 3, "别人写的")
    edit(page, 0).fill("我写的")
    saved(page)
    found = workplace.client.transcript(ours).segments
    assert (found[0].text, found[3].text) == ("我写的", "别人写的")
    expect(rows(page).nth(3)).to_contain_text("别人写的")


@pytest.mark.parametrize("kept", ["mine", "theirs"])
def test_two_people_at_the_same_place_are_asked(
    kept: str, desk: Desk, ours: str, workplace: Workplace
) -> None:
    desk.expected += ["409"]
    page = opened(desk, ours)
    theirs(workplace, ours, 0, "别人写的")
    edit(page, 0).fill("我写的")
    asked = page.get_by_role("dialog", name="Somebody else changed the same text")
    asked.wait_for()
    expect(asked).to_contain_text("别人写的")
    expect(asked).to_contain_text("我写的")
    asked.get_by_role("button", name=f"Keep {kept}").click()
    saved(page)
    expected = "我写的" if kept == "mine" else "别人写的"
    assert workplace.client.transcript(ours).segments[0].text == expected
    expect(rows(page).nth(0)).to_contain_text(expected)


def test_thousands_of_segments_are_on_the_page_when_they_are_looked_at(
    desk: Desk, long: str
) -> None:
    page = opened(desk, long, "&segment=2500")
    lit = page.locator('.lt-recording-row[data-position="2500"].lt-lit')
    expect(lit).to_be_in_viewport()
    expect(lit).to_have_attribute("aria-posinset", "2501")
    expect(lit).to_have_attribute("aria-setsize", "3000")
    assert rows(page).count() < 150
    page.locator(".lt-recording-scroll").evaluate("one => { one.scrollTop = 0; }")
    expect(page.locator('.lt-recording-row[data-position="0"] .lt-w').first).to_be_in_viewport()
    page.locator(".lt-recording-scroll").evaluate("one => { one.scrollTop = one.scrollHeight; }")
    expect(page.locator('.lt-recording-row[data-position="2999"]')).to_contain_text("2999")
    assert rows(page).count() < 150
    until(lambda: is_free_of_overlaps(rows(page)))  # heights are known once rows are drawn


def is_free_of_overlaps(rows: Locator) -> bool:
    boxes = rows.evaluate_all(
        "all => all.map((one) => [one.offsetTop, one.offsetHeight]).sort((a, b) => a[0] - b[0])"
    )
    return all(a[0] + a[1] <= b[0] + 1.5 for a, b in pairwise(boxes))


def settled(page: Page, one: Any) -> Any:
    """Its box, when it moves no more: rows near it may still get their real heights."""
    box = None
    while box != (now := one.bounding_box()):
        box = now
        page.wait_for_timeout(200)
    return box


_AT_THE_EDGE = """(row) => {
  const scroller = row.closest(".lt-recording-scroll");
  const [own, whole] = [row, scroller].map((one) => one.getBoundingClientRect());
  scroller.scrollTop += own.bottom - whole.bottom + 90;
}"""


def test_what_is_pressed_stays_under_the_pointer(desk: Desk, long: str) -> None:
    page = opened(desk, long, "&segment=18")
    row = page.locator('.lt-recording-row[data-position="20"]')
    row.locator(".lt-recording-text .lt-w").first.wait_for()
    row.evaluate(_AT_THE_EDGE)
    text = row.locator(".lt-recording-text")
    before = settled(page, text)
    x, y = before["x"] + 20, before["y"] + before["height"] / 2
    page.mouse.click(x, y)
    expect(page.locator(".lt-recording-row.lt-now")).to_have_attribute("data-position", "20")
    page.wait_for_timeout(300)
    assert abs(settled(page, text)["y"] - before["y"]) < before["height"] / 4
    page.mouse.dblclick(x, y)
    expect(row.locator("textarea")).to_be_focused()


def test_the_spoken_layer_is_what_was_heard(desk: Desk, ours: str, workplace: Workplace) -> None:
    page = opened(desk, ours)
    found = workplace.client.transcript(ours).segments
    at = next(n for n, one in enumerate(found) if one.text != one.spoken)
    expect(rows(page).nth(at).locator("p")).to_have_text(found[at].text)
    page.get_by_role("button", name="Spoken").click()
    expect(rows(page).nth(at).locator("p")).to_have_text(found[at].spoken)
    doubts = page.locator(".lt-recording-doubt")
    expect(doubts).not_to_have_count(0)
    page.get_by_role("button", name="Mark doubts").click()
    expect(doubts).to_have_count(0)


def test_whoever_may_only_read_is_told_and_changes_nothing(
    desk_of: Callable[..., Desk], ours: str, workplace: Workplace
) -> None:
    workplace.add_user("leser")
    workplace.client.share(ours, "user", "leser", days=1)
    page = opened(desk_of("leser"), ours)
    page.get_by_text("This recording is somebody else's.").wait_for()
    assert page.get_by_role("button", name="Edit this text").count() == 0
    assert page.get_by_role("button", name="Rename").count() == 0
    rows(page).nth(0).locator("p").dblclick()
    assert page.locator("textarea").count() == 0


def test_a_job_that_failed_says_why(desk: Desk, workplace: Workplace, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"no audio at all" * 200)
    job = workplace.client.submit(broken, options={"model": "whisper-base"})
    done = until(lambda: (one := workplace.client.job(job.id)).is_finished and one)
    assert done.state == "failed"
    page = desk.open(f"recordings?id={done.recording_id}")
    page.get_by_role("alert").get_by_text("The transcription failed.").wait_for()
    page.get_by_role("button", name="Try again").click()
    until(
        lambda: (
            workplace.client.job(job.id).attempts > done.attempts
            or workplace.client.job(job.id).state == "queued"
        )
    )
    assert serious(page) == []


def test_name_and_tags_are_changed_with_a_way_back(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    page = opened(desk, ours)
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name").fill("秋天的录音")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("秋天的录音")
    undo(page)
    until(lambda: workplace.client.recording(ours).name == CLIP)
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("New tag").fill("散文")
    page.keyboard.press("Enter")
    until(lambda: workplace.client.recording(ours).tags == ("散文",))
    page.get_by_role("button", name="Remove the tag 散文").click()
    until(lambda: workplace.client.recording(ours).tags == ())


def test_the_shortcuts_are_listed(desk: Desk, ours: str) -> None:
    page = opened(desk, ours)
    page.keyboard.press("?")
    listed = page.get_by_role("dialog", name="Keyboard shortcuts")
    listed.wait_for()
    assert serious(page) == []
    shot(page, "recording-keys-en")
    page.keyboard.press("Escape")
    expect(listed).to_have_count(0)


def test_a_draft_of_what_others_changed_meanwhile_is_asked_about(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    page = opened(desk, ours)
    page.on("dialog", lambda asked: asked.accept())
    page.route("**/api/v1/transcripts/*", lambda route: route.abort())
    desk.expected += ["failed: PATCH", "ERR_FAILED", "409"]
    edit(page, 2).fill("还没保存")
    expect(page.locator(".lt-recording-state")).to_have_attribute("data-state", "offline")
    theirs(workplace, ours, 2, "别人写的")
    page.unroute("**/api/v1/transcripts/*")
    page.reload()
    asked = page.get_by_role("dialog", name="Somebody else changed the same text")
    expect(asked).to_contain_text("还没保存")
    page.keyboard.press("Escape")
    expect(page.locator(".lt-recording-state")).to_have_attribute("data-state", "failed")
    page.get_by_role("button", name="Try again").click()
    asked.get_by_role("button", name="Keep theirs").click()
    saved(page)
    assert workplace.client.transcript(ours).segments[2].text == "别人写的"


def test_what_is_typed_while_a_conflict_is_looked_at_is_kept(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    desk.expected += ["409"]
    page = opened(desk, ours)
    theirs(workplace, ours, 3, "别人写的")
    held: list[Route] = []
    page.route("**/segments?*", lambda route: route.continue_() if held else held.append(route))
    edit(page, 0).fill("我写的")
    until(lambda: page.wait_for_timeout(20) or held)
    area = edit(page, 1)
    area.fill("后来写的")
    held[0].continue_()
    saved(page)
    found = workplace.client.transcript(ours).segments
    assert [found[at].text for at in (0, 1, 3)] == ["我写的", "后来写的", "别人写的"]
    expect(area).to_be_focused()  # whoever types goes on


def test_what_was_taken_back_before_it_was_sent_is_no_revision(
    desk: Desk, ours: str, workplace: Workplace
) -> None:
    page = opened(desk, ours)
    before = workplace.client.recording(ours).revision
    edit(page, 0).evaluate(
        "(area) => { for (const text of [area.value + '！', area.value]) {"
        " area.value = text; area.dispatchEvent(new Event('input')); } }"
    )
    saved(page)
    page.keyboard.press("Control+s")
    assert workplace.client.recording(ours).revision == before


def test_a_name_or_a_tag_that_is_being_typed_stays(desk: Desk, ours: str) -> None:
    desk.expected += ["422"]
    page = opened(desk, ours)
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("New tag").fill("散")
    # As at every progress of a job.
    page.locator("lt-recording").evaluate(
        "(one) => one.model.dispatchEvent(new CustomEvent('recording'))"
    )
    expect(page.get_by_label("New tag")).to_have_value("散")
    page.keyboard.press("Escape")
    refusal = {"error": {"code": "option.invalid", "message": "No such name."}}
    page.route(
        f"**/api/v1/recordings/{ours}", lambda route: route.fulfill(status=422, json=refusal)
    )
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name").fill("秋天")
    page.keyboard.press("Enter")
    page.get_by_text("No such name.").wait_for()
    expect(page.get_by_label("Name")).to_have_value("秋天")


def test_why_a_job_failed_is_said_whole_and_old_answers_are_no_news(desk: Desk, ours: str) -> None:
    page = desk.page

    def failed(route: Route) -> None:
        found = route.fetch().json()
        error = {"code": "engine.failed", "message": "The engine stopped.", "next_step": ""}
        found["job"] = {**found["job"], "state": "failed", "error": error}
        route.fulfill(json=found)

    held: list[Route] = []
    page.route(f"**/api/v1/recordings/{ours}", failed)
    page.route("**/api/v1/jobs/*", lambda route: held.append(route))
    opened(desk, ours)
    page.get_by_role("alert").get_by_text("The engine stopped.").wait_for()

    page.locator("lt-recording").evaluate(
        "(one) => { for (const n of [1, 2]) one.heardOf({ kind: 'job.progress' }); }"
    )
    until(lambda: page.wait_for_timeout(20) or len(held) == 3)
    for at, done_s in ((2, 50), (1, 10), (0, 5)):
        held[at].fulfill(json={**held[at].fetch().json(), "state": "running", "done_s": done_s})
    page.get_by_text("0:50 / 0:52").wait_for()
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("0:50 / 0:52")).to_be_visible()


def test_another_recording_in_the_same_page_begins_anew(
    desk: Desk, ours: str, long: str, workplace: Workplace
) -> None:
    page = opened(desk, ours, "&panel=find")
    page.get_by_role("textbox", name="Find").wait_for()
    page.evaluate(
        "(id) => { history.pushState({}, '', `/app/recordings?id=${id}`);"
        " dispatchEvent(new PopStateEvent('popstate')); }",
        long,
    )
    page.get_by_role("heading", level=1, name="很长的会议.flac").wait_for()
    page.get_by_role("toolbar", name="Tools").get_by_role("button", name="Find").click()
    page.get_by_role("textbox", name="Find").wait_for()
    page.get_by_role("button", name="More", exact=True).click()
    with page.expect_download():
        page.get_by_role("menuitem", name="Download the audio").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("很长的会议.flac")

"""Beside a transcript: find and replace, speakers, notes, versions, shares, files."""

from __future__ import annotations

import re
from collections.abc import Callable

from keeping import keep
from playwright.sync_api import Page, expect
from workplace import PHONE, Desk, Workplace, serious, shot, undo, until


def opened(desk: Desk, id: str, panel: str | None = None) -> Page:
    page = desk.open(f"recordings?id={id}" + (f"&panel={panel}" if panel else ""))
    page.locator(".lt-recording-text").first.wait_for()
    return page


def turn(page: Page, name: str) -> None:
    page.get_by_role("toolbar", name="Tools").get_by_role("button", name=name).click()


def text_of(workplace: Workplace, id: str) -> str:
    return workplace.client.transcript(id).text


def test_a_word_is_corrected_searched_exported_and_the_recording_deleted_and_brought_back(
    desk: Desk, workplace: Workplace
) -> None:
    """What people come for."""
    id = keep(workplace, "主线.wav", ["欢迎参加灵听的介绍。", "下面请看演示。"])
    page = opened(desk, id, "find")
    page.get_by_role("textbox", name="Find").fill("灵听")
    page.get_by_text("1 of 1").wait_for()
    page.get_by_label("Replace with").fill("聆听")
    page.get_by_role("button", name="Replace", exact=True).click()
    until(lambda: "聆听" in text_of(workplace, id))

    turn(page, "Export")
    with page.expect_download() as down:
        page.get_by_role("button", name="SRT").click()
    assert down.value.suggested_filename == "主线.srt"
    assert "聆听" in down.value.path().read_text(encoding="utf-8")

    page.get_by_role("link", name="All recordings").click()
    page.get_by_role("searchbox").fill("聆听的介绍")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("link", name=re.compile("欢迎参加聆听的介绍"))).to_be_visible()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="Actions for 主线.wav").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("link", name="主线.wav")).to_have_count(0)
    undo(page)
    expect(page.get_by_role("link", name="主线.wav")).to_be_visible()


def test_all_places_are_replaced_in_one_step_and_patterns_have_their_end(
    desk: Desk, workplace: Workplace
) -> None:
    id = keep(workplace, "replace.wav", ["Order 12 and order 345.", "a" * 40 + "!", "order 6"])
    page = opened(desk, id, "find")
    find = page.get_by_role("textbox", name="Find")
    find.fill("order")
    page.get_by_text("of 3").wait_for()
    page.get_by_label("Match case").check()
    page.get_by_text("of 2").wait_for()
    page.get_by_label("Match case").uncheck()
    page.get_by_label("Regular expression").check()
    find.fill("(a+)+$")
    page.get_by_text("takes too long").wait_for()
    find.fill("(unclosed")
    page.get_by_text("no regular expression").wait_for()
    find.fill(r"order (\d+)")
    page.get_by_text("of 3").wait_for()
    page.get_by_label("Replace with").fill("No. $1")
    page.get_by_role("button", name="Replace all").click()
    page.get_by_text("3 places replaced.").wait_for()
    until(lambda: text_of(workplace, id).count("No. ") == 3)
    assert workplace.client.recording(id).revision == 2
    undo(page)
    until(lambda: "No. " not in text_of(workplace, id))


def test_speakers_are_renamed_and_assigned(desk: Desk, workplace: Workplace) -> None:
    texts = ["第一段。", "第二段。", "第三段。", "第四段。"]
    id = keep(workplace, "speakers.wav", texts, speakers=["Speaker 1", "Speaker 2"])
    page = opened(desk, id, "speakers")

    def speakers() -> list[str | None]:
        return [one.speaker for one in workplace.client.transcript(id).segments]

    page.get_by_role("button", name="Actions for Speaker 1").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("王明")
    page.get_by_role("button", name="Save").click()
    until(lambda: speakers() == ["王明", "Speaker 2", "王明", "Speaker 2"])
    shot(page, "recording-speakers-en-light-desktop")
    page.get_by_role("button", name="Actions for Speaker 2").click()
    page.get_by_role("menuitem", name="Merge into 王明").click()
    until(lambda: set(speakers()) == {"王明"})
    undo(page)
    until(lambda: speakers() == ["王明", "Speaker 2", "王明", "Speaker 2"])
    page.get_by_label("Who speaks at 0:04").select_option("王明")
    until(lambda: speakers() == ["王明", "王明", "王明", "Speaker 2"])


def test_a_note_is_written_at_the_time_found_again_and_deleted(
    desk: Desk, workplace: Workplace
) -> None:
    id = keep(workplace, "notes.wav", ["记笔记的地方。", "第二句话。"])
    page = desk.open(f"recordings?id={id}&t=5&panel=notes")
    note = page.get_by_role("textbox", name="Note")
    note.fill("客户要求退款")
    page.get_by_role("button", name="Add note").click()
    page.get_by_role("listitem").get_by_text("客户要求退款").wait_for()
    (kept,) = workplace.client.notes(id).items
    assert kept.at_s is not None
    assert abs(kept.at_s - 5) < 0.2
    page.get_by_role("button", name="Edit the note").click()
    page.get_by_role("listitem").get_by_label("Note").fill("客户要求换货")
    page.get_by_role("button", name="Save").click()
    until(lambda: workplace.client.notes(id).items[0].text == "客户要求换货")
    page.reload()
    page.get_by_role("button", name="Go to 0:05").wait_for()
    assert serious(page) == []
    shot(page, "recording-notes-en-light-desktop")
    page.get_by_role("button", name="Delete the note").click()
    until(lambda: not workplace.client.notes(id).items)
    undo(page)
    until(lambda: [one.text for one in workplace.client.notes(id).items] == ["客户要求换货"])


def test_versions_are_compared_and_restored(desk: Desk, workplace: Workplace) -> None:
    id = keep(workplace, "versions.wav", ["客户要求退款。", "没有变化。"])
    page = opened(desk, id, "find")
    page.get_by_role("textbox", name="Find").fill("退款")
    page.get_by_label("Replace with").fill("换货")
    page.get_by_text("1 of 1").wait_for()
    page.get_by_role("button", name="Replace all").click()
    until(lambda: "换货" in text_of(workplace, id))
    turn(page, "Versions")
    page.get_by_role("button", name="What changed").click()
    difference = page.locator(".lt-panels-differences")
    expect(difference.locator("del")).to_have_text("退款")
    expect(difference.locator("ins")).to_have_text("换货")
    expect(difference.get_by_role("listitem")).to_have_count(1)
    assert serious(page) == []
    shot(page, "recording-versions-en-light-desktop")
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("Version 1 is current again.").wait_for()
    assert "退款" in text_of(workplace, id)
    expect(page.locator(".lt-recording-text").first).to_contain_text("退款")
    undo(page)
    until(lambda: "换货" in text_of(workplace, id))


def test_a_share_is_seen_by_the_other_until_it_ends(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    for name in ("giver", "reader"):
        workplace.add_user(name)
    id = keep(workplace, "shared.wav", ["只给一个人看。"], owner="giver")
    giver = opened(desk_of("giver"), id, "share")
    giver.get_by_label("User name").fill("reader")
    giver.get_by_label("For how long").select_option("7")
    giver.get_by_role("button", name="Share", exact=True).last.click()
    giver.get_by_role("button", name="Stop sharing with reader").wait_for()

    reader = desk_of("reader").open("recordings?view=shared")
    reader.get_by_role("link", name="shared.wav").click()
    reader.locator(".lt-recording-text").first.wait_for()
    turn(reader, "Find")
    reader.get_by_text("not change it").wait_for()
    turn(reader, "Share")
    reader.get_by_text("Only its owner can share").wait_for()
    turn(reader, "Notes")
    reader.get_by_text("No notes yet").wait_for()

    giver.get_by_role("button", name="Copy link").click()
    assert giver.evaluate("navigator.clipboard.readText()").endswith(f"/app/recordings?id={id}")
    giver.get_by_role("button", name="Stop sharing with reader").click()
    giver.get_by_text("Nobody yet").wait_for()
    reader.goto(f"{workplace.url}/app/recordings?view=shared")
    reader.get_by_text("Nobody has shared a recording with you").wait_for()


def test_every_panel_fits_a_phone(desk_of: Callable[..., Desk], workplace: Workplace) -> None:
    id = keep(workplace, "手机面板.wav", ["手机上的面板。", "第二段。"], speakers=["王明", "李雷"])
    desk = desk_of(locale="zh-CN", color_scheme="dark", viewport=PHONE)
    for panel in ("find", "speakers", "notes", "revisions", "share", "exports"):
        page = opened(desk, id, panel)
        page.locator(".lt-recording-panel").locator("button, p").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1
        assert serious(page) == []
        shot(page, f"recording-{panel}-zh-dark-phone")


def test_no_answer_is_taken_for_another_questions(desk: Desk, workplace: Workplace) -> None:
    id = keep(workplace, "finder.wav", ["order 12 and order 345.", "order 6"])
    desk.page.add_init_script(
        "window.Worker = class extends Worker { postMessage(question) {"
        " setTimeout(() => super.postMessage(question), 700); } };"
    )
    page = opened(desk, id, "find")
    find = page.get_by_role("textbox", name="Find")
    find.fill("order")
    page.get_by_text("Looking").wait_for()
    find.fill("6")
    page.get_by_text(re.compile(r"\d of \d")).wait_for()
    expect(page.locator(".lt-panels-told")).to_have_text("1 of 1")
    # What is typed in the transcript a moment before is looked at too.
    page.get_by_label("Replace with").fill("7")
    page.locator("lt-recording").evaluate(
        "(one) => one.model.write([{ position: 1, text: 'the order 6' }])"
    )
    page.get_by_role("button", name="Replace all").click()
    until(lambda: "the order 7" in text_of(workplace, id))


def test_undo_in_a_message_is_of_what_it_tells(desk: Desk, workplace: Workplace) -> None:
    id = keep(workplace, "undo.wav", ["退款。", "第二段。"])
    page = opened(desk, id, "find")
    page.get_by_role("textbox", name="Find").fill("退款")
    page.get_by_text("1 of 1").wait_for()
    page.get_by_label("Replace with").fill("换货")
    page.get_by_role("button", name="Replace all").click()
    way_back = page.get_by_role("region", name="Messages").get_by_role("button", name="Undo")
    way_back.wait_for()
    page.locator(".lt-recording-text").nth(1).dblclick()
    page.locator(".lt-recording-editor").fill("改过的。")
    expect(way_back).to_have_count(0)
    until(lambda: text_of(workplace, id).replace("\n", "") == "换货。改过的。")


def test_a_note_is_added_once_and_one_that_was_begun_stays(
    desk: Desk, workplace: Workplace
) -> None:
    id = keep(workplace, "begun.wav", ["记笔记的地方。"])
    page = opened(desk, id, "notes")
    note = page.get_by_role("textbox", name="Note")
    note.fill("只写一次")
    turn(page, "Share")
    page.get_by_role("heading", name="Link").wait_for()
    turn(page, "Notes")
    expect(note).to_have_value("只写一次")
    note.evaluate(
        "(one) => { for (let n = 0; n < 2; n += 1) one.dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true, bubbles: true })); }"
    )
    page.get_by_role("listitem").get_by_text("只写一次").wait_for()
    page.wait_for_load_state("networkidle")
    assert len(workplace.client.notes(id).items) == 1


def test_what_is_not_saved_is_not_lost_by_going_back_to_a_version(
    desk: Desk, workplace: Workplace
) -> None:
    id = keep(workplace, "unsaved.wav", ["第一版。"])
    page = opened(desk, id)
    page.locator(".lt-recording-text").first.dblclick()
    page.locator(".lt-recording-editor").fill("第二版。")
    expect(page.locator(".lt-recording-state")).to_have_attribute("data-state", "saved")
    turn(page, "Versions")
    restore = page.get_by_role("button", name="Restore")
    restore.wait_for()
    desk.expected += ["422"]
    refusal = {"error": {"code": "option.invalid", "message": "Not now."}}
    page.route("**/api/v1/transcripts/*", lambda route: route.fulfill(status=422, json=refusal))
    page.locator(".lt-recording-text").first.dblclick()
    page.locator(".lt-recording-editor").fill("第三版。")
    restore.click()
    page.get_by_text("Your last changes are not saved yet.").wait_for()
    page.unroute("**/api/v1/transcripts/*")
    page.keyboard.press("Control+s")
    until(lambda: text_of(workplace, id) == "第三版。")

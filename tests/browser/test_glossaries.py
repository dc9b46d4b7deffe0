"""Lists of hotwords on the page: made, tested on a real clip, merged, brought in and out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect
from workplace import PHONE, Desk, serious, shot, undo, until

CLIP = "en-riva-antiberta.flac"
WORDS = "Words, one a line"


def wait_for(page: Page, held: list[Route]) -> None:
    while not held:
        page.wait_for_timeout(20)


def made(page: Page, name: str, words: str) -> None:
    page.get_by_role("button", name="New glossary").first.click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label(WORDS).fill(words)
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved:").wait_for()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def test_a_list_is_made_tested_and_exported(desk: Desk, samples: Path, tmp_path: Path) -> None:
    page = desk.open("glossaries")
    made(page, "Papers", "AntiBERTa\nABlooper\n#antibody\nAntiBERTa")
    page.locator("input[type=file]").last.set_input_files(samples / CLIP)
    page.get_by_role("button", name="Test", exact=True).click()
    page.get_by_text("Words of the glossary heard").wait_for(timeout=60_000)
    sides = page.locator("[data-side]")
    assert [sides.nth(at).locator(".lt-badge").inner_text() for at in (0, 1)] == ["Done", "Done"]
    assert "protein" in sides.nth(0).inner_text()
    assert "ABlooper" in sides.nth(1).locator("mark").all_inner_texts()
    assert sides.nth(0).locator(".lt-glossaries-differs").count() > 0
    assert serious(page) == []
    shot(page, "glossaries-tested")
    page.get_by_role("button", name="More").click()
    with page.expect_download() as downloading:
        page.get_by_role("menuitem", name="Export as text").click()
    downloading.value.save_as(tmp_path / "papers.txt")
    assert (tmp_path / "papers.txt").read_text() == "AntiBERTa\nABlooper\n\\#antibody\n"
    client = desk.workplace.client  # what is heard this way is taken away when it is answered
    until(lambda: not any(one.name == CLIP for one in client.recordings().items))


def test_who_was_slower_keeps_both_and_what_is_deleted_comes_back(desk: Desk) -> None:
    desk.expected += ["409"]
    page = desk.open("glossaries")
    made(page, "Team", "Wang\nLi")
    page.get_by_label(WORDS).fill("Wang\nLi\nZhao")
    desk.workplace.client.save_glossary("Team", ["Wang", "Sun"], based_on=1)
    page.get_by_role("button", name="Save", exact=True).click()
    asking = page.get_by_role("dialog", name="Somebody else saved this glossary")
    expect(asking).to_contain_text("They added: Sun. They removed: Li.")
    asking.get_by_role("button", name="Keep both changes").click()
    expect(page.get_by_label(WORDS)).to_have_value("Wang\nSun\nZhao")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_text("Team is deleted.").wait_for()
    undo(page)
    page.get_by_role("heading", name="Team", exact=True).wait_for()
    assert desk.workplace.client.glossary("Team").words == ("Wang", "Sun", "Zhao")


def test_what_is_typed_while_it_is_saved_stays_and_nobody_is_called_back(desk: Desk) -> None:
    page = desk.open("glossaries")
    held: list[Route] = []
    page.route("**/api/v1/glossaries/Slow*", lambda route: held.append(route)
               if route.request.method == "PUT" else route.continue_())  # fmt: skip
    page.get_by_role("button", name="New glossary").first.click()
    page.get_by_label("Name", exact=True).fill("a/b")
    page.get_by_label(WORDS).fill("one")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("holds no slash").wait_for()
    page.get_by_label("Name", exact=True).fill("Slow")
    page.get_by_role("button", name="Save", exact=True).click()
    wait_for(page, held)
    page.get_by_label(WORDS).fill("one\ntwo")
    held.pop().continue_()
    page.get_by_role("heading", name="Slow", exact=True).wait_for()
    expect(page.get_by_label(WORDS)).to_have_value("one\ntwo")
    page.get_by_role("button", name="Save", exact=True).click()
    wait_for(page, held)
    held.pop().continue_()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()

    page.get_by_role("button", name="New glossary").first.click()
    page.get_by_label("Name", exact=True).fill("Slower")
    page.get_by_label(WORDS).fill("three\nfour\nfive")
    page.get_by_role("button", name="Save", exact=True).click()
    wait_for(page, held)
    page.get_by_role("link", name="Recordings", exact=True).click()
    page.get_by_role("heading", name="Recordings", level=1).wait_for()
    held.pop().continue_()
    page.get_by_text("Saved: 3 words.").wait_for()
    assert page.url.endswith("/app/recordings")


def test_a_new_glossary_is_not_lost_to_another(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "brought.txt").write_text("other")
    page = desk.open("glossaries")
    page.get_by_role("button", name="New glossary").first.click()
    page.get_by_label(WORDS).fill("typed")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "brought.txt")
    expect(page.get_by_label(WORDS)).to_have_value("other")
    undo(page)
    expect(page.get_by_label(WORDS)).to_have_value("typed")


def test_a_file_of_a_spreadsheet_is_imported_on_a_phone(
    desk_of: Callable[..., Desk], tmp_path: Path
) -> None:
    file = tmp_path / "同事.csv"
    file.write_bytes('热词,备注\r\n王小明,"x"\r\n"聆听, 公司",y\r\n'.encode("gb18030"))
    desk = desk_of(viewport=PHONE, locale="zh-CN")
    page = desk.open("glossaries")
    page.locator("input[type=file]").first.set_input_files(file)
    expect(page.get_by_label("热词（每行一个）")).to_have_value("王小明\n聆听, 公司")
    expect(page.get_by_label("名称")).to_have_value("同事")
    page.get_by_role("button", name="保存").click()
    page.get_by_text("已保存，共 2 个词").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"] + 1
    assert serious(page) == []
    shot(page, "glossaries-phone")


def test_a_member_reads_what_is_for_all_and_copies_it(
    desk: Desk, desk_of: Callable[..., Desk]
) -> None:
    page = desk.open("glossaries")
    page.get_by_role("button", name="New glossary").first.click()
    page.get_by_label("For whom").select_option("all")
    page.get_by_label("Name", exact=True).fill("Products")
    page.get_by_label(WORDS).fill("Lingting")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved:").wait_for()
    desk.workplace.add_user("glossary-reader")
    member = desk_of("glossary-reader").open("glossaries")
    member.get_by_role("link", name="Products").click()
    member.get_by_text("You can use, test and copy this glossary").wait_for()
    expect(member.get_by_label(WORDS)).not_to_be_editable()
    assert member.get_by_role("button", name="Save", exact=True).count() == 0
    member.get_by_role("button", name="More").click()
    member.get_by_role("menuitem", name="Copy to a new glossary").click()
    expect(member.get_by_label("Name", exact=True)).to_have_value("Products copy")
    member.get_by_role("button", name="Save", exact=True).click()
    member.get_by_text("Saved: 1 word.").wait_for()

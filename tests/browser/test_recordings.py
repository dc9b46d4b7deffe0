"""The history: looked through, narrowed, searched, and many recordings changed at once."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from keeping import keep
from playwright.sync_api import Locator, Page, Route, expect
from workplace import DESKTOP, PHONE, Desk, Workplace, serious, shot, undo

from lingting.server.routes.history import MAX_BULK


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has=page.get_by_role("link", name=name, exact=True))


def test_filters_are_in_the_address_and_a_hit_opens_at_its_second(
    desk: Desk, workplace: Workplace
) -> None:
    texts = ["大家好。", "客户要求退款，流程要批准。"]
    keep(workplace, "周会 filters.wav", texts, speakers=["王明"], tags=["filters"])
    keep(workplace, "其他 filters.wav", ["今天天气不错。"])
    page = desk.open("recordings?tag=filters")
    expect(row(page, "周会 filters.wav")).to_be_visible()
    expect(row(page, "其他 filters.wav")).to_have_count(0)
    page.get_by_role("button", name=re.compile("^Filters")).click()
    page.get_by_label("Speaker").select_option("王明")
    page.wait_for_url("**speaker=*")
    page.reload()
    expect(row(page, "周会 filters.wav")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(row(page, "其他 filters.wav")).to_be_visible()

    page.get_by_role("searchbox").fill("tuikuan")
    page.get_by_label("By sound").check()
    page.get_by_role("button", name="Search", exact=True).click()
    hit = page.get_by_role("link", name=re.compile("客户要求退款")).first
    expect(hit.locator("mark")).to_have_text("退款")
    assert "tuikuan" not in urlsplit(page.url).query  # what is searched is in no log
    shot(page, "recordings-search-en-light-desktop")
    page.evaluate("window.stays = true")
    hit.click()
    page.get_by_role("heading", level=1, name="周会 filters.wav").wait_for()
    asked = parse_qs(urlsplit(page.url).query)
    assert asked["segment"] == ["1"]
    assert 4.0 <= float(asked["t"][0]) < 8.0
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("tuikuan")
    expect(hit).to_be_visible()
    assert page.evaluate("window.stays")


def test_a_recording_is_found_by_its_name(desk: Desk, workplace: Workplace) -> None:
    keep(workplace, "Quarterly review.wav", ["大家好。"])
    page = desk.open("recordings")
    page.get_by_role("searchbox").fill("quarterly")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="With this name").wait_for()
    expect(page.get_by_text("Nothing was found")).to_have_count(0)
    assert serious(page) == []
    shot(page, "recordings-named-en-light-desktop")
    page.get_by_role("link", name=re.compile("Quarterly review.wav")).click()
    page.get_by_role("heading", level=1, name="Quarterly review.wav").wait_for()


def test_many_are_tagged_exported_deleted_and_brought_back(
    desk: Desk, workplace: Workplace
) -> None:
    names = [f"many {n}.wav" for n in range(3)]
    for name in names:
        keep(workplace, name, [f"这是{name}的内容。"], tags=["many"])
    page = desk.open("recordings?tag=many")
    expect(row(page, names[0])).to_be_visible()
    page.get_by_label("Select all that are loaded").check()
    page.get_by_text("3 selected").wait_for()

    page.get_by_role("button", name="Add tags").click()
    page.get_by_label("Tags", exact=True).fill("重要, 季度")
    page.get_by_role("button", name="Add", exact=True).click()
    for name in names:
        expect(row(page, name).get_by_role("button", name="重要")).to_be_visible()

    page.get_by_role("button", name="Export", exact=True).click()
    page.get_by_label("SRT").check()
    with page.expect_download() as down:
        page.get_by_role("button", name="Download ZIP").click()
    found = zipfile.ZipFile(down.value.path()).namelist()
    assert {"many 0.srt", "many 2.srt", "index.csv"} <= set(found)

    page.get_by_role("toolbar").get_by_role("button", name="Delete", exact=True).click()
    expect(row(page, names[0])).to_have_count(0)
    undo(page)
    for name in names:
        expect(row(page, name)).to_be_visible()


def test_what_was_deleted_is_restored_or_gone_for_good(desk: Desk, workplace: Workplace) -> None:
    back = keep(workplace, "back.wav", ["要恢复的。"])
    gone = keep(workplace, "gone.wav", ["要清除的。"])
    for id in (back, gone):
        workplace.client.delete(id)
    page = desk.open("recordings?view=deleted")
    page.get_by_role("button", name="Actions for back.wav").click()
    page.get_by_role("menuitem", name="Restore").click()
    expect(page.get_by_text("back.wav", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Actions for gone.wav").click()
    page.get_by_role("menuitem", name="Delete for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("gone.wav", exact=True)).to_have_count(0)
    page.get_by_role("tab", name="All").click()
    expect(row(page, "back.wav")).to_be_visible()


def test_thousands_stay_fluid_and_where_one_was_is_kept(desk: Desk, workplace: Workplace) -> None:
    """The list is served here by the test: what counts is what the page does with it."""
    ids = [f"r{n:011d}" for n in range(3000)]

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        at = int(asked.get("after", ["0"])[0])
        until = at + int(asked["limit"][0])
        items = [{**EXAMPLE, "id": id, "name": f"talk {n}"} for n, id in enumerate(ids)][at:until]
        route.fulfill(json={"items": items, "next": str(until) if until < 3000 else None,
                            "count": 1000, "is_count_capped": True})  # fmt: skip

    desk.page.route(re.compile(r"/api/v1/recordings\?"), answer)
    page = desk.open("recordings")
    page.get_by_role("link", name="talk 0", exact=True).wait_for()
    for _ in range(60):
        if page.get_by_role("link", name="talk 2999", exact=True).count():
            break
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(60)
    page.get_by_role("link", name="talk 2999", exact=True).wait_for()
    assert page.get_by_role("listitem").count() < 250  # only what is near is drawn
    page.get_by_label("Select all that are loaded").check()
    page.get_by_text("3,000 selected").wait_for()
    assert len(ids) > MAX_BULK  # sent in parts
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.get_by_role("link", name="talk 2999", exact=True).wait_for()
    before = page.evaluate("scrollY")
    assert before > 100_000
    page.evaluate(
        "id => { const to = document.createElement('a'); to.href = `/app/recordings?id=${id}`;"
        " document.body.append(to); to.click(); to.remove(); }",
        keep(workplace, "thousands.wav", ["回来时还在原处。"]),
    )
    page.get_by_role("heading", level=1, name="thousands.wav").wait_for()
    page.go_back()
    page.get_by_role("link", name="talk 2999", exact=True).wait_for()
    page.wait_for_function("before => Math.abs(scrollY - before) < 3", arg=before)
    page.get_by_text("3,000 selected").wait_for()


EXAMPLE = {
    "digest": "0" * 64, "size_bytes": 1, "duration_s": 61.0, "sample_rate_hz": 8000, "channels": 1,
    "created_at": "2026-11-22T01:02:03Z", "deleted_at": None, "owner": "admin", "department": None,
    "language": "zh", "revision": 1, "segments": 1, "excerpt": "你好", "tags": [], "held_by": None,
    "held_at": None, "speakers": 1, "is_shared": False, "job": None,
}  # fmt: skip


def test_a_running_job_shows_how_far_it_is(desk: Desk, workplace: Workplace, samples: Path) -> None:
    page = desk.open("recordings")
    clip = sorted(samples.glob("zh-*.flac"))[0]
    workplace.client.submit(clip, name="live state.flac")
    there = row(page, "live state.flac")
    expect(there).to_be_visible(timeout=60_000)
    expect(there.get_by_text(re.compile("Waiting|Under way"))).to_have_count(0, timeout=120_000)
    expect(there.locator(".lt-recordings-excerpt")).not_to_have_text(
        re.compile("No transcript|Waiting"), timeout=20_000
    )


def test_the_list_is_whole_on_a_phone_and_without_anything(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    keep(workplace, "手机 whole.wav", ["手机上也要好看。"] * 3, tags=["重要", "季度", "销售"])
    for locale, scheme, size, viewport in (
        ("zh-CN", "dark", "phone", PHONE),
        ("en-GB", "light", "desktop", DESKTOP),
    ):
        desk = desk_of(locale=locale, color_scheme=scheme, viewport=viewport)
        page = desk.open("recordings")
        expect(row(page, "手机 whole.wav")).to_be_visible()
        row(page, "手机 whole.wav").get_by_role("checkbox").check()
        page.get_by_role("button", name=re.compile("^(Filters|筛选)")).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"] + 1
        assert serious(page) == []
        shot(page, f"recordings-filled-{locale[:2]}-{scheme}-{size}")
    workplace.add_user("novice")
    page = desk_of("novice").open("recordings")
    page.get_by_role("heading", name="No recordings yet").wait_for()
    shot(page, "recordings-empty-en-light-desktop")
    page.get_by_role("link", name="Transcribe a recording").click()
    page.wait_for_url("**/app/")


def listed(page: Page, items: list[dict[str, object]]) -> None:
    """The list is served by the test."""
    page.route(
        re.compile(r"/api/v1/recordings\?"),
        lambda route: route.fulfill(
            json={"items": items, "next": None, "count": len(items), "is_count_capped": False}
        ),
    )


def test_what_is_typed_into_filters_and_search_stays(desk: Desk) -> None:
    listed(desk.page, [{**EXAMPLE, "id": "r00000000000", "name": "talk"}])
    page = desk.open("recordings")
    page.get_by_role("searchbox").fill("退款")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("At least, minutes").fill("2")
    page.get_by_label("At most, minutes").fill("90")
    page.get_by_label("Done", exact=True).check()
    page.wait_for_url("**min=2*max=90*state=done*")
    expect(page.get_by_role("searchbox")).to_have_value("退款")


def test_an_order_to_many_is_given_once_and_what_was_done_of_it_is_shown(desk: Desk) -> None:
    ids = [f"r{n:011d}" for n in range(MAX_BULK + 1)]
    listed(desk.page, [{**EXAMPLE, "id": id, "name": f"talk {n}"} for n, id in enumerate(ids)])
    asked: list[list[str]] = []

    def bulk(route: Route) -> None:
        asked.append(route.request.post_data_json["recordings"])
        if len(asked) == 2:
            error = {"code": "store.busy", "message": "Busy.", "next_step": "Try again."}
            route.fulfill(status=503, json={"error": error})
            return
        route.fulfill(json={"items": [{"id": id, "is_done": True} for id in asked[0]]})

    desk.page.route("**/api/v1/recordings/bulk", bulk)
    desk.expected += ["503"]
    page = desk.open("recordings")
    page.get_by_role("link", name="talk 0", exact=True).wait_for()
    page.get_by_label("Select all that are loaded").check()
    page.get_by_role("toolbar").get_by_role("button", name="Delete", exact=True).evaluate(
        "(one) => { one.click(); one.click(); }"
    )
    page.get_by_text("Busy.").wait_for()
    page.get_by_text("500 recordings deleted.").wait_for()
    assert [len(one) for one in asked] == [MAX_BULK, 1]
    expect(page.get_by_role("link", name=re.compile("^talk"))).to_have_text(["talk 500"])


def test_a_row_says_in_the_pages_language_what_is_with_it(desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(locale="zh-CN")
    error = {"code": "engine.unreachable", "message": "Away.", "next_step": ""}
    job = {"id": "j00000000000", "state": "failed", "error": error, "done_s": 0, "total_s": None}
    item = {**EXAMPLE, "id": "r00000000000", "name": "会议", "revision": 0, "job": job}
    listed(desk.page, [item])
    desk.page.route(
        f"**/api/v1/recordings/{item['id']}",
        lambda route: route.fulfill(json={**item, "name": "周会"}),
    )
    page = desk.open("recordings")
    page.get_by_text("无法连接识别引擎。").wait_for()
    page.get_by_role("button", name="会议 的操作").click()
    page.get_by_role("menuitem", name="重命名").click()
    page.get_by_label("名称", exact=True).fill("周会")
    page.get_by_role("button", name="保存").click()
    page.get_by_role("button", name="周会 的操作").wait_for()

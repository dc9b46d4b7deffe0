"""The settings: people, departments, keys and webhooks as somebody with a mouse does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Locator, Route, expect
from workplace import PASSWORD, PHONE, Desk, Workplace, serious, shot, undo, until

PLACE = ".lt-settings-place h2"


def opened(desk: Desk, section: str) -> None:
    desk.open(f"settings?section={section}")
    desk.page.wait_for_selector(PLACE)


def test_somebody_is_added_signs_in_by_the_link_and_is_disabled_and_enabled(
    desk: Desk, workplace: Workplace
) -> None:
    opened(desk, "departments")
    page = desk.page
    page.get_by_role("button", name="Add department").first.click()
    page.get_by_label("Name").fill("sales")
    page.get_by_role("dialog").get_by_role("button", name="Add department").click()
    page.get_by_role("cell", name="sales").wait_for()

    page.get_by_role("link", name="Users").click()
    page.get_by_role("button", name="Add user").click()
    page.get_by_label("Name to sign in with").fill("wang")
    page.get_by_label("Department").select_option("sales")
    page.get_by_role("dialog").get_by_role("button", name="Add user").click()
    link = page.get_by_label("Shown this once").input_value()
    token = link.partition("token=")[2]
    form = {"token": token, "user": "wang", "password": PASSWORD, "again": PASSWORD}
    assert httpx.post(f"{workplace.url}/setup", data=form).status_code == 303
    page.get_by_role("button", name="I have it").click()

    assert workplace.client.admin.user("wang").department == "sales"
    page.get_by_role("button", name="Actions for wang").click()
    page.get_by_role("menuitem", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    undo(page)
    page.get_by_role("row", name=re.compile("wang.*Active")).wait_for()
    assert workplace.client.admin.user("wang").disabled_at is None
    assert serious(page) == []
    shot(page, "settings-users")


def test_what_is_wrong_in_a_form_is_said_in_it_and_nothing_typed_is_lost(desk: Desk) -> None:
    desk.expected += ["422", "400", "409"]
    opened(desk, "users")
    page = desk.page
    page.get_by_role("button", name="Add user").click()
    page.get_by_label("Name to sign in with").fill("admin")
    page.get_by_role("dialog").get_by_role("button", name="Add user").click()
    page.get_by_role("dialog").locator(".lt-problem").wait_for()
    assert page.get_by_label("Name to sign in with").input_value() == "admin"


def test_a_key_is_shown_once_works_and_is_revoked(desk: Desk, workplace: Workplace) -> None:
    opened(desk, "keys")
    page = desk.page
    page.get_by_role("button", name="Make a key").first.click()
    page.get_by_label("What it is for").fill("meeting room")
    page.get_by_role("dialog").get_by_role("button", name="Make a key").click()
    secret = page.get_by_label("Shown this once").input_value()
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="I have it").click()
    headers = {"Authorization": f"Bearer {secret}"}
    address = f"{workplace.url}/api/v1/users/me"
    assert httpx.get(address, headers=headers).json()["user"] == "admin"
    assert secret not in page.content()

    page.get_by_role("button", name="Revoke meeting room").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_text("meeting room is revoked").wait_for()
    expect(page.get_by_role("cell", name="meeting room")).to_have_count(0)


def test_a_member_is_shown_what_is_theirs_on_a_phone_in_chinese(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    workplace.add_user("mei")
    desk = desk_of("mei", locale="zh-CN", viewport=PHONE)
    desk.open("settings")
    page = desk.page
    page.get_by_role("heading", name="账号").wait_for()
    sections = page.get_by_role("navigation", name="设置的各个部分").get_by_role("link")
    expect(sections.first).to_be_visible()
    assert "用户" not in sections.all_inner_texts()
    page.get_by_role("link", name="API 密钥").click()
    page.get_by_role("button", name="创建密钥").click()
    page.get_by_role("dialog").wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_webhook_is_added_tested_and_deleted(desk: Desk, workplace: Workplace) -> None:
    opened(desk, "webhooks")
    page = desk.page
    page.get_by_role("button", name="Add webhook").first.click()
    page.get_by_label("Address").fill("https://hooks.invalid/lingting")
    page.get_by_role("dialog").get_by_role("button", name="Add webhook").click()
    assert page.get_by_label("Shown this once").input_value().startswith("whsec_")
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("link", name="https://hooks.invalid/lingting").click()
    page.wait_for_url("**/app/settings?section=webhooks&webhook=*")
    page.get_by_role("button", name="Send a test").click()
    page.get_by_role("cell", name="Test").wait_for()
    assert serious(page) == []
    page.get_by_role("button", name="Actions for https").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="No webhooks yet").wait_for()
    assert workplace.client.webhooks() == []


def test_retention_is_saved_and_taken_back(desk: Desk, workplace: Workplace) -> None:
    opened(desk, "retention")
    page = desk.page
    page.get_by_role("button", name="Add rule").click()
    page.get_by_label("Delete after days").fill("90")
    page.get_by_role("button", name="Save rules").click()
    page.get_by_text("The rules are saved").wait_for()
    saved = {"delete_after_days": 90, "purge_after_days": 30}
    assert workplace.client.admin.retention().rules == ({**saved},)
    undo(page)
    page.get_by_role("heading", name="No rules: everything stays").wait_for()


def test_the_trail_is_filtered_and_verified(desk: Desk) -> None:
    opened(desk, "audit")
    page = desk.page
    page.get_by_label("Action", exact=True).select_option("sign_in")
    page.locator(".lt-settings-table td", has_text="Signed in").first.wait_for()
    others = page.locator(".lt-settings-table tbody tr").filter(has_not_text="Signed in")
    expect(others).to_have_count(0)
    page.get_by_role("button", name="Verify", exact=True).click()
    page.get_by_text("entries are as they were written").wait_for()
    assert serious(page) == []


def test_a_model_is_unloaded_and_loaded(desk: Desk) -> None:
    opened(desk, "models")
    page = desk.page
    page.get_by_role("button", name="Unload whisper-base").click()
    page.get_by_role("button", name="Load whisper-base").click()
    page.get_by_role("button", name="Unload whisper-base").wait_for()
    assert serious(page) == []


def test_a_setting_says_when_it_works_and_is_undone(desk: Desk, workplace: Workplace) -> None:
    opened(desk, "limits")
    page = desk.page
    page.get_by_label("Requests per minute, each user").fill("900")
    page.get_by_role("button", name="Save").first.click()
    page.get_by_text("It works at once").wait_for()
    values = {one.name: one for one in workplace.client.admin.settings()}
    assert values["requests_per_minute"].value == 900
    undo(page)
    page.get_by_role("button", name="Use the default: Requests").wait_for(state="detached")

    page.get_by_role("link", name="Engine").click()
    page.get_by_label("Batch size, in seconds of audio").fill("120")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved, but not in force yet: Batch size").wait_for()
    assert serious(page) == []
    page.get_by_role("button", name="Clear device cache").click()
    page.get_by_role("button", name="Use the default: Batch size").click()
    page.get_by_role("button", name="Use the default: Batch size").wait_for(state="detached")


def test_a_backup_is_made_read_back_downloaded_and_deleted(desk: Desk) -> None:
    opened(desk, "backups")
    page = desk.page
    page.get_by_role("button", name="Make a backup").click()
    page.get_by_text("Verified", exact=True).wait_for()
    actions = page.get_by_role("button", name=re.compile("Actions for lingting-"))
    actions.click()
    with page.expect_download() as taken:
        page.get_by_role("menuitem", name="Download").click()
    assert taken.value.path().stat().st_size > 0
    actions.click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="No backups yet").wait_for()


def test_the_system_is_drawn_and_told(desk: Desk) -> None:
    opened(desk, "system")
    page = desk.page
    page.get_by_role("img", name=re.compile(r"Load: .*between .* and ")).wait_for()
    page.get_by_text("Numbers").first.click()
    page.locator("figure table").first.wait_for()
    for name in ("Web", "Worker", "Engine"):
        page.get_by_role("row", name=re.compile(f"{name}.*Running")).first.wait_for()
    assert serious(page) == []
    shot(page, "settings-system")


def test_all_that_was_typed_is_saved_and_an_empty_limit_is_none(
    desk: Desk, workplace: Workplace
) -> None:
    opened(desk, "limits")
    page = desk.page

    def stored(name: str) -> Any:
        (one,) = (one for one in workplace.client.admin.settings() if one.name == name)
        return one.stored if one.is_set_here else None

    def number(name: str) -> Locator:
        return page.get_by_role("spinbutton", name=name)

    number("Requests per minute, each user").fill("900")
    number("Largest upload, in GiB").fill("1.3")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Use the default: Largest upload").wait_for()
    assert stored("max_upload_bytes") == round(1.3 * 2**30)
    number("Requests per minute, each user").fill("")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Saved. It works at once.").first.wait_for()
    until(lambda: stored("requests_per_minute") == 0)
    for name in ("Requests per minute", "Largest upload"):
        page.get_by_role("button", name=f"Use the default: {name}").click()
        page.get_by_role("button", name=f"Use the default: {name}").wait_for(state="detached")


def test_a_secret_is_shown_although_the_form_was_closed(desk: Desk, workplace: Workplace) -> None:
    opened(desk, "keys")
    page = desk.page
    held: list[Route] = []
    page.route(
        "**/api/v1/keys", lambda route: held.append(route) if is_post(route) else route.continue_()
    )
    page.get_by_role("button", name="Make a key").first.click()
    page.get_by_label("What it is for").fill("closed early")
    page.get_by_role("dialog").get_by_role("button", name="Make a key").click()
    until(lambda: page.wait_for_timeout(20) or held)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    held[0].continue_()
    expect(page.get_by_label("Shown this once")).to_have_value(re.compile("^lk_"))
    page.get_by_role("button", name="I have it").click()
    page.get_by_role("button", name="Revoke closed early").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_text("closed early is revoked").wait_for()


def is_post(route: Route) -> bool:
    return route.request.method == "POST"


def test_a_section_that_was_left_while_it_loaded_asks_no_more(desk: Desk) -> None:
    page = desk.page
    page.clock.install()
    opened(desk, "account")
    held: list[Route] = []
    asked: list[str] = []
    page.route("**/api/v1/backups", lambda route: held.append(route))
    page.get_by_role("link", name="Backups").click()
    until(lambda: page.wait_for_timeout(20) or held)
    page.get_by_role("link", name="Account").click()
    page.get_by_role("heading", name="Account").wait_for()
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response("**/api/v1/backups"):
        held[0].continue_()
    page.clock.fast_forward(30_000)
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("heading", name="API keys").wait_for()
    assert not [one for one in asked if one.endswith("/backups")]


def test_a_process_is_back_whatever_the_clocks_say(desk: Desk) -> None:
    page = desk.page
    years = iter([2001, 2001, 2001])

    def system(route: Route) -> None:
        found = route.fetch().json()
        year = next(years, 2002)
        for one in found["processes"]:
            one["since"] = f"{year}-01-01T00:00:00Z"
        route.fulfill(json=found)

    page.clock.install()
    page.route("**/api/v1/system", system)
    page.route("**/api/v1/processes/engine/restart", lambda route: route.fulfill(status=202))
    opened(desk, "system")
    page.get_by_role("button", name="Restart: Engine").click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    page.get_by_text("Engine is being restarted").wait_for()
    told = page.get_by_text("Back: Engine.")
    until(lambda: page.clock.fast_forward(2_100) or page.wait_for_timeout(50) or told.count())

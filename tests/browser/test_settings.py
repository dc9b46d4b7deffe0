"""The settings: people, departments, keys and webhooks as somebody with a mouse does it."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
from workplace import PASSWORD, PHONE, Desk, Workplace, serious, shot

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
    page.get_by_role("button", name="What can be done with wang").click()
    page.get_by_role("menuitem", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    page.get_by_role("button", name="Undo").click()
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
    assert page.get_by_role("cell", name="meeting room").count() == 0


def test_a_member_is_shown_what_is_theirs_on_a_phone_in_chinese(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    workplace.add_user("mei")
    desk = desk_of("mei", locale="zh-CN", viewport=PHONE)
    desk.open("settings")
    page = desk.page
    page.get_by_role("heading", name="账号").wait_for()
    sections = page.get_by_role("navigation", name="设置的各个部分").get_by_role("link")
    assert "用户" not in sections.all_inner_texts()
    page.get_by_role("link", name="API 密钥").click()
    page.get_by_role("button", name="创建密钥").click()
    page.get_by_role("dialog").wait_for()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

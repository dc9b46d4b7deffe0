"""What is the same on every page: login, the way there and back, language, theme, safety."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

import httpx
import pytest
from workplace import DESKTOP, LOOKS, PHONE, Desk, Workplace, serious, shot

from lingting.ui.shell import PAGES

NAMES = [page.name for page in PAGES]
PATHS = {page.name: page.path for page in PAGES}


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_whole_in_both_languages_and_themes(
    name: str, desk_of: Callable[..., Desk]
) -> None:
    for locale, scheme, size in LOOKS if "SHOTS" in os.environ else LOOKS[:2]:
        viewport = {"desktop": DESKTOP, "phone": PHONE}[size]
        desk = desk_of(locale=locale, color_scheme=scheme, viewport=viewport)
        page = desk.open(PATHS[name])
        page.wait_for_timeout(500)  # what comes from the API is drawn
        language = page.evaluate("document.documentElement.lang.slice(0, 2)")
        assert language == locale[:2]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"] + 1, f"{locale} {scheme} {size}: {width}"
        assert serious(page) == [], f"{locale} {scheme} {size}"
        shot(page, f"{name}-{language}-{scheme}-{size}")
        desk.context.close()


def test_a_page_is_ready_in_time(desk: Desk) -> None:
    """The number is measured in bench/pages.py; here is only that nothing hangs."""
    began_s = time.monotonic()
    desk.open("recordings")
    assert time.monotonic() - began_s < 20


def test_without_a_session_one_is_sent_to_the_login_and_back(
    desk_of: Callable[..., Desk], workplace: Workplace
) -> None:
    desk = desk_of()
    desk.context.clear_cookies()
    desk.page.goto(f"{workplace.url}/app/recordings?q=x")
    assert "/login?next=" in desk.page.url
    desk.page.get_by_label(re.compile("User")).fill("admin")
    desk.page.get_by_label(re.compile("Password")).fill("a-long-enough-password")
    desk.page.get_by_role("button", name=re.compile("Sign in")).first.click()
    desk.page.wait_for_url("**/app/recordings?q=x")


@pytest.mark.parametrize("path", ["", "recordings", "ui/0/base.css", "theme.css", "config"])
def test_nothing_of_the_pages_is_there_without_a_session(path: str, workplace: Workplace) -> None:
    answer = httpx.get(f"{workplace.url}/app/{path}")
    assert answer.status_code in {303, 401}
    assert "gradio" not in answer.text.lower()


@pytest.mark.parametrize(
    "path",
    ["gradio_api/upload", "gradio_api/file=/etc/passwd", "config", "gradio_api/info", "login"],
)
def test_what_gradio_offers_besides_is_not_reachable(path: str, desk: Desk) -> None:
    for method in ("GET", "POST"):
        answer = desk.context.request.fetch(f"{desk.workplace.url}/app/{path}", method=method)
        assert answer.status == 404


def test_the_policy_of_a_page_runs_no_text(desk: Desk) -> None:
    answer = desk.context.request.get(f"{desk.workplace.url}/app/recordings")
    policy = answer.headers["content-security-policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert "unsafe" not in scripts[1]
    assert "http" not in policy


def test_files_of_gradio_are_kept_and_its_page_carries_no_words(desk: Desk) -> None:
    page = desk.context.request.get(f"{desk.workplace.url}/app/recordings").text()
    assert "error.access" not in page
    asset = re.search(r"assets/[\w./-]+-[\w-]{8}\.js", page)
    assert asset is not None
    answer = desk.context.request.get(f"{desk.workplace.url}/app/{asset[0]}")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "address", ["https://elsewhere.test/", "//elsewhere.test", "/\\elsewhere.test", "javascript:1"]
)
def test_the_login_sends_nobody_elsewhere(address: str, workplace: Workplace) -> None:
    form = {"user": "admin", "password": "a-long-enough-password"}
    answer = httpx.post(f"{workplace.url}/login", params={"next": address}, data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] in {"/", "/app/"}


def test_language_and_theme_are_kept(desk: Desk) -> None:
    page = desk.open("recordings")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("heading", level=1).get_by_text("录音").wait_for()
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="浅色或深色").click()
    page.reload()
    page.get_by_role("heading", level=1).get_by_text("录音").wait_for()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_pages_follow_each_other_without_loading_again(desk: Desk) -> None:
    page = desk.open("")
    page.evaluate("window.stays = true")
    page.get_by_role("link", name="Recordings", exact=True).click()
    page.wait_for_url("**/app/recordings")
    page.get_by_role("link", name="Glossaries", exact=True).click()
    page.get_by_role("heading", name="Glossaries", level=1).wait_for()
    page.go_back()
    page.get_by_role("heading", name="Recordings", level=1).wait_for()
    assert page.evaluate("window.stays")


def test_a_session_that_ended_is_said_and_one_comes_back(desk: Desk) -> None:
    page = desk.open("glossaries")
    desk.context.clear_cookies()
    desk.expected += ["401", "Refused to apply style"]  # files of a page ask for a session too
    page.get_by_role("link", name="Recordings", exact=True).click()
    page.get_by_role("dialog", name="Your session has ended").wait_for()
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/login?next=*recordings*")

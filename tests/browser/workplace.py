"""The whole service with a real model, and a browser that reports everything that is not right.

What a page must never do is looked for in every test: an error in the console, a request that
fails, a request to another host. Screenshots go to the folder ``SHOTS``, if it is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, Playwright

from lingting.client import Client
from tests.whole_service import WITHIN_S, Service, until

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
PASSWORD = "a-long-enough-password"  # noqa: S105 - of a service that lives for one test run
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = [
    ("en-GB", "light", "desktop"), ("zh-CN", "dark", "phone"), ("zh-CN", "light", "desktop"),
    ("zh-CN", "dark", "desktop"), ("en-GB", "dark", "desktop"), ("en-GB", "light", "phone"),
    ("zh-CN", "light", "phone"), ("en-GB", "dark", "phone"),
]  # fmt: skip
"""The first two show every style once; all are drawn for whoever wants the pictures."""


def chromium() -> str | None:
    """The system's own browser."""
    return next((path for path in CHROMIUM if Path(path).exists()), None)


class Workplace(Service):
    """The service with its pages; ``client`` speaks to it as the administrator."""

    def __init__(self, folder: Path, **environment: str) -> None:
        super().__init__(folder, LINGTING_PAGES="1", **environment)
        until(self.is_ready)
        self.sessions: dict[str, list[Any]] = {}
        """Cookies of people who have signed in once: what a test is about is seldom the login."""
        self.client = Client(self.url, self.key)
        self.add_user("admin", role=None)

    def add_user(self, name: str, role: str | None = "member", *more: str) -> None:
        """A person with the password of all; ``role`` None: the administrator that is there."""
        if role is not None:
            told = self._told("user", "add", name, "--role", role, *more)
        else:
            told = self._told("user", "link", name) if _has_link(self) else self.log.read_text()
        token = re.findall(r"token=([\w.~-]+)", told)[-1]
        form = {"token": token, "user": name, "password": PASSWORD, "again": PASSWORD}
        answer = httpx.post(self.url + "/setup", data=form, timeout=WITHIN_S)
        assert answer.status_code == 303, answer.text

    def stop(self) -> None:
        self.client.close()
        super().stop()

    def _told(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _has_link(workplace: Workplace) -> bool:
    return "token=" not in workplace.log.read_text()


class Desk:
    """One person's browser. ``faults`` holds what was not right; a test's end looks at it."""

    def __init__(self, browser: Browser, workplace: Workplace, **options: Any) -> None:
        self.workplace = workplace
        self.faults: list[str] = []
        self.expected: list[str] = []
        """Parts of faults that a test causes on purpose."""
        options.setdefault("viewport", DESKTOP)
        options.setdefault("locale", "en-GB")
        self.context: BrowserContext = browser.new_context(
            permissions=["microphone", "clipboard-read", "clipboard-write"], **options
        )
        self.context.set_default_timeout(20_000)
        self.page: Page = self.watched(self.context.new_page())

    def watched(self, page: Page) -> Page:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.faults.append(f"thrown: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)
        page.on("response", self._answered)
        return page

    def signed_in(self, user: str) -> Desk:
        """With the session of an earlier sign-in, if there was one."""
        cookies = self.workplace.sessions.get(user)
        if cookies is None:
            self.sign_in(user)
            self.workplace.sessions[user] = self.context.cookies()
        else:
            self.context.add_cookies(cookies)
        return self

    def sign_in(self, user: str = "admin", password: str = PASSWORD) -> Desk:
        self.page.goto(self.workplace.url + "/login")
        self.page.get_by_label(re.compile("User|用户")).fill(user)
        self.page.get_by_label(re.compile("Password|密码")).fill(password)
        self.page.get_by_role("button", name=re.compile("Sign in|登录")).first.click(
            timeout=1000 * WITHIN_S  # the first page waits for Gradio
        )
        self.page.wait_for_url("**/app/**")
        return self

    def open(self, path: str = "") -> Page:
        """A page below /app, until its content is there."""
        self.page.goto(f"{self.workplace.url}/app/{path}")
        self.page.wait_for_selector("#lt-main h1:visible")
        return self.page

    def check(self) -> None:
        left = [one for one in self.faults if not any(part in one for part in self.expected)]
        assert not left, left

    def _heard(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console {message.type}: {message.text}")

    def _failed(self, request: Any) -> None:
        # A page that is left ends what it was loading.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.method} {request.url} {request.failure}")

    def _asked(self, request: Any) -> None:
        parts = urlsplit(request.url)
        is_ours = f"{parts.hostname}:{parts.port}" == f"127.0.0.1:{self.workplace.port}"
        if parts.scheme in {"http", "https", "ws", "wss"} and not is_ours:
            self.faults.append(f"left the machine: {request.url}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.request.method} {response.url}")


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps people out: rule, weight and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: " + "; ".join(node["html"][:160] for node in one["nodes"][:4])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


def undo(page: Page) -> None:
    """Take back what the latest message tells of; a page may have another Undo of its own."""
    messages = page.get_by_role("region", name="Messages")
    messages.get_by_role("button", name="Undo").last.click()


def shot(page: Page, name: str) -> None:
    """A picture for whoever looks at the pages, when SHOTS names a folder."""
    folder = os.environ.get("SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png")


@contextmanager
def browsing(playwright: Playwright, *arguments: str) -> Iterator[Browser]:
    given = ["--no-sandbox", "--use-fake-ui-for-media-stream", *arguments]
    browser = playwright.chromium.launch(executable_path=chromium(), args=given)
    try:
        yield browser
    finally:
        browser.close()

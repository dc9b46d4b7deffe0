"""One service and one browser for all tests of pages; each test has a profile of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="pip install 'lingting[dev]'")

from playwright.sync_api import Browser, Playwright, sync_playwright
from workplace import Desk, Workplace, browsing, chromium


@pytest.fixture(scope="package")
def workplace(
    tmp_path_factory: pytest.TempPathFactory, whisper_folder: Path, vad_folder: Path
) -> Iterator[Workplace]:
    """The service with a real model, for all of them; tests find their own recordings by name."""
    found = Workplace(tmp_path_factory.mktemp("workplace") / "data")
    yield found
    found.stop()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    if chromium() is None:
        pytest.skip("no Chromium: apt-get install chromium")
    # The driver's pipe is no network; Node.js would look for updates of nothing.
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with browsing(playwright) as found:
        yield found


@pytest.fixture
def desk_of(browser: Browser, workplace: Workplace) -> Iterator[Callable[..., Desk]]:
    """Makes a person's browser, signed in; what was not right in it fails the test at its end."""
    made: list[Desk] = []

    def make(user: str = "admin", **options: Any) -> Desk:
        made.append(Desk(browser, workplace, **options))
        return made[-1].signed_in(user)

    yield make
    for desk in made:
        desk.context.close()
    for desk in made:
        desk.check()


@pytest.fixture
def desk(desk_of: Callable[..., Desk]) -> Desk:
    """The administrator's browser, in English, on a desktop."""
    return desk_of()


@pytest.fixture(scope="package")
def samples() -> Path:
    """Real recordings: those beside the repository, or the samples of the catalogue."""
    from lingting import models

    try:
        return models.path("samples")
    except Exception:
        beside = Path(__file__).parents[2].parent / "shared" / "speech"
        if not beside.is_dir():
            pytest.skip("no recordings: make models")
        return beside

"""What people write is text on every page, whatever it looks like."""

from __future__ import annotations

import re

import pytest
from keeping import keep
from workplace import Desk, Workplace

HOSTILE = """<img src=x onerror="window.taken=1"><script>window.taken=1</script>"""


@pytest.fixture(scope="module")
def recording(workplace: Workplace) -> str:
    id = keep(
        workplace, f"{HOSTILE}.wav", [f"{HOSTILE} zimzalabim", "javascript:alert(1)"],
        speakers=[HOSTILE], tags=[HOSTILE],
    )  # fmt: skip
    workplace.client.add_note(id, f"{HOSTILE} a note", at_s=1.0)
    workplace.client.save_glossary(HOSTILE[:40], [HOSTILE], based_on=0)
    return id


@pytest.mark.parametrize(
    "path",
    [
        "", "recordings", "recordings?q=zimzalabim", "recordings?id={id}", "glossaries",
        f"recordings?q={HOSTILE}", f"recordings?tag={HOSTILE}", f"vad?id={HOSTILE}",
        f"settings?section={HOSTILE}", f"batch?id={HOSTILE}",
        "recordings?id=..%2F..%2Fusers%2Fme", "batch?id=..%2Fusers%2Fme",
        "batch?id=%252e%252e%2Fusers%2Fme",
    ],
)  # fmt: skip
def test_names_and_texts_are_text(path: str, recording: str, desk: Desk) -> None:
    asked: list[str] = []
    desk.expected += ["404", "400"]  # a recording of that name is not there
    desk.page.on("request", lambda one: asked.append(one.url))
    page = desk.open(path.format(id=recording))
    page.wait_for_timeout(700)
    assert page.evaluate("window.taken") is None
    assert page.locator("img[src=x]").count() == 0
    assert sum(one.endswith("/users/me") for one in asked) == 1  # who is signed in, nothing more
    if path in {"recordings", "recordings?id={id}"}:
        assert "<img src=x" in page.locator("#lt-main").inner_text()


def test_the_panels_of_a_recording_show_text(recording: str, desk: Desk) -> None:
    page = desk.open(f"recordings?id={recording}")
    for name in ("Notes", "Speakers", "Versions|Revisions|Versions|History", "Share"):
        page.get_by_role("button", name=re.compile(name)).first.click()
        page.wait_for_timeout(300)
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("window.taken") is None

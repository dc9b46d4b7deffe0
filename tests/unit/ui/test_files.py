"""Modules, styles and words of the pages: whole, in both languages, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lingting import server
from lingting.ui import files
from lingting.ui.files import assets, digest, words
from lingting.ui.shell import PAGES, Page

MODULES = {name: file.body.decode() for name, file in assets().items() if name.endswith(".js")}
OWN = {name: text for name, text in MODULES.items() if not name.startswith("words/")}
STYLES = {name: file.body.decode() for name, file in assets().items() if name.endswith(".css")}
_SAID = re.compile(r"""(?<![.\w])(?:t|has|say)\(\s*(["'])([\w.:-]+)\1""")
_IMPORTED = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'`](\.[^"'`]+)["'`]""")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_HOLE = re.compile(r"\{(\w+)\}")


def comments_out(text: str) -> str:
    return re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", text, flags=re.DOTALL)


def test_every_text_is_there_in_both_languages() -> None:
    for key, (english, chinese) in words().items():
        assert english.strip(), key
        assert chinese.strip(), key
        # An English sentence may show a Chinese word; it is not one.
        assert len(_HAN.findall(english)) < 0.2 * len(english), key
        if not key.startswith("error."):  # there the service's own sentence may be left out
            assert set(_HOLE.findall(english)) == set(_HOLE.findall(chinese)), key


def test_a_key_is_given_once() -> None:
    groups = files._groups()
    keys = [key for group in groups.values() for key in group]
    assert sorted(keys) == sorted(set(keys))


def sources() -> Iterator[tuple[str, str]]:
    """Whatever says something to somebody."""
    yield from OWN.items()
    yield "pages.py", Path(server.__file__).with_name("pages.py").read_text(encoding="utf-8")


def test_every_key_that_is_used_exists() -> None:
    missing = [
        (name, found[2])
        for name, text in sources()
        for found in _SAID.finditer(text)
        if found[2] not in words()
    ]
    assert missing == []


def test_every_text_is_used() -> None:
    """By its key, or by a template: what `settings.limit.${name}.value` can be."""
    patterns = [re.compile(r"page\..+")]
    whole: set[str] = set()
    for _, text in sources():
        whole |= set(re.findall(r"""["'`]([a-zA-Z][\w.:-]*)["'`]""", text))
        for before, after in re.findall(r"`([a-zA-Z][\w.]*\.)\$\{[^}]*\}([\w.]*)`", text):
            # `settings.${name}` is a title, and no excuse for whatever begins so.
            middle = r"\w+" if before.count(".") == 1 else r"[\w.:-]+"
            patterns.append(re.compile(re.escape(before) + middle + re.escape(after)))
    # Of an error by its code, wherever it is raised.
    package = Path(server.__file__).parents[1]
    raised = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    whole |= {
        f"error.{code}{more}" for code in re.findall(r'"([a-z]+\.[a-z_]+)"', raised)
        for more in ("", ".next")
    } | {"error.offline.next"}  # fmt: skip
    unused = [
        key for key in words()
        if not {key, key.removesuffix(".one")} & whole  # one: what is said instead of {n}
        and not any(one.fullmatch(key) for one in patterns)
    ]  # fmt: skip
    assert unused == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_has_a_module_styles_and_a_name(page: Page) -> None:
    name = page.name
    assert f'define("lt-{name}"' in OWN[f"pages/{name}.js"]
    assert f"pages/{name}.css" in STYLES
    assert f"page.{name}" in words()


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_module_imports_what_is_there(name: str) -> None:
    folder = name.rpartition("/")[0].split("/") if "/" in name else []
    for given in _IMPORTED.findall(OWN[name]):
        if "${" in given:
            continue
        place = list(folder)
        for part in given.split("/"):
            if part == "..":
                place.pop()
            elif part != ".":
                place.append(part)
        assert "/".join(place) in assets(), f"{name} imports {given}"


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_module_makes_no_markup_of_text_and_no_program(name: str) -> None:
    text = comments_out(OWN[name])
    for forbidden in (
        r"\.innerHTML\b", r"\.outerHTML\b", r"insertAdjacentHTML", r"document\.write", r"\beval\(",
        r"new Function\b", r"setTimeout\(\s*[\"'`]", r"setInterval\(\s*[\"'`]", r"javascript:",
    ):  # fmt: skip
        assert not re.search(forbidden, text), forbidden


@pytest.mark.parametrize("name", sorted([*OWN, *STYLES]))
def test_nothing_reaches_another_host(name: str) -> None:
    text = {**OWN, **STYLES}[name]
    addresses = re.findall(r"(?:https?:|wss?:)?//[\w-]+\.[\w.-]+", comments_out(text))
    # The name of a namespace is no address that anybody asks.
    assert [one for one in addresses if one != "http://www.w3.org"] == []
    assert not re.search(r"@import|url\(\s*[\"']?(?!data:)[a-z]+:", text)


def test_the_address_of_the_files_changes_with_any_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    assert re.fullmatch(r"[0-9a-f]{16}", before)
    for name in ("base.css", "core/main.js", "words/frame.js"):
        changed = dict(assets())
        changed[name] = files.File(changed[name].body + b" ", changed[name].media_type)
        monkeypatch.setattr(files, "assets", lambda changed=changed: changed)
        digest.cache_clear()
        assert digest() != before, name
    monkeypatch.undo()
    digest.cache_clear()
    assert digest() == before

"""Pages say what the code does: generated ones are fresh, written ones name what exists."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lingting import config
from lingting.cli.main import app
from scripts.pages import commands

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
READMES = ("README.md", "README_zh.md")
PAGES = [*READMES, "CHANGELOG.md", *(f"docs/{path.name}" for path in sorted(DOCS.glob("*.md")))]
NOTES = {"audit.note", "note", "note_read", "note_given"}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)|(?:src|srcset)=\"(?!https?:)([^\"]+)\"")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/pages.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_in_the_page(name: str) -> None:
    assert app
    page = text_of("docs/cli.md")
    assert f"\n## {name}\n" in page
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert flag == "--help" or f"`{flag}`" in section


@pytest.mark.parametrize("name", config.variables())
def test_every_setting_is_in_the_page(name: str) -> None:
    assert f"`{name}`" in text_of("docs/configuration.md")


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_pages_exist(page: str) -> None:
    """Every ``lingting …`` and ``make …`` in code: the command and each of its long options."""
    for line in code_lines(text_of(page)):
        for found in re.findall(r"(?:^|[\s(|/\"])lingting ([^|>&#()\"]+)", line):
            check_command(found.split())
        for target in re.findall(r"^make ([a-z-]+)", line):
            assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE), line


def code_lines(text: str) -> list[str]:
    """Lines of shell blocks, and code spans that start with one of our programs."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)
    spans = re.findall(r"`((?:lingting|make) [^`\n]+)`", text)
    return [*"\n".join(blocks).splitlines(), *spans]


def check_command(words: list[str]) -> None:
    name = "lingting"
    while words and f"{name} {words[0]}" in COMMANDS:
        name = f"{name} {words.pop(0)}"
    assert name != "lingting" or not words or words[0].startswith("-"), words
    flags = {flag for one in COMMANDS[name].params for flag in (*one.opts, *one.secondary_opts)} | {
        "--help"
    }
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in flags, f"{name} has no {word}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    links = [a or b for a, b in LINK.findall(text_of(page))]
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("page", READMES)
def test_readme_begins_with_the_two_commands(page: str) -> None:
    text = text_of(page)
    first_block = text.split("```")[1]
    assert first_block.split() == ["sh", "make", "demo", "make", "test"]


@pytest.mark.parametrize("page", READMES)
def test_every_page_is_reachable_from_the_readme(page: str) -> None:
    text = text_of(page)
    assert [path.name for path in DOCS.glob("*.md") if f"docs/{path.name}" not in text] == []


def test_make_help_lists_the_targets() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "check", "fix", "bench", "eval", "clean", "lock", "sizes"):
        assert f"  make {target} " in done.stdout


def test_examples_in_pages_are_python() -> None:
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", text_of(page), re.DOTALL):
            compile(block, page, "exec")


def actions() -> set[str]:
    """What is noted in the audit trail: literals, where a call names one."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in NOTES:
                action = node.args[2]
                if isinstance(action, ast.Constant):
                    found.add(action.value)
    return found


def test_what_is_noted_is_in_the_page() -> None:
    section = text_of("docs/serve.md").split("### Who did what")[1].split("\n## ")[0]
    listed = set()
    for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE):
        first, *others = re.findall(r"`([a-z_.]+)`", row)
        short = {f"{first.partition('.')[0]}{one}" for one in others if one.startswith(".")}
        listed |= {first, *others} - {one for one in others if one.startswith(".")} | short
    assert len(actions()) > 25
    assert actions() <= listed


def test_every_module_of_the_web_process_is_in_the_page() -> None:
    section = text_of("docs/architecture.md").split("## The web process")[1].split("\n## ")[0]
    server = ROOT / "src" / "lingting" / "server"
    names = {path.stem for path in server.iterdir() if path.suffix == ".py" or path.is_dir()}
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([a-z_]+)", row)}
    assert names - {"__init__", "__pycache__"} <= listed

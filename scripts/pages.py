"""The generated pages of docs/: errors, command line, settings. ``--check`` only compares.

They are made from the error tree, the program's own help and the Settings class, so they cannot
say anything the code does not.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "<!-- Made by `make docs`; do not edit. -->\n\n"

ERRORS_INTRO = """\
Every error is one sentence (what was given, what is allowed) and a next step. Codes are
`area.reason` and never change once published. The status is the HTTP status of the same error.
What may be retried is marked; everything else fails again in the same way.

The command line ends with 2 for a wrong request (status 4xx), 1 for a fault, 3 when some files of
several failed or have gaps. No error holds transcript text, file names, hotwords or prompts.

"""
SETTINGS_INTRO = """\
Each setting is an environment variable or a line of `lingting.toml`; the environment wins. The
file is `$XDG_CONFIG_HOME/lingting/lingting.toml` (usually `~/.config/lingting/lingting.toml`), or
the one that `LINGTING_CONFIG` names. A misspelt name is refused, never ignored. `lingting config`
shows what is in force and where it comes from.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when a page is out of date")
    is_check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if read(name) != page()]
    for name in stale:
        if is_check:
            print(f"docs/{name} is out of date: run `make docs`", file=sys.stderr)
        else:
            (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"docs/{name} written")
    return 1 if stale and is_check else 0


def read(name: str) -> str | None:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


# Errors --------------------------------------------------------------------------------------


def error_classes() -> list[type[Any]]:
    """The whole tree, depth first, also what the command line adds to it."""
    import lingting.cli.failures  # noqa: F401 - defines the fault nobody foresaw
    from lingting.errors import LingtingError

    def walk(cls: type[Any]) -> Iterator[type[Any]]:
        yield cls
        for child in cls.__subclasses__():
            yield from walk(child)

    return [cls for cls in walk(LingtingError) if cls.__module__.startswith("lingting.")]


def errors_page() -> str:
    rows = [
        "# Errors\n\n",
        MADE,
        ERRORS_INTRO,
        "| code | class | status | retry | what it means | next step |\n" + "|---" * 6 + "|\n",
    ]
    for cls in error_classes():
        meaning = " ".join(inspect.getdoc(cls).split())  # type: ignore[union-attr]
        retry = "yes" if cls.retryable else ""
        rows.append(
            f"| `{cls.code}` | {cls.__name__} | {cls.status} | {retry} | {meaning} "
            f"| {cls.default_next_step} |\n"
        )
    return "".join(rows)


# Settings ------------------------------------------------------------------------------------


def configuration_page() -> str:
    from lingting import config

    rows = [
        "# Settings\n\n",
        MADE,
        SETTINGS_INTRO,
        "| variable | in lingting.toml | allowed | default | what it does |\n" + "|---" * 5 + "|\n",
    ]
    meanings = attribute_docs(config.Settings)
    for name, field in config.Settings.model_fields.items():
        default = "`~/.local/share/lingting`" if name == "home" else shown(field.default)
        rows.append(
            f"| `{config.PREFIX}{name.upper()}` | `{name}` | {config._ALLOWED[name]} | {default} "
            f"| {meanings[name]} |\n"
        )
    rows.append(
        '\n```toml\n# lingting.toml\nhome = "~/speech"\noffline = true\nthreads = 4\n```\n\n'
    )
    rows.append(
        "`XDG_DATA_HOME` moves the default of `LINGTING_HOME`, as the XDG specification says.\n"
    )
    return "".join(rows)


def shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def attribute_docs(cls: type[Any]) -> dict[str, str]:
    """The string under each attribute of a class."""
    body = ast.parse(inspect.getsource(cls)).body[0].body  # type: ignore[attr-defined]
    found = {}
    for node, after in pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            is_doc = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[node.target.id] = " ".join(str(after.value.value).split()) if is_doc else ""
    return found


# Command line --------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before their commands."""
    import typer

    from lingting.cli.main import app

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        for child_name, child in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {child_name}", child)

    yield from walk("lingting", typer.main.get_command(app))


def cli_page() -> str:
    rows = [
        "# Command line\n\n",
        MADE,
        "Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 a\n"
        "fault, 2 a wrong request, 3 some files failed or have gaps, 130 stopped by Ctrl-C.\n"
        "Every command answers `--help`.\n",
    ]
    for name, command in commands():
        rows.append(f"\n## {name}\n\n{help_text(command.help or '')}")
        for title, kind in (("arguments", "argument"), ("options", "option")):
            found = [one for one in command.params if one.param_type_name == kind]
            lines = [row for row in map(parameter_row, found) if row]
            if lines:
                rows.append(f"\n| {title} | default | |\n|---|---|---|\n" + "".join(lines))
    return "".join(rows)


def help_text(text: str) -> str:
    """Paragraphs; what follows a backspace (an example block) becomes code."""
    parts = []
    for part in text.split("\n\n"):
        if part.startswith("\b"):
            title, *lines = part.lstrip("\b\n").split("\n")
            code = "\n".join(line.removeprefix("  ") for line in lines)
            parts.append(f"{title}\n\n```sh\n{code}\n```\n")
        else:
            parts.append(part.strip() + "\n")
    return "\n".join(parts)


def parameter_row(parameter: Any) -> str:
    if getattr(parameter, "hidden", False) or parameter.name == "help":
        return ""
    if parameter.param_type_name == "argument":
        flags = f"`{parameter.metavar or parameter.name.upper()}`"
        return f"| {flags} | | {cell(parameter.help)} |\n"
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    choices = choices_of(parameter)
    among = f" ({', '.join(choices)})" if choices else ""
    default = getattr(parameter.default, "value", parameter.default)
    is_plain = isinstance(default, (str, int, float)) and not isinstance(default, bool)
    if parameter.secondary_opts:
        default, is_plain = parameter.opts[0] if default else parameter.secondary_opts[0], True
    return f"| {flags} | {f'`{default}`' if is_plain else ''} | {cell(parameter.help)}{among} |\n"


def choices_of(parameter: Any) -> list[str]:
    """The values of an enumeration; newer and older Typer keep them in different places."""
    descriptor = getattr(parameter, "type_descriptor", None)
    annotation = getattr(descriptor, "annotation", None)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    found = getattr(getattr(parameter, "type", None), "choices", None) or ()
    return [str(getattr(one, "value", one)) for one in found]


def cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "configuration.md": configuration_page,
    "cli.md": cli_page,
}

if __name__ == "__main__":
    sys.exit(main())

"""``lingting languages``, ``config`` and ``version``: what this installation knows."""

from __future__ import annotations

import os

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json
from lingting.cli.output import Output


def languages(json: Json = False) -> None:
    """Every language: code, names, and the models that recognise it.

    Codes and names in either language may be given to --language.

    \b
    Example:
      lingting languages
    """
    out = Output()
    raise typer.Exit(exit_code_of(out, lambda: _languages(out, json)))


def config(json: Json = False) -> None:
    """The settings in force and where each comes from.

    Environment variables win over lingting.toml, which wins over the defaults.

    \b
    Example:
      LINGTING_THREADS=2 lingting config
    """
    out = Output()
    raise typer.Exit(exit_code_of(out, lambda: _config(out, json)))


def version() -> None:
    """Print the version.

    \b
    Example:
      lingting version
    """
    out = Output()
    raise typer.Exit(exit_code_of(out, lambda: print_version(out)))


def print_version(output: Output) -> int:
    """``lingting 0.1.0``"""
    from lingting import __version__

    output.data(f"lingting {__version__}\n")
    return DONE


def _languages(output: Output, json: bool) -> int:
    from lingting import models
    from lingting.languages import LANGUAGES

    known = [model for model in models.catalogue().models if model.kind == "recognition"]
    rows = [
        (
            one.code,
            one.english,
            one.chinese,
            [model.id for model in known if one.code in model.languages],
        )
        for one in LANGUAGES
    ]
    if json:
        for code, english, chinese, names in rows:
            output.record({"code": code, "english": english, "chinese": chinese, "models": names})
        return DONE
    output.table(
        ("code", "English", "中文", "models"),
        [(code, english, chinese, " ".join(names)) for code, english, chinese, names in rows],
    )
    return DONE


def _config(output: Output, json: bool) -> int:
    from lingting.config import PREFIX, settings

    now = settings()
    # pydantic-settings notes what was set from outside; the environment comes before the file.
    environment = {name.upper() for name, value in os.environ.items() if value}
    rows = []
    for name, value in now.model_dump(mode="json").items():
        variable = PREFIX + name.upper()
        if variable in environment:
            origin = "environment"
        elif name in now.model_fields_set:
            origin = "lingting.toml"
        else:
            origin = "default"
        rows.append((name, value, origin, variable))
    if json:
        for name, value, origin, variable in rows:
            output.record({"name": name, "value": value, "from": origin, "variable": variable})
        return DONE
    output.table(
        ("setting", "value", "from", "variable"),
        [(n, "" if v is None else str(v), origin, var) for n, v, origin, var in rows],
    )
    return DONE

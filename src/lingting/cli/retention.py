"""``lingting retention``: how long recordings stay, and the runs that make it so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, record_of, shown
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import RetentionRule

app = typer.Typer(
    help="How long recordings stay in the history.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_FIELDS = {
    "delete": "delete_after_days", "purge": "purge_after_days",
    "tag": "tag", "department": "department", "owner": "owner",
}  # fmt: skip
_FIELD = re.compile(rf",(?=(?:{'|'.join(_FIELDS)})=)")
_DAYS = {"delete", "purge"}


def show(json: Json = False, verbose: Verbose = False) -> None:
    """The rules, of which the first that fits a recording decides, and what is due now.

    \b
    Example:
      lingting retention show
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _show(out, json)))


def set_(
    rules: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RULE...]", help="tag=, department=, owner=, delete=DAYS, purge=DAYS; or all."
        ),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="No rules: everything stays.")] = False,
    verbose: Verbose = False,
) -> None:
    """Take the place of all rules. The first that fits a recording decides about it.

    A rule without days keeps what it fits for ever; `all` alone fits everything. Days to a
    deletion count from when it was kept, days to a purge from when it was deleted.

    \b
    Example:
      lingting retention set tag=contract department=sales,delete=30,purge=7 delete=365,purge=30
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _set(out, rules or [], none)))


def apply(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Deletions, and purges, at most.")
    ] = 10_000,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Delete and purge what is due; prints a receipt for each purge. A worker does it by itself.

    \b
    Example:
      lingting retention apply
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _apply(out, limit, json)))


COMMANDS: dict[str, Callable[..., None]] = {"show": show, "set": set_, "apply": apply}


def _show(output: Output, json: bool) -> int:
    from lingting.store import open_store

    with open_store() as store:
        rules = store.retention()
        deletes, purges, held = store.due()
    if json:
        for rule in rules:
            output.record(rule.as_dict())
        return DONE
    rows = [
        (str(at), shown(_scope(rule)), _days(rule.delete_after_days), _days(rule.purge_after_days))
        for at, rule in enumerate(rules, 1)
    ]
    output.table(("rule", "of", "deleted after", "purged after"), rows)
    output.note(f"due now: {deletes} to delete, {purges} to purge, {held} kept by a legal hold")
    return DONE


def _scope(rule: RetentionRule) -> str:
    parts = [f"{name}={getattr(rule, name)}" for name in ("tag", "department", "owner")]
    return ", ".join(one for one in parts if not one.endswith("=None")) or "all"


def _days(count: float | None) -> str:
    return "never" if count is None else f"{count:g} days"


def _set(output: Output, given: list[str], none: bool) -> int:
    from lingting.store import open_store
    from lingting.store.retention import parse_rules

    if none == bool(given):
        raise OptionInvalid("Rules or --none are given, one of them.")
    rules = parse_rules([parse(one) for one in given])
    with open_store() as store:
        store.set_retention(rules)
    output.note(f"{len(rules)} rules; `lingting retention show` says what is due")
    return DONE


def parse(given: str) -> dict[str, Any]:
    """``tag=a,delete=3`` as JSON of a rule. A comma may be part of a name. Raises OptionInvalid."""
    values: dict[str, Any] = {}
    for part in [] if given == "all" else _FIELD.split(given):
        name, equals, value = part.partition("=")
        if name not in _FIELDS or not equals or not value:
            raise OptionInvalid(
                "A rule is made of tag=, department=, owner=, delete=DAYS and purge=DAYS, "
                "with commas in between; or it is the word all."
            )
        if _FIELDS[name] in values:
            raise OptionInvalid(f"{name} is twice in one rule.")
        try:
            values[_FIELDS[name]] = float(value) if name in _DAYS else value
        except ValueError as exc:
            raise OptionInvalid(f"{name} is followed by a number of days.") from exc
    return values


def _apply(output: Output, limit: int, json: bool) -> int:
    from lingting.store import open_store

    with open_store() as store:
        report = store.apply_retention(limit=limit)
    for receipt in report.receipts:
        output.record(record_of(receipt))
    if json:
        return DONE
    more = "" if report.is_done else "; more is due, run it again"
    output.note(
        f"{len(report.deleted)} deleted, {len(report.receipts)} purged, "
        f"{report.held} kept by a legal hold{more}"
    )
    return DONE

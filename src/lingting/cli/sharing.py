"""``lingting history share``: who else may read a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time, record_of, shown
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.store import Share
    from lingting.store.records import ShareKind


_HEADER = ("id", "for", "by", "made", "until")


def share(
    id: Annotated[
        str, typer.Argument(metavar="ID", help="As listed, or how it begins.", show_default=False)
    ],
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="This user.")] = None,
    department: Annotated[
        str | None, typer.Option("--department", metavar="NAME", help="All of this department.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="All people who can sign in.")
    ] = False,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3_650, help="Until it ends by itself.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="SHARE", help="Take this one back.")
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Let users of the service read a recording, or list who may.

    They read its text, audio and notes by its id, and change nothing.

    \b
    Examples:
      lingting history share k7mqx2 --user wang --days 30
      lingting history share k7mqx2
    """
    out = Output(verbose=verbose)

    def work() -> int:
        from lingting.store import Shares, open_store

        kind, name = _addressee(user, department, everyone)
        if end is not None and kind is not None:
            raise OptionInvalid("--end goes with nothing else.", "Leave the others out.")
        if days is not None and kind is None:
            raise OptionInvalid("--days is of a share that is made.", "Say whom it is for.")
        with open_store() as store:
            shares = Shares(store.database)
            if end is not None:
                _told(out, shares.end(id, end), "has ended", json)
            elif kind is not None:
                _told(out, shares.add(id, kind, name, days=days), "is there", json)
            else:
                out.listing(shares.listed(id), _HEADER, _row, as_json=json)
        return DONE

    raise typer.Exit(exit_code_of(out, work))


def _addressee(
    user: str | None, department: str | None, everyone: bool
) -> tuple[ShareKind | None, str | None]:
    given: list[tuple[ShareKind, str | None]] = []
    if user is not None:
        given.append(("user", user))
    if department is not None:
        given.append(("department", department))
    if everyone:
        given.append(("everyone", None))
    if len(given) > 1:
        raise OptionInvalid("A share is for one of them.", "Share it once more for the next.")
    return given[0] if given else (None, None)


def _told(output: Output, share: Share, what: str, json: bool) -> None:
    if json:
        output.record(record_of(share))
    else:
        output.note(f"{share.id}, for {_whom(share)}, {what}")


def _row(one: Share) -> Sequence[str]:
    return (
        one.id, _whom(one), one.made_by or "", local_time(one.created_at),
        local_time(one.expires_at),
    )  # fmt: skip


def _whom(share: Share) -> str:
    return "everyone" if share.to_name is None else f"{share.to_kind} {shown(share.to_name)}"

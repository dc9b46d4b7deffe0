"""``lingting user`` and ``lingting department``: who may use the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.answers import User
    from lingting.server.accounts import Accounts

users = typer.Typer(
    help="People who sign in to the service.", no_args_is_help=True, rich_markup_mode="rich"
)
departments = typer.Typer(
    help="Departments that users belong to.", no_args_is_help=True, rich_markup_mode="rich"
)

_ROLE_HELP = "service, member, manager or admin. Default for a new one: member."


def list_users(json: Json = False, verbose: Verbose = False) -> None:
    """The users there are, disabled ones too.

    \b
    Example:
      lingting user list
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list_users(out, json)))


def add_user(
    name: Annotated[str, typer.Argument(help="a-z, 0-9, dot, hyphen, underscore.")],
    role: Annotated[str | None, typer.Option("--role", help=_ROLE_HELP)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Less than the role may; repeatable. Default: all of it."),
    ] = None,
    department: Annotated[
        str | None, typer.Option("--department", metavar="NAME", help="One that was added.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Add a user and print a link, good once and for 24 hours, by which they set a password.

    \b
    Example:
      lingting user add wang --department sales --role manager
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _add_user(out, name, role, scope, department)))


def set_user(
    name: Annotated[str, typer.Argument(help="As listed.", show_default=False)],
    role: Annotated[str | None, typer.Option("--role", help=_ROLE_HELP)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="Less than the role may; repeatable."),
    ] = None,
    department: Annotated[
        str | None, typer.Option("--department", metavar="NAME", help="One that was added.")
    ] = None,
    no_department: Annotated[
        bool, typer.Option("--no-department", help="Out of the department.")
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit", metavar="NAME=NUMBER",
            help="requests_per_minute, audio_s_per_day or stored_bytes; NAME=none: no limit; "
            "repeatable, in the place of all that were set.",
        ),
    ] = None,
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="Those of everybody again.")
    ] = False,
    sign_out: Annotated[
        bool, typer.Option("--sign-out", help="End all of the user's sessions.")
    ] = False,
    verbose: Verbose = False,
) -> None:  # fmt: skip
    """Change what a user may do; it works within two seconds. What is left out stays.

    \b
    Examples:
      lingting user set wang --role manager
      lingting user set wang --limit requests_per_minute=600 --limit audio_s_per_day=36000
    """
    out = Output(verbose=verbose)
    change = _Change(role, scope, None if no_department else department or ..., limit, no_limits)
    raise typer.Exit(exit_code_of(out, lambda: _set_user(out, name, change, sign_out)))


def disable_user(
    name: Annotated[str, typer.Argument(help="As listed.", show_default=False)],
    undo: Annotated[bool, typer.Option("--undo", help="Let a disabled one in again.")] = False,
    verbose: Verbose = False,
) -> None:
    """End a user's sessions and keys within two seconds; their recordings stay.

    \b
    Example:
      lingting user disable wang
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _disable_user(out, name, undo)))


def share_department(
    name: Annotated[str, typer.Argument(help="As listed.", show_default=False)],
    undo: Annotated[bool, typer.Option("--undo", help="Everybody only their own again.")] = False,
    verbose: Verbose = False,
) -> None:
    """Let the members of a department read one another's recordings.

    \b
    Example:
      lingting department share sales
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _share_department(out, name, not undo)))


def list_departments(json: Json = False, verbose: Verbose = False) -> None:
    """The departments there are.

    \b
    Example:
      lingting department list
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list_departments(out, json)))


def add_department(
    name: Annotated[str, typer.Argument(help="1 to 60 characters.", show_default=False)],
    verbose: Verbose = False,
) -> None:
    """Add a department.

    \b
    Example:
      lingting department add sales
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _add_department(out, name)))


USER_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_users,
    "add": add_user,
    "set": set_user,
    "disable": disable_user,
}
DEPARTMENT_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_departments,
    "add": add_department,
    "share": share_department,
}


@dataclass(frozen=True, slots=True)
class _Change:
    """What `lingting user set` was told."""

    role: str | None
    scopes: list[str] | None
    department: str | EllipsisType | None
    limits: list[str] | None
    no_limits: bool

    def parsed_limits(self) -> dict[str, float | None] | None:
        """Raises OptionInvalid."""
        if self.no_limits:
            return {}
        if not self.limits:
            return None
        found: dict[str, float | None] = {}
        for one in self.limits:
            name, _, value = one.partition("=")
            try:
                found[name] = None if value == "none" else float(value)
            except ValueError as exc:
                raise OptionInvalid(
                    "A limit is NAME=NUMBER, or NAME=none.", "As in requests_per_minute=600."
                ) from exc
        return found


@contextmanager
def _opened() -> Iterator[Accounts]:
    from lingting.server.accounts import Accounts
    from lingting.store import open_store

    with open_store() as store:
        yield Accounts(store)


def _list_users(output: Output, json: bool) -> int:
    with _opened() as accounts:
        found = accounts.users()
    header = ("name", "role", "department", "scopes", "password", "added", "disabled")
    output.listing(found, header, _user_row, as_json=json)
    return DONE


def _user_row(user: User) -> Sequence[str]:
    return (
        user.name, user.role, user.department or "", " ".join(user.scopes),
        "yes" if user.has_password else "no",
        local_time(user.created_at), local_time(user.disabled_at),
    )  # fmt: skip


def _add_user(
    output: Output,
    name: str,
    role: str | None,
    scopes: list[str] | None,
    department: str | None,
) -> int:
    from lingting.config import settings
    from lingting.server.access import Access
    from lingting.server.accounts import Accounts
    from lingting.server.place import address, setup_link
    from lingting.store import open_store

    with open_store() as store:
        Accounts(store).add_user(name, role=role, scopes=scopes or None, department=department)
        token = Access(store).new_link(name)
    output.note(f"{name} sets a password here, within 24 hours:")
    output.data(f"{setup_link(address(settings()), token)}\n")
    return DONE


def _set_user(output: Output, name: str, change: _Change, sign_out: bool) -> int:
    limits = change.parsed_limits()
    with _opened() as accounts:
        made = accounts.change_user(
            name,
            role=change.role,
            scopes=change.scopes or None,
            department=change.department,
            limits=limits,
        )
        ended = accounts.end_sessions(name) if sign_out else 0
    place = f", department {made.department}" if made.department else ""
    output.note(f"{made.name}: {made.role}, scopes {', '.join(made.scopes)}{place}")
    if sign_out:
        output.note(f"{ended} sessions ended")
    return DONE


def _share_department(output: Output, name: str, is_shared: bool) -> int:
    with _opened() as accounts:
        accounts.share_department(name, is_shared)
    output.note("its members read one another's" if is_shared else "everybody reads their own")
    return DONE


def _disable_user(output: Output, name: str, undo: bool) -> int:
    with _opened() as accounts:
        if undo:
            accounts.enable_user(name)
        else:
            accounts.disable_user(name)
    output.note(f"{name} is {'let in again' if undo else 'disabled'}")
    return DONE


def _list_departments(output: Output, json: bool) -> int:
    with _opened() as accounts:
        found = accounts.departments()
    output.listing(
        found,
        ("name", "shared", "added"),
        lambda one: (one.name, "yes" if one.is_shared else "no", local_time(one.created_at)),
        as_json=json,
    )
    return DONE


def _add_department(output: Output, name: str) -> int:
    with _opened() as accounts:
        accounts.add_department(name)
    output.note("added")
    return DONE

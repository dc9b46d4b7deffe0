"""``lingting user`` and ``lingting department``: who may use the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.keys import Scopes
from lingting.cli.options import Json, Verbose
from lingting.cli.output import Output, local_time, record_of

if TYPE_CHECKING:
    from lingting.server.accounts import Accounts

users = typer.Typer(
    help="People who sign in to the service.", no_args_is_help=True, rich_markup_mode="rich"
)
departments = typer.Typer(
    help="Departments that users belong to.", no_args_is_help=True, rich_markup_mode="rich"
)


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
    scope: Scopes = None,
    department: Annotated[
        str | None, typer.Option("--department", metavar="NAME", help="One that was added.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Add a user and print a link, good once and for 24 hours, by which they set a password.

    \b
    Example:
      lingting user add wang --department sales
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _add_user(out, name, scope, department)))


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
    "disable": disable_user,
}
DEPARTMENT_COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_departments,
    "add": add_department,
}


@contextmanager
def _opened() -> Iterator[Accounts]:
    from lingting.server.accounts import Accounts
    from lingting.store import open_store

    with open_store() as store:
        yield Accounts(store)


def _list_users(output: Output, json: bool) -> int:
    with _opened() as accounts:
        found = accounts.users()
    if json:
        for user in found:
            output.record(record_of(user))
        return DONE
    rows = [
        (user.name, user.department or "", " ".join(user.scopes),
         "yes" if user.has_password else "no",
         local_time(user.created_at), local_time(user.disabled_at))
        for user in found
    ]  # fmt: skip
    output.table(("name", "department", "scopes", "password", "added", "disabled"), rows)
    return DONE


def _add_user(output: Output, name: str, scopes: list[str] | None, department: str | None) -> int:
    from lingting.config import settings
    from lingting.server.access import Access
    from lingting.server.accounts import Accounts
    from lingting.server.place import address, setup_link
    from lingting.store import open_store

    with open_store() as store:
        Accounts(store).add_user(name, scopes=scopes or ("read", "write"), department=department)
        token = Access(store).new_link(name)
    output.note(f"{name} sets a password here, within 24 hours:")
    output.data(f"{setup_link(address(settings()), token)}\n")
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
    if json:
        for one in found:
            output.record(record_of(one))
        return DONE
    output.table(("name", "added"), [(one.name, local_time(one.created_at)) for one in found])
    return DONE


def _add_department(output: Output, name: str) -> int:
    with _opened() as accounts:
        accounts.add_department(name)
    output.note("added")
    return DONE

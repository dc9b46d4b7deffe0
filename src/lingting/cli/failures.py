"""From an exception to a sentence and an exit code: the one table.

0 done · 1 a fault of ours or the machine's · 2 a wrong request · 3 some files failed or have gaps ·
130 and 143 stopped by Ctrl-C or SIGTERM · 141 the reader of stdout has gone
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

from lingting.cli.output import Output
from lingting.errors import ExtraMissing, FaultError, LingtingError, OutputUnwritable, RequestError
from lingting.log import kind_and_place

T = TypeVar("T")
DONE, FAULT, WRONG_REQUEST, SOME_FAILED = 0, 1, 2, 3
INTERRUPTED = 130


class UnknownFault(FaultError):
    """Something nobody foresaw; the incident id finds its log line."""

    code = "fault.unknown"


def exit_code_of(output: Output, work: Callable[[], int]) -> int:
    """Run a command's body; whatever it raises becomes a sentence on stderr and an exit code."""
    try:
        return work()
    except KeyboardInterrupt as stop:
        output.warn("Stopped.")
        return code_of_stop(stop)
    except Exception as exc:
        error = explained(exc, output)
        output.error(error)
        return _code_of(error)


def each(
    output: Output,
    things: Sequence[T],
    work: Callable[[T], None],
    *,
    named: Callable[[T], str | None],
    fatal: tuple[type[LingtingError], ...] = (),
) -> int:
    """One thing after another; one that fails does not keep the others back. The exit code.

    ``fatal`` errors end it at once: the others would fare the same.
    """
    codes = []
    for thing in things:
        try:
            work(thing)
        except fatal:
            raise
        except Exception as exc:
            error = explained(exc, output)
            output.error(error, named(thing))
            codes.append(_code_of(error))
    if not codes:
        return DONE
    return codes[0] if len(codes) == len(things) else SOME_FAILED


def _code_of(error: LingtingError) -> int:
    return WRONG_REQUEST if isinstance(error, RequestError) else FAULT


def explained(exc: Exception, output: Output) -> LingtingError:
    """Ours as it is, the machine's by the table, anything else as an incident that is logged."""
    if output.is_verbose:
        output.warn("".join(traceback.format_exception(exc)).rstrip())
    if isinstance(exc, LingtingError):
        return exc
    if isinstance(exc, MemoryError):
        return FaultError(
            "This machine has not enough memory left.", "Close other programs, then try again."
        )
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        package = exc.name.split(".")[0]
        return ExtraMissing(f"The package {package} is missing.", f"Run `pip install {package}`.")
    if isinstance(exc, OSError) and exc.strerror:
        return OutputUnwritable(
            f"The system refused: {exc.strerror}.", "Check space and permissions, then try again."
        )
    return _incident(exc, output)


def _incident(exc: Exception, output: Output) -> UnknownFault:
    incident = secrets.token_hex(4)
    output.log({"event": "incident", "incident": incident, **kind_and_place(exc)})
    return UnknownFault(f"Something failed that nobody foresaw (incident {incident}).")


def code_of_stop(stop: BaseException) -> int:
    """128 + the signal's number, as shells count."""
    return 128 + int(getattr(stop, "signum", INTERRUPTED - 128))

"""``lingting serve``, ``web``, ``status`` and ``stop``: the service of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, FAULT, exit_code_of
from lingting.cli.loading import VAD_MODEL
from lingting.cli.options import Verbose
from lingting.cli.output import Output, shown

if TYPE_CHECKING:
    from lingting.config import Settings

_Host = Annotated[
    str | None, typer.Option("--host", help="Address to listen on; LINGTING_HOST, 127.0.0.1.")
]
_Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65_535, help="Port; LINGTING_PORT, 7860.")
]
_Proxy = Annotated[
    bool | None,
    typer.Option(
        "--behind-proxy/--no-behind-proxy",
        help="A proxy in front speaks TLS; LINGTING_BEHIND_PROXY.",
        show_default=False,
    ),
]
_WEB_STOP_S, _WORKER_STOP_S, _ENGINE_STOP_S = 10.0, 60.0, 20.0
_STOPPED_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.1


def serve(
    host: _Host = None,
    port: _Port = None,
    behind_proxy: _Proxy = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Of the service; LINGTING_MODEL, auto.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps; LINGTING_DEVICE."),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Run the whole service: web, worker and engine; what dies is started again.

    The first start prints a link, good once and for 24 hours, by which the administrator sets a
    password. What the processes print is in the folder `logs` of the data folder, and here in
    short. Ctrl-C stops: the web first, then the worker behind its current groups, then the engine;
    a second Ctrl-C does not wait.

    Anything but this machine is served only with TLS (LINGTING_TLS_CERTIFICATE, LINGTING_TLS_KEY)
    or --behind-proxy, and with an administrator.

    \b
    Examples:
      lingting serve
      lingting serve --port 8080 --model whisper-base
    """
    out = Output(verbose=verbose)
    given = {
        "host": host, "port": port, "behind_proxy": behind_proxy, "model": model, "device": device
    }  # fmt: skip
    raise typer.Exit(exit_code_of(out, lambda: _serve(out, given)))


def web(
    host: _Host = None,
    port: _Port = None,
    behind_proxy: _Proxy = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    verbose: Verbose = False,
) -> None:
    """Run the web process alone: API and pages. Worker and engine run elsewhere.

    \b
    Example:
      lingting web --port 8080
    """
    out = Output(verbose=verbose)
    given = {"host": host, "port": port, "behind_proxy": behind_proxy}
    raise typer.Exit(exit_code_of(out, lambda: _web(out, given, supervised)))


def status(
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    verbose: Verbose = False,
) -> None:
    """Processes, models, queue and jobs of the service on this data folder.

    Exit code 0 when it is ready, 1 when it is not.

    \b
    Example:
      lingting status
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _status(out, json)))


def stop(
    now: Annotated[bool, typer.Option("--now", help="Do not wait for groups of clips.")] = False,
    verbose: Verbose = False,
) -> None:
    """Stop the service on this data folder and wait until it has stopped.

    \b
    Example:
      lingting stop
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _stop(out, now)))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in values.items() if one is not None}


def _serve(output: Output, given: dict[str, Any]) -> int:
    from lingting.config import PREFIX, settings
    from lingting.server import place
    from lingting.server.serving import address_of, bound_socket, check_binding
    from lingting.server.supervisor import LogBook, Supervisor

    overrides = _given(given)
    now = settings(**overrides)
    with place.only_one(now):
        has_password = _welcome(output, now)
        check_binding(now, has_administrator=has_password)
        bound_socket(now).close()  # better a sentence now than a child that cannot start
        _tell_missing(output, now)
        url = address_of(now)
        output.note(f"Lingting is at {url}, its logs are in {shown(str(now.logs_folder))}")
        environment = dict(os.environ)
        for name, value in overrides.items():
            environment[PREFIX + name.upper()] = str(value)
        book = LogBook(now.logs_folder, output.note)
        book.open()
        state = {"pid": os.getpid(), "url": url, "started_at": _iso_now()}

        def remember(children: Any) -> None:
            place.write_state(now, {**state, "processes": children})

        commands = _commands(overrides, has_own_engine=not now.engines)
        return Supervisor(commands, book, on_change=remember, environment=environment).run()


def _commands(given: Mapping[str, Any], *, has_own_engine: bool) -> list[Any]:
    """In the order they are stopped. What was given here goes before what the API chose."""
    from lingting.server.supervisor import Command

    def options(*names: str) -> list[str]:
        return [f"--{name}={given[name]}" for name in names if name in given]

    program = (sys.executable, "-m", "lingting")
    commands = [
        Command("web", (*program, "web", "--supervised"), _WEB_STOP_S, is_fatal=True),
        Command("worker", (*program, "worker", *options("model")), _WORKER_STOP_S),
    ]
    if has_own_engine:
        arguments = (*program, "engine", *options("model", "device"))
        commands.append(Command("engine", arguments, _ENGINE_STOP_S))
    return commands


def _welcome(output: Output, now: Settings) -> bool:
    """Makes the administrator, this machine's key, and a link while there is no password.

    True with a password.

    Raises StoreSchema and StoreUnreachable: without a store there is nothing to serve yet.
    """
    from lingting.server.access import Access
    from lingting.server.place import make_local_key, setup_link
    from lingting.server.serving import address_of
    from lingting.store import open_store

    with open_store() as store:
        access = Access(store)
        has_password = access.ensure_administrator()
        make_local_key(now, access)
        if has_password:
            return True
        link = access.new_link()
    output.warn(
        f"Set the administrator's password here, within 24 hours:\n"
        f"  {setup_link(address_of(now), link)}"
    )
    return False


def _tell_missing(output: Output, now: Settings) -> None:
    """Models that are not here. The service starts and takes recordings all the same."""
    missing = missing_models(now)
    if missing:
        output.warn(
            f"Not installed: {', '.join(missing)}. Recordings are taken and wait until you run\n"
            f"  lingting models pull {' '.join(missing)}"
        )


def missing_models(now: Settings) -> list[str]:
    """What the worker and the engine of this machine need and do not find."""
    from lingting import models
    from lingting.engines.registry import EMBEDDED, automatic_models

    def is_here(name: str) -> bool:
        return models.status(name) is models.Status.INSTALLED

    missing = []
    if not now.engines:
        if now.model == "auto":
            if not any(is_here(name) for name in automatic_models(now.device)):
                missing.append(EMBEDDED)
        elif now.model in models.catalogue() and not is_here(now.model):
            missing.append(now.model)
    if not is_here(VAD_MODEL):
        missing.append(VAD_MODEL)
    return missing


def _web(output: Output, given: dict[str, Any], supervised: bool) -> int:
    from lingting import log, tracing
    from lingting.server.serving import run_web
    from lingting.store.chosen import in_force

    now = in_force("web", _given(given))
    log.configure(now.log_level, now.log_format)
    tracing.configure(now.otel_endpoint, "web")
    if not supervised:
        _welcome(output, now)
    try:
        run_web(now)
    finally:
        tracing.close()
    return DONE


def _status(output: Output, json: bool) -> int:
    from lingting.client import Client
    from lingting.config import settings
    from lingting.errors import LingtingError
    from lingting.server import place

    now = settings()
    is_running = place.is_running(now)
    state = (place.read_state(now) or {}) if is_running else {}
    found: dict[str, Any] = {
        "is_running": is_running,
        "is_ready": False,
        "url": state.get("url"),
        "pid": state.get("pid"),
        "processes": state.get("processes", {}),
        "missing_models": missing_models(now),
    }
    problem = None
    try:
        with Client(place.address(now), place.local_key(now), timeout_s=10.0) as client:
            found.update(client.status())
    except LingtingError as error:
        problem = error
        found["problem"] = error.as_dict()
    if json:
        output.record(found)
    else:
        _show_status(output, found)
        if problem is not None:
            output.error(problem)
    return DONE if found["is_ready"] else FAULT


def _show_status(output: Output, found: dict[str, Any]) -> None:
    if not found["is_running"]:
        output.note("no `lingting serve` runs on this data folder")
    rows = [
        (name, "running" if one["is_running"] else "waiting", str(one["pid"] or ""),
         str(one["restarts"]), one["started_at"] or "")
        for name, one in found["processes"].items()
    ]  # fmt: skip
    if rows:
        output.table(("process", "state", "pid", "restarts", "since"), rows)
    parts = [
        (name, "ready" if part["is_ready"] else "not ready", part["reason"] or "")
        for name, part in found.get("parts", {}).items()
    ]
    if parts:
        output.table(("part", "state", "reason"), parts)
    models = [row for host in found.get("engines", ()) for row in _models_of(host)]
    if models:
        output.table(("engine", "model", "state", "queue"), models)
    workers = [
        (one["id"], str(one["pid"]), "live" if one["is_live"] else "gone", str(one["jobs"]),
         "" if one["speed"] is None else f"{one['speed']:.1f}x")
        for one in found.get("workers", ())
    ]  # fmt: skip
    if workers:
        output.table(("worker", "pid", "state", "jobs", "speed"), workers)
    jobs = found.get("jobs")
    if jobs:
        output.table(("jobs", "count"), [(name, str(jobs[name])) for name in sorted(jobs)])
    if found["missing_models"]:
        output.note(f"missing: lingting models pull {' '.join(found['missing_models'])}")


def _models_of(host: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """A host of another make tells less."""
    if not host["is_answering"]:
        return [(host["address"], "", "not answering", "")]
    told = host.get("status") or {}
    waiting = told.get("waiting_s")
    queue = f"{waiting:.0f} s" if isinstance(waiting, (int, float)) else ""
    listed = told.get("models")
    rows = [
        (host["address"], name, str(one.get("state", "")), queue)
        for name, one in (listed.items() if isinstance(listed, dict) else ())
    ]
    return rows or [(host["address"], "", "answering", queue)]


def _stop(output: Output, now: bool) -> int:
    import signal
    import time

    from lingting.config import settings
    from lingting.errors import ServiceStopped
    from lingting.server import place

    found = settings()
    pid = (place.read_state(found) or {}).get("pid")
    if not place.is_running(found) or not isinstance(pid, int):
        raise ServiceStopped("No service runs on this data folder.")
    for _ in range(2 if now else 1):
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            break
        time.sleep(_LOOK_EVERY_S)
    until_s = time.monotonic() + _STOPPED_WITHIN_S
    while place.is_running(found):
        if time.monotonic() > until_s:
            output.warn(f"process {pid} still runs; `lingting stop --now` does not wait")
            return FAULT
        time.sleep(_LOOK_EVERY_S)
    output.note("stopped")
    return DONE


def _iso_now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds")

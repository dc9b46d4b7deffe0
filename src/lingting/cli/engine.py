"""``lingting engine``: the process that holds the models and serves clips to all others."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting import log
from lingting.cli.failures import DONE, exit_code_of
from lingting.cli.loading import EngineRequest, automatic_model, check_runnable, make_ready
from lingting.cli.options import Verbose
from lingting.cli.output import Output

if TYPE_CHECKING:
    from lingting.engines.base import Engine
    from lingting.host.listening import Listener

_UNLOAD_AFTER_S = 1800.0


@dataclass(frozen=True, slots=True)
class _Request:
    models: tuple[str, ...]
    listen: tuple[str, ...]
    device: str | None
    compute: str | None
    threads: int | None
    unload_after_s: float
    is_lazy: bool


def engine(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A name of `lingting models list`, or a folder; several may be given. The first "
            "is the default. Unset, LINGTING_MODEL.",
            show_default=False,
        ),
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            "--listen",
            metavar="ADDRESS",
            help="unix:/path/to.sock or host:port; several may be given. Unset, the socket that "
            "the service of this user looks for.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.", show_default=False),
    ] = None,
    compute: Annotated[
        str | None, typer.Option("--compute", help="Precision.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads.")
    ] = None,
    unload_after: Annotated[
        float,
        typer.Option(
            "--unload-after",
            metavar="SECONDS",
            min=0,
            help="Unload a model that nobody used for so long; 0 never does.",
        ),
    ] = _UNLOAD_AFTER_S,
    lazy: Annotated[
        bool, typer.Option("--lazy", help="Load a model with its first clip, not at the start.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
    verbose: Verbose = False,
) -> None:
    """Hold models and recognise clips for the other processes, on this machine or for others.

    Clips of all callers share batches; live ones go first. It speaks OpenAI's
    /v1/audio/transcriptions over a Unix socket, or over TCP. Beyond this machine it asks callers
    for LINGTING_REMOTE_KEY. Ctrl-C and SIGTERM end it when the work under way is done.

    \b
    Examples:
      lingting engine
      lingting engine --model fun-asr-nano --device cuda --listen 0.0.0.0:7861
    """
    out = Output(quiet=quiet, verbose=verbose)
    request = _Request(
        tuple(model or ()),
        tuple(listen or ()),
        device,
        compute,
        threads,
        unload_after,
        lazy,
    )
    raise typer.Exit(exit_code_of(out, lambda: _run(out, request)))


def _run(output: Output, request: _Request) -> int:
    from lingting import tracing
    from lingting.engines.budget import with_budget
    from lingting.host import Host, HostOptions
    from lingting.host.serving import check_packages, serve
    from lingting.store.chosen import in_force

    check_packages()
    given = {"device": request.device, "compute": request.compute, "threads": request.threads}
    values = in_force("engine", {name: one for name, one in given.items() if one is not None})
    wanted = EngineRequest(device=values.device, compute=values.compute, threads=values.threads)
    models = _ready_models(output, request.models or (values.model,), wanted.device)
    tracing.configure(values.otel_endpoint, "engine")
    key = values.remote_key.get_secret_value() if values.remote_key is not None else None
    host = Host(
        lambda name, device: with_budget(_loaded(name, device, wanted), values.engine_batch_s),
        models,
        HostOptions(queue_s=values.engine_queue_s, idle_s=request.unload_after_s or None, key=key),
        clear=clear_memory,
        memory=device_memory,
        tell=_teller(output, level=values.log_level, form=values.log_format),
    )
    listeners = _listening(request.listen or (f"unix:{values.engine_socket}",), key)
    try:
        for listener in listeners:
            host.tell({"event": "host.listening", "address": listener.place.address})
        if not request.is_lazy:
            for one in host.models.values():
                one.order("load")
        serve(host, listeners)
    finally:
        for listener in listeners:
            listener.close()
        tracing.close()
    return DONE


def _ready_models(output: Output, names: Sequence[str], device: str) -> list[str]:
    """Their names without doubles; what is missing is fetched before anybody waits for it."""
    found: dict[str, None] = {}
    for name in names:
        check_runnable(name)
        name = automatic_model(device) if name == "auto" else name
        make_ready(output, name, device)
        found[name] = None
    return list(found)


def _loaded(name: str, device: str | None, wanted: EngineRequest) -> Engine:
    """The guarded engine; on another device than the wanted one it computes as that one likes."""
    from lingting.engines.registry import load_engine

    is_other = device is not None and device != wanted.device
    return load_engine(
        name,
        device=device or wanted.device,
        compute="auto" if is_other else wanted.compute,
        threads=wanted.threads,
    )


def _listening(addresses: Sequence[str], key: str | None) -> list[Listener]:
    from lingting.host.listening import listen, parse_place

    places = [parse_place(address) for address in addresses]
    listeners: list[Listener] = []
    try:
        for place in places:
            listeners.append(listen(place, has_key=key is not None))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def clear_memory() -> None:
    """Give back what Python, PyTorch and the C library hold without using it."""
    gc.collect()
    if "torch" in sys.modules:
        from lingting.engines.neural.devices import choose, release

        release(choose("auto"))
    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        import ctypes

        ctypes.CDLL("libc.so.6").malloc_trim(0)


def device_memory() -> Mapping[str, int]:
    """Of a GPU that PyTorch computes on; nothing without one."""
    if "torch" not in sys.modules:
        return {}
    from lingting.engines.neural.devices import used_bytes

    return used_bytes()


_SENTENCES = {
    "host.listening": "Listening on {address}",
    "host.answered": "{clips} clips answered after {took_ms} ms",
    "host.draining": "Stopping: {audio_s} s of audio are still waiting …",
    "host.hangs": "{model} has been at one batch for {seconds} s: this process ends.",
    "host.stopped": "Stopped.",
    "model.loading": "Loading {model} …",
    "model.ready": "{model} is ready on {device} after {seconds} s.",
    "model.failed": "{model} could not be loaded ({code}, {error}).",
    "model.unloaded": "{model} is unloaded.",
    "memory.lack": "Memory ran out with {audio_s} s of audio in {model}: {step}.",
}
_DETAILS = frozenset({"host.answered"})
"""One for each request: with LINGTING_LOG_LEVEL=info or debug only."""
_BAD = frozenset({"host.hangs", "model.failed", "memory.lack", "incident"})


def _teller(output: Output, *, level: str = "warning", form: log.Form = "auto") -> Any:
    """Events as sentences for people, as JSON lines for programs. They hold no content."""

    has_details = level in ("debug", "info")
    is_for_people = output.has_terminal if form == "auto" else form == "human"

    def tell(event: Mapping[str, Any]) -> None:
        name = str(event["event"])
        is_bad = name in _BAD
        if (output.is_quiet and not is_bad) or (name in _DETAILS and not has_details):
            return
        sentence = _SENTENCES.get(name)
        if sentence is None or not is_for_people:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            grade = "warning" if is_bad else "info"
            output.log({"at": at, "level": grade, **log.fields(), **event})
        else:
            output.warn(sentence.format_map(event))

    return tell

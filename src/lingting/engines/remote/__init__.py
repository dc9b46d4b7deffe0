"""Servers as engines: our own engine hosts, and any OpenAI-compatible ``/v1/audio/transcriptions``.

::

    address  where a server is: http(s)://host/prefix#model, unix:/path/to.sock
    wire     a clip as a request, an answer as a hypothesis
    client   connections, retries, refusals
    engine   any server: clips in, hypotheses out, in order, so many at a time
    link     kept connections to a host of ours
    host     a host of ours: every field of a clip and of a hypothesis travels
    pool     several of them as one engine, which outlives each of them

Importing this package imports no HTTP client. An address that the owner configured is asked also
under ``LINGTING_OFFLINE=1``: that setting forbids downloads, and a request nobody configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingting.engines.remote.address import is_address, split_address
from lingting.engines.remote.options import RemoteOptions

if TYPE_CHECKING:
    from lingting.engines.base import Engine
    from lingting.engines.remote.engine import RemoteEngine
    from lingting.engines.remote.host import HostEngine

__all__ = ["RemoteOptions", "is_address", "load", "load_guarded", "split_address"]


def load(
    address: str,
    *,
    model: str | None = None,
    key: str | None = None,
    options: RemoteOptions | None = None,
    lane: str = "bulk",
) -> RemoteEngine | HostEngine:
    """An engine that asks the server at ``address``; no guard is around it.

    A :class:`HostEngine` where a Lingting engine host answers, which has a guard of its own;
    ``lane`` is for it. ``model`` None takes the default or only one. ``key`` None is that of the
    settings (LINGTING_REMOTE_KEY). The server is asked for its models now. Raises OptionInvalid
    (address, key, no choice of model), ModelUnknown, EngineUnreachable, EngineRefused or
    EngineBusy.
    """
    from lingting import config
    from lingting.engines.remote.address import parse_address
    from lingting.engines.remote.host import HostEngine, answers_as_host

    if key is None:
        secret = config.settings().remote_key
        key = secret.get_secret_value() if secret is not None else None
    options = options or RemoteOptions()
    place = parse_address(address)
    if place.socket is not None and answers_as_host(place, key, options):
        return HostEngine(place, model=model, key=key, options=options, lane=lane)
    from lingting.engines.remote.engine import RemoteEngine, open_server

    found = open_server(address, model=model, key=key, options=options)
    if isinstance(found, RemoteEngine):
        return found
    return HostEngine(found, model=model, key=key, options=options, lane=lane)


def load_guarded(
    name: str,
    *,
    model: str | None = None,
    key: str | None = None,
    options: RemoteOptions | None = None,
) -> Engine:
    """The same with a guard: the host's own, or one here around another server.

    ``name`` is an address, with ``#model`` where it names one; ``model`` is for one that does not.
    """
    from lingting.engines.guarded import GuardedEngine
    from lingting.engines.remote.host import HostEngine

    address, named = split_address(name)
    engine = load(address, model=named or model, key=key, options=options)
    return engine if isinstance(engine, HostEngine) else GuardedEngine(engine)

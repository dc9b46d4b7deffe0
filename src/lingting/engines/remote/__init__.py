"""Any OpenAI-compatible ``/v1/audio/transcriptions`` as an engine: vLLM, speaches, OpenAI, us.

::

    address  where a server is: http(s)://host/prefix#model, unix:/path/to.sock
    wire     a clip as a request, an answer as a hypothesis
    client   connections, retries, refusals
    engine   clips in, hypotheses out, in order, so many at a time

Importing this package imports no HTTP client. An address that the owner configured is asked also
under ``LINGTING_OFFLINE=1``: that setting forbids downloads, and a request nobody configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingting.engines.remote.address import is_address, split_address
from lingting.engines.remote.options import RemoteOptions

if TYPE_CHECKING:
    from lingting.engines.remote.engine import RemoteEngine

__all__ = ["RemoteOptions", "is_address", "load", "split_address"]


def load(
    address: str,
    *,
    model: str | None = None,
    key: str | None = None,
    options: RemoteOptions | None = None,
) -> RemoteEngine:
    """An engine that asks the server at ``address``.

    ``model`` None takes the only one it serves. ``key`` None is that of the settings
    (LINGTING_REMOTE_KEY). The server is asked for its models now. Raises OptionInvalid (address,
    key, no choice of model), ModelUnknown, EngineUnreachable, EngineRefused or EngineBusy.
    """
    from lingting import config
    from lingting.engines.remote.engine import RemoteEngine

    if key is None:
        secret = config.settings().remote_key
        key = secret.get_secret_value() if secret is not None else None
    return RemoteEngine(address, model=model, key=key, options=options or RemoteOptions())

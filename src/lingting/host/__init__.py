"""The engine host: one process that holds the models, and everybody's clips in one queue.

::

    request ─ app ─ Host.submit ─ Lanes ─┐  live, interactive, bulk
    request ─ app ─ Host.submit ─ Lanes ─┴─ HostedModel's thread ─ Ladder ─ Engine
                                             a batch across requests, as large as its pace allows

``lanes`` and ``pace`` decide, and know nothing of threads; ``model`` owns the thread that alone
touches an engine; ``ladder`` keeps failures to their clips; ``app`` and ``forms`` speak HTTP.
The host knows the Engine protocol and no engine: whoever starts it says how models are loaded.
"""

from lingting.host.host import Host, HostOptions

__all__ = ["Host", "HostOptions"]

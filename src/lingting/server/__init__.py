"""The service's web process: the API, signing in, uploads, events; and the supervisor of all three.

Nothing here opens a recording or loads a model: hostile media are opened in the worker's readers,
and models live in the engine host. What blocks (the database, hashing an upload) runs in threads,
so that ``/healthz`` answers at once whatever else is going on.
"""

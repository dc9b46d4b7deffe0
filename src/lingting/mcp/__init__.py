"""Lingting for language models: tools and resources of the Model Context Protocol.

The tools have no power of their own: each is one or more requests to ``/api/v1`` by
``lingting.Client``, with the key of whoever asks. So permissions, limits and the audit trail are
those of the API, over both ways in: ``/mcp`` of the web process (``lingting.server.mcp``) and
``lingting mcp`` on standard input and output.
"""

"""``GET /metrics``: with the token of the settings; without one, from this machine alone.

They hold numbers and the names of models and routes, nothing of what was said. A key of the API
does not open them: Prometheus needs no other right than this one. Without a token the caller must
have come from loopback, to a loopback name, and by no proxy, because behind one everybody does.
"""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lingting.config import Settings
from lingting.errors import NotAllowed, SignInNeeded
from lingting.server.asking import TheService
from lingting.server.metrics import CONTENT_TYPE
from lingting.server.serving import is_loopback

router = APIRouter(tags=["state"])
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, service: TheService) -> Response:
    """Figures of the service for Prometheus."""
    _check(request, service.settings)
    return Response(await service.scrape.page(), headers={"Content-Type": CONTENT_TYPE})


def _check(request: Request, now: Settings) -> None:
    """Raises SignInNeeded or NotAllowed."""
    if now.metrics_token is not None:
        given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        wanted = f"Bearer {now.metrics_token.get_secret_value()}".encode()
        if not hmac.compare_digest(given, wanted):
            raise SignInNeeded("The figures are shown for LINGTING_METRICS_TOKEN only.")
        return
    peer = request.client.host if request.client is not None else ""
    is_direct = not now.behind_proxy and not any(one in request.headers for one in _FORWARDED)
    if not (is_direct and is_loopback(peer) and is_loopback(request.url.hostname or "")):
        raise NotAllowed(
            "The figures are shown on this machine only.", "Set LINGTING_METRICS_TOKEN."
        )

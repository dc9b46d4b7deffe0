"""What routes ask for: the service, and who is asking."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from lingting.errors import NotAllowed, SignInNeeded
from lingting.server.access import Principal
from lingting.server.service import Service

COOKIE = "lingting_session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def service_of(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def cookie_of(service: Service) -> str:
    """Browsers keep a ``__Host-`` cookie to this host and to TLS."""
    return f"__Host-{COOKIE}" if service.is_secure else COOKIE


async def principal_of(request: Request) -> Principal:
    """A bearer key, or the cookie of a session. Raises SignInNeeded, NotAllowed."""
    service = service_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        kind, _, key = header.partition(" ")
        if kind.lower() != "bearer":
            raise SignInNeeded("The Authorization header is no bearer key.")
        known = service.remembered(key)
        if known is not None:
            return known
        return await asyncio.to_thread(lambda: service.access.of_key(key))
    cookie = request.cookies.get(cookie_of(service))
    if cookie is None:
        raise SignInNeeded("Neither a key nor a session came with the request.")
    check_same_origin(request)
    return await asyncio.to_thread(lambda: service.access.of_session(cookie))


def check_same_origin(request: Request) -> None:
    """A page of another site cannot act for whoever has it open. Raises NotAllowed.

    SameSite=Strict keeps the cookie from such requests already; this is for what lies beside us on
    the same site. Every browser since 2023 says where a request comes from.
    """
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    if site in {"same-origin", "none"}:
        return
    origin = request.headers.get("origin")
    if site is None and (
        origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    ):
        return
    raise NotAllowed("The request comes from a page of another site.")


async def _reader(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("read")
    return who


async def _writer(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("write")
    return who.changing()


async def _administrator(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("admin")
    return who


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Administrator = Annotated[Principal, Depends(_administrator)]
TheService = Annotated[Service, Depends(service_of)]

"""What routes ask for: the service, and who is asking."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from lingting.errors import LingtingError, NotAllowed, SignInNeeded
from lingting.server.principal import Principal
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
    """A bearer key, or the cookie of a session; a request of theirs is counted.

    Raises SignInNeeded, NotAllowed, TooManyRequests, and TooManyTries for somebody who guesses.
    """
    service = service_of(request)
    try:
        who = await _shown(request, service)
    except SignInNeeded:
        if "authorization" in request.headers:
            await asyncio.to_thread(_note_guess, service, address_of(request))
        raise
    service.turnstile.pass_through(who)
    return who


async def shown_by(request: Request) -> Principal:
    """As :func:`principal_of`, uncounted: for the many small files that make a page."""
    return await _shown(request, service_of(request))


async def is_still(request: Request, who: Principal) -> bool:
    """Whether what somebody showed is good for the same as when their answer began.

    For answers that take long; a store that is away for a moment ends none of them.
    """
    try:
        return await _shown(request, service_of(request)) == who
    except (SignInNeeded, NotAllowed):
        return False
    except LingtingError:
        return True


def _note_guess(service: Service, address: str | None) -> None:
    """Raises TooManyTries when this address has shown too many keys that are none.

    Who shows a good one is let in all the same.
    """
    service.access.guessers.check(address)
    service.access.guessers.note_failure(address)


def address_of(request: Request) -> str | None:
    """Where a request comes from; behind a proxy what that says last. None: nobody knows."""
    if service_of(request).settings.behind_proxy:
        told = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return told[:64] or None
    return None if request.client is None else request.client.host


async def _shown(request: Request, service: Service) -> Principal:
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


async def _overseer(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("read")
    who.require_manager()
    return who


async def _searcher(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("search")
    return who


async def _auditor(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("audit")
    who.require_manager()
    return who


async def _administrator(who: Annotated[Principal, Depends(principal_of)]) -> Principal:
    who.require("admin")
    return who


Reader = Annotated[Principal, Depends(_reader)]
Writer = Annotated[Principal, Depends(_writer)]
Administrator = Annotated[Principal, Depends(_administrator)]
Anybody = Annotated[Principal, Depends(principal_of)]
Searcher = Annotated[Principal, Depends(_searcher)]
Overseer = Annotated[Principal, Depends(_overseer)]
"""A manager, for their department, or an administrator."""
Auditor = Annotated[Principal, Depends(_auditor)]
TheService = Annotated[Service, Depends(service_of)]

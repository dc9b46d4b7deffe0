"""The pages behind the login: who gets them, under which policy, and where their files are.

Everything below ``/app`` asks for a session. A browser without one is sent to the login and comes
back; anything else is answered 401. Of Gradio only what its pages load is reachable: no upload, no
file of this machine, no queue of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount

from lingting.errors import LingtingError, PathUnknown, SignInNeeded
from lingting.server.asking import shown_by
from lingting.server.problems import answer
from lingting.ui import files
from lingting.ui.shell import PATHS, Page, Shell

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = logging.getLogger("lingting.server")

PREFIX = "/app"
LANGUAGE_COOKIE = "lingting_language"
_FILES = "ui"
_GRADIO = re.compile(r"(assets|static|svelte)/(?!.*\.\.).+|theme\.css|manifest\.json")
_UNCHANGING = re.compile(r"assets/.+-[\w-]{8}\.\w+")
"""Gradio's own names change with what is in these files."""
_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_OPEN_GRAPH = re.compile(rb"\s*<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*/>")
_POLICY = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self';"
    " media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'self';"
    " form-action 'self'; frame-ancestors 'none'"
)
_THEME = (
    "let theme;try{theme=localStorage.getItem('lingting.theme')}catch{}"
    "document.documentElement.dataset.theme="
    "theme||(matchMedia('(prefers-color-scheme: dark)').matches?'dark':'light')"
)
"""What was chosen, else the system's: before anything is drawn."""
_WARM_AFTER_S = 1.0
_FOREVER = "private, max-age=31536000, immutable"


class Workspace:
    """The ASGI application below ``/app``."""

    def __init__(self) -> None:
        self._shell: Shell | None = None
        self._making = asyncio.Lock()

    @property
    def route(self) -> Mount:
        return Mount(PREFIX, app=self)

    async def warm(self) -> Shell:
        """Gradio, which takes seconds to import, in a thread."""
        async with self._making:
            if self._shell is None:
                self._shell = await asyncio.to_thread(Shell, PREFIX)
            return self._shell

    async def warm_later(self) -> None:
        """When the service has got going."""
        await asyncio.sleep(_WARM_AFTER_S)
        try:
            await self.warm()
        except LingtingError as error:
            log.warning("no pages", extra={"code": error.code})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except LingtingError as error:
            response = answer(error, request.url.path)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.url.path.removeprefix(PREFIX).strip("/")
        page = PATHS.get(path)
        if request.method not in {"GET", "HEAD"}:
            raise PathUnknown("There is nothing at this address that takes this.")
        try:
            await shown_by(request)
        except SignInNeeded:
            if page is None:
                raise
            return _to_login(request)
        kind, _, rest = path.partition("/")
        if kind == _FILES:
            return _file(rest)
        if page is None and not _GRADIO.fullmatch(path):
            raise PathUnknown("There is no page at this address.")
        if page is not None and path and request.url.path.endswith("/"):
            return RedirectResponse(f"{PREFIX}/{path}", 308)
        shell = await self.warm()
        status, headers, body = await _asked(shell, request, path)
        if page is None:
            if status == 200 and _UNCHANGING.fullmatch(path):
                headers["cache-control"] = _FOREVER
            return Response(body, status, headers)
        html = _page(body, page, language_of(request))
        return HTMLResponse(html, status, {"Content-Security-Policy": _policy(html),
                                           "Cache-Control": "private, no-cache"})  # fmt: skip


def language_of(request: Request) -> str:
    """What the person chose, or what their browser asks for first: zh or en."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in {"zh", "en"}:
        return chosen
    first = request.headers.get("accept-language", "").partition(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"


def _to_login(request: Request) -> Response:
    """To the login and back; a link in a message is followed once more, from here.

    Browsers keep a strict cookie to themselves when the link was on another site, also from
    somebody who is signed in.
    """
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.headers.get("sec-fetch-site") == "cross-site":
        again = escape(here, quote=True)
        return HTMLResponse(
            "<!doctype html><html lang=en><meta charset=utf-8>"
            f'<meta http-equiv=refresh content="0;url={again}"><title>Lingting 聆听</title>'
            f'<a href="{again}">Lingting 聆听</a>',
            headers={"Cache-Control": "no-store"},
        )
    return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)


def _file(rest: str) -> Response:
    digest, _, name = rest.partition("/")
    found = files.assets().get(name) if digest == files.digest() else None
    if found is None:
        raise PathUnknown("There is no file at this address.", "Load the page again.")
    return Response(found.body, media_type=found.media_type, headers={"Cache-Control": _FOREVER})


async def _asked(shell: Shell, request: Request, path: str) -> tuple[int, dict[str, str], bytes]:
    """Gradio's answer, whole; what it is told of the request is the address alone."""
    scope = {
        **{key: request.scope[key] for key in ("type", "asgi", "http_version", "scheme", "server")},
        "method": "GET",
        "path": f"/{path}",
        "raw_path": f"/{path}".encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", request.headers.get("host", "localhost").encode())],
        "client": None,
    }
    status, headers, pieces = 500, {}, []
    body: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not body:
            await asyncio.Event().wait()  # nobody goes away
        return body.pop()

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            kept = {b"content-type", b"cache-control", b"etag"}
            headers = {k.decode(): v.decode() for k, v in message["headers"] if k in kept}
        elif message["type"] == "http.response.body":
            pieces.append(message.get("body", b""))

    await shell.app(scope, receive, send)
    return status, headers, b"".join(pieces)


def _page(html: bytes, page: Page, language: str) -> bytes:
    """Gradio's page with our modules in its head, and without pictures of other hosts."""
    base = f"{PREFIX}/{_FILES}/{files.digest()}"
    locale = {"zh": "zh-CN", "en": "en"}[language]
    modules = ("core/main.js", f"pages/{page.name}.js")
    head = "".join(
        [
            f'<link rel="icon" href="{base}/icon.svg" type="image/svg+xml">',
            f'<link rel="stylesheet" href="{base}/base.css">',
            *(f'<link rel="modulepreload" href="{base}/{one}">' for one in modules),
            # Gradio speaks the language of the browser; here the person has chosen.
            f'<script>Object.defineProperty(navigator,"language",{{get:()=>"{locale}"}});'
            f"{_THEME}</script>",
            f'<script type="module" src="{base}/core/main.js"></script>',
        ]
    ).encode()
    html = _OPEN_GRAPH.sub(b"", html)
    html = html.replace(b'lang="en"', f'lang="{locale}" data-base="{base}"'.encode(), 1)
    return html.replace(b"<head>", b"<head>" + head, 1)


def _policy(html: bytes) -> str:
    """Of scripts written into the page only these very ones run."""
    sums = [hashlib.sha256(script).digest() for script in _INLINE.findall(html)]
    scripts = " ".join(f"'sha256-{base64.b64encode(one).decode()}'" for one in sums)
    return _POLICY.format(scripts=scripts)

"""Three plain pages: sign in, set a password by a one-time link, and who is signed in.

They need no script and nothing from elsewhere. The token of a link is in the address, so these
pages send no referrer, and what is logged of a request is its route, not its query.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from lingting.errors import BodyInvalid, LingtingError, OptionInvalid, SignInNeeded
from lingting.server import oidc
from lingting.server.asking import (
    TheService,
    address_of,
    check_same_origin,
    cookie_of,
    principal_of,
)
from lingting.server.principal import ADMINISTRATOR
from lingting.server.problems import headers_of
from lingting.server.service import Service

router = APIRouter(include_in_schema=False)

_MAX_FIELDS = 10
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:12vh auto;padding:0 1rem;
color:#1b1f24;background:#fff}
label,input,button{display:block;width:100%;box-sizing:border-box}
input{font:inherit;padding:.5rem;margin:.2rem 0 1rem;border:1px solid #8a929c;border-radius:6px}
button{font:inherit;padding:.6rem;border:0;border-radius:6px;background:#1f5fbf;color:#fff}
.bad{color:#a3131c}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}.bad{color:#ff8a8f}
input{background:#1f2429;color:inherit}}
"""


@router.get("/")
async def start(request: Request) -> Response:
    """Where a browser lands."""
    try:
        who = await principal_of(request)
    except SignInNeeded:
        return RedirectResponse("/login", status_code=303)
    if request.app.state.workspace is not None:
        return RedirectResponse("/app/", status_code=303)
    return _page(
        "Lingting 聆听",
        f"<p>Signed in as {escape(who.user)}. The API is at <code>/api/v1</code>: "
        "<a href=/api/v1/docs>what it can do · 接口说明</a>.</p>"
        "<form method=post action=/logout><button>Sign out · 退出</button></form>",
    )


Next = Annotated[str, Query(max_length=2_000)]
"""Where somebody was on the way to."""


@router.get("/login")
async def login_page(service: TheService, next: Next = "") -> Response:
    return _login(service, going=next)


def _place(given: str) -> str:
    """A page of ours, whatever a link says: nobody is sent elsewhere from here."""
    parts = urlsplit(given)
    is_ours = not (parts.scheme or parts.netloc) and given.startswith("/app/")
    return given if is_ours and "\\" not in given and given.isprintable() else "/"


@router.get("/login/oidc")
async def begin_oidc(service: TheService) -> Response:
    """Off to the identity provider, with a cookie that only this browser can bring back."""
    try:
        begun = await service.provider.begin()
    except LingtingError as error:
        return _login(service, error)
    response = RedirectResponse(begun.address, status_code=303)
    response.set_cookie(
        _oidc_cookie(service), begun.cookie, max_age=int(oidc.PATIENCE_S), path="/",
        secure=service.is_secure, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


@router.get(oidc.CALLBACK)
async def finish_oidc(request: Request, service: TheService) -> Response:
    """Back from the identity provider."""
    settings = service.settings
    try:
        person = await service.provider.finish(
            request.cookies.get(_oidc_cookie(service)), dict(request.query_params)
        )
        ticket = await asyncio.to_thread(
            lambda: service.access.sign_in_by_provider(
                person,
                decides_role=bool(settings.oidc_roles),
                decides_department=bool(settings.oidc_departments),
            )
        )
    except LingtingError as error:
        response = _login(service, error)
    else:
        # Not a redirect: a browser that comes from elsewhere would not send the new cookie along.
        response = _page(
            "Signed in · 已登录", "<p><a href=/>Go on · 继续</a></p>",
            head="<meta http-equiv=refresh content='0;url=/'>",
        )  # fmt: skip
        await _give_session(request, service, ticket, response)
    response.delete_cookie(
        _oidc_cookie(service), path="/", secure=service.is_secure, httponly=True, samesite="lax"
    )
    return response


def _oidc_cookie(service: Service) -> str:
    return f"{cookie_of(service)}_oidc"


def _login(
    service: Service,
    problem: LingtingError | None = None,
    user: str = ADMINISTRATOR,
    going: str = "",
) -> Response:
    to = _place(going)
    action = "/login" if to == "/" else f"/login?next={quote(to, safe='')}"
    elsewhere = (
        "<p><a href=/login/oidc>Sign in with your organisation · 用单位账号登录</a></p>"
        if service.provider.is_set_up
        else ""
    )
    return _page(
        "Sign in · 登录",
        elsewhere + f'<form method=post action="{escape(action, quote=True)}">'
        f'<label>User · 用户<input name=user value="{escape(user)}" autocomplete=username required>'
        "</label><label>Password · 密码<input name=password type=password "
        "autocomplete=current-password required></label><button>Sign in · 登录</button></form>",
        problem,
    )


@router.post("/login")
async def login(request: Request, service: TheService, next: Next = "") -> Response:
    check_same_origin(request)
    form = await _fields(request)
    user, password = form.get("user", "").strip().lower(), form.get("password", "")
    try:
        async with service.signing_in:
            ticket = await asyncio.to_thread(
                lambda: service.access.sign_in(user, password, address=address_of(request))
            )
    except LingtingError as error:
        return _login(service, error, user, next)
    return await signed_in(request, service, ticket, _place(next))


@router.post("/logout")
async def logout(request: Request, service: TheService) -> Response:
    check_same_origin(request)
    ticket = request.cookies.get(cookie_of(service))
    if ticket is not None:
        await asyncio.to_thread(lambda: service.access.sign_out(ticket))
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(cookie_of(service), path="/", secure=service.is_secure, httponly=True)
    return response


@router.get("/setup")
async def setup_page(
    service: TheService, token: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Looking at the page does not use the link up: mail programs look at links too."""
    try:
        user = await asyncio.to_thread(lambda: service.access.check_link(token))
    except LingtingError as error:
        return _page("Set a password · 设置密码", "", error)
    return _setup(token, user)


def _setup(token: str, user: str, problem: LingtingError | None = None) -> Response:
    return _page(
        "Set a password · 设置密码",
        f"<p>For the user <b>{escape(user)}</b>. At least 10 characters. · 至少 10 个字符。</p>"
        "<form method=post action=/setup>"
        f'<input type=hidden name=token value="{escape(token)}">'
        f'<input type=hidden name=user autocomplete=username value="{escape(user)}">'
        "<label>Password · 密码<input name=password type=password minlength=10 "
        "autocomplete=new-password required></label>"
        "<label>Once more · 再次输入<input name=again type=password minlength=10 "
        "autocomplete=new-password required></label><button>Save · 保存</button></form>",
        problem,
    )


@router.post("/setup")
async def setup(request: Request, service: TheService) -> Response:
    check_same_origin(request)
    form = await _fields(request)
    token, password = form.get("token", ""), form.get("password", "")
    try:
        user = await asyncio.to_thread(lambda: service.access.check_link(token))
    except LingtingError as error:
        return _page("Set a password · 设置密码", "", error)
    try:
        if password != form.get("again", ""):
            raise OptionInvalid("The two passwords are not the same.", "Type them again.")
        async with service.signing_in:
            user = await asyncio.to_thread(lambda: service.access.set_password(token, password))
            ticket = await asyncio.to_thread(lambda: service.access.sign_in(user, password))
    except LingtingError as error:
        return _setup(token, user, error)
    return await signed_in(request, service, ticket)


async def signed_in(request: Request, service: Service, ticket: str, to: str = "/") -> Response:
    """The browser gets the new session's cookie; the one that it brought ends, whosever it was."""
    response = RedirectResponse(to, status_code=303)
    await _give_session(request, service, ticket, response)
    return response


async def _give_session(
    request: Request, service: Service, ticket: str, response: Response
) -> None:
    brought = request.cookies.get(cookie_of(service))
    if brought is not None:
        await asyncio.to_thread(lambda: service.access.sign_out(brought))
    response.set_cookie(
        cookie_of(service),
        ticket,
        max_age=int(service.settings.session_hours * 3600),
        path="/",
        secure=service.is_secure,
        httponly=True,
        samesite="strict",
    )


async def _fields(request: Request) -> dict[str, str]:
    """A plain form; the guard has bounded it. Raises BodyInvalid."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BodyInvalid("This address takes a form.")
    try:
        found = parse_qs(
            (await request.body()).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS
        )
    except ValueError as exc:
        raise BodyInvalid("The form cannot be read.") from exc
    return {name: values[0] for name, values in found.items()}


def _page(
    title: str, body: str, problem: LingtingError | None = None, *, head: str = ""
) -> Response:
    told = "" if problem is None else f"<p class=bad role=alert>{escape(str(problem))}</p>"
    html = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{head}<h1>{escape(title)}</h1>{told}{body}"
    )
    headers = {} if problem is None else headers_of(problem)
    return HTMLResponse(html, 200 if problem is None else problem.status, headers)

"""Three plain pages: sign in, set a password by a one-time link, and who is signed in.

They need no script and nothing from elsewhere, and speak the language that was chosen or that the
browser asks for. The token of a link is in the address, so it is told to no other host (see the
headers of guard.py), and what is logged of a request is its route, not its query.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

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
    service_of,
)
from lingting.server.problems import headers_of
from lingting.server.service import Service
from lingting.server.workspace import LANGUAGE_COOKIE, language_of
from lingting.ui.files import words

router = APIRouter(include_in_schema=False)

_MAX_FIELDS = 10
_SHORTEST_PASSWORD = 10
_GOING_COOKIE = "_going"
_LOCALES = {"zh": "zh-CN", "en": "en"}
_STYLE = """
:root{color-scheme:light;--bg:#f6f7f5;--surface:#fff;--text:#17201d;--soft:#52605b;--line:#d9dedb;
--edge:#7d8a85;--accent:#0f6b5c;--on:#fff;--ink:#0b5447;--bad:#a3131c;--bad-soft:#fce8e8}
@media(prefers-color-scheme:dark){:root{color-scheme:dark;--bg:#111614;--surface:#19201d;
--text:#e7ecea;--soft:#a5b1ac;--line:#313b37;--edge:#78857f;--accent:#57c5b0;--on:#06231d;
--ink:#8fe0cf;--bad:#ff9a9a;--bad-soft:#43191b}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-content:center;grid-template-columns:min(25rem,100%);
padding:1.5rem 1rem;background:var(--bg);color:var(--text);font:16px/1.55 system-ui,-apple-system,
"Segoe UI","PingFang SC","Hiragino Sans GB","Noto Sans CJK SC","Microsoft YaHei",sans-serif}
.brand{display:flex;align-items:center;gap:.6rem;margin:0 0 1.2rem;font-weight:700;font-size:1.2rem}
main{background:var(--surface);border:1px solid var(--line);border-radius:14px;padding:1.6rem}
h1{margin:0 0 1rem;font-size:1.35rem;line-height:1.3;font-weight:650}
p{margin:0 0 1rem}a{color:var(--ink);text-underline-offset:.2em}
label{display:block;font-weight:600;font-size:.93rem}
label,input,button,.button{width:100%}
input{display:block;font:inherit;font-weight:400;min-height:2.7rem;padding:.5rem .7rem;
margin:.3rem 0 1rem;color:inherit;background:var(--surface);border:1px solid var(--edge);
border-radius:8px}
button,.button{display:block;font:inherit;font-weight:600;min-height:2.7rem;padding:.55rem 1rem;
border:1px solid var(--accent);border-radius:8px;background:var(--accent);color:var(--on);
cursor:pointer;text-align:center;text-decoration:none}
.button{background:transparent;color:var(--text);border-color:var(--edge)}
button:hover,.button:hover{filter:brightness(1.08)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.hint{color:var(--soft);font-size:.9rem}
.or{display:flex;align-items:center;gap:.8rem;color:var(--soft);font-size:.9rem;margin:1.1rem 0}
.or::before,.or::after{content:"";flex:1;border-top:1px solid var(--line)}
.bad{padding:.65rem .85rem;border-radius:8px;background:var(--bad-soft);color:var(--bad)}
footer{margin:1rem 0 0;text-align:center;font-size:.9rem}
"""
_MARK = (
    '<svg viewBox="0 0 32 32" width=32 height=32 aria-hidden=true><rect width=32 height=32 rx=8 '
    'fill="#0f6b5c"/><path d="M7 14v4M12 10v12M17 6v20M22 11v10M27 14.5v3" stroke="#fff" '
    "stroke-width=2.6 stroke-linecap=round /></svg>"
)


@router.get("/")
async def start(request: Request) -> Response:
    """Where a browser lands."""
    try:
        who = await principal_of(request)
    except SignInNeeded:
        return RedirectResponse("/login", status_code=303)
    if request.app.state.workspace is not None:
        return RedirectResponse("/app/", status_code=303)
    say = Saying(request)
    return _page(
        say,
        say("product"),
        f"<p>{say('entry.signedInAs', user=who.user)}</p>"
        f"<p>{say('entry.api')} <a href=/api/v1/docs>{say('docs')}</a></p>"
        f"<form method=post action=/logout><button>{say('signOut')}</button></form>",
    )


Next = Annotated[str, Query(max_length=2_000)]
"""Where somebody was on the way to."""
Language = Annotated[Literal["zh", "en"] | None, Query()]
"""Asked for by a link of these pages; kept in the cookie that the other pages go by too."""


class Saying:
    """The words of these pages in the language of whoever asks, fit to be put into HTML."""

    def __init__(self, request: Request, language: str | None = None) -> None:
        self.language = language or language_of(request)
        self.is_chosen = language is not None
        self.is_secure = service_of(request).is_secure

    def __call__(self, key: str, **given: str) -> str:
        said = words()[key][self._at]
        for name, value in given.items():
            said = said.replace(f"{{{name}}}", value)
        return escape(said)

    def problem(self, error: LingtingError) -> str:
        """As the pages say it: in Chinese by its code, in English in the error's own words."""
        key = f"error.{error.code}"
        if key not in words():
            return escape(str(error))
        told = self(key, message=error.sentence)
        if (step := f"{key}.next") in words():
            told += " " + self(step, next=error.next_step)
        return told.strip()

    @property
    def _at(self) -> int:
        return 1 if self.language == "zh" else 0


@router.get("/login")
async def login_page(
    request: Request, service: TheService, next: Next = "", language: Language = None
) -> Response:
    return _login(service, Saying(request, language), going=next)


def _place(given: str) -> str:
    """A page of ours, whatever a link says: nobody is sent elsewhere from here."""
    parts = urlsplit(given)
    is_ours = not (parts.scheme or parts.netloc) and given.startswith("/app/")
    return given if is_ours and "\\" not in given and given.isprintable() else "/"


@router.get("/login/oidc")
async def begin_oidc(request: Request, service: TheService, next: Next = "") -> Response:
    """Off to the identity provider, with cookies that only this browser can bring back."""
    try:
        begun = await service.provider.begin()
    except LingtingError as error:
        return _login(service, Saying(request), error, going=next)
    response = RedirectResponse(begun.address, status_code=303)
    cookie = _oidc_cookie(service)
    for name, value in ((cookie, begun.cookie), (cookie + _GOING_COOKIE, quote(_place(next)))):
        response.set_cookie(
            name, value, max_age=int(oidc.PATIENCE_S), path="/",
            secure=service.is_secure, httponly=True, samesite="lax",
        )  # fmt: skip
    return response


@router.get(oidc.CALLBACK)
async def finish_oidc(request: Request, service: TheService) -> Response:
    """Back from the identity provider."""
    settings, say, cookie = service.settings, Saying(request), _oidc_cookie(service)
    going = _place(unquote(request.cookies.get(cookie + _GOING_COOKIE, "")))
    try:
        person = await service.provider.finish(
            request.cookies.get(cookie), dict(request.query_params)
        )
        ticket = await asyncio.to_thread(
            lambda: service.access.sign_in_by_provider(
                person,
                decides_role=bool(settings.oidc_roles),
                decides_department=bool(settings.oidc_departments),
            )
        )
    except LingtingError as error:
        response = _login(service, say, error, going=going)
    else:
        # Not a redirect: a browser that comes from elsewhere would not send the new cookie along.
        to = escape(going, quote=True)
        response = _page(
            say, say("entry.signedIn"), f'<p><a href="{to}">{say("entry.goOn")}</a></p>',
            head=f'<meta http-equiv=refresh content="0;url={to}">',
        )  # fmt: skip
        await _give_session(request, service, ticket, response)
    for name in (cookie, cookie + _GOING_COOKIE):
        response.delete_cookie(
            name, path="/", secure=service.is_secure, httponly=True, samesite="lax"
        )
    return response


def _oidc_cookie(service: Service) -> str:
    return f"{cookie_of(service)}_oidc"


def _login(
    service: Service,
    say: Saying,
    problem: LingtingError | None = None,
    user: str = "",
    going: str = "",
) -> Response:
    to = _place(going)
    query = "" if to == "/" else f"?next={quote(to, safe='')}"
    elsewhere = (
        f"<p class=or>{say('entry.or')}</p>"
        f'<a class=button href="{escape(f"/login/oidc{query}", quote=True)}">'
        f"{say('entry.organisation')}</a>"
        if service.provider.is_set_up
        else ""
    )
    of_user, of_password = ("", " autofocus") if user else (" autofocus", "")
    return _page(
        say,
        say("entry.signIn"),
        f'<form method=post action="{escape(f"/login{query}", quote=True)}">'
        f'<label>{say("entry.user")}<input name=user value="{escape(user)}" autocomplete=username '
        f"autocapitalize=none spellcheck=false required{of_user}></label>"
        f"<label>{say('entry.password')}<input name=password type=password "
        f"autocomplete=current-password required{of_password}></label>"
        f"<button>{say('entry.signIn')}</button></form>{elsewhere}",
        problem,
        languages=f"/login{query}",
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
        return _login(service, Saying(request), error, user, next)
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
    request: Request,
    service: TheService,
    token: Annotated[str, Query(max_length=200)] = "",
    language: Language = None,
) -> Response:
    """Looking at the page does not use the link up: mail programs look at links too."""
    say = Saying(request, language)
    try:
        user = await asyncio.to_thread(lambda: service.access.check_link(token))
    except LingtingError as error:
        return _spent(say, error)
    return _setup(say, token, user)


def _spent(say: Saying, error: LingtingError) -> Response:
    return _page(
        say,
        say("entry.setPassword"),
        f'<a class=button href="/login">{say("entry.toSignIn")}</a>',
        error,
    )


def _setup(
    say: Saying, token: str, user: str, problem: LingtingError | None = None, told: str = ""
) -> Response:
    return _page(
        say,
        say("entry.setPassword"),
        f"<p>{say('entry.forUser', user=user)}</p>"
        "<form method=post action=/setup>"
        f'<input type=hidden name=token value="{escape(token)}">'
        f'<input type=hidden name=user autocomplete=username value="{escape(user)}">'
        f"<label>{say('entry.password')}<input name=password type=password "
        f"minlength={_SHORTEST_PASSWORD} autocomplete=new-password aria-describedby=long required "
        f"autofocus></label><p class=hint id=long>{say('entry.long')}</p>"
        f"<label>{say('entry.again')}<input name=again type=password "
        f"minlength={_SHORTEST_PASSWORD} autocomplete=new-password required></label>"
        f"<button>{say('entry.save')}</button></form>",
        problem,
        told=told,
        languages=f"/setup?token={quote(token, safe='')}",
    )


@router.post("/setup")
async def setup(request: Request, service: TheService) -> Response:
    check_same_origin(request)
    say = Saying(request)
    form = await _fields(request)
    token, password = form.get("token", ""), form.get("password", "")
    try:
        user = await asyncio.to_thread(lambda: service.access.check_link(token))
    except LingtingError as error:
        return _spent(say, error)
    told = ""
    try:
        if password != form.get("again", ""):
            told = say("entry.different")
            raise OptionInvalid("The two passwords are not the same.", "Type them again.")
        if len(password) < _SHORTEST_PASSWORD:
            told = say("entry.short", n=str(len(password)))
        async with service.signing_in:
            user = await asyncio.to_thread(lambda: service.access.set_password(token, password))
            ticket = await asyncio.to_thread(lambda: service.access.sign_in(user, password))
    except LingtingError as error:
        return _setup(say, token, user, error, told)
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
    say: Saying,
    title: str,
    body: str,
    problem: LingtingError | None = None,
    *,
    told: str = "",
    head: str = "",
    languages: str = "",
) -> Response:
    """``title`` and ``body`` are HTML. ``languages`` is where the same is in the other language."""
    sentence = (
        "" if problem is None else f"<p class=bad role=alert>{told or say.problem(problem)}</p>"
    )
    foot = ""
    if languages:
        other, name = ("en", "English") if say.language == "zh" else ("zh", "中文")
        joint = "&" if "?" in languages else "?"
        address = escape(f"{languages}{joint}language={other}", quote=True)
        foot = f'<footer><a href="{address}" hreflang={other} lang={other}>{name}</a></footer>'
    html = (
        f"<!doctype html><html lang={_LOCALES[say.language]}><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{title} · {say('product')}</title><style>{_STYLE}</style>{head}"
        f"<p class=brand>{_MARK}{say('product')}</p>"
        f"<main><h1>{title}</h1>{sentence}{body}</main>{foot}"
    )
    response = HTMLResponse(
        html,
        200 if problem is None else problem.status,
        {} if problem is None else headers_of(problem),
    )
    if say.is_chosen:
        response.set_cookie(
            LANGUAGE_COOKIE, say.language, max_age=365 * 24 * 3600, path="/",
            secure=say.is_secure, samesite="lax",
        )  # fmt: skip
    return response

"""Signing in by an identity provider: a real one, on loopback, that signs with a real key."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwk, jwt
from server_parts import Running, running

from lingting.server import oidc
from lingting.server.access import Access
from lingting.server.accounts import Accounts
from lingting.store import audit

PUBLIC = "https://speech.example.org"


@dataclass
class Provider:
    """Answers as OpenID Connect asks; ``spoil`` changes the claims before they are signed."""

    url: str = ""
    groups: list[str] = field(default_factory=lambda: ["staff"])
    name: str = "Li.Wei@example.org"
    subject: str = "u-1"
    spoil: Callable[[dict[str, Any]], Any] = lambda claims: None
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    is_away: bool = False
    groups_in_userinfo: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    listed: list[str] = field(default_factory=lambda: ["one"])
    signs_with: str = "one"

    def key(self, name: str) -> Any:
        if name not in self.keys:
            self.keys[name] = jwk.RSAKey.generate_key(2048, {"kid": name, "use": "sig"})
        return self.keys[name]

    def authorize(self, address: str) -> dict[str, str]:
        """What a browser that signs in there brings back."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"] == f"{PUBLIC}/login/oidc/callback"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    def token(self, form: dict[str, str], header: str) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        client = base64.b64decode(header.removeprefix("Basic ")).decode()
        if asked is None or asked["code_challenge"] != challenge or client != "lingting:s%3Aecret":
            return 400, {"error": "invalid_grant"}
        assert form["redirect_uri"] == asked["redirect_uri"]
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": "lingting", "sub": self.subject, "exp": now + 300, "iat": now,
            "nonce": asked["nonce"], "preferred_username": self.name, "groups": self.groups,
        }  # fmt: skip
        if self.groups_in_userinfo:
            del claims["groups"]
        self.spoil(claims)
        key = None if self.header["alg"] == "none" else self.key(self.signs_with)
        if key is None:
            parts = [json.dumps(one).encode() for one in (self.header, claims)]
            signed = ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)
            signed += "."
        elif self.header["alg"].startswith("HS"):
            public = self.key("one").as_pem(private=False)
            signed = jwt.encode(
                self.header, claims, jwk.OctKey.import_key(hashlib.sha256(public).digest())
            )
        else:
            signed = jwt.encode(self.header, claims, key)
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": signed}

    def answer(self, path: str, form: dict[str, str], header: str) -> tuple[int, Any]:
        self.asked.append(path)
        if self.is_away:
            return 500, {}
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
            }  # fmt: skip
        if path == "/keys":
            return 200, {"keys": [self.key(one).as_dict(private=False) for one in self.listed]}
        if path == "/userinfo" and header == "Bearer at":
            return 200, {"sub": self.subject, "groups": self.groups}
        return self.token(form, header) if path == "/token" else (404, {})


class _Handler(BaseHTTPRequestHandler):
    ours: Provider

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._reply({name: one[0] for name, one in parse_qs(body).items()})

    def _reply(self, form: dict[str, str]) -> None:
        header = self.headers.get("Authorization", "")
        status, told = self.ours.answer(self.path, form, header)
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def providing() -> Iterator[Provider]:
    ours = Provider()
    handler = type("Handler", (_Handler,), {"ours": ours})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        ours.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield ours
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as found:
        yield found


@pytest.fixture
def service(provider: Provider, tmp_path: Path) -> Iterator[Running]:
    with running(
        tmp_path / "data", oidc_issuer=provider.url, oidc_client_id="lingting",
        oidc_client_secret="s:ecret", public_url=PUBLIC,  # noqa: S106
        oidc_roles={"staff": "member", "chiefs": "manager", "root": "admin"},
        oidc_departments={"team-sales": "sales", "team-law": "law"},
    ) as found:  # fmt: skip
        yield found


def browser(service: Running) -> httpx.Client:
    return httpx.Client(base_url=service.url, follow_redirects=False)


def sign_in(service: Running, provider: Provider, http: httpx.Client) -> httpx.Response:
    """The whole way, as a browser goes it."""
    begun = http.get("/login/oidc")
    assert begun.status_code == 303
    assert begun.headers["location"].startswith(f"{provider.url}/authorize?")
    cookie = begun.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    return http.get("/login/oidc/callback", params=provider.authorize(begun.headers["location"]))


def test_one_comes_back_to_where_one_was_on_the_way_to(
    service: Running, provider: Provider
) -> None:
    for going, lands in (
        ("/app/recordings?q=x&owner=li", "/app/recordings?q=x&amp;owner=li"),
        ("https://elsewhere.test/", "/"),
        ("//elsewhere.test", "/"),
    ):
        with browser(service) as http:
            begun = http.get("/login/oidc", params={"next": going})
            answer = provider.authorize(begun.headers["location"])
            done = http.get("/login/oidc/callback", params=answer)
            assert f'content="0;url={lands}"' in done.text
            assert "lingting_session_oidc_going" not in http.cookies
    with browser(service) as http:
        begun = http.get("/login/oidc", params={"next": "/app/batch"})
        refused = http.get("/login/oidc/callback", params={"error": "access_denied"})
        assert refused.status_code == 401
        assert 'action="/login?next=%2Fapp%2Fbatch"' in refused.text
        assert 'href="/login/oidc?next=%2Fapp%2Fbatch"' in refused.text


def test_the_whole_way(service: Running, provider: Provider) -> None:
    provider.groups = ["staff", "team-sales", "choir"]
    assert provider.asked == [], "nobody is asked before somebody signs in"
    with browser(service) as http:
        assert "/login/oidc" in http.get("/login").text
        done = sign_in(service, provider, http)
        assert done.status_code == 200
        assert "SameSite=strict" in done.headers["set-cookie"]
        assert "lingting_session_oidc" not in http.cookies
        me = http.get("/api/v1/users/me").json()
        assert (me["user"], me["role"], me["department"]) == ("li.wei", "member", "sales")
        assert me["scopes"] == ["read", "write", "search"]
        # Next time the provider knows better, and the name there does not matter.
        provider.groups, provider.name = ["chiefs", "staff", "team-law"], "another"
        assert sign_in(service, provider, http).status_code == 200
        me = http.get("/api/v1/users/me").json()
        assert (me["user"], me["role"], me["department"]) == ("li.wei", "manager", "law")
    (user,) = [one for one in Accounts(service.service.store).users() if one.name == "li.wei"]
    assert user.has_single_sign_on
    assert not user.has_password
    with service.service.store.database.read() as session:
        rows = audit.entries(session, limit=50)
    done_by = [one.action for one in rows if one.actor == "li.wei"]
    assert done_by.count("sign_in") == 2
    assert "user.changed" in done_by


def test_groups_may_be_told_apart(service: Running, provider: Provider) -> None:
    provider.groups_in_userinfo, provider.groups = True, ["root"]
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 200
        assert http.get("/api/v1/users/me").json()["role"] == "admin"


def test_who_is_in_no_group_is_refused(service: Running, provider: Provider) -> None:
    provider.groups = ["choir"]
    with browser(service) as http:
        refused = sign_in(service, provider, http)
        assert refused.status_code == 401
        assert "lingting_session" not in http.cookies
    assert [one.name for one in Accounts(service.service.store).users()] == ["admin"]


@pytest.mark.parametrize("name", ["admin", "anna", "me", "", "；"])
def test_nobody_takes_another_users_name(service: Running, provider: Provider, name: str) -> None:
    Accounts(service.service.store).add_user("anna")
    provider.name, provider.groups = name, ["root"]
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 401
    assert {one.name for one in Accounts(service.service.store).users()} == {"admin", "anna"}


def test_a_disabled_user_stays_out(service: Running, provider: Provider) -> None:
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 200
        Accounts(service.service.store).disable_user("li.wei")
        assert sign_in(service, provider, http).status_code == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda claims: claims.update(iss="https://evil.example"),
        lambda claims: claims.update(aud="another"),
        lambda claims: claims.update(aud=["lingting", "another"]),
        lambda claims: claims.update(aud=["lingting", "another"], azp="another"),
        lambda claims: claims.update(nonce="other"),
        lambda claims: claims.pop("nonce"),
        lambda claims: claims.update(exp=int(time.time()) - 3_600),
        lambda claims: claims.pop("exp"),
        lambda claims: claims.update(iat=int(time.time()) + 3_600),
        lambda claims: claims.pop("sub"),
        lambda claims: claims.update(sub=""),
    ],
)
def test_tokens_that_are_not_for_us(
    service: Running, provider: Provider, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    provider.spoil = spoil
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 401
        assert "lingting_session" not in http.cookies


@pytest.mark.parametrize(
    ("header", "signs_with"),
    [
        ({"alg": "RS256", "kid": "one"}, "two"),
        ({"alg": "RS256", "kid": "two"}, "two"),
        ({"alg": "none"}, "one"),
        ({"alg": "HS256", "kid": "one"}, "one"),
    ],
)
def test_tokens_that_are_not_signed_by_the_provider(
    service: Running, provider: Provider, header: dict[str, str], signs_with: str
) -> None:
    provider.header, provider.signs_with = header, signs_with
    provider.key("two")
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 401


def test_new_keys_of_the_provider_are_fetched(
    service: Running, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "_KEYS_AGAIN_S", 0.0)
    with browser(service) as http:
        assert sign_in(service, provider, http).status_code == 200
        provider.listed, provider.signs_with = ["two"], "two"
        provider.header = {"alg": "RS256", "kid": "two"}
        assert sign_in(service, provider, http).status_code == 200


def test_what_was_begun_elsewhere_is_refused(service: Running, provider: Provider) -> None:
    """State and cookie belong together: nobody is signed in as somebody else."""
    with browser(service) as attacker, browser(service) as victim:
        begun = attacker.get("/login/oidc")
        answer = provider.authorize(begun.headers["location"])
        assert victim.get("/login/oidc/callback", params=answer).status_code == 401
        victim.get("/login/oidc")
        assert victim.get("/login/oidc/callback", params=answer).status_code == 401
        for wrong in (
            {**answer, "state": "x"}, {"error": "access_denied", "state": answer["state"]},
            {**answer, "iss": "https://evil.example"}, {**answer, "code": "made-up"}, {},
        ):  # fmt: skip
            attacker.get("/login/oidc")
            assert attacker.get("/login/oidc/callback", params=wrong).status_code == 401


def test_a_code_is_good_once(service: Running, provider: Provider) -> None:
    with browser(service) as http:
        begun = http.get("/login/oidc")
        answer = provider.authorize(begun.headers["location"])
        cookie = http.cookies["lingting_session_oidc"]
        assert http.get("/login/oidc/callback", params=answer).status_code == 200
        http.cookies.set("lingting_session_oidc", cookie)
        again = http.get("/login/oidc/callback", params=answer)
        assert again.status_code == 401
        address = f"/login/oidc/callback?{urlencode({'state': '<script>', 'code': '<script>'})}"
        assert "<script" not in http.get(address).text


def test_a_provider_that_is_away(service: Running, provider: Provider) -> None:
    provider.is_away = True
    with browser(service) as http:
        answer = http.get("/login/oidc")
        assert answer.status_code == 503
        assert provider.url not in answer.text
        provider.is_away = False
        assert http.get("/login/oidc").status_code == 303


def test_a_provider_that_calls_itself_otherwise(provider: Provider, tmp_path: Path) -> None:
    address = provider.url.replace("127.0.0.1", "localhost")
    with running(
        tmp_path / "data", oidc_issuer=address, oidc_client_id="lingting", public_url=PUBLIC
    ) as found, browser(found) as http:  # fmt: skip
        assert http.get("/login/oidc").status_code == 503


def test_without_a_provider_there_is_none(tmp_path: Path) -> None:
    with running(tmp_path / "data") as found, browser(found) as http:
        assert "/login/oidc" not in http.get("/login").text
        assert http.get("/login/oidc").status_code == 400
        assert isinstance(found.service.access, Access)

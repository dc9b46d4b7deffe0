"""Signing in by an OpenID Connect provider, where one is set up.

The authorization code flow with PKCE (RFC 7636), as OpenID Connect Core 1.0 describes it:
discovery, state bound to the browser by a cookie, nonce, a signed ID token whose issuer, audience
and times are checked. Only the provider's own addresses are asked, and nothing is asked before
somebody signs in. Who somebody is here is told by issuer and subject, never by a name or address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from lingting.config import Settings
from lingting.errors import OptionInvalid, ProviderUnreachable, SignInRefused
from lingting.store.records import ROLES, Role

CALLBACK = "/login/oidc/callback"
PATIENCE_S = 600.0
"""How long somebody may take at the provider."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
_LEEWAY_S = 60
_ASK_S = 10.0
_ANSWER_BYTES = 1 << 20
_KEYS_S = 3600.0
_KEYS_AGAIN_S = 30.0
_MOST_GROUPS = 1_000
_UNFIT = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way: where to send the browser, and what it has to bring back."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the provider vouches for."""

    subject: str
    """Issuer and the id there."""
    name: str
    """What to call somebody who comes for the first time."""
    role: Role
    department: str | None


class Provider:
    """The provider of the settings. Lives on one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()
        self._found: Mapping[str, Any] | None = None
        self._keys: tuple[float, Any] | None = None

    @property
    def is_set_up(self) -> bool:
        now = self._settings
        return bool(now.oidc_issuer and now.oidc_client_id and now.public_url)

    async def begin(self) -> Begun:
        """Raises ProviderUnreachable, OptionInvalid where none is set up."""
        found = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._settings.oidc_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        address = found["authorization_endpoint"]
        joint = "&" if urlsplit(address).query else "?"
        return Begun(f"{address}{joint}{urlencode(asked)}", f"{state}.{nonce}.{verifier}")

    async def finish(self, cookie: str | None, answer: Mapping[str, str]) -> Person:
        """``answer`` is what the browser brought back. Raises SignInRefused and the same."""
        state, nonce, verifier = _parts(cookie)
        if not hmac.compare_digest(state.encode(), answer.get("state", "").encode()):
            raise SignInRefused("The sign-in was begun in another browser, or long ago.")
        if "error" in answer or not answer.get("code"):
            raise SignInRefused("The provider did not let you sign in.")
        if answer.get("iss", self._settings.oidc_issuer) != self._settings.oidc_issuer:
            raise SignInRefused("Another provider answered.")
        found = await self._discover()
        told = await self._exchange(found, answer["code"], verifier)
        claims = await self._claims(found, str(told.get("id_token", "")), nonce)
        if not _has(claims, self._settings.oidc_groups_claim, self._settings.oidc_user_claim):
            claims = await self._more(found, claims, str(told.get("access_token", "")))
        return self._person(claims)

    # The provider ------------------------------------------------------------------------------

    @property
    def _redirect_uri(self) -> str:
        return f"{str(self._settings.public_url).rstrip('/')}{CALLBACK}"

    async def _discover(self) -> Mapping[str, Any]:
        if not self.is_set_up:
            raise OptionInvalid(
                "No identity provider is set up here.",
                "Set LINGTING_OIDC_ISSUER, LINGTING_OIDC_CLIENT_ID and LINGTING_PUBLIC_URL.",
            )
        async with self._turn:
            if self._found is None:
                issuer = str(self._settings.oidc_issuer)
                address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
                found = await _asked("GET", address)
                if found.get("issuer") != issuer:
                    raise ProviderUnreachable("The provider calls itself by another address.")
                scheme = urlsplit(issuer).scheme
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    if urlsplit(str(found.get(name, ""))).scheme != scheme:
                        raise ProviderUnreachable("The provider tells no addresses of its own.")
                self._found = found
            return self._found

    async def _exchange(
        self, found: Mapping[str, Any], code: str, verifier: str
    ) -> Mapping[str, Any]:
        now = self._settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
            "client_id": str(now.oidc_client_id),
        }
        auth = None
        if now.oidc_client_secret is not None:
            secret = now.oidc_client_secret.get_secret_value()
            ways = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in ways:
                auth = httpx.BasicAuth(_quoted(str(now.oidc_client_id)), _quoted(secret))
            else:
                form["client_secret"] = secret
        return await _asked("POST", found["token_endpoint"], data=form, auth=auth)

    async def _claims(self, found: Mapping[str, Any], token: str, nonce: str) -> Mapping[str, Any]:
        """The claims of an ID token that is whole, for us, for this sign-in, and of now."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        client = str(self._settings.oidc_client_id)
        rules = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": str(self._settings.oidc_issuer)},
            aud={"essential": True, "value": client},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        for is_again in (False, True):
            keys = await self._key_set(found, is_again=is_again)
            try:
                claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
                rules.validate(claims)
            except (JoseError, ValueError, KeyError, TypeError) as exc:
                if is_again:
                    raise SignInRefused("What the provider said could not be verified.") from exc
                continue  # it may have new keys
            if isinstance(claims["aud"], list) and claims.get("azp", client) != client:
                raise SignInRefused("What the provider said is for another service.")
            if len(claims["aud"]) > 1 and isinstance(claims["aud"], list) and "azp" not in claims:
                raise SignInRefused("What the provider said is for other services too.")
            return claims
        raise AssertionError  # the second turn ends it

    async def _key_set(self, found: Mapping[str, Any], *, is_again: bool) -> Any:
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        async with self._turn:
            now_s = time.monotonic()
            age_s = _KEYS_S if self._keys is None else now_s - self._keys[0]
            if self._keys is None or age_s > (_KEYS_AGAIN_S if is_again else _KEYS_S):
                told = await _asked("GET", found["jwks_uri"])
                try:
                    keys = KeySet.import_key_set(told)  # type: ignore[arg-type]
                except (JoseError, ValueError, KeyError, TypeError) as exc:
                    raise ProviderUnreachable("The provider's keys cannot be read.") from exc
                self._keys = (now_s, keys)
            return self._keys[1]

    async def _more(
        self, found: Mapping[str, Any], claims: Mapping[str, Any], token: str
    ) -> Mapping[str, Any]:
        """What the provider tells apart from the token; of the same subject only."""
        address = found.get("userinfo_endpoint")
        if (
            not token
            or urlsplit(str(address or "")).scheme
            != urlsplit(str(self._settings.oidc_issuer)).scheme
        ):
            return claims
        told = await _asked(
            "GET", str(address), headers={"Authorization": f"Bearer {token}"}
        )  # fmt: skip
        if told.get("sub") != claims["sub"]:
            raise SignInRefused("The provider spoke of two people.")
        return {**told, **claims}

    # Who they are here -------------------------------------------------------------------------

    def _person(self, claims: Mapping[str, Any]) -> Person:
        """Raises SignInRefused for somebody who has no role here."""
        now = self._settings
        listed = claims.get(now.oidc_groups_claim) or []
        groups = {str(one) for one in (listed if isinstance(listed, list) else [listed])}
        if len(groups) > _MOST_GROUPS:
            raise SignInRefused("The provider lists too many groups.")
        roles = [role for group, role in now.oidc_roles.items() if group in groups]
        if not roles and now.oidc_default_role is not None:
            roles = [now.oidc_default_role]
        if not roles:
            raise SignInRefused("You are in no group that may use this service.")
        theirs = sorted(set(now.oidc_departments) & groups)
        departments = [now.oidc_departments[group] for group in theirs]
        name = _UNFIT.sub("-", str(claims.get(now.oidc_user_claim) or "").partition("@")[0].lower())
        return Person(
            subject=f"{now.oidc_issuer} {claims['sub']}",
            name=name.strip("._-")[:40],
            role=max(roles, key=ROLES.index),
            department=departments[0] if departments else None,
        )


async def _asked(method: str, address: str, **arguments: Any) -> Mapping[str, Any]:
    """A JSON object of the provider's. Raises ProviderUnreachable; nothing of it is told on."""
    try:
        async with (
            httpx.AsyncClient(timeout=_ASK_S, trust_env=False, follow_redirects=False) as client,
            client.stream(method, address, **arguments) as answer,
        ):
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _ANSWER_BYTES:
                    raise ProviderUnreachable("The provider said too much.")
            if answer.is_client_error and method == "POST":
                raise SignInRefused("The provider did not take the code back.")
            answer.raise_for_status()
            told = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        raise ProviderUnreachable("The identity provider did not answer as it should.") from exc
    if not isinstance(told, dict):
        raise ProviderUnreachable("The identity provider did not answer as it should.")
    return told


def _parts(cookie: str | None) -> tuple[str, str, str]:
    parts = (cookie or "").split(".")
    if len(parts) != 3 or not all(parts):
        raise SignInRefused("The sign-in was begun in another browser, or long ago.")
    return parts[0], parts[1], parts[2]


def _has(claims: Mapping[str, Any], *names: str) -> bool:
    return all(name in claims for name in names)


def _quoted(value: str) -> str:
    """As RFC 6749, 2.3.1 wants names and secrets of clients."""
    from urllib.parse import quote_plus

    return quote_plus(value)

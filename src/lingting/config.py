"""Settings: ``LINGTING_*`` variables first, then an optional ``lingting.toml``, then the defaults.

The file is the one LINGTING_CONFIG names, else ``lingting/lingting.toml`` in the user's
configuration folder (``$XDG_CONFIG_HOME`` or ``~/.config``). The working directory is never
searched: running Lingting inside a stranger's folder must not let it decide where models live.

A name nobody knows is refused, in both places, so a misspelt setting is never silently ignored.
:func:`settings` reads everything anew at each call (well under a millisecond without a file), so
a changed environment is a changed setting and nothing has to be patched at import sites.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from lingting.errors import OptionInvalid, OptionUnknown

PREFIX = "LINGTING_"
_LONGEST_RUN_FOLDER = 90
CONFIG_VARIABLE = "LINGTING_CONFIG"
"""Names the file to read instead of the user's own; it is no setting itself."""


def _data_home() -> Path:
    """``$XDG_DATA_HOME`` when it is absolute, as the XDG specification asks, else its default."""
    configured = os.environ.get("XDG_DATA_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".local" / "share"
    return base / "lingting"


def _config_file() -> Path | None:
    """The file to read, or None; OptionInvalid when LINGTING_CONFIG names nothing readable."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise OptionInvalid(
                f"{CONFIG_VARIABLE} does not name a readable file.", "Correct or unset it."
            )
        return path
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".config"
    path = base / "lingting" / "lingting.toml"
    return path if path.is_file() else None


class Settings(BaseSettings):
    """Everything that can be set from outside. Frozen; make one with :func:`settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    home: Path = Field(default_factory=_data_home)
    """Where models and everything else that is kept live."""
    offline: bool = False
    """Nothing is downloaded: models are imported from folders. A server you name is still asked."""
    data_dir: Path | None = None
    """Where kept recordings and their database live; unset, the folder ``data`` of the home."""
    database_url: SecretStr | None = None
    """A Postgres database for the history, instead of an SQLite file in the data folder."""
    keep: bool = False
    """`lingting transcribe` keeps every recording and transcript in the history."""
    max_duration_s: float = Field(default=12 * 3600.0, gt=0, allow_inf_nan=False)
    """The longest recording accepted, in seconds."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """CPU threads of an engine; unset, it takes what the machine has."""
    remote_key: SecretStr | None = None
    """The key sent to a server that recognises for us; it is never shown."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """The least severe log records that are written."""
    log_format: Literal["auto", "json", "human"] = "auto"
    """How log records are written; auto: for people on a terminal, else as JSON lines."""
    metrics_token: SecretStr | None = None
    """What Prometheus shows at `/metrics`; unset, only this machine reads them, by no proxy."""
    otel_endpoint: str | None = None
    """Where traces go (OTLP over HTTP); unset, nothing is traced."""
    backup_dir: Path | None = None
    """Where backups made by the API lie; unset, the folder `backups` of the data folder."""
    blob_url: str | None = None
    """An S3-compatible store for the audio, instead of a folder in the data folder."""
    blob_cache_bytes: int = Field(default=10 * 1024**3, ge=0)
    """What copies of audio from that store may take in the data folder, in bytes."""
    host: str = "127.0.0.1"
    """The address that the service listens on."""
    port: int = Field(default=7860, ge=1, le=65_535)
    """The port that the service listens on."""
    behind_proxy: bool = False
    """A proxy in front of the service speaks TLS; without one, only this machine is served."""
    pages: bool = True
    """The pages for browsers at /app; without them the web process is an API only."""
    tls_certificate: Path | None = None
    """The certificate, with its chain, that the service shows; PEM."""
    tls_key: Path | None = None
    """The private key of that certificate; PEM."""
    server: str = "http://127.0.0.1:7860"
    """The service that `lingting submit`, `jobs` and `watch` speak to."""
    server_key: SecretStr | None = None
    """The key for that service; unset, the one that the service of this user leaves here."""
    max_upload_bytes: int = Field(default=4 * 1024**3, ge=1024)
    """The largest file that is taken, in bytes."""
    open_uploads: int = Field(default=32, ge=1, le=10_000)
    """Unfinished resumable uploads that one user may have."""
    upload_expires_s: float = Field(default=24 * 3600.0, ge=60, allow_inf_nan=False)
    """An unfinished resumable upload is removed when nothing came for it for so many seconds."""
    url_hosts: tuple[str, ...] = ()
    """Hosts that recordings may be fetched from by address; unset, none."""
    url_timeout_s: float = Field(default=600.0, gt=0, le=86_400)
    """How long fetching one recording by address may take, in seconds."""
    outbound_networks: tuple[str, ...] = ()
    """Internal networks that webhooks and fetched addresses may lie in; unset, none."""
    engines: tuple[str, ...] = ()
    """Addresses of the engine hosts that share the work; unset, the one on this machine."""
    model: str = "auto"
    """The model of the service."""
    device: str = "auto"
    """Where the service's model runs: auto, cpu, cuda, cuda:1 or mps."""
    compute: str = "auto"
    """The numbers the service's model computes with: auto, int8, float32, bfloat16 or float16."""
    engine_queue_s: float = Field(default=1800.0, gt=0, allow_inf_nan=False)
    """Seconds of audio that may wait in an engine host."""
    engine_batch_s: float | None = Field(default=None, ge=1, le=3600, allow_inf_nan=False)
    """The most seconds of audio that are recognised together; unset, what the model likes."""
    worker_slots: int = Field(default=48, ge=1, le=1024)
    """Recordings that a worker has under way at a time."""
    readers: int = Field(default=2, ge=1, le=256)
    """Processes of a worker that read recordings and find speech."""

    requests_per_minute: float = Field(default=1200.0, ge=0, allow_inf_nan=False)
    """Requests that a user may send in a minute, by all their keys; 0: no limit."""
    audio_s_per_day: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds of audio that are recognised for a user in a day (UTC); 0: no limit."""
    stored_bytes: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Bytes of audio that a user may keep; 0: no limit."""
    session_hours: float = Field(default=168.0, gt=0, le=8760, allow_inf_nan=False)
    """How long somebody who signed in stays so."""
    public_url: str | None = None
    """The address by which browsers reach the service; an identity provider needs it."""
    oidc_issuer: str | None = None
    """The address of an OpenID Connect provider by which people may sign in."""
    oidc_client_id: str | None = None
    """What the provider calls this service."""
    oidc_client_secret: SecretStr | None = None
    """The secret that the provider gave for it; unset for a public client."""
    oidc_scopes: str = "openid profile email"
    """What the provider is asked for."""
    oidc_user_claim: str = "preferred_username"
    """The claim that names a user who comes for the first time."""
    oidc_groups_claim: str = "groups"
    """The claim that lists the groups of a user."""
    oidc_roles: dict[str, Literal["service", "member", "manager", "admin"]] = {}
    """Groups and the roles they have here; of several, the one that may do most."""
    oidc_departments: dict[str, str] = {}
    """Groups and the departments they are here; of several, the first by name."""
    oidc_default_role: Literal["member", "manager"] | None = None
    """The role of who is in none of those groups; unset, they are refused."""

    @field_validator("outbound_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            ip_network(one)
        return value

    @field_validator("home", "data_dir", "backup_dir")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @property
    def data_folder(self) -> Path:
        """``data_dir``, or its default."""
        return self.data_dir or self.home / "data"

    @property
    def backups_folder(self) -> Path:
        """``backup_dir``, or its default."""
        return self.backup_dir or self.data_folder / "backups"

    @property
    def models_dir(self) -> Path:
        return self.home / "models"

    @property
    def logs_folder(self) -> Path:
        """Where the processes of the service write what they did."""
        return self.data_folder / "logs"

    @property
    def run_folder(self) -> Path:
        """Sockets and process files of the service that runs on this data folder.

        A Unix socket's path has at most 107 bytes; below a longer data folder the place is a folder
        of this user in the system's temporary folder, named by the data folder's digest.
        """
        folder = self.data_folder / "run"
        if len(os.fsencode(folder)) <= _LONGEST_RUN_FOLDER:
            return folder
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"lingting-{os.getuid()}-{digest}"

    @property
    def engine_socket(self) -> Path:
        """Where the engine host of this machine listens."""
        return self.run_folder / "engine.sock"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = _config_file()
        if path is None:
            return (init_settings, env_settings)
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path))


_ALLOWED = {
    "home": "a folder",
    "offline": "1 or 0",
    "data_dir": "a folder",
    "database_url": "postgresql://user:password@host/name",
    "keep": "1 or 0",
    "max_duration_s": "seconds above 0",
    "threads": "1 to 1024",
    "remote_key": "what the server's owner gave out",
    "log_level": "debug, info, warning or error",
    "log_format": "auto, json or human",
    "metrics_token": "what Prometheus sends as a bearer token",
    "otel_endpoint": "http://host:4318/v1/traces",
    "backup_dir": "a folder",
    "blob_url": "s3://bucket/prefix",
    "blob_cache_bytes": "0 and more",
    "host": "an address of this machine",
    "port": "1 to 65535",
    "behind_proxy": "1 or 0",
    "pages": "1 or 0",
    "tls_certificate": "a file",
    "tls_key": "a file",
    "server": "http://host:port",
    "server_key": "a key of that service",
    "max_upload_bytes": "1024 and more",
    "open_uploads": "1 to 10000",
    "upload_expires_s": "60 and more",
    "url_hosts": 'a list of hosts, as ["media.example.org", "*.example.com"]',
    "url_timeout_s": "seconds above 0, at most 86400",
    "outbound_networks": 'a list of networks, as ["10.1.0.0/16"]',
    "engines": 'a list of addresses, as ["unix:/run/a.sock", "http://gpu:8000"]',
    "model": "a model's name",
    "device": "auto, cpu, cuda, cuda:1 or mps",
    "compute": "auto, int8, float32, bfloat16 or float16",
    "engine_queue_s": "seconds above 0",
    "engine_batch_s": "seconds, 1 to 3600",
    "worker_slots": "1 to 1024",
    "readers": "1 to 256",
    "requests_per_minute": "0 and more",
    "audio_s_per_day": "0 and more",
    "stored_bytes": "0 and more",
    "session_hours": "hours above 0, at most 8760",
    "public_url": "https://host",
    "oidc_issuer": "https://host",
    "oidc_client_id": "a text",
    "oidc_client_secret": "what the provider gave out",
    "oidc_scopes": "words, openid among them",
    "oidc_user_claim": "the name of a claim",
    "oidc_groups_claim": "the name of a claim",
    "oidc_roles": 'an object of groups and roles, as {"speech-admins": "admin"}',
    "oidc_departments": 'an object of groups and departments, as {"sales-team": "sales"}',
    "oidc_default_role": "member or manager",
}


def settings(**overrides: Any) -> Settings:
    """The settings as they are now; ``overrides`` win over environment and file.

    Raises OptionUnknown for a name nobody knows, OptionInvalid for a value out of range.
    """
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        raise _translated(exc) from exc
    except tomllib.TOMLDecodeError as exc:
        raise OptionInvalid("lingting.toml cannot be read as TOML.", "Correct the file.") from exc
    except OSError as exc:
        raise OptionInvalid(
            "lingting.toml cannot be read.", "Check the permissions of the file."
        ) from exc


def allowed(name: str) -> str:
    """What a setting may be, in words."""
    return _ALLOWED[name]


def variables() -> tuple[str, ...]:
    """Every environment variable that is read, sorted."""
    return tuple(sorted({CONFIG_VARIABLE, *(PREFIX + name.upper() for name in _ALLOWED)}))


def _refuse_unknown_variables() -> None:
    known = set(variables())
    for name in os.environ:
        upper = name.upper()
        if upper.startswith(PREFIX) and upper not in known:
            raise _unknown(name, sorted(known))


def _unknown(name: str, known: list[str]) -> OptionUnknown:
    near = difflib.get_close_matches(name.upper(), [item.upper() for item in known], n=1)
    hint = next((item for item in known if near and item.upper() == near[0]), None)
    shown = name[:60]
    listing = ", ".join(known)
    return OptionUnknown(
        f"{shown} is not a setting; there are {listing}.",
        f"Did you mean {hint}?" if hint else "Unset it.",
    )


def _translated(exc: ValidationError) -> OptionUnknown | OptionInvalid:
    """The first complaint as a sentence. Values stay out of it: a path may be private."""
    error = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return _unknown(name, sorted(_ALLOWED))
    return OptionInvalid(
        f"{PREFIX}{name.upper()} has a value that is not allowed; allowed is {_ALLOWED[name]}.",
        f"Correct {PREFIX}{name.upper()}, or {name} in lingting.toml.",
    )

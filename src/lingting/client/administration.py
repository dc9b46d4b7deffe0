"""Looking after a service from Python: people, keys, limits, retention and the audit trail.

>>> with Client() as client:
...     client.admin.add_user("wang", role="member", department="sales")
...     secret = client.admin.make_key("laptop", user="wang", days=90).secret

Most of it needs an administrator's key; managers see what is their department's. Whatever the
service refuses is raised as the error it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType
from typing import IO, TYPE_CHECKING, Any, Literal

from lingting.answers import (
    AuditPage,
    Backup,
    EngineState,
    Key,
    MadeKey,
    Me,
    ModelState,
    Retention,
    Setting,
    System,
    User,
    Verdict,
)
from lingting.client.values import model_from, recording_from, system_from, value_from
from lingting.store.records import AuditEntry, Department, Limits, Recording, Role

if TYPE_CHECKING:
    from lingting.client.client import Client


class Administration:
    """``Client.admin``."""

    def __init__(self, client: Client) -> None:
        self._ask = client.ask
        self._client = client

    def me(self) -> Me:
        """Whose key this is."""
        told = self._ask("GET", "/users/me")
        return value_from(Me, {**told, "limits": value_from(Limits, told["limits"])})

    # Users and departments ---------------------------------------------------------------------

    def users(self) -> list[User]:
        """By name; a manager is told those of the department."""
        return [value_from(User, one) for one in self._ask("GET", "/users")["items"]]

    def user(self, name: str) -> User:
        """Raises UserNotFound."""
        return value_from(User, self._ask("GET", "/users", name))

    def add_user(
        self,
        name: str,
        *,
        role: Role | None = None,
        scopes: Sequence[str] | None = None,
        department: str | None = None,
    ) -> User:
        """A member without a password, unless told otherwise; see ``link``."""
        body = {"name": name, "role": role, "scopes": scopes, "department": department}
        return value_from(User, self._ask("POST", "/users", json=body))

    def change_user(
        self,
        name: str,
        *,
        role: Role | None = None,
        scopes: Sequence[str] | None = None,
        department: str | EllipsisType | None = ...,
        limits: Mapping[str, float | None] | None = None,
    ) -> User:
        """What is left out stays; works within two seconds. ``department=None``: in none."""
        body: dict[str, Any] = {"role": role, "scopes": scopes, "limits": limits}
        body = {key: one for key, one in body.items() if one is not None}
        if department is not ...:
            body["department"] = department
        return value_from(User, self._ask("PATCH", "/users", name, json=body))

    def disable_user(self, name: str) -> User:
        """Sessions and keys end; what the user gave stays."""
        return value_from(User, self._ask("POST", "/users", name, "disable"))

    def enable_user(self, name: str) -> User:
        return value_from(User, self._ask("POST", "/users", name, "enable"))

    def link(self, name: str) -> str:
        """The path, with its secret, by which the user sets a password: once, in 24 hours."""
        return str(self._ask("POST", "/users", name, "link")["path"])

    def end_sessions(self, name: str) -> int:
        """Sign somebody out everywhere; how many sessions."""
        return int(self._ask("DELETE", "/users", name, "sessions")["ended"])

    def departments(self) -> list[Department]:
        """One's own; for administrators all of them."""
        return [value_from(Department, one) for one in self._ask("GET", "/departments")["items"]]

    def add_department(self, name: str, *, is_shared: bool = False) -> Department:
        body = {"name": name, "is_shared": is_shared}
        return value_from(Department, self._ask("POST", "/departments", json=body))

    def share_department(self, name: str, is_shared: bool) -> Department:
        """Whether its members read one another's recordings. Raises DepartmentNotFound."""
        body = {"is_shared": is_shared}
        return value_from(Department, self._ask("PATCH", "/departments", name, json=body))

    # Keys --------------------------------------------------------------------------------------

    def keys(self) -> list[Key]:
        """Those one looks after, the newest first, without their secrets."""
        return [value_from(Key, one) for one in self._ask("GET", "/keys")["items"]]

    def make_key(
        self,
        name: str,
        *,
        user: str | None = None,
        scopes: Sequence[str] = ("read", "write"),
        days: int | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> MadeKey:
        """A key that may do no more than its user. Raises NotAllowed, OptionInvalid."""
        body = {
            "name": name, "user": user, "scopes": list(scopes), "days": days, "limits": limits,
        }  # fmt: skip
        told = self._ask("POST", "/keys", json=body)
        return MadeKey(value_from(Key, told["key"]), told["secret"])

    def revoke_key(self, id: str) -> Key:
        """It works no longer, within two seconds everywhere. Raises KeyNotFound."""
        return value_from(Key, self._ask("DELETE", "/keys", id))

    # The service -------------------------------------------------------------------------------

    def settings(self) -> list[Setting]:
        """All of them as they are in force; secrets are only told to be set."""
        return [value_from(Setting, one) for one in self._ask("GET", "/settings")["items"]]

    def retention(self) -> Retention:
        return value_from(Retention, self._ask("GET", "/retention"))

    def set_retention(self, rules: Sequence[Mapping[str, Any]]) -> Retention:
        """Take the place of all rules."""
        return value_from(Retention, self._ask("PUT", "/retention", json={"rules": list(rules)}))

    def hold(self, recording_id: str) -> Recording:
        """A legal hold: neither deleted nor purged."""
        return recording_from(self._ask("POST", "/recordings", recording_id, "hold"))

    def release(self, recording_id: str) -> Recording:
        return recording_from(self._ask("POST", "/recordings", recording_id, "release"))

    def audit(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        action: str | None = None,
        object_id: str | None = None,
    ) -> AuditPage:
        """What was done, the newest first."""
        asked = {"limit": limit, "before": before, "action": action, "object": object_id}
        params = {key: one for key, one in asked.items() if one is not None}
        told = self._ask("GET", "/audit", params=params)
        return AuditPage(tuple(value_from(AuditEntry, one) for one in told["items"]), told["next"])

    def verify_audit(self, anchor: str | None = None) -> Verdict:
        """Whether the trail is whole, and still has the row of an earlier ``anchor``.

        Keep the ``anchor`` of the answer somewhere else.
        """
        params = {} if anchor is None else {"anchor": anchor}
        return value_from(Verdict, self._ask("GET", "/audit", "verify", params=params))

    def change_settings(self, **values: Any) -> list[Setting]:
        """Limits of everybody at once, others when their processes start again.

        None takes back what was set; 0 is no limit.
        """
        told = self._ask("PATCH", "/settings", json=values)
        return [value_from(Setting, one) for one in told["items"]]

    def system(self) -> System:
        """The machine, the processes, and samples of the last hour."""
        return system_from(self._ask("GET", "/system"))

    def restart(self, process: Literal["web", "worker", "engine"]) -> None:
        """Of `lingting serve`, in good order. Raises RequestConflict where something else runs."""
        self._client.do("POST", "/processes", process, "restart")

    # Models and engine hosts -------------------------------------------------------------------

    def models(self) -> list[ModelState]:
        """The catalogue's, and what engine hosts serve besides."""
        return [model_from(one) for one in self._ask("GET", "/models")["items"]]

    def engines(self) -> list[EngineState]:
        """The hosts that are set up, with their memory."""
        return [value_from(EngineState, one) for one in self._ask("GET", "/models")["engines"]]

    def model(self, name: str) -> ModelState:
        """Raises ModelUnknown."""
        return model_from(self._ask("GET", "/models", name))

    def load_model(self, name: str, *, engine: str | None = None) -> ModelState:
        """On every host that has it, or on one; its state says when it is ready."""
        return self._order(name, "load", engine)

    def unload_model(self, name: str, *, engine: str | None = None) -> ModelState:
        """Raises EngineBusy while clips wait for it."""
        return self._order(name, "unload", engine)

    def _order(self, name: str, what: str, engine: str | None) -> ModelState:
        params = {} if engine is None else {"engine": engine}
        return model_from(self._ask("POST", "/models", name, what, params=params))

    def pull_model(self, name: str) -> ModelState:
        """Begin to download it to the service's machine; its ``pull`` says how far it is."""
        return model_from(self._ask("POST", "/models", name, "pull"))

    def clear_engines(self, *, engine: str | None = None) -> tuple[str, ...]:
        """Hosts give back memory they do not use; their names."""
        params = {} if engine is None else {"engine": engine}
        return tuple(self._ask("POST", "/engines/clear", params=params)["engines"])

    # Backups -----------------------------------------------------------------------------------

    def backups(self) -> list[Backup]:
        """The newest first."""
        return [value_from(Backup, one) for one in self._ask("GET", "/backups")["items"]]

    def backup(self, name: str) -> Backup:
        """How far it is. Raises BackupNotFound."""
        return value_from(Backup, self._ask("GET", "/backups", name))

    def make_backup(self) -> Backup:
        """Begin one. Raises RequestConflict while another is made or read."""
        return value_from(Backup, self._ask("POST", "/backups"))

    def verify_backup(self, name: str) -> Backup:
        """Begin to compare every byte with its manifest."""
        return value_from(Backup, self._ask("POST", "/backups", name, "verify"))

    def download_backup(self, name: str, file: IO[bytes]) -> None:
        """The tar, piece by piece, into a file."""
        self._client.copy("GET", file, "/backups", name, "file")

    def delete_backup(self, name: str) -> None:
        """Raises BackupNotFound, RequestConflict."""
        self._client.do("DELETE", "/backups", name)

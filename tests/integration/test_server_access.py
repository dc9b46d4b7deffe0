"""Who may do what: keys, sessions, one-time links, scopes, owners, and where to listen."""

import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from server_parts import Running, running, wait_until

from lingting.config import settings
from lingting.errors import (
    BindingRefused,
    KeyNotFound,
    LinkSpent,
    OptionInvalid,
    SignInNeeded,
    SignInRefused,
    TooManyTries,
)
from lingting.server import access as access_module
from lingting.server.access import Access
from lingting.server.place import local_key, make_local_key, make_run_folder
from lingting.server.serving import bound_socket, check_binding
from lingting.store import open_store

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "data") as found:
        yield found


@pytest.fixture
def access(tmp_path: Path) -> Iterator[Access]:
    with open_store(tmp_path / "data") as store:
        yield Access(store)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def submit(client: httpx.Client, name: str = "a.wav") -> dict[str, str]:
    answer = client.post("/recordings", files={"file": (name, name.encode())})
    job: dict[str, str] = answer.json()["items"][0]["job"]
    return job


# Nobody ------------------------------------------------------------------------------------------


def test_every_path_of_the_api_asks_who_is_there(service: Running) -> None:
    """From this machine too; what is open is a short list."""
    with service.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert len(paths) > 20
    closed = 0
    for path, methods in paths.items():
        for method in methods:
            answer = httpx.request(method, service.url + path.replace("{action}", "pause"))
            if path in {"/healthz", "/readyz"}:
                assert answer.status_code in {200, 503}
                continue
            closed += 1
            assert answer.status_code == 401, (method, path)
            if method != "head":
                own = "invalid_api_key" if path.startswith("/v1/") else "access.sign_in_needed"
                assert answer.json()["error"]["code"] == own
            assert answer.headers["www-authenticate"] == "Bearer"
    assert closed > 25


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer lk_0000000000_" + "A" * 43, "Bearer \xff"],
)
def test_wrong_keys(service: Running, given: str) -> None:
    raw = [(b"Authorization", given.encode("latin-1"))]
    assert httpx.get(service.url + "/api/v1/jobs", headers=raw).status_code == 401


def test_a_secret_with_another_keys_id_is_refused(service: Running) -> None:
    first, second = service.key(), service.key()
    mixed = first[:13] + second[13:]
    assert mixed not in {first, second}
    assert httpx.get(service.url + "/api/v1/jobs", headers=bearer(mixed)).status_code == 401


# Keys --------------------------------------------------------------------------------------------


def test_a_revoked_key_ends(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "REMEMBERED_S", 0.0)
    key, secret = service.service.access.new_key("desk")
    url = service.url + "/api/v1/jobs"
    assert httpx.get(url, headers=bearer(secret)).status_code == 200
    # Another process revokes it.
    with open_store(service.folder) as store:
        Access(store).revoke(key.id)
    assert httpx.get(url, headers=bearer(secret)).status_code == 401
    with pytest.raises(KeyNotFound):
        service.service.access.revoke(key.id)


def test_of_a_key_only_its_digest_is_kept(access: Access, tmp_path: Path) -> None:
    key, secret = access.new_key("room 3", user="room-3", scopes=("write", "read"))
    assert (key.scopes, key.user) == (("read", "write"), "room-3")
    (listed,) = access.keys()
    assert listed.id == key.id
    assert access.of_key(secret).user == "room-3"
    shown = secret.split("_", 2)[2].encode()
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or shown not in path.read_bytes()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("", {}), (" ", {}), ("x" * 61, {}), ("a\x1b", {}), ("a", {"scopes": ("root",)}),
        ("a", {"scopes": ()}), ("a", {"user": "A b"}), ("a", {"user": "../x"}),
    ],
)  # fmt: skip
def test_keys_that_cannot_be(access: Access, name: str, values: dict[str, object]) -> None:
    with pytest.raises(OptionInvalid):
        access.new_key(name, **values)
    assert access.keys() == []


def test_scopes(service: Running) -> None:
    with service.client("read", "write") as writer:
        job = submit(writer)
    with service.client("read") as reader:
        assert reader.get(f"/jobs/{job['id']}").status_code == 200
        for method, path, body in (
            ("POST", f"/jobs/{job['id']}/cancel", None),
            ("DELETE", f"/recordings/{job['recording_id']}", None),
            ("POST", "/batches", {"name": "x"}),
        ):
            answer = reader.request(method, path, json=body)
            assert answer.status_code == 403
            assert "write" in answer.json()["error"]["message"]
        refused = reader.post("/recordings", files={"file": ("a", b"x")})
        assert refused.status_code == 403
    with service.client("write") as blind:
        assert blind.get("/jobs").status_code == 403


def test_what_is_somebody_elses_is_not_there(service: Running) -> None:
    with (
        service.client("read", "write", user="anna") as anna,
        service.client("read", "write", user="ben") as ben,
        service.client("admin") as admin,
    ):
        job = submit(anna)
        batch = anna.post("/batches", json={"name": "mine"}).json()
        id, recording = job["id"], job["recording_id"]
        for method, path in (
            ("GET", f"/jobs/{id}"), ("POST", f"/jobs/{id}/cancel"),
            ("GET", f"/batches/{batch['id']}"),
            ("POST", f"/batches/{batch['id']}/cancel"), ("GET", f"/recordings/{recording}"),
            ("GET", f"/recordings/{recording}/audio"), ("DELETE", f"/recordings/{recording}"),
            ("GET", f"/recordings/{recording}/peaks"), ("GET", f"/transcripts/{recording}"),
            ("GET", f"/transcripts/{recording}/segments"), ("GET", f"/exports/{recording}/txt"),
            ("POST", f"/recordings/{recording}/purge"), ("POST", f"/recordings/{recording}/undo"),
            ("GET", f"/transcripts/{recording}/revisions"), ("GET", f"/events?job={id}"),
            ("GET", f"/events?batch={batch['id']}"), ("GET", f"/jobs?batch={batch['id']}"),
        ):  # fmt: skip
            missing = path.replace(id, "x" * 12).replace(recording, "y" * 12)
            missing = missing.replace(batch["id"], "z" * 12)
            answer, nothing = ben.request(method, path), ben.request(method, missing)
            assert answer.status_code == 404, (method, path)
            assert answer.json() == nothing.json(), "and nobody can tell the difference"
        again = ben.post(f"/recordings/{recording}/jobs", json={})
        assert again.status_code == 404
        tagged = ben.post(f"/recordings/{recording}/tags", json={"add": ["x"]})
        assert tagged.status_code == 404
        refused = ben.post("/recordings", data={"batch": batch["id"]}, files={"file": ("a", b"x")})
        assert refused.status_code == 404
        assert ben.get("/jobs").json()["items"] == ben.get("/recordings").json()["items"] == []
        assert ben.get("/batches").json()["items"] == []
        assert admin.get(f"/jobs/{id}").json() == anna.get(f"/jobs/{id}").json()
        assert len(admin.get("/recordings").json()["items"]) == 1
        # The same audio is another recording of somebody else, and keys of requests are theirs.
        key = {"Idempotency-Key": "k"}
        one = anna.post("/recordings", files={"file": ("a.wav", b"1")}, headers=key).json()
        two = ben.post("/recordings", files={"file": ("a.wav", b"1")}, headers=key).json()
        assert one["items"][0]["job"]["id"] != two["items"][0]["job"]["id"]
        # How somebody's id begins opens nothing.
        assert anna.get(f"/recordings/{recording[:6]}").status_code == 404
        status = ben.get("/status").json()
        assert (status["workers"], status["engines"], status["jobs"]) == ([], [], {"queued": 1})


# People ------------------------------------------------------------------------------------------


def test_the_first_start_makes_an_administrator_without_a_password(access: Access) -> None:
    assert access.ensure_administrator() is False
    assert not access.has_administrator()
    for password in ("", "admin", "password"):
        with pytest.raises(SignInRefused):
            access.sign_in("admin", password)


def test_a_link_sets_a_password_once(access: Access) -> None:
    access.ensure_administrator()
    older, link = access.new_link(), access.new_link()
    with pytest.raises(LinkSpent):
        access.check_link(older)
    with pytest.raises(OptionInvalid, match="9 characters"):
        access.set_password(link, "123456789")
    assert access.check_link(link) == "admin", "looking at it does not use it up"
    assert access.set_password(link, PASSWORD) == "admin"
    assert access.has_administrator()
    for spent in (link, older, "", "x.y", f"{link}x"):
        with pytest.raises(LinkSpent):
            access.set_password(spent, "another password")
    assert access.of_session(access.sign_in("admin", PASSWORD)).is_admin


def test_links_and_sessions_end(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    access.ensure_administrator()
    link = access.new_link()
    access.set_password(link, PASSWORD)
    session = access.sign_in("admin", PASSWORD)
    later = access.new_link()
    now = datetime.now(UTC)
    monkeypatch.setattr(access_module, "_now", lambda: now + timedelta(hours=25))
    with pytest.raises(LinkSpent):
        access.check_link(later)
    assert access.of_session(session).user == "admin"
    monkeypatch.setattr(access_module, "_now", lambda: now + timedelta(days=8))
    with pytest.raises(SignInNeeded):
        access.of_session(session)


def test_a_new_password_ends_the_sessions(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "REMEMBERED_S", 0.0)
    access.ensure_administrator()
    access.set_password(access.new_link(), PASSWORD)
    session = access.sign_in("admin", PASSWORD)
    access.of_session(session)
    access.set_password(access.new_link(), "something else")
    with pytest.raises(SignInNeeded):
        access.of_session(session)


def test_guessing_is_slowed_down(access: Access) -> None:
    access.ensure_administrator()
    access.set_password(access.new_link(), PASSWORD)
    for _ in range(5):
        with pytest.raises(SignInRefused):
            access.sign_in("admin", "wrong password")
    with pytest.raises(TooManyTries) as caught:
        access.sign_in("admin", PASSWORD)
    assert 0 < caught.value.retry_after_s <= 2


def test_the_pages_from_first_link_to_signing_out(service: Running) -> None:
    link = service.service.access.new_link()
    with httpx.Client(base_url=service.url, follow_redirects=False) as browser:
        assert browser.get("/").headers["location"] == "/login"
        page = browser.get("/setup", params={"token": link})
        assert page.status_code == 200
        assert "http" not in page.text.replace("http-equiv", "")
        assert page.headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        form = {"token": link, "password": PASSWORD, "again": "other"}
        assert "not the same" in browser.post("/setup", data=form).text
        done = browser.post("/setup", data={**form, "again": PASSWORD})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        cookie = done.headers["set-cookie"]
        for wanted in ("HttpOnly", "SameSite=strict", "Path=/"):
            assert wanted in cookie
        assert "Signed in as admin" in browser.get("/").text
        assert browser.get("/api/v1/jobs").status_code == 200
        assert browser.post("/setup", data={**form, "again": PASSWORD}).status_code == 410
        # A page of another site cannot act with the cookie.
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
        ):
            refused = browser.post("/api/v1/batches", json={"name": "x"}, headers=headers)
            assert refused.status_code == 403
            assert browser.post("/logout", headers=headers).status_code == 403
            assert browser.post("/login", data={}, headers=headers).status_code == 403
        own = {"Origin": service.url}
        assert browser.post("/api/v1/batches", json={"name": "x"}, headers=own).status_code == 201
        stolen = browser.cookies["lingting_session"]
        assert browser.post("/logout").status_code == 303
        browser.cookies.set("lingting_session", stolen)
        assert browser.get("/api/v1/jobs").status_code == 401
        browser.cookies.clear()
        wrong = browser.post("/login", data={"user": "admin", "password": "x"})
        assert wrong.status_code == 401
        assert "<script" not in browser.post("/login", data={"user": "<script>"}).text
        right = browser.post("/login", data={"user": "Admin ", "password": PASSWORD})
        assert right.status_code == 303


def test_the_pages_speak_one_language_and_keep_the_way(service: Running) -> None:
    with httpx.Client(base_url=service.url, follow_redirects=False) as browser:
        english = browser.get("/login", params={"next": "/app/batch"})
        assert "Password" in english.text
        assert "密码" not in english.text
        chinese = browser.get("/login", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
        assert "lang=zh-CN" in chinese.text
        assert "密码" in chinese.text
        assert "Password" not in chinese.text
        # What was chosen goes before what the browser asks for, here and on the other pages.
        assert 'href="/login?next=%2Fapp%2Fbatch&amp;language=zh"' in english.text
        chosen = browser.get("/login", params={"next": "/app/batch", "language": "zh"})
        assert "密码" in chosen.text
        assert browser.cookies["lingting_language"] == "zh"
        wrong = browser.post(
            "/login", params={"next": "/app/batch"}, data={"user": "nobody", "password": "x"}
        )
        assert wrong.status_code == 401
        assert "用户名或密码不正确" in wrong.text
        assert 'value="nobody"' in wrong.text
        assert 'action="/login?next=%2Fapp%2Fbatch"' in wrong.text
        link = service.service.access.new_link()
        form = {"token": link, "password": "short", "again": "short"}
        assert "至少需要 10 个" in browser.post("/setup", data=form).text
        assert "两次输入的密码不一致" in browser.post("/setup", data={**form, "again": "x"}).text
        spent = browser.get("/setup", params={"token": "x", "language": "en"})
        assert spent.status_code == 410
        assert "or never existed" in spent.text
        assert browser.get("/login", params={"language": "<script>"}).status_code == 400


def test_behind_a_proxy_the_cookie_needs_tls(tmp_path: Path) -> None:
    with running(tmp_path / "data", behind_proxy=True) as service:
        form = {"token": service.service.access.new_link(), "password": PASSWORD, "again": PASSWORD}
        done = httpx.post(service.url + "/setup", data=form)
        assert done.headers["set-cookie"].startswith("__Host-lingting_session=")
        assert "Secure" in done.headers["set-cookie"]
        assert "strict-transport-security" in done.headers


def test_a_service_with_tls(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ, "LINGTING_DATA_DIR": str(tmp_path / "data"), "LINGTING_PORT": str(port),
        "LINGTING_TLS_CERTIFICATE": str(certificate), "LINGTING_TLS_KEY": str(key),
    }  # fmt: skip
    command = [sys.executable, "-m", "lingting", "web"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context) as client:

            def answers() -> bool:
                try:
                    return client.get("/healthz").is_success
                except httpx.TransportError:
                    return False

            wait_until(answers, 30)
            assert "strict-transport-security" in client.get("/login").headers
    finally:
        process.terminate()
        assert process.wait(20) == 0
    key.write_text("rubbish")
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "service.binding_refused" in refused.stderr


# Where to listen ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_this_machine_may_always_be_served(host: str, tmp_path: Path) -> None:
    check_binding(settings(host=host, data_dir=tmp_path), has_administrator=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104
def test_others_only_with_protection(host: str, tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    plain = settings(host=host, data_dir=tmp_path)
    proxied = settings(host=host, data_dir=tmp_path, behind_proxy=True)
    secure = settings(host=host, data_dir=tmp_path, tls_certificate=file, tls_key=file)
    with pytest.raises(BindingRefused, match="encrypts"):
        check_binding(plain, has_administrator=True)
    for one in (proxied, secure):
        check_binding(one, has_administrator=True)
        with pytest.raises(BindingRefused, match="administrator"):
            check_binding(one, has_administrator=False)
    half = settings(data_dir=tmp_path, tls_certificate=file)
    with pytest.raises(BindingRefused, match="only one"):
        check_binding(half, has_administrator=True)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    first = bound_socket(settings(port=47_921))
    with first, pytest.raises(BindingRefused, match="Port 47921 is taken"):
        bound_socket(settings(port=47_921))


def test_the_key_of_this_machine_is_for_its_user_alone(access: Access, tmp_path: Path) -> None:
    now = settings(data_dir=tmp_path / "data")
    access.ensure_administrator()
    make_local_key(now, access)
    path = now.run_folder / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(now.run_folder.stat().st_mode) == 0o700
    given = local_key(now)
    assert given is not None
    assert access.of_key(given).is_admin
    make_local_key(now, access)
    assert local_key(now) == given
    (key,) = access.keys()
    assert key.is_local
    access.revoke(key.id)
    make_local_key(now, access)
    assert local_key(now) != given


def test_a_run_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    now = settings(data_dir=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BindingRefused):
        make_run_folder(now)

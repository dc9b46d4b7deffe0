"""``deploy/`` and the runbook, held against what the program prints, takes and knows."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lingting import config
from lingting.host.metrics import Metrics as HostMetrics
from lingting.server.metrics import Metrics
from tests.test_docs import check_command, text_of

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
BOARD = DEPLOY / "grafana" / "lingting.json"
RUNBOOK = "docs/operate.md"
PROMETHEUS_OWN = {"up": {"job", "instance"}}

# Figures -------------------------------------------------------------------------------------


def host_page() -> str:
    """A page of an engine host after it has done one of each."""
    metrics = HostMetrics()
    metrics.batch("m", 2, 3.0, 0.5)
    metrics.answered("m", "bulk", 2, 1, 3.0)
    metrics.waited("bulk", 0.1)
    metrics.refused("full")
    metrics.dropped("live", 1)
    metrics.lack("m", "halved")
    metrics.loaded("m", "ready")
    return metrics.page([("m", "ready", [("bulk", 1, 2.0)])]).decode()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that a real web process shows, with the host's page in it, and its labels."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    import httpx
    from server_parts import running

    from lingting.store.figures import BACKUP_SETTING

    page = host_page().encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page if self.path == "/metrics" else b"{}")

        def log_message(self, *args: object) -> None:
            """Nothing."""

    host = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{host.server_port}"
    with running(tmp_path_factory.mktemp("data"), engines=(address,)) as service:
        service.service.store.set_setting(BACKUP_SETTING, 1)
        httpx.get(f"{service.url}/nothing")
        text = httpx.get(f"{service.url}/metrics", timeout=20).text
    host.shutdown()
    host.server_close()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        if not family.samples:  # no such thing has happened yet
            found[family.name] = {"code"}
        for one in family.samples:
            found.setdefault(one.name, set()).update(one.labels)
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    assert set(group) == {"name", "rules"}
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return found


def queries() -> Iterator[str]:
    for panel in panels():
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m")


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector below a node of the parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector", "args"):
        below = getattr(node, name, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None and not isinstance(one, str | int | float):
                yield from selectors(one)


def grouped_by(node: Any) -> Iterator[str]:
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
        yield from modifier.labels
    for name in ("expr", "lhs", "rhs", "args", "param"):
        below = getattr(node, name, None)
        for one in below if isinstance(below, list) else [below]:
            if one is not None and not isinstance(one, str | int | float):
                yield from grouped_by(one)


def wrong_names(query: str, printed: Mapping[str, set[str]]) -> list[str]:
    """Series and labels that nothing prints."""
    tree = promql_parser.parse(query)
    known = {**printed, **PROMETHEUS_OWN}
    wrong, labels = [], {"le", "instance", "job"}
    for one in selectors(tree):
        if one.name not in known:
            wrong.append(one.name)
            continue
        labels |= known[one.name]
        for matcher in one.matchers.matchers:
            if matcher.name not in {*known[one.name], "le", "instance", "job"}:
                wrong.append(f"{one.name}{{{matcher.name}}}")
    return wrong + [name for name in grouped_by(tree) if name not in labels]


def test_every_alert_asks_for_what_is_printed(printed: dict[str, set[str]]) -> None:
    assert len(alerts()) >= 15
    assert {rule["alert"]: wrong_names(rule["expr"], printed) for rule in alerts()} == {
        rule["alert"]: [] for rule in alerts()
    }


def test_every_panel_asks_for_what_is_printed(printed: dict[str, set[str]]) -> None:
    asked = list(queries())
    assert len(asked) > 25
    assert [name for query in asked for name in wrong_names(query, printed)] == []


def test_what_the_check_of_names_can_find(printed: dict[str, set[str]]) -> None:
    assert wrong_names("rate(lingting_http_request_total[5m])", printed)
    assert wrong_names('lingting_queue_jobs{line="high"}', printed)
    assert wrong_names("sum by (rout) (lingting_http_requests_total)", printed)
    assert not wrong_names("sum by (route) (lingting_http_requests_total)", printed)


def test_every_figure_is_in_the_dashboard_or_an_alert(printed: dict[str, set[str]]) -> None:
    text = BOARD.read_text(encoding="utf-8") + ALERTS.read_text(encoding="utf-8")
    bases = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in printed}
    left = {name for name in bases if name not in text and not name.endswith("_created")}
    assert left <= {
        "lingting_build", "lingting_engine_loads", "lingting_engine_queue_clips",
        "lingting_engine_batch_seconds", "lingting_engine_batch_audio_seconds",
    }  # fmt: skip


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_whole(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Lingting[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule["for"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors(text_of(page))
    for name in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert name in rule["expr"] or name in {"part", "source", "engine", "model", "lane"}


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))


def test_promtool_agrees() -> None:
    """Where it is installed; the parser above is another one."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "rules", str(ALERTS)], check=True, capture_output=True)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_dashboard_is_one_grafana_takes() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    assert board["schemaVersion"] >= 36
    (source,) = board["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        cells |= own
        assert panel["type"] in {"row", "stat", "timeseries"}
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${source}"


def test_the_scrape_finds_the_page() -> None:
    told = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = told["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("lingting", "/metrics")
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{config.Settings().port}"]}]
    assert told["rule_files"] == [ALERTS.name]
    assert b"lingting_build" in Metrics().page()


# systemd -------------------------------------------------------------------------------------


def unit(path: Path) -> dict[str, list[str]]:
    """Every assignment; sections do not matter here."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_exists(path: Path) -> None:
    told = unit(path)
    (command,) = told["ExecStart"]
    found = re.search(r"/opt/lingting/bin/lingting (.+?)'?$", command)
    assert found is not None
    check_command([word.strip("\"'") for word in found[1].split()])
    assert told["User"] == ["lingting"]
    assert told["NoNewPrivileges"] == ["yes"]
    assert told["ProtectSystem"] == ["strict"]


def test_units_wait_longer_than_processes_take_to_stop() -> None:
    from lingting.cli import serve

    needed_s = {
        "lingting.service": serve._WEB_STOP_S + serve._WORKER_STOP_S + serve._ENGINE_STOP_S,
        "lingting-web.service": serve._WEB_STOP_S,
        "lingting-worker@.service": serve._WORKER_STOP_S,
        "lingting-engine@.service": serve._ENGINE_STOP_S,
    }
    for name, seconds in needed_s.items():
        assert int(unit(DEPLOY / "systemd" / name)["TimeoutStopSec"][0]) > seconds


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    listed = [*UNITS, *(DEPLOY / "systemd").glob("*.timer")]
    for path in listed:  # the program is not installed where it says
        text = path.read_text(encoding="utf-8").replace(
            "/opt/lingting/bin/lingting", sys.executable
        )
        name = path.name.replace("@.", "@one.")
        (tmp_path / name).write_text(text.replace("User=lingting", "User=root"), encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", *sorted(str(path) for path in tmp_path.iterdir())],
        capture_output=True,
        text=True,
    )
    ours = [line for line in done.stderr.splitlines() if "lingting" in line]
    assert ours == []


def test_systemd_finds_a_wrong_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / "lingting-wrong.service"
    path.write_text("[Service]\nExecStart=/nowhere/at/all\nKillMod=mixed\n", encoding="utf-8")
    done = subprocess.run(
        [program, "verify", "--man=no", str(path)], capture_output=True, text=True
    )
    assert "KillMod" in done.stderr


def settings_in(text: str) -> list[str]:
    return re.findall(r"^#?(LINGTING_[A-Z_]+)=", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["systemd/lingting.env", "docker/lingting.env.example"])
def test_settings_of_the_examples_exist(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    found = settings_in(text)
    assert found
    assert set(found) <= set(config.variables())


@pytest.mark.parametrize("name", ["systemd/lingting.env", "docker/lingting.env.example"])
def test_settings_of_the_examples_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything that is only proposed there put in force."""
    for line in (DEPLOY / name).read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"#?(LINGTING_[A-Z_]+)=(.+)", line)
        if found:
            monkeypatch.setenv(found[1], found[2])
    assert config.settings().engines


def test_the_timer_backs_up_every_night() -> None:
    told = unit(DEPLOY / "systemd" / "lingting-backup.timer")
    assert told["Persistent"] == ["yes"]
    program = shutil.which("systemd-analyze")
    if program is not None:
        done = subprocess.run([program, "calendar", *told["OnCalendar"]], capture_output=True)
        assert done.returncode == 0


# nginx ---------------------------------------------------------------------------------------

NGINX = DEPLOY / "nginx" / "lingting.conf"


def nginx_program() -> str:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    return program


def nginx_conf(folder: Path, upstream: int = 7860, port: int = 443, http_port: int = 80) -> Path:
    """Ours in a whole configuration, with a certificate made for it, in a folder of its own."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-keyout", folder / "privkey.pem",
         "-out", folder / "fullchain.pem",
         "-subj", "/CN=speech.example.org", "-addext", "subjectAltName=DNS:speech.example.org"],
        check=True, capture_output=True,
    )  # fmt: skip
    text = NGINX.read_text(encoding="utf-8")
    assert "/etc/nginx/lingting/" in text
    text = text.replace("/etc/nginx/lingting/", f"{folder}/").replace(
        "/var/log/nginx/", f"{folder}/"
    )
    text = text.replace("127.0.0.1:7860", f"127.0.0.1:{upstream}")
    text = re.sub(r"listen \[::\]:\d+[^;]*;", "", text)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
    text = text.replace("listen 80", f"listen 127.0.0.1:{http_port}")
    (folder / "ours.conf").write_text(text, encoding="utf-8")
    whole = folder / "nginx.conf"
    temp = "".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ {temp} include {folder}/ours.conf; }}\n",
        encoding="utf-8",
    )
    return whole


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [nginx_program(), "-t", "-c", str(nginx_conf(tmp_path))], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_the_configuration_suits_uploads_events_and_sockets() -> None:
    text = NGINX.read_text(encoding="utf-8")
    for line in (
        "proxy_request_buffering off;",
        "proxy_buffering off;",
        "client_max_body_size 0;",
        "proxy_http_version 1.1;",
        "proxy_set_header Upgrade $http_upgrade;",
        "proxy_next_upstream off;",
    ):
        assert line in text, line
    assert "$request_uri" not in text.split("log_format")[1].split(";")[0]  # may hold a token


# Containers ----------------------------------------------------------------------------------

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
COMPOSE = DEPLOY / "docker" / "compose.yaml"
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "env_file", "environment",
    "healthcheck", "image", "ipc", "logging", "mem_limit", "network_mode", "ports", "profiles",
    "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs",
    "volumes",
}  # fmt: skip


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_image_has_pinned_bases_and_two_stages() -> None:
    told = instructions()
    bases = [value for name, value in told if name == "FROM"]
    assert [base.rpartition(" AS ")[2] for base in bases] == ["build", "run"]
    (version,) = [v for n, v in told if n == "ARG" and v.startswith("PYTHON=")]
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-[a-z]+", version)
    assert all(base.startswith("python:${PYTHON} ") for base in bases)


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    told = instructions()
    last = max(at for at, (name, _) in enumerate(told) if name == "FROM")
    users = [value for name, value in told[last:] if name == "USER"]
    assert users == ["10001:10001"]
    for name, value in told:
        assert name in {
            "ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE",
            "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD",
        }  # fmt: skip
        if name in {"ENV", "ARG"}:
            assert not re.search(r"(?i)secret|password|token|_key\b", value)
            for setting in re.findall(r"LINGTING_[A-Z_]+", value):
                assert setting in config.variables()
    (command,) = [json.loads(value) for name, value in told if name == "CMD"]
    (program,) = [json.loads(value) for name, value in told if name == "ENTRYPOINT"]
    assert program == ["lingting"]
    check_command(command)


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    wanted = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    copied = set()
    for name, value in instructions():
        if name == "COPY" and "--from=" not in value:
            copied.update(value.split()[:-1])
    assert copied
    assert {path.removeprefix("./") for path in copied} == set(wanted)
    assert all((ROOT / path).exists() for path in copied)


def test_the_image_installs_extras_that_exist() -> None:
    import tomllib

    known = tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"]
    texts = DOCKERFILE.read_text(encoding="utf-8") + COMPOSE.read_text(encoding="utf-8")
    for extras in re.findall(r"EXTRAS[=:] ?([a-z,]+)", texts):
        assert set(extras.split(",")) <= set(known)


class _Strict(yaml.SafeLoader):
    """Refuses a key that is given twice, which YAML parsers let pass."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if key.value != "<<"]
        assert len(names) == len(set(names)), names
        return super().construct_mapping(node, deep)


def compose() -> dict[str, Any]:
    loaded = yaml.load(COMPOSE.read_text(encoding="utf-8"), _Strict)  # noqa: S506 - a safe one
    assert isinstance(loaded, dict)
    return loaded


def test_compose_is_in_its_schema() -> None:
    told = compose()
    assert {name for name in told if not name.startswith("x-")} == {
        "name", "services", "volumes", "secrets",
    }  # fmt: skip
    for name, service in told["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert isinstance(service.get("command", []), list)
        for one in service.get("volumes", ()):
            source, target = one.split(":")[:2]
            assert target.startswith("/")
            assert source.startswith(".") or source in told["volumes"], one
        for one in service.get("secrets", ()):
            assert one in told["secrets"]
        for one, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            # Waiting for what is not started, or has no health, would wait for ever.
            assert not told["services"][one].get("profiles")
        mode = service.get("network_mode", "service:web")
        assert mode.removeprefix("service:") in told["services"]
        assert not ("network_mode" in service and "ports" in service)


def test_compose_has_the_profiles_and_pinned_images() -> None:
    services = compose()["services"]
    profiles = {one for service in services.values() for one in service.get("profiles", ())}
    assert profiles == {"cpu", "cuda", "postgres", "s3", "vllm"}
    assert {name for name, one in services.items() if "profiles" not in one} == {
        "web", "worker", "nginx",
    }  # fmt: skip
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        if image == "lingting":
            continue
        assert re.search(r"\d+\.\d+|RELEASE\.\d{4}", tag), f"{name} is not pinned"


def test_compose_runs_commands_that_exist_and_keeps_secrets_out() -> None:
    for name, service in compose()["services"].items():
        if service["image"].startswith("lingting:"):
            check_command(list(service["command"]))
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|KEY|TOKEN", variable):
                assert variable.endswith("_FILE"), name
                assert value.startswith("/run/secrets/")
    for path in (*DEPLOY.rglob("*.env*"), COMPOSE):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert not re.match(r"[^#]*(_SECRET_ACCESS_KEY|_TOKEN|_REMOTE_KEY)=\S", line), line


def test_no_fault_of_the_schema_passes() -> None:
    """The strictness itself."""
    with pytest.raises(AssertionError):
        yaml.load("a: 1\na: 2\n", _Strict)  # noqa: S506


# The runbook ---------------------------------------------------------------------------------

PROGRAMS = {
    "useradd", "install", "python3", "systemctl", "sudo", "alias", "cp", "nginx", "curl",
    "journalctl", "export", "rm", "df", "du", "fuser", "nvidia-smi", "openssl", "lingting",
    "/opt/lingting/bin/pip", "/opt/lingting/bin/lingting", "kill", "pip",
}  # fmt: skip


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text_of(RUNBOOK), re.DOTALL)
    return [line for line in "\n".join(blocks).splitlines() if line.strip()]


@pytest.mark.parametrize("line", shell_lines())
def test_every_command_of_the_runbook_exists(line: str) -> None:
    assert line.split()[0] in PROGRAMS, line
    assert subprocess.run(["bash", "-n", "-c", line], capture_output=True).returncode == 0
    for found in re.findall(r"/opt/lingting/bin/lingting ((?!\$)[^|&;'#]+)", line):
        check_command(found.split())
    for name in re.findall(r"(lingting-[a-z]+(?:@[a-z0-9]+)?\.?(?:service|timer)?)\b", line):
        if "/" in line.split(name)[0].split()[-1:] or f"/{name}" in line:
            continue
        base = re.sub(r"@[a-z0-9]+", "@", name.split(".")[0])
        assert list((DEPLOY / "systemd").glob(f"{base}.*")), name
    for path in re.findall(r"\bdeploy/[^\s;]+", line):
        assert list(ROOT.glob(path)), path


def test_settings_and_figures_of_the_runbook_exist(printed: dict[str, set[str]]) -> None:
    text = text_of(RUNBOOK)
    for name in set(re.findall(r"LINGTING_[A-Z_]+", text)):
        assert name in config.variables(), name
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in printed}
    for name in set(re.findall(r"`(lingting_[a-z_]+[a-z])`", text)):
        assert name in bases or f"{name}_total" in bases, name
    for path in set(re.findall(r"`(deploy/[^`]+)`", text)):
        assert (ROOT / path).exists(), path


def test_the_runbook_has_a_paragraph_for_each_trouble() -> None:
    assert anchors(text_of(RUNBOOK)) >= {
        "install", "upgrade", "backup-and-restore", "disk-full", "database-locked",
        "engine-out-of-memory", "a-stuck-worker", "key-lost", "certificates", "capacity",
    }  # fmt: skip

"""The base install stays light: what is imported when, looked at in fresh interpreters."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "ctranslate2", "onnxruntime", "av", "transformers", "opencc", "tokenizers"}
HEAVY |= {"sqlalchemy", "alembic"}
DEVELOPMENT = {"pytest", "hypothesis", "mypy", "ruff", "funasr", "faster_whisper"}


def loaded_after(code: str) -> set[str]:
    """Top-level packages in a fresh interpreter that ran ``code``."""
    report = "\nimport sys; print('\\n' + ' '.join(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_import_lingting_loads_nothing_heavy() -> None:
    loaded = loaded_after("import lingting")
    assert "lingting" in loaded
    assert not loaded & (HEAVY | DEVELOPMENT | {"pydantic", "numpy", "rich", "typer"})


@pytest.mark.parametrize(
    "argument", ["--help", "transcribe --help", "models --help", "history --help", "engine --help"]
)
def test_help_loads_no_model_library(argument: str) -> None:
    loaded = loaded_after(
        f"import sys; sys.argv = ['lingting', *{argument!r}.split()]\n"
        "from lingting.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )
    assert "typer" in loaded
    assert not loaded & (HEAVY | DEVELOPMENT | {"numpy"})


def test_a_history_that_is_there_is_opened_without_what_makes_one(tmp_path: Path) -> None:
    opens = f"from lingting.store import open_store; open_store({str(tmp_path)!r}).close()"
    assert "alembic" in loaded_after(opens)
    loaded = loaded_after(opens)
    assert "sqlalchemy" in loaded
    assert "alembic" not in loaded


def test_asking_an_engine_host_needs_no_model_and_no_client_library() -> None:
    loaded = loaded_after(
        "import lingting.engines.remote.pool, lingting.engines.remote.host\n"
        "from lingting.engines.remote import RemoteOptions, load\n"
        "try:\n    load('unix:/nowhere/e.sock', options=RemoteOptions(attempts=1))\n"
        "except Exception as error: pass"
    )
    assert "numpy" in loaded
    assert not loaded & (HEAVY | DEVELOPMENT | {"httpx", "uvicorn"})


def test_the_engine_host_itself_knows_no_engine() -> None:
    loaded = loaded_after("import lingting.host.app, lingting.host.forms, lingting.host.serving")
    assert "prometheus_client" in loaded
    assert not loaded & (HEAVY | DEVELOPMENT | {"fastapi", "httpx"})


@pytest.mark.parametrize("name", ["transcribe", "AutoModel", "Transcript"])
def test_public_names_come_when_asked_for(name: str) -> None:
    loaded = loaded_after(f"from lingting import {name}; assert {name}.__doc__")
    assert not loaded & {"torch", "transformers", "ctranslate2"}

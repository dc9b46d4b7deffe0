"""Who may import whom: downward, or inside the own package. And who owns the heavy libraries."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
LAYERS = (
    "errors config transcript joining languages durable log tracing search outbound",
    "audio text models store",
    "vad engines speakers",
    "pipeline host",
    "jobs live learning compliance evaluate answers",
    "server ui cli api client mcp __init__ __main__",
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names.split()}
ROOTS = LEVEL["cli"]
OWNERS = {
    "alembic": ("lingting.store",),
    "argon2": ("lingting.server.passwords",),
    "av": ("lingting.audio",),
    "ctranslate2": ("lingting.engines",),
    "dbos": ("lingting.jobs",),
    "docx": ("lingting.text.writers",),
    "fastapi": ("lingting.server", "lingting.host", "lingting.ui.shell"),
    "gradio": ("lingting.ui.shell",),
    "faster_whisper": ("lingting.evaluate.peers",),
    "funasr": ("lingting.engines.funasr",),
    "httptools": ("lingting.host",),
    "joserfc": ("lingting.server.oidc",),
    "kaldi_native_fbank": (),
    "obstore": ("lingting.store.bucket",),
    "onnxruntime": ("lingting.vad",),
    "opencc": ("lingting.text.script", "lingting.evaluate.normalise", "lingting.search.folding"),
    "opentelemetry": ("lingting.tracing",),
    "mcp": ("lingting.mcp", "lingting.server.mcp"),
    "mcp_types": ("lingting.mcp",),
    "pydantic": ("lingting.config", "lingting.server", "lingting.mcp"),
    "pydantic_settings": ("lingting.config",),
    "prometheus_client": ("lingting.host", "lingting.server"),
    "pypinyin": ("lingting.search.sounds", "lingting.engines.nano"),
    "python_multipart": ("lingting.host", "lingting.server"),
    "rich": ("lingting.cli",),
    "rjieba": ("lingting.search.query",),
    "safetensors": ("lingting.engines.neural",),
    "sentencepiece": ("lingting.engines.sensevoice",),
    "sqlalchemy": ("lingting.store",),
    "standardwebhooks": ("lingting.server",),
    "starlette": ("lingting.server", "lingting.host"),
    "tiktoken": (),
    "tokenizers": ("lingting.engines.whisper_tokens", "lingting.engines.nano"),
    "torch": (
        "lingting.engines.neural",
        "lingting.engines.nano",
        "lingting.engines.sensevoice",
        "lingting.engines.funasr",
    ),
    "transformers": (),
    "typer": ("lingting.cli",),
    "uvicorn": ("lingting.host", "lingting.server", "lingting.cli"),
    "uvloop": ("lingting.host", "lingting.server", "lingting.cli"),
}

ONLY_PROTOCOL = {"pipeline", "host"}
"""They know ``engines.base`` and the form it has on a wire, no engine."""

Import = tuple[int, str]


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The name in the layer table: the first part below ``lingting``."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """Every import anywhere in a module, also inside functions, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                keep = len(module.split(".")) - node.level + is_package
                base = ".".join([*module.split(".")[:keep], *([base] if base else [])])
            if base == "lingting":
                yield from ((node.lineno, f"lingting.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, base


def violations(path: Path) -> Iterator[str]:
    module = module_of(path)
    own = part_of(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for line, imported in imports(tree, module, path.name == "__init__.py"):
        where = f"{module}:{line} imports {imported}"
        top = imported.split(".")[0]
        if top == "lingting":
            if not is_allowed(own, imported):
                yield where
        elif top in OWNERS and not owns(module, OWNERS[top]):
            yield f"{where}, which belongs to {', '.join(OWNERS[top]) or 'nobody'}"


def is_allowed(own: str, imported: str) -> bool:
    other = part_of(imported)
    if other == "__version__":  # a string, read from the package's own first lines
        return True
    if own in ONLY_PROTOCOL and other == "engines":
        return owns(imported, ("lingting.engines.base", "lingting.engines.envelope"))
    if (own, other) == ("engines", "store"):
        return False
    level, target = LEVEL[own], LEVEL[other]
    is_root_helping_root = level == ROOTS and other in {
        "api", "cli", "client", "mcp", "server", "ui",
    }  # fmt: skip
    return own == other or target < level or level == target == 0 or is_root_helping_root


def owns(module: str, owners: tuple[str, ...]) -> bool:
    return any(module == owner or module.startswith(owner + ".") for owner in owners)


MODULES = sorted((SOURCE / "lingting").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_imports_go_downward(path: Path) -> None:
    assert not list(violations(path))


def test_every_part_has_a_layer() -> None:
    assert {part_of(module_of(path)) for path in MODULES} <= set(LEVEL)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("audio/new.py", "from lingting.vad import fsmn"),
        ("store/new.py", "def f():\n    import lingting.engines.base"),
        ("engines/new.py", "from lingting import store"),
        ("engines/new.py", "from ..pipeline import Source"),
        ("text/new.py", "import torch"),
        ("pipeline.py", "import onnxruntime as o"),
        ("pipeline.py", "from lingting.engines.whisper import Whisper"),
        ("cli/new.py", "from av.audio import stream"),
        ("cli/new.py", "from sqlalchemy import select"),
    ],
)
def test_a_wrong_import_is_found(
    name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / "lingting" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, encoding="utf-8")
    assert len(list(violations(path))) == 1

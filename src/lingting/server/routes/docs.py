"""The API as a page: every operation with an example, without a script and from nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from lingting.server.asking import Anybody

router = APIRouter()

_METHODS = ("get", "post", "put", "patch", "delete")
_DEEPEST = 6
_PARTS = {
    "id": "k7mqx2abcdef", "note": "p3wd8rabcdef", "format": "srt", "action": "retry",
    "name": "products",
}  # fmt: skip
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f1f3f5;padding:.6rem .8rem;
overflow:auto;border-radius:6px}h3{margin:2rem 0 .2rem}h3 b{color:#1f5fbf}
table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;
vertical-align:top}nav a{margin-right:.8rem}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}pre{background:#1f2429}
a,h3 b{color:#7fb0ff}}
"""


@router.get("/docs", include_in_schema=False)
def docs(request: Request, who: Anybody) -> HTMLResponse:
    """For people; programs read `openapi.json`."""
    del who
    return HTMLResponse(_page(request.app))


@cache
def _page(app: FastAPI) -> str:
    told = app.openapi()
    groups: dict[str, list[str]] = {}
    for method, path, one in operations(told):
        group = (one.get("tags") or ["other"])[0]
        groups.setdefault(group, []).append(_operation(told, method, path, one))
    links = "".join(f"<a href='#{escape(name)}'>{escape(name)}</a>" for name in groups)
    body = "".join(
        f"<h2 id='{escape(name)}'>{escape(name)}</h2>{''.join(parts)}"
        for name, parts in groups.items()
    )
    title = f"{told['info']['title']} {told['info']['version']}"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        "<p>Requests carry <code>Authorization: Bearer lk_…</code> or a session's cookie. "
        "<a href=/api/v1/openapi.json>openapi.json</a> is the same for programs.</p>"
        f"<nav>{links}</nav>{body}</html>"
    )


def operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of each."""
    for path, methods in told["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield method.upper(), path, methods[method]


def _operation(told: Mapping[str, Any], method: str, path: str, one: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(part['name'])}</code><td>{escape(part['in'])}"
        f"<td>{escape(str(part.get('description', '')))}"
        for part in one.get("parameters", ())
    )
    answer = answer_of(told, one)
    shown = json.dumps(answer, ensure_ascii=False, indent=1)
    return (
        f"<h3><b>{method}</b> <code>{escape(path)}</code></h3>"
        f"<p>{escape(str(one.get('description', '')))}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + f"<pre>{escape(example_of(told, method, path, one))}</pre>"
        + ("" if answer is None else f"<pre>{escape(shown)}</pre>")
    )


def example_of(told: Mapping[str, Any], method: str, path: str, one: Mapping[str, Any]) -> str:
    """A line for a shell."""
    for part in one.get("parameters", ()):
        if part["in"] == "path":
            name = part["name"]
            value = _PARTS.get(name) or value_of(told, part["schema"])
            path = path.replace(f"{{{name}}}", str(value))
    words = ["curl", "-H", '"Authorization: Bearer $KEY"']
    if method != "GET":
        words += ["-X", method]
    for part in one.get("parameters", ()):
        if part["in"] == "header" and part.get("required"):
            words += ["-H", f'"{part["name"]}: {value_of(told, part["schema"])}"']
    kinds = one.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in kinds:
        words += ["-F", "language=zh", "-F", "file=@talk.mp3"]
    elif "application/json" in kinds:
        body = json.dumps(value_of(told, kinds["application/json"]["schema"]), ensure_ascii=False)
        words += ["-H", '"Content-Type: application/json"', "-d", f"'{body}'"]
    asked = "&".join(
        f"{part['name']}={value_of(told, part['schema'])}"
        for part in one.get("parameters", ())
        if part["in"] == "query" and part.get("required")
    )
    return " ".join([*words, f'"$SERVER{path}{"?" if asked else ""}{asked}"'])


def answer_of(told: Mapping[str, Any], one: Mapping[str, Any]) -> Any:
    """What a good answer looks like; None where it is no JSON."""
    for status, answer in one.get("responses", {}).items():
        content = answer.get("content", {}).get("application/json")
        if status.startswith("2") and content and content.get("schema"):
            return value_of(told, content["schema"])
    return None


def value_of(told: Mapping[str, Any], schema: Mapping[str, Any], deep: int = 0) -> Any:
    """A value that fits the schema: its example, else made of its parts."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return value_of(told, told["components"]["schemas"][name], deep + 1)
    if schema.get("examples"):
        return schema["examples"][0]
    for word in ("example", "const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return value_of(told, schema[word][0], deep + 1)
    return _made(told, schema, deep)


def _made(told: Mapping[str, Any], schema: Mapping[str, Any], deep: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {}) if deep < _DEEPEST else {}
        return {name: value_of(told, part, deep + 1) for name, part in parts.items()}
    if kind == "array":
        return [value_of(told, schema.get("items", {}), deep + 1)] if deep < _DEEPEST else []
    if kind == "string":
        is_time = schema.get("format") == "date-time"
        return "2026-11-21T12:00:00+00:00" if is_time else "text"
    if kind == "integer":
        return int(schema.get("minimum", 1))
    if kind == "number":
        return min(schema.get("maximum", 1.5), max(schema.get("minimum", 1.5), 1.5))
    return True if kind == "boolean" else None

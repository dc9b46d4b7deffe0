"""The Gradio application: one address for each page, each with a place that its element fills."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lingting.errors import ExtraMissing
from lingting.ui.files import words

PLACE = "lt-page"
"""The id of the element that a page fills."""
_FONTS = (
    "system-ui", "-apple-system", "Segoe UI", "PingFang SC", "Hiragino Sans GB", "Noto Sans CJK SC",
    "Microsoft YaHei", "sans-serif",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its address below the pages' own, and the module and element that fill it."""

    name: str
    """Of the module ``static/pages/<name>.js``, the words ``page.<name>``, and the address."""
    path: str

    @property
    def title_key(self) -> str:
        return f"page.{self.name}"


PAGES = (
    Page("transcribe", ""),
    Page("recordings", "recordings"),
    Page("batch", "batch"),
    Page("live", "live"),
    Page("vad", "vad"),
    Page("glossaries", "glossaries"),
    Page("settings", "settings"),
)
PATHS: Mapping[str, Page] = {page.path: page for page in PAGES}


class Shell:
    """Gradio's application for the pages. Importing Gradio takes seconds: make one in a thread.

    It is never started: it only answers GET, and its queue would look for events, of which there
    are none, a thousand times a second.
    ``root_path`` is where the pages are in the service. Raises ExtraMissing without Gradio.
    """

    def __init__(self, root_path: str) -> None:
        # Before the import: it is read there. Nothing leaves the machine.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        try:
            import gradio
            from fastapi import FastAPI
        except ImportError as exc:
            raise ExtraMissing("The pages need Gradio.", "pip install 'lingting[server]'") from exc
        self.app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        gradio.mount_gradio_app(
            self.app,
            _blocks(gradio),
            path="/",
            root_path=root_path,
            theme=_theme(gradio),
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            pwa=False,
        )


def _blocks(gradio: Any) -> Any:
    first, *others = PAGES
    with gradio.Blocks(title="Lingting 聆听", analytics_enabled=False, fill_width=True) as made:
        gradio.Column(elem_id=PLACE)
    for page in others:
        with made.route(words()[page.title_key][0], f"/{page.path}"):
            gradio.Column(elem_id=PLACE)
    assert first.path == ""
    return made


def _theme(gradio: Any) -> Any:
    """Gradio's own parts in the colours of ``base.css``, with no font from elsewhere."""
    return gradio.themes.Base(font=list(_FONTS), font_mono=["ui-monospace", "monospace"])

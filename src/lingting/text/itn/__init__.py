"""Inverse text normalisation: 二零二五年三月十五号 → 2025年3月15日, "twenty five dollars" → $25.

``normalize`` is pure, deterministic, works offline and is safe to call from several threads. What
it does not recognise with certainty stays as it was spoken. Grammars and word lists load on the
first sentence of a language. ``docs/text.md`` shows the style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import cast

from lingting.text.edits import Change, Written, apply_changes

__all__ = ["Written", "normalize"]

_CHINESE = {
    "zh",
    "yue",
    "wuu",
    "nan",
    "hsn",
    "gan",
    "hak",
    "cjy",
    "cmn",
    "lzh",
    "cdo",
    "czh",
    "mnp",
    "cnp",
}
_MODULES = {"zh": "chinese", "en": "english", "ja": "japanese"}

Grammar = Callable[[str], Iterable[Change]]


def normalize(spoken: str, language: str) -> Written:
    """The written form of ``spoken`` with edits of kind ``itn``.

    ``language`` is a code such as zh, en, ja, yue or zh-TW (case and region do not matter);
    Chinese of every dialect takes the Chinese grammar. Text of any other language is returned
    unchanged, and so is text that is written already.
    """
    primary = language.replace("_", "-").split("-")[0].lower()
    module = _MODULES.get("zh" if primary in _CHINESE else primary)
    if module is None or not spoken:
        return Written(spoken)
    return apply_changes(spoken, _grammar(module)(spoken), "itn")


@cache
def _grammar(module: str) -> Grammar:
    """The grammar's ``changes`` function; imported here so that importing this package is light."""
    return cast(Grammar, import_module(f"{__name__}.{module}").changes)

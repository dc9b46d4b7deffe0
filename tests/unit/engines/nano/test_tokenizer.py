"""Qwen's tokenizer out of tokenizer.json, and the ones that are not it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingting.engines.nano.prompt import PromptOptions, build
from lingting.engines.nano.tokenizer import QwenTokenizer
from lingting.errors import WeightsInvalid
from tests.tiny_checkpoints import tokenizer_document, write_tokenizer


@pytest.fixture
def tokenizer(tmp_path: Path) -> QwenTokenizer:
    write_tokenizer(tmp_path)
    return QwenTokenizer(tmp_path, rows=len(tokenizer_document()["model"]["vocab"]) + 4)


@pytest.mark.parametrize(
    "text",
    ["", "语音转写：", "Hello, world!\n\n\n**x**", "ภาษาไทย עברית", "🎙️ 1984 3.14", "  spaces  "],
)
def test_text_comes_back(tokenizer: QwenTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_chat_markers_are_one_token_each_and_no_text(tokenizer: QwenTokenizer) -> None:
    prompt = build(PromptOptions("zh"))
    start, end = tokenizer.encode("<|im_start|>")[0], tokenizer.encode("<|im_end|>")[0]
    ids = tokenizer.encode(prompt.before)
    assert (ids.count(start), ids.count(end)) == (2, 1)
    assert ids[0] == start
    after = tokenizer.encode(prompt.after)
    assert (after[0], after.count(start)) == (end, 1)
    assert "im_" not in tokenizer.decode(ids)


def test_a_turn_ends_with_either_marker(tokenizer: QwenTokenizer) -> None:
    ends = {tokenizer.encode(marker)[0] for marker in ("<|im_end|>", "<|endoftext|>")}
    assert tokenizer.eos_ids == ends
    assert len(tokenizer) == max(tokenizer.encode("<|object_ref_start|>")) + 1


def test_half_a_character_is_shown_as_such(tokenizer: QwenTokenizer) -> None:
    ids = tokenizer.encode("龘")  # no joined token: three bytes
    assert len(ids) == 3
    assert tokenizer.decode(ids[:2]) == "\ufffd"


def test_where_each_token_ends_in_the_text(tokenizer: QwenTokenizer) -> None:
    ids = tokenizer.encode(" 龘a")
    text = "龘a"
    ends = tokenizer.ends(ids, text)
    assert ends is not None
    assert len(ends) == len(ids)
    assert ends == sorted(ends)
    assert ends[-3:] == [0, 1, 2]  # the second of three bytes, the third, the letter
    assert tokenizer.ends(ids, "龘 a") is None
    assert tokenizer.ends([], "") == []


def without_markers(document: dict[str, Any]) -> None:
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] != "<|im_end|>"]


def ordinary_marker(document: dict[str, Any]) -> None:
    """The marker is in the vocabulary but is cut like any other text."""
    without_markers(document)
    document["model"]["vocab"]["<|im_end|>"] = len(document["model"]["vocab"])


def without_chinese(document: dict[str, Any]) -> None:
    document["normalizer"] = {"type": "Replace", "pattern": {"Regex": "[一-龥]"}, "content": "?"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without_markers, r"chat marker <\|im_end\|>"),
        (ordinary_marker, r"chat marker <\|im_end\|>"),
        (without_chinese, "Chinese text"),
    ],
)
def test_another_models_tokenizer_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], what: str
) -> None:
    document = json.loads(json.dumps(tokenizer_document()))
    change(document)
    (tmp_path / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(WeightsInvalid, match=rf"tokenizer\.json .*{what}"):
        QwenTokenizer(tmp_path)


def test_more_tokens_than_rows_are_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(WeightsInvalid, match="has 404 tokens for 403 rows"):
        QwenTokenizer(tmp_path, rows=403)


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, "utf-8")
    with pytest.raises(WeightsInvalid, match=r"tokenizer\.json cannot be used"):
        QwenTokenizer(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match=r"tokenizer\.json .* missing"):
        QwenTokenizer(tmp_path)

"""Whisper's real vocabulary: prompts in, text and words out."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from lingting.engines.whisper_tokens import Piece, WhisperTokens
from lingting.errors import WeightsInvalid
from lingting.joining import join

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokens(whisper_folder: Path) -> WhisperTokens:
    return WhisperTokens(whisper_folder / "tokenizer.json")


def ids_of(tokens: WhisperTokens, text: str) -> list[int]:
    """Ordinary tokens of a text, as the decoder would write it."""
    prompt = tokens.prompt("en", text)
    return prompt[1 : prompt.index(tokens.start)]


def words_of(tokens: WhisperTokens, text: str) -> list[str]:
    return [piece.text for piece in tokens.words(ids_of(tokens, text))]


def assert_spells(text: str, pieces: list[Piece]) -> None:
    """The pieces stand in the text in order with nothing but white space between them."""
    at = 0
    for piece in pieces:
        found = text.find(piece.text, at)
        assert found >= 0
        assert not text[at:found].strip()
        at = found + len(piece.text)
    assert not text[at:].strip()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world! It's fine.", ["Hello,", "world!", "It's", "fine."]),
        ("他说：“你好。”", ["他", "说：", "“你", "好。”"]),
        ("《书》很好", ["《书》", "很", "好"]),
        ("用iPhone打电话", ["用", "iPhone", "打", "电", "话"]),
        ("これはテストです。", ["こ", "れ", "は", "テ", "ス", "ト", "で", "す。"]),
        ("안녕하세요 여러분", ["안녕하세요", "여러분"]),
        ("यह हिन्दी है।", ["यह", "हिन्दी", "है।"]),
        ("ที่นี่ดี", ["ที่", "นี่", "ดี"]),
        ('He said "no" - twice.', ["He", "said", '"no"', "-", "twice."]),
        ("minus -5 degrees", ["minus", "-5", "degrees"]),
        ("Ça va ? Oui !", ["Ça", "va ?", "Oui !"]),
        ("¿Qué? ¡Ya!", ["¿Qué?", "¡Ya!"]),
        ("well-known e.g. 3.5%", ["well-known", "e.g.", "3.5%"]),
        ("", []),
    ],
)
def test_words(tokens: WhisperTokens, text: str, words: list[str]) -> None:
    assert words_of(tokens, text) == words


@pytest.mark.parametrize(
    "text",
    [
        "自六月底，呼和浩特市率先宣布。",
        "And so, my fellow Americans: ask not what your country can do!",
        "嵌入式GPU上跑transformer模型。",
        "客観的実在の判断的知識が成立するのである。",
        "नमस्ते, आप कैसे हैं?",
        "สวัสดีครับ ผมชื่อสมชาย",
        "남자가 여자를 민다.",
        "Tết là dịp mọi người háo hức.",
    ],
)
def test_words_joined_are_the_text(tokens: WhisperTokens, text: str) -> None:
    ids = ids_of(tokens, text)
    assert tokens.text(ids) == text
    words = [piece.text for piece in tokens.words(ids)]
    assert join(words).replace(" ", "") == text.replace(" ", "")
    if "ส" not in text:  # Thai writes a space between sentences, which no word can hold
        assert join(words) == text


@pytest.mark.speech
def test_words_spell_every_reference_of_thirty_languages(
    tokens: WhisperTokens, speech_dir: Path
) -> None:
    rows = (speech_dir / "manifest.jsonl").read_text("utf-8").splitlines()
    texts = [text for row in rows if (text := json.loads(row)["text"])]
    assert len(texts) > 200
    for text in texts:
        ids = ids_of(tokens, text)
        pieces = tokens.words(ids)
        assert_spells(tokens.text(ids), pieces)
        assert all(piece.text == piece.text.strip() != "" for piece in pieces)
        assert all(0 <= piece.first < piece.last <= len(ids) for piece in pieces)
        assert all(a.first <= b.first and a.last <= b.last for a, b in pairwise(pieces))


def test_any_tokens_at_all_can_be_read(tokens: WhisperTokens) -> None:
    chance = random.Random(5)  # noqa: S311 - a repeatable test
    for _ in range(300):
        ids = [chance.randrange(tokens.end) for _ in range(chance.randrange(30))]
        pieces = tokens.words(ids)
        assert all(piece.text.strip() for piece in pieces)
        assert all(0 <= piece.first < piece.last <= len(ids) for piece in pieces)
        assert "�" not in "".join(piece.text for piece in pieces)


def test_a_character_cut_in_half_is_dropped(tokens: WhisperTokens) -> None:
    ids = ids_of(tokens, "हिन्दी ก็ 龘")
    whole = tokens.text(ids)
    assert whole == "हिन्दी ก็ 龘"
    cut = tokens.text(ids[:-1])
    assert "�" not in cut
    assert whole.startswith(cut)
    assert "�" not in "".join(piece.text for piece in tokens.words(ids[:-1]))


def test_special_tokens_are_no_text(tokens: WhisperTokens) -> None:
    ids = [*tokens.start_sequence("zh"), *ids_of(tokens, "你好"), tokens.end]
    assert tokens.text(ids) == "你好"


def test_prompts(tokens: WhisperTokens) -> None:
    plain = tokens.prompt("zh", "")
    assert plain[:3] == tokens.start_sequence("zh")
    assert len(plain) == 4  # start, language, task, no times
    told = tokens.prompt("zh", "以下是普通话的句子。")
    assert told[-4:] == plain
    assert told[0] not in plain
    assert tokens.text(told) == "以下是普通话的句子。"
    assert tokens.prompt("en", "")[1] != plain[1]


def test_a_long_prompt_keeps_its_end_and_fits_the_window(tokens: WhisperTokens) -> None:
    told = tokens.prompt("en", "word " * 600 + "last")
    assert len(told) == 1 + 223 + 4
    assert tokens.text(told).endswith("word last")


def test_languages(tokens: WhisperTokens) -> None:
    assert len(tokens.languages) == 99
    assert {"zh", "en", "ja", "jw", "tl"} <= tokens.languages
    assert not {"ga", "yue"} & tokens.languages


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe\x00"])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(WeightsInvalid, match="cannot be read"):
        WhisperTokens(file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid):
        WhisperTokens(tmp_path / "tokenizer.json")


def test_the_tokenizer_of_another_model(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    model = {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}
    file.write_text(json.dumps({"version": "1.0", "model": model}))
    with pytest.raises(WeightsInvalid, match="no Whisper"):
        WhisperTokens(file)

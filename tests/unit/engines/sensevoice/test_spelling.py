"""Tokens spell what sentencepiece itself would write, and it is known where each one ends."""

import io
from pathlib import Path

import pytest
import sentencepiece

from lingting.engines.sensevoice.spelling import Spelling
from lingting.errors import WeightsInvalid
from tests.tiny_checkpoints import sentence_pieces

TEXTS = (
    "开放时间早上九点至下午五点。",
    "The tribal chieftain called for the boy",
    "语音转写成 the boy 中文",
    "",
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "spectok.bpe.model"
    path.write_bytes(sentence_pieces())
    return path


@pytest.mark.parametrize("text", TEXTS)
def test_as_sentencepiece_writes(text: str, model: Path) -> None:
    reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
    tokens = reference.encode(text)
    spelt = Spelling(model).spell(tokens)
    assert spelt.text == reference.decode(tokens) == text
    assert list(spelt.ends) == sorted(spelt.ends)
    assert len(spelt.ends) == len(tokens)
    if tokens:
        assert spelt.ends[-1] == len(text)
    for count in range(1, len(tokens)):
        start = reference.decode(tokens[:count])
        assert text[: spelt.ends[count - 1]].rstrip() == start.rstrip()


def test_tags_are_known(model: Path) -> None:
    spelling = Spelling(model)
    for tag in ("zh", "nospeech", "HAPPY", "withitn"):
        token = spelling.token(tag)
        assert token is not None
        assert spelling.tag(token) == tag
    assert spelling.token("tlh") is None
    assert spelling.tag(len(spelling) - 1) is None
    assert spelling.tag(0) is None


def test_a_character_in_bytes(tmp_path: Path) -> None:
    """Rare characters come as three tokens of one byte each."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["abc abd"] * 9),
        model_writer=model,
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path / "bytes.model"
    path.write_bytes(model.getvalue())
    tokens = sentencepiece.SentencePieceProcessor(model_file=str(path)).encode("ab聆c")
    spelt = Spelling(path).spell(tokens)
    assert spelt.text == "ab聆c"
    assert spelt.ends[-1] == 4
    cut = Spelling(path).spell(tokens[:-2])  # a character of which the last byte is not there
    assert cut.text == "ab\ufffd"


def test_control_and_unknown_tokens_write_nothing(model: Path) -> None:
    assert Spelling(model).spell([0, 1, 2]).text == ""


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bpe.model"
    with pytest.raises(WeightsInvalid, match="cannot be read"):
        Spelling(path)
    path.write_bytes(b"no model at all")
    with pytest.raises(WeightsInvalid, match="no sentence-piece model"):
        Spelling(path)

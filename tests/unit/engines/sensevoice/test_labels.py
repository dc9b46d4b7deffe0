"""Tags become fields, and languages become queries."""

import pytest

from lingting.engines.sensevoice.labels import (
    LANGUAGES_KNOWN,
    Labels,
    model_language,
    queries,
    read_labels,
    tag_of,
)
from lingting.errors import LanguageUnsupported


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        (["zh", "NEUTRAL", "Speech", "withitn"], Labels("zh", "neutral", ())),
        (["yue", "HAPPY", "BGM", "woitn"], Labels("yue", "happy", ("music",))),
        (["nospeech", "EMO_UNKNOWN", "Event_UNK", "woitn"], Labels("nospeech", None, ())),
        (
            ["en", "EMO_UNKNOWN", "Laughter", "Applause", "Laughter", "SAD", "ANGRY"],
            Labels("en", "sad", ("laughter", "applause")),
        ),
        (["HAPPY", "ja"], Labels(None, "happy", ())),  # the language is the first answer or none
        ([], Labels()),
        (["SPECIAL_TOKEN_1"], Labels()),
    ],
)
def test_tags_to_fields(tags: list[str], labels: Labels) -> None:
    assert read_labels(tags) == labels


@pytest.mark.parametrize(
    ("piece", "tag"), [("<|zh|>", "zh"), ("▁你", None), ("<|", None), ("a<|zh|>", None)]
)
def test_a_tag_is_a_whole_piece(piece: str, tag: str | None) -> None:
    assert tag_of(piece) == tag


def test_queries_are_those_the_model_was_trained_with() -> None:
    assert queries("auto", True) == (0, 1, 2, 14)
    assert queries("zh", False) == (3, 1, 2, 15)
    assert [queries(one, True)[0] for one in ("en", "yue", "ja", "ko", "nospeech")] == [
        4, 7, 11, 12, 13,
    ]  # fmt: skip


def test_languages() -> None:
    assert model_language(None, "m") == ("auto", ())
    assert model_language("yue", "m") == ("yue", ())
    assert model_language("hsn", "m") == ("zh", ("language.hsn_as_zh",))
    assert {"zh", "yue", "en", "ja", "ko", "wuu"} <= LANGUAGES_KNOWN
    assert "nospeech" not in LANGUAGES_KNOWN
    with pytest.raises(LanguageUnsupported, match="does not know fr"):
        model_language("fr", "m")

"""Glossaries as text, and what a name and a word may be."""

import pytest

from lingting.errors import OptionInvalid
from lingting.jobs import JobOptions
from lingting.store.glossaries import from_text, parse_name, parse_words, to_text
from lingting.store.records import MAX_WORD_CHARS, MAX_WORDS


def test_a_file_with_comments() -> None:
    text = "\ufeff# products\r\n聆听\n\n  Fun-ASR  Nano \n#not this\n\\#hashtag\n\\\\server\n聆听\n"
    assert from_text(text.encode()) == ("聆听", "Fun-ASR Nano", "#hashtag", "\\server")


@pytest.mark.parametrize(
    "words",
    [("a",), ("#a", "\\a", "\\#a", "\\\\a", "a # b", "退款", "-", "a\\"), ("a\nb", "\u2028c\x85d")],
)
def test_what_is_exported_is_read_back(words: tuple[str, ...]) -> None:
    kept = parse_words(words)
    assert from_text(to_text(kept).encode()) == kept
    assert len(to_text(kept).splitlines()) == len(words)


def test_what_no_database_holds_is_replaced() -> None:
    assert parse_words(["a\0", "\ud800b", " ", "\ufeffc"]) == ("a\ufffd", "\ufffdb", "c")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no words"),
        (["", "\t"], "no words"),
        ([str(at) for at in range(MAX_WORDS + 1)], f"allowed are {MAX_WORDS}"),
        (["x" * (MAX_WORD_CHARS + 1)], f"longer than {MAX_WORD_CHARS}"),
    ],
)
def test_words_that_cannot_be(words: list[str], told: str) -> None:
    with pytest.raises(OptionInvalid, match=told):
        parse_words(words)


def test_as_much_as_may_be() -> None:
    words = tuple(f"{at:05}".ljust(MAX_WORD_CHARS, "x") for at in range(MAX_WORDS))
    assert parse_words([*words, words[0]]) == words


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (1 << 20) + b"x"])
def test_files_that_cannot_be(content: bytes) -> None:
    with pytest.raises(OptionInvalid):
        from_text(content)


@pytest.mark.parametrize("name", ["", " ", "a/b", ".", "..", ".a", "a\nb", "\x1b[2J", "x" * 101])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(OptionInvalid):
        parse_name(name)


def test_a_name_is_one_however_it_is_typed() -> None:
    assert parse_name(" Cafe\u0301 ") == "Caf\u00e9"


# Options -----------------------------------------------------------------------------------------


def test_options_without_a_glossary_are_as_before() -> None:
    """Rows and idempotency keys of before compare by this form."""
    assert not [name for name in JobOptions().as_dict() if name.startswith("glossary")]


@pytest.mark.parametrize(
    "given", [{"glossary": 3}, {"glossary_id": []}, {"glossary_revision": "1"},
              {"glossary_revision": True}],
)  # fmt: skip
def test_options_of_another_kind(given: dict[str, object]) -> None:
    with pytest.raises(OptionInvalid):
        JobOptions.from_dict(given)


def test_which_glossary_it_was_is_nobodys_to_say() -> None:
    told = JobOptions.from_dict({"glossary_id": "x", "glossary_revision": 7})
    assert told.with_glossary(None) == JobOptions()

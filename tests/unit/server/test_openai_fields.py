"""OpenAI's form fields, in the spellings that clients use."""

import pytest

from lingting.errors import (
    LanguageUnknown,
    LingtingError,
    ModelCannot,
    ModelUnknown,
    OptionInvalid,
)
from lingting.server.openai.fields import Fields, Wanted, read_transcription, read_translation
from lingting.server.openai.names import ALIASES, Names

NAMES = Names({"whisper-base": {}, "org/big": {}}, is_known=True)


def wanted(*pairs: tuple[str, str], model: str | None = "whisper-base") -> Wanted:
    fields = Fields()
    for name, value in (*pairs, *([("model", model)] if model else [])):
        fields.add(name, value)
    return read_transcription(fields, NAMES)


def refusal(*pairs: tuple[str, str], model: str | None = "whisper-base") -> LingtingError:
    with pytest.raises(LingtingError) as caught:
        wanted(*pairs, model=model)
    return caught.value


def test_what_nobody_says_is_openais_default() -> None:
    found = wanted()
    assert (found.format, found.granularities) == ("json", {"segment"})
    assert (found.is_streamed, found.is_kept, found.is_whisper) == (False, True, False)
    options = found.options
    assert (options.model, options.language, options.words) == ("whisper-base", None, False)
    assert (options.hotwords, options.prompt, options.itn) == ((), None, True)


@pytest.mark.parametrize("name", [*ALIASES, "auto"])
def test_openais_names_stand_for_the_default_model(name: str) -> None:
    found = wanted(model=name)
    assert (found.model, found.options.model) == (name, "auto")
    assert found.is_whisper == (name == "whisper-1")


def test_a_model_of_a_host_is_taken_by_name_and_no_other() -> None:
    assert wanted(model="org/big").options.model == "org/big"
    error = refusal(model="gpt-9")
    assert (type(error), error.param) == (ModelUnknown, "model")


def test_while_no_host_answers_any_name_may_be_one() -> None:
    fields = Fields()
    fields.add("model", "somebody/model")
    assert read_transcription(fields, Names()).options.model == "somebody/model"


def test_a_form_without_a_model_is_refused() -> None:
    error = refusal(model=None)
    assert (type(error), error.param) == (OptionInvalid, "model")


@pytest.mark.parametrize(
    "pairs",
    [
        [("keywords[]", "聆听"), ("keywords[]", "Fun, ASR")],
        [("keywords", '["聆听", "Fun, ASR"]')],
    ],
)
def test_arrays_bracketed_and_as_json(pairs: list[tuple[str, str]]) -> None:
    assert wanted(*pairs).options.hotwords == ("聆听", "Fun, ASR")


@pytest.mark.parametrize(
    "pairs", [[("keywords", "聆听,vLLM")], [("keywords", "聆听"), ("keywords", "vLLM")]]
)
def test_plain_arrays_repeated_and_joined(pairs: list[tuple[str, str]]) -> None:
    assert wanted(*pairs).options.hotwords == ("聆听", "vLLM")


def test_hotwords_are_ours_and_keywords_come_first() -> None:
    found = wanted(("hotwords", "a b\nc, d"), ("keywords[]", "e"), ("keywords[]", "c"))
    assert found.options.hotwords == ("e", "c", "a b", "d")


@pytest.mark.parametrize("bad", ["<b>", "a>b", "a\nb", "a\rb"])
def test_keywords_refuse_what_openai_refuses(bad: str) -> None:
    error = refusal(("keywords[]", "fine"), ("keywords[]", bad))
    assert (type(error), error.param) == (OptionInvalid, "keywords")
    assert bad not in str(error)


def test_word_times_need_the_verbose_form() -> None:
    verbose = ("response_format", "verbose_json")
    for name in ("timestamp_granularities[]", "timestamp_granularities"):
        found = wanted(verbose, (name, "word"))
        assert (found.granularities, found.options.words) == ({"word"}, True)
    both = wanted(
        verbose, ("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")
    )
    assert both.granularities == {"word", "segment"}
    assert wanted(verbose, ("timestamp_granularities", "word,segment")) == both
    assert refusal(("timestamp_granularities[]", "word")).param == "timestamp_granularities"
    assert refusal(verbose, ("timestamp_granularities[]", "letter")).param == (
        "timestamp_granularities"
    )


def test_streaming_is_for_texts_and_not_for_the_old_name() -> None:
    assert wanted(("stream", "true")).is_streamed
    assert not wanted(("stream", "false")).is_streamed
    assert not wanted(("stream", "true"), model="whisper-1").is_streamed
    for format in ("srt", "vtt", "verbose_json"):
        assert refusal(("stream", "True"), ("response_format", format)).param == "stream"
    assert refusal(("stream", "maybe")).param == "stream"


def test_languages() -> None:
    assert wanted(("language", "zh")).options.language == "zh"
    assert wanted(("language", "")).options.language is None
    assert wanted(("languages[]", "de")).options.language == "de"
    assert wanted(("languages[]", "de"), ("languages[]", "en")).options.language is None
    assert wanted(("languages", "de,de")).options.language == "de"
    unknown = refusal(("language", "klingon"))
    assert (type(unknown), unknown.param) == (LanguageUnknown, "language")
    assert refusal(("languages[]", "klingon")).param == "languages"
    assert refusal(("language", "de"), ("languages[]", "de")).param == "languages"


@pytest.mark.parametrize(
    "pairs",
    [
        [("chunking_strategy", "auto")],
        [("chunking_strategy", '"auto"')],
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "0.4")],
        [("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 300}')],
    ],
)
def test_chunking_strategies_in_both_forms(pairs: list[tuple[str, str]]) -> None:
    assert wanted(*pairs).options == wanted().options


@pytest.mark.parametrize(
    "pairs",
    [
        [("chunking_strategy", "never")],
        [("chunking_strategy", '{"type": "other"}')],
        [("chunking_strategy", "{")],
        [("chunking_strategy[threshold]", "0.4")],
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[threshold]", "4")],
        [("chunking_strategy", '{"type": "server_vad", "prefix_padding_ms": "x"}')],
    ],
)
def test_other_chunking_strategies_are_refused(pairs: list[tuple[str, str]]) -> None:
    error = refusal(*pairs)
    assert isinstance(error, OptionInvalid)
    assert str(error.param).startswith("chunking_strategy")


@pytest.mark.parametrize(
    ("pair", "param"),
    [
        (("include[]", "logprobs"), "include"),
        (("include", "logprobs"), "include"),
        (("known_speaker_names[]", "ann"), "known_speaker_names"),
        (("known_speaker_references[]", "data:audio/wav;base64,AA"), "known_speaker_references"),
        (("response_format", "diarized_json"), "response_format"),
    ],
)
def test_what_no_model_can_is_refused_by_name(pair: tuple[str, str], param: str) -> None:
    error = refusal(pair)
    assert (type(error), error.param) == (ModelCannot, param)


def test_speakers_by_channel() -> None:
    diarized = (("response_format", "diarized_json"), ("channels", "split"))
    assert wanted(*diarized).options.channels == "split"
    assert refusal(*diarized, ("prompt", "a talk")).param == "prompt"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "2"),
        ("temperature", "nan"),
        ("temperature", "hot"),
        ("response_format", "xml"),
        ("script", "runic"),
        ("itn", "perhaps"),
        ("beam_size", "2.5"),
        ("beam_size", "99"),
        ("store", "later"),
        ("include[]", "everything"),
        ("prompt", "x" * 10_001),
    ],
)
def test_values_outside_are_refused_with_the_field(name: str, value: str) -> None:
    error = refusal((name, value))
    assert isinstance(error, OptionInvalid)
    assert error.param == name.removesuffix("[]")
    assert value not in str(error)


def test_our_extras() -> None:
    found = wanted(
        ("itn", "false"), ("script", "traditional"), ("glossary", "products"), ("beam_size", "3"),
        ("store", "false"), ("prompt", "a talk"), ("temperature", "0.2"), ("colour", "red"),
        ("vad_options[a]", "1"), ("odd]name[", "1"),
    )  # fmt: skip
    options = found.options
    assert (options.itn, options.script, options.glossary) == (False, "traditional", "products")
    assert (options.beam_size, options.prompt, found.is_kept) == (3, "a talk", False)


def translation(*given: tuple[str, str]) -> Wanted:
    fields = Fields()
    for name, value in given:
        fields.add(name, value)
    return read_translation(fields, NAMES)


def test_a_translation_is_a_transcription_in_english() -> None:
    found = translation(("model", "gpt-4o-transcribe"), ("prompt", "Hi."), ("stream", "true"))
    assert (found.options.translate, found.options.prompt) == (True, "Hi.")
    assert (found.is_translated, found.is_streamed) == (True, False)
    with pytest.raises(ModelUnknown):
        translation(("model", "gpt-9"))
    with pytest.raises(OptionInvalid) as refused:
        translation(("model", "whisper-1"), ("response_format", "diarized_json"))
    assert refused.value.param == "response_format"

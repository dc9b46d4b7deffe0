"""The catalogue that ships, and what the reader refuses."""

from __future__ import annotations

import pytest

from lingting.errors import FaultError, ModelUnknown
from lingting.languages import parse_language
from lingting.models.catalogue import HubSource, WheelSource, catalogue, parse_catalogue

WITHOUT_DIGEST = {"paraformer-zh-streaming"}
WITHOUT_SIZE = {"paraformer-zh-streaming", "fun-asr-nano-hf"}

GOOD = """
[[model]]
id = "tiny"
kind = "vad"
task = "t"
languages = ["zh"]
licence = "MIT"
note = "n"
main = "a.bin"

[[model.file]]
path = "a.bin"
size_bytes = 3
sha256 = "{sha}"

[[model.source]]
kind = "wheels"
[[model.source.wheel]]
package = "tiny-data"
version = "1.0"
file = "tiny_data-1.0-py3-none-any.whl"
size_bytes = 9
sha256 = "{sha}"
[[model.source.member]]
path = "a.bin"
parts = ["tiny-data:tiny_data/a.bin"]

[[model.source]]
kind = "huggingface"
repository = "someone/tiny"
revision = "abc"
""".replace("{sha}", "a" * 64)


def test_a_good_catalogue_is_read() -> None:
    model = parse_catalogue(GOOD).get(" Tiny ")
    assert (model.id, model.size_bytes, model.is_pinned) == ("tiny", 3, True)
    wheels, hub = model.sources
    assert isinstance(wheels, WheelSource)
    assert wheels.members[0].parts == (("tiny-data", "tiny_data/a.bin"),)
    assert hub == HubSource("huggingface", "someone/tiny", "abc")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('licence = "MIT"', 'license = "MIT"', "unknown key license"),
        ('task = "t"\n', "", "task is missing"),
        ('kind = "vad"', 'kind = "oracle"', "kind must be one of"),
        ('main = "a.bin"', 'main = "b.bin"', "main is not one of its files"),
        ('path = "a.bin"\nsize', 'path = "../a.bin"\nsize', "leaves its folder"),
        ('path = "a.bin"\nsize', 'path = "/a.bin"\nsize', "leaves its folder"),
        ('path = "a.bin"\nsize', 'path = "x/../a.bin"\nsize', "leaves its folder"),
        ('path = "a.bin"\nsize', 'path = "x\\\\a.bin"\nsize', "leaves its folder"),
        ('path = "a.bin"\nsize', 'path = ".lingting.json"\nsize', "begins with a dot"),
        ("size_bytes = 3", "size_bytes = -3", "whole number"),
        ("size_bytes = 3\n", "", "need a size and a digest"),
        ('sha256 = "aaa', 'sha256 = "AAA', "sha256 has the wrong form"),
        ('id = "tiny"', 'id = "../tiny"', "id has the wrong form"),
        ('version = "1.0"\n', "", "version is missing"),
        ('package = "tiny-data"', 'package = "--index-url"', "package has the wrong form"),
        ('"tiny-data:tiny_data/a.bin"', '"other:tiny_data/a.bin"', "not listed"),
        ('"tiny-data:tiny_data/a.bin"', '"tiny-data:../a.bin"', "leaves its folder"),
        ('"tiny-data:tiny_data/a.bin"', '"tiny_data/a.bin"', "package:path"),
        ('revision = "abc"\n', "", "revision is missing"),
        ('kind = "huggingface"', 'kind = "gopher"', "a source must be"),
        ('repository = "someone/tiny"', 'repository = "tiny"', "repository has the wrong form"),
        ('languages = ["zh"]', 'languages = "zh"', "languages must be a list"),
        ("[[model]]", "[[model", "not valid TOML"),
    ],
)
def test_a_bad_catalogue_is_refused(old: str, new: str, what: str) -> None:
    assert old in GOOD
    with pytest.raises(FaultError, match=what):
        parse_catalogue(GOOD.replace(old, new, 1))


def test_an_id_may_not_occur_twice() -> None:
    with pytest.raises(FaultError, match="twice"):
        parse_catalogue(GOOD + GOOD)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelUnknown, match="'wisper-base'") as caught:
        catalogue().get("wisper-base")
    assert "whisper-base" in caught.value.next_step
    with pytest.raises(ModelUnknown) as caught:
        catalogue().get("/home/somebody/private-model")
    assert "somebody" not in str(caught.value)


def test_the_catalogue_that_ships_is_sound() -> None:
    models = {model.id: model for model in catalogue().models}
    assert {"whisper-base", "fsmn-vad", "sample-recordings", "fun-asr-nano"} <= set(models)
    for model in models.values():
        assert model.sources, model.id
        assert [parse_language(code) for code in model.languages] == list(model.languages)
        main = next(file for file in model.files if file.path == model.main)
        # Weights are pinned by the catalogue, unless nobody published their digest; companions
        # may be pinned locally.
        assert bool(main.sha256) == (model.id not in WITHOUT_DIGEST), model.id
        assert bool(main.size_bytes) == (model.id not in WITHOUT_SIZE), model.id


def test_the_two_published_nano_checkpoints_are_two_models() -> None:
    """Facts of the publishers: the sizes differ by the CTC branch."""
    with_ctc = catalogue().get("fun-asr-nano")
    text_only = catalogue().get("fun-asr-nano-textonly")
    assert [source.kind for source in with_ctc.sources] == ["modelscope"]
    assert [source.kind for source in text_only.sources] == ["huggingface"]
    assert (with_ctc.files[0].size_bytes or 0) - (text_only.files[0].size_bytes or 0) == 156277107


def test_the_conversions_of_nano_are_models_of_their_own() -> None:
    """Same languages, other files; the digests are the publishers'."""
    nano = catalogue().get("fun-asr-nano")
    for name in ("fun-asr-nano-hf", "fun-asr-nano-vllm"):
        model = catalogue().get(name)
        assert model.main == "model.safetensors"
        assert model.languages == nano.languages
        (source,) = model.sources
        assert isinstance(source, HubSource)
        assert len(source.revision) == 40  # a commit: both were converted again under one name
    # The vLLM conversion holds the tensors of the text-only checkpoint, its pickle is larger.
    pickle = catalogue().get("fun-asr-nano-textonly").files[0].size_bytes or 0
    plain = catalogue().get("fun-asr-nano-vllm").files[0].size_bytes or 0
    assert 0 < pickle - plain < 300_000

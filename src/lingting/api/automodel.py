"""FunASR's ``AutoModel``: scripts written for it run here, with one result per input, always.

::

    model = AutoModel(model="FunAudioLLM/Fun-ASR-Nano-2512", device="cuda:0")
    model.generate(input=["a.wav", "b.mp3"], language="中文", itn=True, hotwords=["开放时间"])
    # [{"key": "a", "text": "…", "text_tn": "…", "language": "zh"}, {"key": "b", …}]

    AutoModel(model="fsmn-vad").generate(input="a.wav")
    # [{"key": "a", "value": [[70, 2340], [2620, 6200]]}]

What differs from the toolkit: an input that cannot be read gives ``{"key", "text": "", "error":
{"code", "message"}}`` in its place and the others go on; the list is never shorter than the input;
an option that does not exist is an error; addresses are not fetched.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingting.api.funasr_names import (
    CODE_OPTIONS,
    PRECISION_OPTIONS,
    model_name,
    precision,
    warn_of_code,
)
from lingting.api.funasr_options import hotwords, merge_length_s, refuse_unknown, threads
from lingting.audio import SAMPLE_RATE_HZ
from lingting.errors import AudioNotFound, LingtingError, ManifestInvalid, OptionInvalid
from lingting.pipeline import Outcome, PipelineOptions, Source, Transcriber
from lingting.transcript import Segment, Transcript, Word
from lingting.vad.options import DEFAULT_OPTIONS, VadOptions
from lingting.vad.pack import DEFAULT_PACKING, PackOptions

Result = dict[str, Any]

_VAD = "fsmn-vad"
_VAD_OPTIONS = {
    "max_end_silence_time": "max_end_silence_ms",
    "max_start_silence_time": "max_start_silence_ms",
    "max_single_segment_time": "max_single_segment_ms",
    "speech_noise_thres": "speech_noise_threshold",
    "window_size_ms": "window_ms",
    "sil_to_speech_time_thres": "sil_to_speech_ms",
    "speech_to_sil_time_thres": "speech_to_sil_ms",
    "lookback_time_start_point": "lookback_ms",
    "lookahead_time_end_point": "lookahead_ms",
    "decibel_thres": "min_level_db",
    "snr_thres": "min_snr_db",
}
_MODEL_KEYS = PRECISION_OPTIONS | CODE_OPTIONS | {"ngpu", "punc_model"}
_OTHER_TASKS = {
    "ct-punc": "Give it as punc_model, or use lingting.engines.funasr.load_punctuator.",
    "cam++": "Use lingting.engines.funasr.load_embedder for the vectors of voices.",
}
_ASR_KEYS = frozenset(
    {
        "beam_size",
        "hotword",
        "hotwords",
        "itn",
        "language",
        "merge_length_s",
        "output_timestamp",
        "prompt",
        "script",
        "sentence_timestamp",
        "use_itn",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """One input: what to call it and what to read, or why it cannot be."""

    key: str
    given: Any
    error: LingtingError | None = None


class AutoModel:
    """A recogniser, or FSMN-VAD, behind FunASR's call shape. Safe to call from several threads."""

    def __init__(
        self,
        model: str = "auto",
        *,
        device: str = "auto",
        compute: str = "auto",
        vad_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """``model`` is a catalogue name, a name of ModelScope or Hugging Face that the catalogue
        has (``hub`` says whose), a folder, the address of a server, or ``auto``; ``device`` is
        ``cpu`` or ``cuda`` (``cuda:0`` is understood). ``dtype``, ``bf16`` and ``fp16`` choose the
        precision as ``compute`` does. ``vad_kwargs`` takes FunASR's names and applies them.
        ``punc_model`` (``ct-punc``) marks the text of models that write no marks, ``ncpu`` is the
        number of threads.

        Raises OptionUnknown for options that do not exist, OptionInvalid for those that cannot be
        had (speakers, streaming), and what loading a model raises. Warns
        where float16 cannot be used, and that no code of a model is run.
        """
        refuse_unknown(options, _MODEL_KEYS)
        warn_of_code(options)
        model = model_name(model, options.get("hub"))
        if options.get("vad_model") and model_name(options["vad_model"]) != _VAD:
            raise OptionInvalid(
                "vad_model names another detector; only fsmn-vad is there.",
                "Leave it out: recordings are always cut by fsmn-vad.",
            )
        self._lock = threading.Lock()
        self._vad_options = _vad_options(vad_kwargs or {}, DEFAULT_OPTIONS)
        self._is_vad = model == _VAD
        self._transcriber: Transcriber | None = None
        if self._is_vad:
            from lingting import models
            from lingting.vad.fsmn import FsmnVad

            self._vad = FsmnVad(models.ensure("fsmn-vad"), options=self._vad_options)
        else:
            from lingting.api.transcribing import load

            _refuse_other_tasks(model)
            compute = precision(compute, options, for_float16=_for_float16(model))
            self._transcriber = load(
                model,
                device=_device(device, options),
                compute=compute,
                threads=threads(options),
                punctuation=model_name(options.get("punc_model") or "") or None,
            )

    def generate(
        self,
        input: Any,
        *,
        cache: dict[str, Any] | None = None,
        key: Sequence[str] | None = None,
        fs: int = SAMPLE_RATE_HZ,
        **options: Any,
    ) -> list[Result]:
        """One dict per input, in order.

        ``input``: a path, bytes, a binary file object, an array (at ``fs``), a ``.scp`` list
        (``key path`` a line), a ``.jsonl`` list (``source`` and ``key``), or a list of any of the
        first four. ``language`` takes Chinese, English or ISO names. ``output_timestamp`` and
        ``sentence_timestamp`` add word and sentence times. ``cache`` belongs to streaming models
        and must be empty.

        Raises OptionUnknown, OptionInvalid, LanguageUnknown, and ManifestInvalid for a list that
        cannot be read; what is wrong with an input stands in its result.
        """
        if cache:
            raise OptionInvalid("cache is not empty; this model does not stream.", "Give {}.")
        items = _items(input, key)
        with self._lock:
            if self._transcriber is None:
                return [self._spans(item, fs, options) for item in items]
            return self._recognise(items, fs, options)

    def _recognise(self, items: list[_Item], fs: int, options: Mapping[str, Any]) -> list[Result]:
        assert self._transcriber is not None
        wanted = self._pipeline_options(options)
        with_words = bool(options.get("output_timestamp"))
        with_sentences = bool(options.get("sentence_timestamp"))
        sources = [Source(item.given, item.key, fs, wanted) for item in items if item.error is None]
        outcomes = iter(self._transcriber.transcribe_many(sources))
        return [
            _failed(item.key, item.error)
            if item.error is not None
            else _result(next(outcomes), with_words, with_sentences)
            for item in items
        ]

    def _pipeline_options(self, options: Mapping[str, Any]) -> PipelineOptions:
        from lingting.config import settings

        refuse_unknown(options, _ASR_KEYS | frozenset(_VAD_OPTIONS))
        timed = options.get("output_timestamp") or options.get("sentence_timestamp")
        longest_s = options.get("merge_length_s")
        packing = DEFAULT_PACKING
        if longest_s is not None:
            packing = PackOptions(target_s=merge_length_s(longest_s, DEFAULT_PACKING.hard_s))
        return PipelineOptions(
            language=options.get("language"),
            words=bool(timed),
            itn=bool(options.get("itn", options.get("use_itn", True))),
            script=options.get("script", "simplified"),
            hotwords=hotwords(options),
            prompt=options.get("prompt"),
            beam_size=options.get("beam_size"),
            vad=_vad_options(_only(options, _VAD_OPTIONS), self._vad_options),
            packing=packing,
            max_duration_s=settings().max_duration_s,
        )

    def _spans(self, item: _Item, fs: int, options: Mapping[str, Any]) -> Result:
        """Speech of one input in ms, as FunASR's FSMN-VAD returns it."""
        from lingting.audio.decode import Limits, read_blocks
        from lingting.config import settings
        from lingting.vad.decision import SpeechEnd

        refuse_unknown(options, frozenset(_VAD_OPTIONS))
        wanted = _vad_options(options, self._vad_options)
        if item.error is not None:
            return _failed(item.key, item.error)
        stream = self._vad.stream(options=wanted)
        events = []
        try:
            limits = Limits(max_duration_s=settings().max_duration_s)
            for block in read_blocks(item.given, sample_rate_hz=fs, limits=limits):
                events += stream.feed(block)
                stream.take_frames()  # nobody draws them; without this they would pile up
            events += stream.finish()
        except LingtingError as error:
            return _failed(item.key, error)
        spans = [event.span for event in events if isinstance(event, SpeechEnd)]
        return {
            "key": item.key,
            "value": [[round(s.start_s * 1000), round(s.end_s * 1000)] for s in spans],
        }


def _refuse_other_tasks(model: str) -> None:
    """Before a model is fetched that does something else than recognising."""
    use = _OTHER_TASKS.get(model)
    if use is not None:
        raise OptionInvalid(f"The model {model} does not recognise speech.", use)


def _for_float16(model: str) -> str:
    """What a model computes in when a script asks for float16: only Whisper stays in its range."""
    from lingting.engines import registry

    try:
        kind = registry.kind_of(model, Path(model).expanduser())
    except LingtingError:  # auto, or what loading refuses with a better sentence
        return "bfloat16"
    return {registry.WHISPER: "float16", registry.FUNASR: "float32"}.get(kind, "bfloat16")


def _device(name: str, options: Mapping[str, Any]) -> str:
    """FunASR writes ``cuda:0``; here the first one is used, so another index is no wish we know.

    ``ngpu=0`` is its other way to say ``cpu``.
    """
    if options.get("ngpu") == 0:
        return "cpu"
    kind, _, index = name.partition(":")
    if index not in ("", "0"):
        raise OptionInvalid(
            f"device is {name}; allowed are auto, cpu, cuda and cuda:0.",
            "Choose another one with CUDA_VISIBLE_DEVICES.",
        )
    return kind


def _only(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


def _vad_options(given: Mapping[str, Any], base: VadOptions) -> VadOptions:
    from dataclasses import replace

    refuse_unknown(given, frozenset(_VAD_OPTIONS))
    return replace(base, **{_VAD_OPTIONS[k]: v for k, v in given.items() if k in _VAD_OPTIONS})


def _items(given: Any, keys: Sequence[str] | None) -> list[_Item]:
    """The inputs with their keys; a list file becomes its lines."""
    listed = _listed(given)
    if listed is None:
        entries = list(given) if isinstance(given, list | tuple) else [given]
        listed = [_item(entry, at) for at, entry in enumerate(entries)]
    if keys is None:
        return listed
    names = [keys] if isinstance(keys, str) else list(keys)
    if len(names) != len(listed):
        raise OptionInvalid(f"key has {len(names)} names for {len(listed)} inputs.")
    return [_Item(name, one.given, one.error) for name, one in zip(names, listed, strict=True)]


def _item(entry: Any, at: int) -> _Item:
    if _is_address(entry):
        return _Item(entry.rsplit("/", 1)[-1], entry, _address_refused())
    if isinstance(entry, str | Path):
        return _Item(Path(entry).stem, entry)
    return _Item(f"audio_{at}", entry)


def _is_address(entry: Any) -> bool:
    return isinstance(entry, str) and "://" in entry


def _address_refused() -> LingtingError:
    return AudioNotFound(
        "The input is an address; nothing is fetched from the network here.",
        "Download it first and give its path.",
    )


def _listed(given: Any) -> list[_Item] | None:
    """The lines of a ``.scp`` or ``.jsonl`` file, None for anything else."""
    if _is_address(given):
        return None
    if not isinstance(given, str | Path) or Path(given).suffix not in (".scp", ".jsonl"):
        return None
    path = Path(given)
    try:
        # Not splitlines(): JSON may hold U+2028 as it is.
        lines = [line for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as exc:
        raise ManifestInvalid("The list of inputs cannot be read.", "Check the path.") from exc
    read = _scp_line if path.suffix == ".scp" else _jsonl_line
    return [read(line, number, path.parent) for number, line in enumerate(lines, 1)]


def _scp_line(line: str, number: int, folder: Path) -> _Item:
    name, *rest = line.split(maxsplit=1)  # a space or a tab
    if not rest:
        raise ManifestInvalid(f"Line {number} of the list has no path.", "Write: key path.")
    return _listed_item(name, rest[0].strip(), folder)


def _jsonl_line(line: str, number: int, folder: Path) -> _Item:
    try:
        row = json.loads(line)
        file = row["source"]
        name = row.get("key", Path(file).stem)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ManifestInvalid(f"Line {number} of the list has no source.", "Mend it.") from exc
    return _listed_item(str(name), str(file), folder)


def _listed_item(name: str, file: str, folder: Path) -> _Item:
    """Paths are relative to the list."""
    if _is_address(file):
        return _Item(name, file, _address_refused())
    return _Item(name, folder / file)


def _failed(key: str, error: LingtingError) -> Result:
    return {"key": key, "text": "", "error": error.as_dict()}


def _result(outcome: Outcome, with_words: bool, with_sentences: bool) -> Result:
    if outcome.error is not None:
        return _failed(outcome.key, outcome.error)
    transcript = outcome.unwrap()
    result: Result = {
        "key": outcome.key,
        "text": transcript.text,
        "text_tn": transcript.spoken,
        "language": transcript.language,
    }
    emotion = _longest(transcript)
    if emotion is not None:
        result["emotion"] = emotion
    events = list(dict.fromkeys(e for s in transcript.segments for e in s.events))
    if events:
        result["events"] = events
    if transcript.notes:
        result["notes"] = list(transcript.notes)
    if transcript.failures:
        first = transcript.failures[0]
        result["error"] = {"code": first.code, "message": first.message}
    if with_words:
        result |= _word_times(transcript)
    if with_sentences:
        result["sentence_info"] = [_sentence(s) for s in transcript.segments if s.text]
    return result


def _longest(transcript: Transcript) -> str | None:
    """The emotion that was heard for the longest time."""
    lengths_ms: Counter[str] = Counter()
    for segment in transcript.segments:
        if segment.emotion is not None:
            lengths_ms[segment.emotion] += round(1000 * segment.duration_s)
    return lengths_ms.most_common(1)[0][0] if lengths_ms else None


def _word_times(transcript: Transcript) -> Result:
    """Both of FunASR's forms: tokens in seconds and pairs in ms."""
    words = [word for segment in transcript.segments for word in segment.words]
    return {
        "timestamps": [
            {
                "token": word.text,
                "start_time": word.start_s,
                "end_time": word.end_s,
                "score": word.confidence,
            }
            for word in words
        ],
        "timestamp": _pairs(words),
    }


def _sentence(segment: Segment) -> Result:
    sentence: Result = {
        "text": segment.text,
        "start": round(segment.start_s * 1000),
        "end": round(segment.end_s * 1000),
        "timestamp": _pairs(segment.words),
        "raw_text": segment.spoken,
    }
    if segment.emotion is not None:
        sentence["emotion"] = segment.emotion
    if segment.events:
        sentence["events"] = list(segment.events)
    return sentence


def _pairs(words: Iterable[Word]) -> list[list[int]]:
    return [[round(word.start_s * 1000), round(word.end_s * 1000)] for word in words]

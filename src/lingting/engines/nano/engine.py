"""Fun-ASR-Nano and Fun-ASR-MLT-Nano behind the Engine protocol.

::

    samples ─ features ─ encoder ─┬─ adaptor ─ first ⌈T/8⌉ rows ─ prompt ─ Qwen3 ─ text
                                  └─ CTC branch ─ first text → hotwords; word times

Encoder batches hold clips of similar length; the language model decodes all clips of a call
together and gives a finished clip's place to the next. What a clip says does not depend on its
neighbours.

- The language model reads the first ⌈T/8⌉ of the adaptor's rows, as it was trained to. All rows
  are an option (``audio_rows="all"``): the Hugging Face port does so, and repeats itself more.
- A clip in which nothing is loud is not given to the language model: it would invent something.
- The model never says which language it heard. Without one given, the language on a hypothesis is
  what the script of the text tells (:mod:`lingting.text.judging`), and its confidence is unknown.
- Clips that fail, or do not fit into memory by themselves, fail alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch

from lingting.engines.base import (
    BATCH_S,
    Clip,
    EngineFacts,
    Hypothesis,
    RecognizeOptions,
)
from lingting.engines.clips import check_clip, gate
from lingting.engines.nano.generation import Generated, Generator, Request
from lingting.engines.nano.hotwords import MOST_HOTWORDS, choose
from lingting.engines.nano.layout import Checkpoint, known_languages, open_checkpoint
from lingting.engines.nano.networks import Encoded, Networks, load_networks
from lingting.engines.nano.prompt import (
    MLT_LANGUAGES,
    MOST_CONTEXT,
    NANO_LANGUAGES,
    PromptOptions,
    asked_language,
    build,
)
from lingting.engines.nano.timing import aligned_words
from lingting.engines.nano.work import (
    TOKENS_PER_S,
    TOKENS_PER_S_NANO,
    Work,
    batches,
    contained,
    is_weak,
    most_tokens,
    settled,
    trained_rows,
)
from lingting.engines.neural import devices
from lingting.engines.neural.frontend import lfr_features
from lingting.engines.piece_times import spread_words, with_confidences
from lingting.errors import EngineFailed, LingtingError, OptionInvalid
from lingting.languages import CHINESE
from lingting.text.judging import language_of_text
from lingting.transcript import ModelFacts, Word

AudioRows = Literal["trained", "all"]
_R = TypeVar("_R")

_GROUP_CLIPS = 256  # decoded together; bounds what waits between encoder and decoder
# Frames of 60 ms that are encoded together, padding included: on a CPU as many as stay in a
# core's cache, each core with a batch of its own.
_BATCH_FRAMES = {"cpu": 256, "cuda": 16_000}
# Seconds of audio one call should bring: as many full clips as are decoded together.
_BATCH_S = {"cuda": 25.0 * _GROUP_CLIPS}
_NO_TEXT = re.compile(r"/sil\b|[\x00-\x08\x0e-\x1f\x7f\ufffd]")  # a mark for silence, no characters


class NanoEngine:
    """A Fun-ASR-Nano checkpoint of any published layout. Not thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        model: ModelFacts | None = None,
        device: str = "auto",
        compute: str = "auto",
        threads: int | None = None,
        audio_rows: AudioRows = "trained",
    ) -> None:
        """``compute`` is auto, int8, bfloat16 or float32; ``threads`` is for the CPU.

        Raises WeightsInvalid for a folder that is no such model, OptionInvalid for a device or
        compute type that cannot be used (float16 among them).
        """
        if audio_rows not in ("trained", "all"):
            raise OptionInvalid(f"audio_rows is {audio_rows}; allowed are trained and all.")
        chosen = devices.choose(device)
        computed = devices.choose_compute(compute, chosen)
        self._threads = threads or devices.cores()
        self._takes_all = audio_rows == "all"
        self._checkpoint: Checkpoint = open_checkpoint(folder)
        self._tokenizer = self._checkpoint.open_tokenizer()
        self._spelling = self._checkpoint.open_spelling()
        facts = model or ModelFacts(id=folder.name)
        self._languages = _languages(facts)
        is_nano = self._languages <= NANO_LANGUAGES
        self._tokens_per_s = TOKENS_PER_S_NANO if is_nano else TOKENS_PER_S
        with devices.using_threads(self._threads):
            networks = load_networks(self._checkpoint, chosen, computed)
        self._networks: Networks | None = networks
        self._generator: Generator | None = self._generator_for(networks)
        self._spare: Networks | None = None
        self._facts = EngineFacts(
            model=replace(facts, compute=f"torch {computed.name}"),
            languages=self._languages | CHINESE if "zh" in self._languages else self._languages,
            has_words=True,
            has_detection=True,
            writes_numbers=True,
            batch_s=_BATCH_S.get(chosen.type, BATCH_S),
            device=str(chosen),
        )

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    @property
    def has_ctc(self) -> bool:
        """Word times come from the model; without it they are spread over what is loud."""
        return self._checkpoint.has_ctc

    def close(self) -> None:
        device = None if self._networks is None else self._networks.device
        self._networks = self._spare = None
        self._generator = None
        if device is not None:
            devices.release(device)

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; see the Engine protocol."""
        if self._networks is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        results: list[Hypothesis | None] = [None] * len(clips)
        with devices.using_threads(self._threads), torch.inference_mode():
            for first in range(0, len(clips), _GROUP_CLIPS):
                works = []
                group = list(enumerate(clips[first : first + _GROUP_CLIPS], first))
                for (at, clip), begun in zip(group, self._begin_all(group), strict=True):
                    if isinstance(begun, Work):
                        works.append(begun)
                    else:
                        results[at] = settled(clip, begun)
                for work in self._run(works):
                    results[work.at] = work.hypothesis
        assert all(result is not None for result in results)
        return [result for result in results if result is not None]

    def _begin_all(self, group: Sequence[tuple[int, Clip]]) -> Iterator[Work | LingtingError | str]:
        """Features of each clip, an error, or the note that says why it is not decoded."""
        with ThreadPoolExecutor(self._threads) as pool:
            yield from pool.map(lambda one: self._begin(*one), group)

    def _begin(self, at: int, clip: Clip) -> Work | LingtingError | str:
        try:
            check_clip(clip)
            language, notes = self._asked_language(clip.options)
        except LingtingError as error:
            return error
        silence = gate(clip)
        if silence is not None:
            return silence
        features = lfr_features(np.ascontiguousarray(clip.samples, np.float32))
        kept = len(features) if self._takes_all else trained_rows(len(features))
        wants_hotwords = len(clip.options.hotwords) > MOST_HOTWORDS and not is_weak(clip)
        wants_branch = self.has_ctc and (clip.options.words or wants_hotwords)
        return Work(at, clip, features, kept, wants_branch, language, [*notes])

    def _asked_language(self, options: RecognizeOptions) -> tuple[str | None, tuple[str, ...]]:
        """What the prompt names and a note on it. Raises LanguageUnsupported and OptionInvalid."""
        if options.temperature > 0:
            raise OptionInvalid(
                f"temperature is {options.temperature}; this model decodes at 0 only."
            )
        return asked_language(options.language, self._languages)

    def _run(self, works: list[Work]) -> list[Work]:
        """Encode in batches, decode together; every clip has its hypothesis afterwards."""
        self._encode_all(works)
        contained(self._generate_all, [work for work in works if work.hypothesis is None])
        for work in works:
            if work.hypothesis is None:
                contained(self._finish, [work])
        return works

    def _encode_all(self, works: Sequence[Work]) -> None:
        device = self._loaded().device
        parts = list(batches(works, _BATCH_FRAMES.get(device.type, 2_000)))
        if device.type != "cpu" or self._threads < 2 or len(parts) < 2:
            for batch in parts:
                contained(self._encode_batch, batch)
            return
        before = torch.get_num_threads()
        workers = min(self._threads, len(parts))
        try:
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as p:
                list(p.map(lambda batch: contained(self._encode_batch, batch), parts))
        finally:
            # A thread's count is its own, but new threads begin with the count set last.
            torch.set_num_threads(before)

    def _encode_batch(self, batch: Sequence[Work]) -> None:
        networks = self._loaded()
        with torch.inference_mode():  # a thread does not inherit it
            survived = devices.with_less_memory(
                lambda part: _encode(networks, part),
                batch,
                device=networks.device,
                on_cpu=self._elsewhere(_encode),
                forget=self._forget,
            )
        for work, encoded in zip(batch, survived.results, strict=True):
            work.encoded = encoded.on(networks.decoder.device, networks.decoder.dtype)
            work.notes += survived.notes

    def _generate_all(self, works: Sequence[Work]) -> None:
        networks = self._loaded()
        survived = devices.with_less_memory(
            lambda part: self._generate(networks, part),
            works,
            device=networks.device,
            on_cpu=self._elsewhere(self._generate),
            forget=self._forget,
        )
        for work, generated in zip(works, survived.results, strict=True):
            work.generated = generated
            work.notes += survived.notes

    def _finish(self, works: Sequence[Work]) -> None:
        for work in works:
            work.hypothesis = self._hypothesis(work)

    def _generate(self, networks: Networks, works: Sequence[Work]) -> list[Generated]:
        requests = [self._request(networks, work) for work in works]
        is_spare = networks is not self._networks
        generator = self._generator_for(networks) if is_spare else self._generator
        assert generator is not None
        return generator.generate(requests)

    def _generator_for(self, networks: Networks) -> Generator:
        return Generator(networks.decoder, eos_ids=self._tokenizer.eos_ids)

    def _forget(self) -> None:
        if self._generator is not None:
            self._generator.forget()

    def _request(self, networks: Networks, work: Work) -> Request:
        """Prompt and audio rows of one clip, in the decoder's own numbers."""
        assert work.encoded is not None
        context = work.options.prompt or ""
        if len(context) > MOST_CONTEXT:
            context = context[-MOST_CONTEXT:]
            work.notes.append("prompt.cut")
        asked = PromptOptions(work.language, work.options.itn, self._hotwords(work), context)
        prompt = build(asked, self._languages)
        parts = [
            networks.decoder.embed(self._tokenizer.encode(prompt.before)),
            work.encoded.rows.to(networks.decoder.device),
            networks.decoder.embed(self._tokenizer.encode(prompt.after)),
        ]
        dtype = networks.decoder.dtype
        most = most_tokens(work.clip, self._tokens_per_s)
        return Request(torch.cat([part.to(dtype) for part in parts]), most)

    def _hotwords(self, work: Work) -> tuple[str, ...]:
        """At most 20; none where hardly anybody speaks: they would be heard there."""
        hotwords = work.options.hotwords
        if not hotwords:
            return ()
        if is_weak(work.clip):
            work.notes.append("hotwords.none_on_weak_speech")
            return ()
        chosen = choose(hotwords, self._first_text(work))
        work.notes += chosen.notes
        return chosen.words

    def _first_text(self, work: Work) -> str | None:
        ctc = self._loaded().ctc
        if ctc is None or self._spelling is None:
            return None
        if len(work.options.hotwords) <= MOST_HOTWORDS:
            return None  # nothing to choose, and hearing it costs a pass over 60,515 classes
        assert work.encoded is not None
        if work.encoded.branch is None:
            return None
        return self._spelling.decode(ctc.heard(work.encoded.branch))

    def _hypothesis(self, work: Work) -> Hypothesis:
        generated = work.generated
        assert generated is not None
        text = _plain(self._tokenizer.decode(generated.tokens))
        words, source = self._words(work, text) if work.options.words else ((), None)
        if work.options.words:
            work.notes += self._checkpoint.notes
        if work.options.beam_size not in (None, 1):
            work.notes.append("option.beam_size_unused")
        judged = language_of_text(text, self._languages)
        return Hypothesis(
            text=text,
            language=work.options.language or judged,
            words=words,
            words_source=source,
            confidence=_confidence(generated.logprobs),
            is_cut=generated.stop != "end",
            prompt=work.options.prompt or "",
            notes=tuple(dict.fromkeys(work.notes)),
        )

    def _words(self, work: Work, text: str) -> tuple[tuple[Word, ...], str | None]:
        """Words with times and with the probabilities of the tokens that wrote them."""
        assert work.generated is not None
        if not text:
            return (), None
        words, source = self._aligned(work, text), "ctc"
        if words is None:
            words, source = spread_words(text, work.clip.samples), "spread"
        ends = self._tokenizer.ends(work.generated.tokens, text)
        if ends is not None:
            words = with_confidences(text, words, ends, work.generated.logprobs)
        return words, source if words else None

    def _aligned(self, work: Work, text: str) -> tuple[Word, ...] | None:
        branch = None if work.encoded is None else work.encoded.branch
        ctc = self._loaded().ctc
        if branch is None or ctc is None or self._spelling is None:
            return None
        return aligned_words(
            text,
            self._spelling,
            lambda tokens: ctc.emissions(branch, tokens),
            work.clip.duration_s,
        )

    def _loaded(self) -> Networks:
        if self._networks is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        return self._networks

    def _elsewhere(
        self, run: Callable[[Networks, Sequence[Work]], list[_R]]
    ) -> Callable[[Sequence[Work]], list[_R]] | None:
        """``run`` on the CPU, for what does not fit on the device; None when that is the CPU."""
        if self._loaded().device.type == "cpu":
            return None

        def on_cpu(works: Sequence[Work]) -> list[_R]:
            if self._spare is None:
                cpu = torch.device("cpu")
                self._spare = load_networks(
                    self._checkpoint, cpu, devices.choose_compute("auto", cpu)
                )
            return run(self._spare, works)

        return on_cpu


def _encode(networks: Networks, works: Sequence[Work]) -> list[Encoded]:
    return networks.encode(
        [work.features for work in works],
        [work.kept for work in works],
        [work.wants_branch for work in works],
    )


def _plain(text: str) -> str:
    """One line without what nobody can read."""
    return " ".join(_NO_TEXT.sub(" ", text).split())


def _confidence(logprobs: Sequence[float]) -> float | None:
    return math.exp(min(0.0, sum(logprobs) / len(logprobs))) if logprobs else None


def _languages(facts: ModelFacts) -> frozenset[str]:
    """By the digest of a published model, else by its name, else all that a prompt can name."""
    published = known_languages(facts.sha256)
    if published is not None:
        return published
    name = facts.id.lower()
    if "mlt" in name:
        return MLT_LANGUAGES
    return NANO_LANGUAGES if "nano" in name else NANO_LANGUAGES | MLT_LANGUAGES

"""SenseVoiceSmall behind the Engine protocol: one pass through the encoder, no decoder loop.

On a CPU each core takes clips of its own: no core waits for another, and a clip's text does not
depend on what it is batched with. In int8 its very bits do not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lingting.audio.features import read_cmvn
from lingting.engines.base import BATCH_S, Clip, EngineFacts, Hypothesis
from lingting.engines.clips import check_clip, gate
from lingting.engines.neural import devices
from lingting.engines.neural.checkpoints import check_companions
from lingting.engines.neural.frontend import FEATURE_SIZE, FRAME_S, lfr_features, lfr_frames
from lingting.engines.piece_times import with_confidences, words_of_pieces
from lingting.engines.sensevoice.labels import (
    LANGUAGES_KNOWN,
    NO_SPEECH,
    QUERY_FRAMES,
    model_language,
    queries,
    read_labels,
)
from lingting.engines.sensevoice.network import SenseVoiceNetwork, load_network
from lingting.engines.sensevoice.path import Heard, best_path, geometric_mean, log_probability
from lingting.engines.sensevoice.spelling import Spelling
from lingting.errors import EngineFailed, LingtingError, OptionInvalid, WeightsInvalid
from lingting.transcript import ModelFacts, Word

# Frames that go through the network together. On a CPU as many as stay in a core's cache; more
# would gain nothing, fewer would read the weights more often than needed.
_BATCH_FRAMES = {"cpu": 256}
_BATCH_FRAMES_ELSEWHERE = 8_000
_BATCH_S = {"cuda": 1_200.0}  # of audio in one call: a few such batches
_HELD_S = 0.3  # CTC tells where a token is, not how long: silence behind it is its own up to here
_CONFIG, _CMVN = "config.yaml", "am.mvn"
_VOCABULARY = "chn_jpn_yue_eng_ko_spectok.bpe.model"


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """One clip on its way."""

    at: int
    clip: Clip
    language: str
    """The model's name of what was asked for, ``auto`` to detect it."""
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return lfr_frames(len(self.clip.samples)) + QUERY_FRAMES


class SenseVoiceEngine:
    """A folder of SenseVoiceSmall. Not thread-safe."""

    def __init__(
        self,
        folder: Path,
        *,
        model: ModelFacts | None = None,
        device: str = "auto",
        compute: str = "auto",
        threads: int | None = None,
    ) -> None:
        """``compute`` is auto, int8, bfloat16 or float32; ``threads`` is for the CPU.

        Raises WeightsInvalid for a folder that is no such model, OptionInvalid for a device or
        compute type that cannot be used.
        """
        self._device = devices.choose(device)
        computed = devices.choose_compute(compute, self._device)
        self._threads = threads or devices.cores()
        check_companions(folder, [folder / name for name in (_CONFIG, _CMVN, _VOCABULARY)])
        self._spelling = Spelling(folder / _VOCABULARY)
        self._cmvn = read_cmvn(folder / _CMVN)
        if len(self._cmvn.shift) != FEATURE_SIZE:
            raise WeightsInvalid(
                f"{_CMVN} is for features of {len(self._cmvn.shift)} values; "
                f"this model has {FEATURE_SIZE}."
            )
        with devices.using_threads(self._threads):
            self._network: SenseVoiceNetwork | None = load_network(
                folder, len(self._spelling), self._device, computed
            )
        self._silence = self._spelling.token(NO_SPEECH)
        facts = model or ModelFacts(id=folder.name)
        self._facts = EngineFacts(
            model=replace(facts, compute=f"torch {computed.name}"),
            languages=LANGUAGES_KNOWN,
            has_words=True,
            has_detection=True,
            writes_numbers=True,
            batch_s=_BATCH_S.get(self._device.type, BATCH_S),
            device=str(self._device),
        )

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    def close(self) -> None:
        if self._network is not None:
            self._network = None
            devices.release(self._device)

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; see the Engine protocol."""
        if self._network is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        results: list[Hypothesis | None] = [None] * len(clips)
        tasks: list[_Task] = []
        for at, clip in enumerate(clips):
            try:
                task = self._task(at, clip)
            except LingtingError as error:
                results[at] = Hypothesis("", clip.options.language, error=error)
                continue
            why = gate(clip)
            if why is not None:
                results[at] = Hypothesis("", clip.options.language, notes=(*task.notes, why))
            else:
                tasks.append(task)
        most = _BATCH_FRAMES.get(self._device.type, _BATCH_FRAMES_ELSEWHERE)
        batches = sorted(_batches(tasks, most), key=_cost, reverse=True)
        for batch, hypotheses in zip(batches, self._run_all(batches), strict=True):
            for task, hypothesis in zip(batch, hypotheses, strict=True):
                results[task.at] = hypothesis
        return [result for result in results if result is not None]

    def _task(self, at: int, clip: Clip) -> _Task:
        check_clip(clip)
        options = clip.options
        if options.temperature > 0:
            raise OptionInvalid(
                f"temperature is {options.temperature}; this model decodes at 0 only."
            )
        language, notes = model_language(options.language, self._facts.model.id)
        if options.hotwords:
            notes += ("hotwords.unsupported",)
        if options.prompt:
            notes += ("prompt.unsupported",)
        return _Task(at, clip, language, notes)

    def _run_all(self, batches: Sequence[list[_Task]]) -> Iterator[list[Hypothesis]]:
        """Side by side, each on a core of its own; a single batch on all of them."""
        if self._device.type != "cpu" or len(batches) < 2 or self._threads < 2:
            with devices.using_threads(self._threads):
                for batch in batches:
                    yield self._run(batch)
            return
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                min(self._threads, len(batches)), initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                yield from pool.map(self._run, batches)
        finally:
            # A thread's count is its own, but new threads begin with the count set last.
            torch.set_num_threads(before)

    def _run(self, batch: list[_Task]) -> list[Hypothesis]:
        """Recognise a batch; when it fails, each clip by itself, so that one spoils no other."""
        try:
            with _engine_errors(), torch.inference_mode():
                survived = devices.with_less_memory(self._recognised, batch, device=self._device)
        except EngineFailed as error:
            if len(batch) == 1:
                return [Hypothesis("", batch[0].clip.options.language, error=error)]
            return [self._run([task])[0] for task in batch]
        return [
            replace(hypothesis, notes=(*hypothesis.notes, *survived.notes))
            for hypothesis in survived.results
        ]

    def _recognised(self, batch: Sequence[_Task]) -> list[Hypothesis]:
        assert self._network is not None
        features = [
            lfr_features(np.ascontiguousarray(task.clip.samples, np.float32), self._cmvn)
            for task in batch
        ]
        asked = [queries(task.language, task.clip.options.itn) for task in batch]
        logits = self._network(
            torch.from_numpy(np.concatenate(features)).to(self._device),
            [len(one) for one in features],
            torch.tensor(asked, device=self._device),
        )
        rows = logits.split_with_sizes([len(one) + QUERY_FRAMES for one in features])
        return [self._hypothesis(task, clip) for task, clip in zip(batch, rows, strict=True)]

    def _hypothesis(self, task: _Task, logits: torch.Tensor) -> Hypothesis:
        path = best_path(logits)
        tags = [self._spelling.tag(one.token) for one in path]
        labels = read_labels([tag for tag in tags if tag is not None])
        tokens = [one for one, tag in zip(path, tags, strict=True) if tag is None]
        spelt = self._spelling.spell([one.token for one in tokens])
        given = None if task.language in ("auto", NO_SPEECH) else task.clip.options.language
        is_silent = labels.language == NO_SPEECH
        text = "" if is_silent else spelt.text
        words: tuple[Word, ...] = ()
        if task.clip.options.words and text:
            words = _words(text, spelt.ends, tokens, task.clip.duration_s)
        detected = None if is_silent else labels.language
        return Hypothesis(
            text=text,
            language=given or detected,
            language_confidence=None
            if given or detected is None
            else math.exp(min(0.0, path[0].log_probability)),
            words=words,
            words_source="ctc" if words else None,
            emotion=None if is_silent else labels.emotion,
            events=labels.events,
            confidence=geometric_mean(tokens) if text else None,
            no_speech=self._no_speech(logits),
            notes=task.notes,
        )

    def _no_speech(self, logits: torch.Tensor) -> float | None:
        """Probability that the answer to the first query is: nobody speaks."""
        if self._silence is None:
            return None
        return math.exp(min(0.0, log_probability(logits[0], self._silence)))


def _words(
    text: str, ends: Sequence[int], tokens: Sequence[Heard], duration_s: float
) -> tuple[Word, ...]:
    """Word times from the path's frames, with a little of the silence behind each token."""
    begins_s = [max(0, one.first - QUERY_FRAMES) * FRAME_S for one in tokens]
    pieces = []
    start = 0
    for at, (one, end) in enumerate(zip(tokens, ends, strict=True)):
        end_s = max(0, one.end - QUERY_FRAMES) * FRAME_S
        following_s = begins_s[at + 1] if at + 1 < len(tokens) else duration_s
        held_s = max(end_s, min(end_s + _HELD_S, following_s))
        pieces.append((text[start:end], begins_s[at], held_s))
        start = end
    words = words_of_pieces(text, pieces, duration_s)
    return with_confidences(text, words, ends, [one.log_probability for one in tokens])


def _batches(tasks: Sequence[_Task], most_frames: int) -> Iterator[list[_Task]]:
    """Clips of similar length together, at most so many frames with padding; a long one alone."""
    batch: list[_Task] = []
    for task in sorted(tasks, key=lambda one: one.frames):
        if batch and (len(batch) + 1) * task.frames > most_frames:
            yield batch
            batch = []
        batch.append(task)
    if batch:
        yield batch


def _cost(batch: Sequence[_Task]) -> int:
    return sum(task.frames for task in batch)


@contextmanager
def _engine_errors() -> Iterator[None]:
    """PyTorch speaks in RuntimeError; the cause stays attached."""
    try:
        yield
    except LingtingError:
        raise
    except (RuntimeError, ValueError, MemoryError) as exc:
        raise EngineFailed("The recogniser failed on a batch of clips.") from exc

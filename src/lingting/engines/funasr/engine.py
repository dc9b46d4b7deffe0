"""A recogniser of the toolkit behind the Engine protocol, one answer for every clip.

The toolkit may answer a batch with fewer entries than clips, with an empty list for a clip in
which it hears nothing, or with an exception that hides another one. So every entry is matched by
its key, whatever does not match is asked again clip by clip, and the first exception is the one
that is told.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ, Clip, EngineFacts, Hypothesis
from lingting.engines.clips import check_clip
from lingting.engines.funasr.answers import BLANK, Answer, parse
from lingting.engines.funasr.fence import FENCE
from lingting.engines.funasr.loading import Loaded, load_model
from lingting.errors import EngineFailed, LanguageUnsupported, LingtingError
from lingting.languages import CHINESE, LANGUAGES, macro_language
from lingting.transcript import ModelFacts

_SHORTEST_SAMPLES = SAMPLE_RATE_HZ // 10  # shorter clips are filled up: a window of features
# Paraformer's text changes with the clips it shares a batch with (padding reaches its predictor),
# SenseVoice's does not; on a CPU a batch gains nothing.
_BATCHES_EXACTLY = frozenset({"SenseVoiceSmall"})
_BATCH_CLIPS = 16
_BATCH_S = 240.0
# 600 ms steps with 300 ms of look-ahead, as the model was trained.
_STREAMING = {
    "chunk_size": [0, 10, 5],
    "encoder_chunk_look_back": 4,
    "decoder_chunk_look_back": 1,
    "is_final": True,
}
_RUNNING = ("tokenizer", "frontend", "token_list", "model")  # objects, never copied


@dataclass(frozen=True, slots=True)
class _Task:
    at: int
    clip: Clip
    language: str | None
    """In the toolkit's spelling, None to detect it or where the model has no choice."""
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> NDArray[np.float32]:
        samples = self.clip.samples.astype(np.float32, copy=False)
        return np.pad(samples, (0, max(0, _SHORTEST_SAMPLES - len(samples))))

    @property
    def key(self) -> tuple[str | None, tuple[str, ...], bool, bool]:
        """Clips that may share a call."""
        options = self.clip.options
        return self.language, options.hotwords, options.itn, options.words


class FunasrEngine:
    """Any recogniser of the toolkit. Safe to share: one caller at a time, the others wait."""

    def __init__(
        self,
        folder: Path,
        *,
        model: ModelFacts | None = None,
        device: str = "auto",
        compute: str = "auto",
        threads: int | None = None,
        batch_clips: int | None = None,
    ) -> None:
        """``batch_clips`` is how many clips one call of the toolkit may have; see the note above.

        Raises ExtraMissing, OptionInvalid or WeightsInvalid.
        """
        self._start(
            load_model(folder, device=device, compute=compute),
            model or ModelFacts(id=folder.name),
            threads,
            batch_clips,
        )

    def _start(
        self, loaded: Loaded, model: ModelFacts, threads: int | None, batch_clips: int | None
    ) -> None:
        self._lock = threading.Lock()
        self._model: Loaded | None = loaded
        self._threads = threads
        can_batch = loaded.device != "cpu" and loaded.name in _BATCHES_EXACTLY
        self._batch_clips = batch_clips or (_BATCH_CLIPS if can_batch else 1)
        self._tags = frozenset(getattr(loaded.module, "lid_dict", ())) - {"auto", "nospeech"}
        self._takes_hotwords = hasattr(loaded.module, "generate_hotwords_list")
        self._facts = EngineFacts(
            model=replace(model, compute=f"funasr {loaded.name} float32"),
            languages=_languages(model.id, self._tags),
            has_words=True,
            has_detection=bool(self._tags),
            writes_numbers=bool(self._tags),
            device=loaded.device,
        )

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    def close(self) -> None:
        with self._lock:
            self._model = None

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; see the Engine protocol."""
        with self._lock:
            if self._model is None:
                raise EngineFailed("The engine was closed.", "Make a new one.")
            results: dict[int, Hypothesis] = {}
            tasks: list[_Task] = []
            for at, clip in enumerate(clips):
                try:
                    tasks.append(self._task(at, clip))
                except LingtingError as error:
                    results[at] = Hypothesis("", clip.options.language, error=error)
            for batch in self._batches(tasks):
                for task, hypothesis in zip(batch, self._run(self._model, batch), strict=True):
                    results[task.at] = hypothesis
            return [results[at] for at in range(len(clips))]

    def _task(self, at: int, clip: Clip) -> _Task:
        check_clip(clip)
        options = clip.options
        language, notes = self._language(options.language)
        if options.hotwords and not self._takes_hotwords:
            notes += ("hotwords.unsupported",)
        if options.prompt:
            notes += ("prompt.unsupported",)
        return _Task(at, clip, language, notes)

    def _language(self, code: str | None) -> tuple[str | None, tuple[str, ...]]:
        """The toolkit's spelling, and a note where another language stands in."""
        known = self._facts.languages
        if code is None:
            return None, ()
        if known is not None and code not in known:
            raise LanguageUnsupported(f"The model {self._facts.model.id} does not know {code}.")
        if not self._tags or code in self._tags:
            return code, ()
        return macro_language(code), (f"language.{code}_as_{macro_language(code)}",)

    def _batches(self, tasks: list[_Task]) -> Iterator[list[_Task]]:
        """Like with like: equal options, similar lengths."""
        groups: dict[Any, list[_Task]] = {}
        for task in tasks:
            groups.setdefault(task.key, []).append(task)
        for group in groups.values():
            batch: list[_Task] = []
            for task in sorted(group, key=lambda one: len(one.clip.samples)):
                seconds = (len(batch) + 1) * task.clip.duration_s
                if batch and (len(batch) >= self._batch_clips or seconds > _BATCH_S):
                    yield batch
                    batch = []
                batch.append(task)
            yield batch

    def _run(self, model: Loaded, batch: list[_Task]) -> list[Hypothesis]:
        """The batch at once, or each clip by itself where that did not give each its answer."""
        if len(batch) > 1:
            try:
                answers = self._ask(model, batch, words=batch[0].clip.options.words)
            except EngineFailed:
                answers = None  # asked alone, only the clip that is to blame fails
            if answers is not None:
                return [
                    self._hypothesis(task, answer)
                    for task, answer in zip(batch, answers, strict=True)
                ]
        return [self._alone(model, task) for task in batch]

    def _alone(self, model: Loaded, task: _Task) -> Hypothesis:
        words = task.clip.options.words
        try:
            try:
                answers = self._ask(model, [task], words=words)
            except EngineFailed:
                if not words:
                    raise
                # The toolkit's timing is weaker than its recognition: the text may still come.
                answers = self._ask(model, [task], words=False)
                task = replace(task, notes=(*task.notes, "words.failed"))
            if answers is None:
                raise EngineFailed("The toolkit did not give one answer for one clip.")
        except EngineFailed as error:
            return Hypothesis("", task.clip.options.language, notes=task.notes, error=error)
        return self._hypothesis(task, answers[0])

    def _ask(self, model: Loaded, tasks: list[_Task], *, words: bool) -> list[Answer] | None:
        """An answer for each clip, or None when the toolkit's list does not fit the clips.

        Raises EngineFailed from the first exception, also from one the toolkit swallowed.
        """
        keys = [f"clip{at}" for at in range(len(tasks))]
        with FENCE.inside(self._threads) as visit:
            try:
                found = _entries(self._call(model, tasks, keys, words))
            except Exception as exc:  # the toolkit raises whatever its parts raise
                raise failure(visit.cause, exc) from exc
        if not found and len(tasks) == 1:
            answers = [BLANK]
        elif [entry.get("key") for entry in found] != keys or not all(
            isinstance(entry.get("text"), str) for entry in found
        ):
            return None
        else:
            answers = [
                parse(entry, self._tags, task.clip.samples, task.clip.options.words)
                for entry, task in zip(found, tasks, strict=True)
            ]
        if visit.cause is not None and any(answer.is_blank for answer in answers):
            raise failure(visit.cause, None) from visit.cause
        return answers

    def _call(self, model: Loaded, tasks: list[_Task], keys: list[str], words: bool) -> Any:
        import torch

        options = tasks[0].clip.options
        given: dict[str, Any] = {
            "language": tasks[0].language or "auto",
            "use_itn": options.itn,
            "output_timestamp": words,
            "cache": {},  # the streaming models keep one among their defaults, shared by everybody
        }
        if self._takes_hotwords:
            given["hotword"] = hotword_string(options.hotwords)
        if "Streaming" in model.name:
            given |= _STREAMING
        with torch.no_grad():
            return model.module.inference(
                data_in=[task.samples for task in tasks],
                key=keys,
                **(call_settings(model) | given),
            )

    def _hypothesis(self, task: _Task, answer: Answer) -> Hypothesis:
        asked = task.clip.options.language
        known = self._facts.languages
        only = next(iter(known)) if known is not None and len(known) == 1 else None
        return Hypothesis(
            text=answer.text,
            language=asked or answer.language or only,
            words=answer.words,
            words_source=answer.words_source,
            emotion=answer.emotion,
            events=answer.events,
            notes=(*task.notes, *(("toolkit.blank",) if answer.is_blank else ())),
        )


def call_settings(model: Loaded) -> dict[str, Any]:
    """Settings for one call: the toolkit changes what it is given."""
    return {
        name: value if name in _RUNNING else copy.deepcopy(value)
        for name, value in model.settings.items()
    }


def failure(cause: BaseException | None, seen: BaseException | None) -> EngineFailed:
    """An error that keeps the root: the swallowed exception when there was one."""
    root = cause or seen
    if cause is not None and seen is not None and seen is not cause:
        seen.__cause__ = cause
    return EngineFailed(
        f"The FunASR toolkit failed on what it was given: {type(root).__name__}.",
        "Run again with --verbose and report the incident.",
    )


def hotword_string(hotwords: tuple[str, ...]) -> str | None:
    """As Paraformer takes them: separated by spaces, so one of several words becomes several.

    The outer spaces matter: without them a word that looks like an address would be fetched, and
    one that looks like a text file opened.
    """
    words = " ".join(hotwords).split()
    return f" {' '.join(words)} " if words else None


def _entries(answer: Any) -> list[dict[str, Any]]:
    """The list of entries, whichever way the model wraps it; empty when it heard nothing."""
    if isinstance(answer, tuple):
        answer = answer[0] if answer else []
    if isinstance(answer, list) and answer and isinstance(answer[0], list):
        answer = answer[0]
    return [entry if isinstance(entry, dict) else {} for entry in answer or []]


def _languages(model: str, tags: frozenset[str]) -> frozenset[str] | None:
    """Codes the model can be asked for; None where nobody says."""
    if tags:
        varieties = CHINESE if "zh" in tags else frozenset()
        return frozenset(one.code for one in LANGUAGES if one.code in tags | varieties)
    from lingting.models import catalogue

    entry = next((one for one in catalogue().models if one.id == model), None)
    return frozenset(entry.languages) if entry is not None and entry.languages else None

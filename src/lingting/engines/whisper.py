"""Whisper checkpoints on CTranslate2: the embedded recogniser that works on any machine.

Four things make it faster than the usual way of running the same weights:

- the encoder reads a clip and a few seconds of silence, not always 30 s: its cost follows the clip;
- clips of many recordings share a batch, sorted by length, so few rows wait for a long one;
- each core has batches of its own: two cores on one batch spend a third of it waiting; a core
  encodes their clips one by one, which its cache can hold, and decodes them together;
- the decoder may write no more tokens than speech of that length can need, so a loop ends early.

The short context has a price: now and then the decoder says a short clip twice. The guard sees
that, and a ``careful`` request decodes with the full 30 s that the model was trained on.

What is gained so is spent where it counts. A clip whose tokens are improbable is heard a second
time, with another silence behind it and mostly no phrase before it; of the two texts that one stays
which both hearings together find more probable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from lingting.audio.features import WHISPER_HOP_SAMPLES, WHISPER_MELS, whisper_log_mel
from lingting.engines.base import (
    MAX_CLIP_S,
    SAMPLE_RATE_HZ,
    Clip,
    EngineFacts,
    Hypothesis,
    RecognizeOptions,
)
from lingting.engines.whisper_loading import (
    check_folder,
    compute_type,
    load_model,
    share_threads,
    start_all,
)
from lingting.engines.whisper_prompts import MANDARIN, first_context, leakable, second_context
from lingting.engines.whisper_tokens import WhisperTokens
from lingting.errors import (
    AudioEmpty,
    AudioInvalid,
    AudioTooLong,
    EngineFailed,
    LanguageUnsupported,
    LingtingError,
)
from lingting.languages import LANGUAGES, macro_language, whisper_code
from lingting.text.guard import is_looping
from lingting.text.script import simplify
from lingting.transcript import ModelFacts, Word

_FRAMES_PER_S = SAMPLE_RATE_HZ // WHISPER_HOP_SAMPLES
_MAX_FRAMES = int(MAX_CLIP_S) * _FRAMES_PER_S
_FRAME_S = 0.02  # one position of the encoder's output
_TAIL_S = 3.0  # silence behind a clip, and
_MIN_FRAMES = 15 * _FRAMES_PER_S  # no less than this: the decoder says short contexts twice
_STEP_FRAMES = 250  # lengths are rounded up to this
_BATCH_FRAMES = 3_200  # encoder frames in one batch: more cost memory and gain nothing
_BATCH_CLIPS = 16
_TOKENS_PER_S = 16.0  # Hindi and Thai are spelt in bytes; Mandarin needs about 5
_TOKENS_MIN = 24
_TEXT_WINDOW = 448
_LEAST_CHANCE = 1e-9  # of a token, for its logarithm
_BEAM_SIZE = 5
# Its characters are spelled in several tokens each, so as many tokens look less far ahead.
_WIDE_BEAM_SIZE = 10
_WIDE_BEAM_LANGUAGES = frozenset({"hi"})
# Mean probability of its tokens; below it lies half of all speech, and is heard a second time.
_SURE_OF_TEXT = 0.78


@dataclass(frozen=True, slots=True)
class _Task:
    """One clip on its way through a batch."""

    at: int
    clip: Clip
    language: str | None
    """Whisper's code, None to detect it."""
    notes: tuple[str, ...] = ()

    @property
    def mel_frames(self) -> int:
        """Frames of its spectrogram."""
        return len(self.clip.samples) // WHISPER_HOP_SAMPLES

    @property
    def frames(self) -> int:
        """Encoder frames of the clip: itself and silence, in steps, at most 30 s.

        The encoder hears the silence too, so a batch has clips of one length only: then what is
        heard in a clip does not depend on the others.
        """
        if self.clip.options.careful:
            return _MAX_FRAMES
        wanted = max(self.mel_frames + int(_TAIL_S * _FRAMES_PER_S), _MIN_FRAMES)
        return min(_MAX_FRAMES, math.ceil(wanted / _STEP_FRAMES) * _STEP_FRAMES)


@dataclass(frozen=True, slots=True)
class _View:
    """A batch in one way of hearing it."""

    tasks: Sequence[_Task]
    encoded: Any
    """The encoder's output for them."""
    languages: Sequence[str]
    contexts: Sequence[str]
    """What the decoder is told came before each text."""
    prompts: Sequence[list[int]]
    """The same as tokens, with language and task."""

    def rows(self, rows: Sequence[int]) -> Any:
        """The encoder's output of some."""
        return self.encoded if len(rows) == len(self.tasks) else _rows(self.encoded, rows)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the decoder made of one clip."""

    ids: list[int]
    score: float
    """Log probability per token."""
    no_speech: float
    is_cut: bool
    """It has as many tokens as the decoder may write."""

    @property
    def confidence(self) -> float:
        return math.exp(min(0.0, self.score))


class WhisperEngine:
    """A CTranslate2 folder of a multilingual Whisper model behind the Engine protocol."""

    def __init__(
        self,
        folder: Path,
        *,
        model: ModelFacts | None = None,
        device: str = "cpu",
        compute: str = "auto",
        threads: int | None = None,
    ) -> None:
        """``threads`` is per process, None lets the library choose all cores.

        Raises WeightsInvalid for a folder that is no such model, OptionInvalid for a compute type
        the device cannot run.
        """
        check_folder(folder)
        self._tokens = WhisperTokens(folder / "tokenizer.json")
        compute = compute_type(compute, device)
        self._workers, threads_each = share_threads(threads, device)
        self._model: Any = load_model(folder, device, compute, self._workers, threads_each)
        # Threads that are there: where memory is short, starting one may fail or never return.
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="lingting-whisper")
        start_all(self._threads, self._workers)
        facts = model or ModelFacts(id=folder.name)
        self._facts = EngineFacts(
            model=replace(facts, compute=f"ctranslate2 {compute}"),
            languages=_languages(self._tokens.languages),
            has_words=True,
            has_detection=True,
            writes_numbers=True,
            has_translation=True,
            has_careful=True,
            device=device,
            callers=self._workers,
        )

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    def close(self) -> None:
        self._threads.shutdown()
        self._model = None

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order; see the Engine protocol."""
        if self._model is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        results: list[Hypothesis | None] = [None] * len(clips)
        tasks: list[_Task] = []
        for at, clip in enumerate(clips):
            try:
                tasks.append(self._task(at, clip))
            except LingtingError as error:
                results[at] = Hypothesis("", clip.options.language, error=error)
        batches = _shared_out(_batches(tasks), self._workers)
        for batch, hypotheses in zip(batches, self._threads.map(self._run, batches), strict=True):
            for task, hypothesis in zip(batch, hypotheses, strict=True):
                results[task.at] = hypothesis
        return [result for result in results if result is not None]

    def _task(self, at: int, clip: Clip) -> _Task:
        _check_clip(clip)
        language, notes = self._language(clip.options.language)
        return _Task(at, clip, language, notes)

    def _language(self, code: str | None) -> tuple[str | None, tuple[str, ...]]:
        """Whisper's code and a note where another language had to stand in."""
        if code is None:
            return None, ()
        own = whisper_code(code, self._tokens.languages)
        if own is None:
            raise LanguageUnsupported(f"The model {self._facts.model.id} does not know {code}.")
        stands_in = own == "zh" and code != "zh"
        return own, ((f"language.{code}_as_zh",) if stands_in else ())

    def _run(self, batch: list[_Task]) -> list[Hypothesis]:
        """Decode a batch; when it fails, each clip by itself, so that one spoils no other."""
        try:
            with _engine_errors():
                hypotheses = self._decode(batch)
            _give_back_memory()
            return hypotheses
        except EngineFailed as error:
            if len(batch) == 1:
                return [Hypothesis("", batch[0].clip.options.language, error=error)]
            return [self._run([task])[0] for task in batch]

    def _decode(self, batch: list[_Task]) -> list[Hypothesis]:
        encoded = self._encode(batch, fill=None)
        detected = self._detect(batch, encoded)
        languages = [language for language, _ in detected]
        contexts = [
            first_context(task.clip.options, language, probability)
            for task, (language, probability) in zip(batch, detected, strict=True)
        ]
        view = self._view(batch, encoded, languages, contexts)
        heard = self._again(view, self._generate(view))
        words = self._words(view, heard)
        hypotheses = [
            Hypothesis(
                text=self._tokens.text(one.ids),
                language=_our_code(task, language),
                language_confidence=probability,
                words=words[row],
                words_source="attention" if words[row] else None,
                confidence=one.confidence,
                no_speech=one.no_speech,
                is_cut=one.is_cut,
                prompt=leakable(task.clip.options, contexts[row]),
                notes=task.notes,
            )
            for row, (task, (language, probability), one) in enumerate(
                zip(batch, detected, heard, strict=True)
            )
        ]
        return [
            _simplified(one) if context == MANDARIN else one
            for one, context in zip(hypotheses, contexts, strict=True)
        ]

    def _view(
        self,
        tasks: Sequence[_Task],
        encoded: Any,
        languages: Sequence[str],
        contexts: Sequence[str],
    ) -> _View:
        translate = tasks[0].clip.options.translate
        prompts = [
            self._tokens.prompt(language, context, translate=translate)
            for language, context in zip(languages, contexts, strict=True)
        ]
        return _View(tasks, encoded, languages, contexts, prompts)

    def _generate(self, view: _View) -> list[_Heard]:
        """What is heard in each row."""
        options = view.tasks[0].clip.options
        room = _token_room(view.tasks[0].frames / _FRAMES_PER_S)
        heard: dict[int, _Heard] = {}
        shapes = [
            (len(prompt), _beam_size(task.clip.options, language))
            for task, language, prompt in zip(view.tasks, view.languages, view.prompts, strict=True)
        ]
        for length, beam_size in sorted(set(shapes)):
            # The library wants the start of the transcript at one position in all rows, and gives
            # the text half of max_length at most, or what the prompt leaves of it.
            rows = [row for row, shape in enumerate(shapes) if shape == (length, beam_size)]
            limit = min(_TEXT_WINDOW, max(length + room, 2 * room))
            results = self._model.generate(
                view.rows(rows),
                [view.prompts[row] for row in rows],
                beam_size=beam_size,
                max_length=limit,
                return_scores=True,
                return_no_speech_prob=True,
                sampling_topk=0 if options.temperature > 0 else 1,
                sampling_temperature=options.temperature or 1.0,
            )
            for row, result in zip(rows, results, strict=True):
                ids = [token for token in result.sequences_ids[0] if token < self._tokens.end]
                heard[row] = _Heard(
                    ids,
                    score=float(result.scores[0]),
                    no_speech=float(result.no_speech_prob),
                    is_cut=len(ids) >= min(limit // 2, limit - length),
                )
        return [heard[row] for row in range(len(view.tasks))]

    def _again(self, first: _View, heard: Sequence[_Heard]) -> list[_Heard]:
        """The doubtful rows heard a second time; of both texts the one that holds in both ways."""
        settled = list(heard)
        rows = [row for row, one in enumerate(heard) if _is_doubtful(first.tasks[row], one)]
        if not rows:
            return settled
        tasks = [first.tasks[row] for row in rows]
        languages = [first.languages[row] for row in rows]
        contexts = [
            second_context(task.clip.options, language, first.contexts[row])
            for row, task, language in zip(rows, tasks, languages, strict=True)
        ]
        second = self._view(tasks, self._encode(tasks, fill=0.0), languages, contexts)
        for at, (row, other) in enumerate(zip(rows, self._generate(second), strict=True)):
            settled[row] = self._better((first, row, heard[row]), (second, at, other))
        return settled

    def _better(
        self, first: tuple[_View, int, _Heard], second: tuple[_View, int, _Heard]
    ) -> _Heard:
        """Of what was heard in two views, the text with the higher score in both together.

        A loop is probable in any view, so it never wins over a text that has none. The confidence
        of either is that of the first view: what it is compared with was measured there.
        """
        (view, row, one), (other_view, other_row, other) = first, second
        if not other.ids or other.ids == one.ids:
            return one
        loops, other_loops = (is_looping(self._tokens.text(ids)) for ids in (one.ids, other.ids))
        if other_loops and not loops:
            return one
        seen_first = self._score(view, row, other.ids)
        if loops == other_loops:
            seen_second = self._score(other_view, other_row, one.ids)
            if one.score + seen_second >= seen_first + other.score:
                return one
        return replace(other, score=seen_first, no_speech=one.no_speech)

    def _score(self, view: _View, row: int, ids: list[int]) -> float:
        """Mean log probability of the tokens of a text that another view gave."""
        start = view.prompts[row][:-1]  # without the token that asks for no times
        aligned = self._align(view, [row], start, [ids])[0]
        chances = np.asarray(aligned.text_token_probs, np.float64)
        return float(np.log(np.maximum(chances, _LEAST_CHANCE)).mean())

    def _encode(self, tasks: Sequence[_Task], *, fill: float | None) -> Any:
        """Encoder output ``[clips, frames / 2, width]``; rows are padded with their own silence.

        ``fill`` is what stands behind a clip in its spectrogram, None for digital silence. One clip
        at a time on a processor: what the layers of two pass on falls out of its cache, and each
        clip takes a third longer. Only the decoder gains by company there.
        """
        if self._facts.device != "cpu" or len(tasks) == 1:
            return self._encode_together(tasks, fill)
        return _joined([self._encode_together([task], fill) for task in tasks])

    def _encode_together(self, tasks: Sequence[_Task], fill: float | None) -> Any:
        import ctranslate2

        frames = tasks[0].frames
        features = np.empty((len(tasks), WHISPER_MELS, frames), np.float32)
        for row, task in enumerate(tasks):
            mel = whisper_log_mel(task.clip.samples)
            used = min(frames, mel.shape[1])
            features[row, :, :used] = mel[:, :used]
            # The lowest value of a log-mel is what digital silence gives in it.
            silence = mel.min() if used else 0.0
            features[row, :, used:] = silence if fill is None else fill
        return self._model.encode(ctranslate2.StorageView.from_array(features), to_cpu=False)

    def _detect(self, batch: list[_Task], encoded: Any) -> list[tuple[str, float | None]]:
        """Language of each row and its probability, None where it was given."""
        if all(task.language for task in batch):
            return [(str(task.language), None) for task in batch]
        guesses = self._model.detect_language(encoded)
        return [
            (task.language, None) if task.language else (guess[0][0][2:-2], float(guess[0][1]))
            for task, guess in zip(batch, guesses, strict=True)
        ]

    def _words(self, view: _View, heard: Sequence[_Heard]) -> list[tuple[Word, ...]]:
        """Word times by cross-attention (dynamic time warping over the alignment heads)."""
        words: list[tuple[Word, ...]] = [()] * len(heard)
        rows = [r for r, task in enumerate(view.tasks) if _has_words(task) and heard[r].ids]
        for language in sorted({view.languages[row] for row in rows}):
            same = [row for row in rows if view.languages[row] == language]
            start = self._tokens.start_sequence(language)
            aligned = self._align(view, same, start, [heard[row].ids for row in same])
            for row, one in zip(same, aligned, strict=True):
                words[row] = self._timed(heard[row].ids, one, view.tasks[row].clip.duration_s)
        return words

    def _align(
        self, view: _View, rows: Sequence[int], start: list[int], ids: list[list[int]]
    ) -> list[Any]:
        """The library's alignment of a text for each row, all of them after ``start``.

        The library itself adds the token that asks for no times.
        """
        found: list[Any] = self._model.align(
            view.rows(rows),
            start,
            ids,
            [min(view.tasks[row].mel_frames, _MAX_FRAMES) for row in rows],
            median_filter_width=7,
        )
        return found

    def _timed(self, ids: list[int], aligned: Any, duration_s: float) -> tuple[Word, ...]:
        """Times of words from (token, encoder position) pairs; monotonic, inside the clip."""
        starts = _token_starts(aligned.alignments, len(ids) + 1, duration_s)
        probabilities = np.asarray(aligned.text_token_probs, np.float64)
        words: list[Word] = []
        pieces = self._tokens.words(ids)
        times = _piece_times([(piece.first, piece.last) for piece in pieces], starts)
        for piece, (begin, end) in zip(pieces, times, strict=True):
            chance = probabilities[piece.first : piece.last]
            words.append(
                Word(
                    piece.text,
                    round(begin, 3),
                    round(end, 3),
                    round(float(chance.mean()), 4) if len(chance) else None,
                )
            )
        return tuple(words)


def _give_back_memory() -> None:
    """Return freed pages to the system.

    Batches of many shapes leave glibc's arenas full of holes; over hours they would add up to
    twice the memory that any batch needs.
    """
    import ctypes

    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _check_clip(clip: Clip) -> None:
    if clip.samples.ndim != 1 or clip.samples.dtype.kind != "f":
        raise AudioInvalid(
            f"A clip has {clip.samples.ndim} dimensions of {clip.samples.dtype}.",
            "Give float32 samples as [n].",
        )
    if clip.duration_s > MAX_CLIP_S:
        raise AudioTooLong(
            f"A clip is {clip.duration_s:.1f} s; the engine takes {MAX_CLIP_S:.0f} s."
        )
    if len(clip.samples) < WHISPER_HOP_SAMPLES * 2:
        raise AudioEmpty(f"A clip has {len(clip.samples)} samples; that is no speech.")
    if not np.isfinite(clip.samples).all():
        raise AudioInvalid("A clip holds samples that are no numbers.", "Make them silence.")


def _batches(tasks: list[_Task]) -> Iterator[list[_Task]]:
    """Like with like: equal decoding options and frames, so many that they stay in the cache."""
    groups: dict[tuple[int, RecognizeOptions], list[_Task]] = {}
    for task in tasks:
        o = task.clip.options
        # Whatever may differ between the rows of a batch is blanked out of the key.
        key = replace(o, language=None, prompt=None, hotwords=(), words=False, itn=True)
        groups.setdefault((task.frames, key), []).append(task)
    for (frames, _), group in groups.items():
        most = min(_BATCH_CLIPS, max(1, _BATCH_FRAMES // frames))
        for first in range(0, len(group), most):
            yield group[first : first + most]


def _shared_out(batches: Iterable[list[_Task]], workers: int) -> list[list[_Task]]:
    """The costly first and the last clip by clip, so that no core waits long for another's end."""
    ordered = sorted(batches, key=_cost, reverse=True)
    if workers == 1:
        return ordered
    return ordered[:-workers] + [[task] for batch in ordered[-workers:] for task in batch]


def _cost(batch: list[_Task]) -> int:
    return len(batch) * batch[0].frames


def _has_words(task: _Task) -> bool:
    """An English word has no place in speech that has none."""
    return task.clip.options.words and not task.clip.options.translate


def _beam_size(options: RecognizeOptions, language: str) -> int:
    if options.temperature > 0:
        return 1
    is_wide = (options.language or language) in _WIDE_BEAM_LANGUAGES
    return options.beam_size or (_WIDE_BEAM_SIZE if is_wide else _BEAM_SIZE)


def _token_room(duration_s: float) -> int:
    return _TOKENS_MIN + math.ceil(duration_s * _TOKENS_PER_S)


def _is_doubtful(task: _Task, heard: _Heard) -> bool:
    """Worth a second hearing; those who ask for one beam or for chance want the first answer."""
    options = task.clip.options
    if options.careful or options.translate or options.temperature > 0 or options.beam_size == 1:
        return False
    return bool(heard.ids) and heard.confidence < _SURE_OF_TEXT


def _simplified(heard: Hypothesis) -> Hypothesis:
    text, spelled = simplify(heard.text, [word.text for word in heard.words])
    words = [replace(word, text=one) for word, one in zip(heard.words, spelled, strict=True)]
    return replace(heard, text=text, words=tuple(words), prompt=simplify(heard.prompt, ())[0])


def _our_code(task: _Task, language: str) -> str:
    """The code the caller asked for, or the detected one in our spelling."""
    asked = task.clip.options.language
    return asked or _OUR_CODES.get(language, language)


_OUR_CODES = {"jw": "jv", "tl": "fil"}


def _languages(known: frozenset[str]) -> frozenset[str]:
    """Our codes that the model can be asked for, Chinese varieties among them."""
    return frozenset(
        one.code
        for one in LANGUAGES
        if whisper_code(one.code, known) is not None and macro_language(one.code)
    )


def _rows(encoded: Any, rows: Sequence[int]) -> Any:
    """Some rows of the encoder's output, as CTranslate2 takes them."""
    import ctranslate2

    device_free = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
    return ctranslate2.StorageView.from_array(
        np.ascontiguousarray(np.array(device_free)[list(rows)])
    )


def _joined(encoded: list[Any]) -> Any:
    """The encoder's outputs of single clips as one of all."""
    import ctranslate2

    return ctranslate2.StorageView.from_array(np.concatenate([np.array(one) for one in encoded]))


def _token_starts(pairs: Any, tokens: int, duration_s: float) -> list[float]:
    """Seconds at which each token begins, from a monotonic path of (token, position) pairs."""
    starts = [math.nan] * tokens
    for token, position in pairs:
        if token < tokens and math.isnan(starts[token]):
            starts[token] = min(position * _FRAME_S, duration_s)
    last = 0.0
    for at, start in enumerate(starts):
        last = max(last, duration_s if math.isnan(start) else start)
        starts[at] = last
    return starts


def _piece_times(
    ranges: Sequence[tuple[int, int]], starts: Sequence[float]
) -> list[tuple[float, float]]:
    """Begin and end of each piece, one after the other.

    Pieces that begin with the same token divide its time; the last of them may go on, with the
    mark that follows it.
    """
    times: list[tuple[float, float]] = []
    for first, group in groupby(ranges, key=lambda one: one[0]):
        lasts = [last for _, last in group]
        begin, shared_end = starts[first], starts[min(lasts)]
        length = (shared_end - begin) / len(lasts)
        times += [(begin + at * length, begin + (at + 1) * length) for at in range(len(lasts) - 1)]
        times.append((begin + (len(lasts) - 1) * length, starts[lasts[-1]]))
    # A mark that shares its token with the next word would make the word before it too long.
    limits = [begin for begin, _ in times[1:]] + [math.inf]
    return [
        (begin, max(begin, min(end, limit)))
        for (begin, end), limit in zip(times, limits, strict=True)
    ]


@contextmanager
def _engine_errors() -> Iterator[None]:
    """CTranslate2 speaks in RuntimeError and ValueError; the cause stays attached."""
    try:
        yield
    except (RuntimeError, ValueError) as exc:
        raise EngineFailed("The recogniser failed on a batch of clips.") from exc

"""What a voice activity detector can be told, checked before anything runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lingting.errors import OptionInvalid

FRAME_MS: Final = 10
"""One decision every 10 ms; every duration below is a whole number of frames."""
OFF_DB: Final = -100.0
"""Below any level 16-bit or float audio can have: the threshold is switched off."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """How frame scores become spans. The defaults are those of the published FSMN-VAD.

    All ``_ms`` values are multiples of 10. ``OptionInvalid`` names the option, the value that was
    given and what is allowed.
    """

    max_end_silence_ms: int = 800
    """A span closes once this much silence has followed it. The first ``speech_to_sil_ms`` of it
    are spent on noticing the silence, so it must be longer than that."""
    silence_schedule: tuple[tuple[int, int], ...] | None = None
    """Patience that shrinks while a span grows, instead of ``max_end_silence_ms``: pairs of (span
    length up to, closing silence), both ms, lengths rising; the last pair also holds beyond its
    length. Measured from the span's real start at every frame, so the result does not depend on
    how the audio was cut into blocks."""
    max_single_segment_ms: int = 60_000
    """A span longer than this is closed at once, even inside a word; the next may follow it
    without a gap. The packer looks for better places, so leave this long when packing."""
    speech_noise_threshold: float = 0.6
    """A frame is speech when P(speech) >= P(silence) + threshold, so 0.6 asks for P(speech) of at
    least 0.8. Higher is stricter; in (-1, 1)."""
    window_ms: int = 200
    """Frame decisions are counted over this sliding window."""
    sil_to_speech_ms: int = 150
    """Speech begins when at least this much of the window is speech."""
    speech_to_sil_ms: int = 150
    """Silence begins when at most this much of the window is speech."""
    lookback_ms: int = 200
    """A span starts this much, and the window, before the frame that revealed it."""
    lookahead_ms: int = 100
    """Audio kept after the frame at which silence began."""
    min_level_db: float = OFF_DB
    """Frames whose energy, 10 log10 of the sum of 400 squared samples in [-1, 1], lies below this
    are silence whatever the network says. -100 switches it off; a full-scale sine has 23."""
    min_snr_db: float = OFF_DB
    """Speech frames must stand this far above the running average level of the silent frames.
    -100 switches it off."""
    single_utterance: bool = False
    """Stop after the first span, or after ``max_start_silence_ms`` without one: for a spoken
    command or a prompt's answer."""
    max_start_silence_ms: int = 3000
    """With ``single_utterance``: how long to wait for speech to begin. Without it a detector that
    listens for many utterances waits for ever, in FunASR as here."""

    def __post_init__(self) -> None:
        for name in _DURATIONS:
            _check_duration(name, getattr(self, name))
        _check(
            "speech_noise_threshold",
            self.speech_noise_threshold,
            -1.0 < self.speech_noise_threshold < 1.0,
            "a number between -1 and 1",
        )
        for name in ("min_level_db", "min_snr_db"):
            value = getattr(self, name)
            _check(
                name, value, math.isfinite(value) and -100 <= value <= 100, "between -100 and 100"
            )
        self._check_window()
        self._check_lengths()
        if self.silence_schedule is not None:
            _check_schedule(self.silence_schedule)

    def _check_window(self) -> None:
        window = self.window_ms
        _check("window_ms", window, window >= FRAME_MS, "10 or more")
        _check(
            "sil_to_speech_ms",
            self.sil_to_speech_ms,
            FRAME_MS <= self.sil_to_speech_ms <= window,
            f"10 to window_ms, which is {window}",
        )
        _check(
            "speech_to_sil_ms",
            self.speech_to_sil_ms,
            self.speech_to_sil_ms < window,
            f"less than window_ms, which is {window}",
        )

    def _check_lengths(self) -> None:
        _check(
            "max_end_silence_ms",
            self.max_end_silence_ms,
            self.max_end_silence_ms > self.speech_to_sil_ms,
            f"more than speech_to_sil_ms, which is {self.speech_to_sil_ms}",
        )
        shortest = self.window_ms + self.lookback_ms
        _check(
            "max_single_segment_ms",
            self.max_single_segment_ms,
            self.max_single_segment_ms > shortest,
            f"more than window_ms and lookback_ms together, which are {shortest}",
        )


_DURATIONS: Final = (
    "max_end_silence_ms",
    "max_start_silence_ms",
    "max_single_segment_ms",
    "window_ms",
    "sil_to_speech_ms",
    "speech_to_sil_ms",
    "lookback_ms",
    "lookahead_ms",
)


def _check(name: str, value: object, allowed: bool, sentence: str) -> None:
    if not allowed:
        raise OptionInvalid(f"{name} is {value}; it must be {sentence}.", "Change that option.")


def _is_duration(value: object) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= 0
        and value % FRAME_MS == 0
    )


def _check_duration(name: str, value: object) -> None:
    _check(name, value, _is_duration(value), "a whole multiple of 10 milliseconds, not negative")


def _check_schedule(schedule: tuple[tuple[int, int], ...]) -> None:
    _check("silence_schedule", schedule, len(schedule) > 0, "None or at least one pair")
    for limit_ms, silence_ms in schedule:
        _check_duration("silence_schedule length", limit_ms)
        _check_duration("silence_schedule silence", silence_ms)
    limits = [limit_ms for limit_ms, _ in schedule]
    _check(
        "silence_schedule",
        limits,
        all(a < b for a, b in pairwise(limits)),
        "sorted by rising span length",
    )


DEFAULT_OPTIONS: Final = VadOptions()

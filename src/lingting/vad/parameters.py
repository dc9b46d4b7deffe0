"""Everything that finding speech can be told, as a table: for sliders, forms and the command line.

The table names ``VadOptions`` and ``PackOptions`` by their own names; what it allows is what makes
sense to try on a recording, and what does not fit together is refused by those two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lingting.errors import OptionInvalid, OptionUnknown
from lingting.vad.options import OFF_DB, VadOptions
from lingting.vad.pack import PackOptions

Kind = Literal["integer", "number", "boolean", "pairs"]
Group = Literal["detector", "packing"]
_MOST_PAIRS = 20


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to choose. ``lowest`` and ``highest`` are allowed themselves."""

    name: str
    group: Group
    """``detector``: it shapes the spans; ``packing``: the clips that they become."""
    kind: Kind
    default: Any
    lowest: float | None
    highest: float | None
    step: float | None
    unit: str | None
    about: Mapping[str, str]
    """What it does, by language."""


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """How speech is looked for, and how it is packed."""

    vad: VadOptions
    packing: PackOptions

    def as_dict(self) -> dict[str, Any]:
        """Every parameter with the value in force."""
        homes: dict[Group, Any] = {"detector": self.vad, "packing": self.packing}
        values = {one.name: getattr(homes[one.group], one.name) for one in PARAMETERS}
        schedule = self.vad.silence_schedule
        return {
            **values,
            "silence_schedule": None if schedule is None else [list(pair) for pair in schedule],
        }


def _ms(name: str, default: int, lowest: int, highest: int, en: str, zh: str) -> Parameter:
    about = {"en": en, "zh": zh}
    return Parameter(name, "detector", "integer", default, lowest, highest, 10, "ms", about)


def _db(name: str, highest: int, en: str, zh: str) -> Parameter:
    about = {"en": en, "zh": zh}
    return Parameter(name, "detector", "number", OFF_DB, OFF_DB, highest, 1, "dB", about)


def _s(
    name: str, default: float, lowest: float, highest: float, step: float, en: str, zh: str
) -> Parameter:
    about = {"en": en, "zh": zh}
    return Parameter(name, "packing", "number", default, lowest, highest, step, "s", about)


PARAMETERS: Final[tuple[Parameter, ...]] = (
    _ms(
        "max_end_silence_ms", 800, 20, 6_000,
        "A span closes once so much silence has followed it.",
        "语音之后静音达到此长度即结束一段。",
    ),
    _ms(
        "max_single_segment_ms", 30_000, 1_000, 60_000,
        "A longer span is closed at once, even inside a word.",
        "超过此长度的语音段立即切断，即使在词中间。",
    ),
    Parameter(
        "speech_noise_threshold", "detector", "number", 0.6, -0.95, 0.95, 0.05, None,
        {
            "en": "How much likelier speech must be than silence; higher is stricter.",
            "zh": "语音概率须比静音概率高出多少；越高越严格。",
        },
    ),
    _ms("window_ms", 200, 10, 1_000, "Decisions are counted over this window.", "统计判决的窗口。"),
    _ms(
        "sil_to_speech_ms", 150, 10, 1_000,
        "Speech begins when so much of the window is speech; at most the window.",
        "窗口内语音达到此长度即开始一段；不超过窗口。",
    ),
    _ms(
        "speech_to_sil_ms", 150, 0, 990,
        "Silence begins when at most so much of the window is speech; less than the window.",
        "窗口内语音不超过此长度即视为静音；须小于窗口。",
    ),
    _ms(
        "lookback_ms", 200, 0, 2_000,
        "A span starts so much earlier than it was noticed.",
        "一段的起点向前回溯的长度。",
    ),
    _ms(
        "lookahead_ms", 100, 0, 2_000,
        "Audio kept behind the frame at which silence began.",
        "静音开始之后保留的音频长度。",
    ),
    _db(
        "min_level_db", 30,
        "Frames with less energy are silence; -100 is off.",
        "能量低于此值的帧视为静音；-100 为关闭。",
    ),
    _db(
        "min_snr_db", 60,
        "Speech must stand so far above the noise; -100 is off.",
        "语音须高出噪声多少分贝；-100 为关闭。",
    ),
    Parameter(
        "single_utterance", "detector", "boolean", False, None, None, None, None,
        {"en": "Stop after the first span.", "zh": "检测到第一段后停止。"},
    ),
    _ms(
        "max_start_silence_ms", 3_000, 0, 60_000,
        "With single_utterance: how long to wait for speech to begin.",
        "仅检测一段时：等待语音开始的最长时间。",
    ),
    Parameter(
        "silence_schedule", "detector", "pairs", None, 0, 600_000, 10, "ms",
        {
            "en": "Instead of max_end_silence_ms: pairs of span length up to, and closing silence.",
            "zh": "代替 max_end_silence_ms：（语音段长度上限，结束静音）对的列表。",
        },
    ),
    _s(
        "target_s", 25.0, 1, 60, 0.5,
        "Spans are joined into clips up to this length.", "语音段合并为片段的目标长度。",
    ),
    _s("hard_s", 30.0, 1, 60, 0.5, "No clip is longer.", "片段的最大长度。"),
    _s(
        "margin_s", 0.15, 0, 0.25, 0.01,
        "Audio kept before and after a clip.", "片段前后保留的音频。",
    ),
    _s(
        "max_pause_s", 1.0, 0, 10, 0.1,
        "A pause inside a clip is shortened to this.", "片段内的停顿缩短到此长度。",
    ),
    _s(
        "max_gap_s", 10.0, 0, 60, 0.5,
        "Spans further apart never share a clip.", "相距更远的语音段不会合并。",
    ),
    _s(
        "max_extent_s", 60.0, 1, 300, 1,
        "From the first to the last span of a clip in the file.",
        "片段首末语音段在文件中的最大跨度。",
    ),
)  # fmt: skip
BY_NAME: Final[Mapping[str, Parameter]] = {one.name: one for one in PARAMETERS}


def parse_options(given: Mapping[str, Any]) -> SpeechOptions:
    """Values as JSON has them; what is left out has the default of the table.

    Raises OptionUnknown for a name that is no parameter, OptionInvalid for a value that is not
    allowed or that does not fit the others.
    """
    for name in given:
        if name not in BY_NAME:
            names = ", ".join(BY_NAME)
            raise OptionUnknown(f"{str(name)[:40]} is no parameter; there are {names}.")
    values = {one.name: _checked(one, given.get(one.name, one.default)) for one in PARAMETERS}
    groups: dict[Group, dict[str, Any]] = {"detector": {}, "packing": {}}
    for one in PARAMETERS:
        groups[one.group][one.name] = values[one.name]
    return SpeechOptions(VadOptions(**groups["detector"]), PackOptions(**groups["packing"]))


def _checked(one: Parameter, value: Any) -> Any:
    if one.kind == "boolean":
        if not isinstance(value, bool):
            raise OptionInvalid(f"{one.name} must be true or false.", "Change that option.")
        return value
    if one.kind == "pairs":
        return None if value is None else _pairs(one, value)
    return _number(one, value)


def _number(one: Parameter, value: Any) -> float | int:
    assert one.lowest is not None
    assert one.highest is not None
    is_whole = one.kind == "integer"
    kinds = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise OptionInvalid(
            f"{one.name} must be a {'whole ' if is_whole else ''}number.", "Change that option."
        )
    if not one.lowest <= value <= one.highest:  # nor is what is no number
        unit = f" {one.unit}" if one.unit else ""
        raise OptionInvalid(
            f"{one.name} is {str(value)[:20]}; it may be {one.lowest:g} to {one.highest:g}{unit}.",
            "Change that option.",
        )
    return int(value) if is_whole else float(value)


def _pairs(one: Parameter, value: Any) -> tuple[tuple[int, int], ...]:
    if (
        not isinstance(value, (list, tuple))
        or len(value) > _MOST_PAIRS
        or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in value)
    ):
        raise OptionInvalid(
            f"{one.name} must be at most {_MOST_PAIRS} pairs of milliseconds, or null.",
            "Change that option.",
        )
    most = one.highest
    assert most is not None
    for part in (part for pair in value for part in pair):
        if isinstance(part, bool) or not isinstance(part, int) or not 0 <= part <= most:
            raise OptionInvalid(
                f"{one.name} holds something else than 0 to {most:g} ms.", "Change that option."
            )
    return tuple((int(limit_ms), int(silence_ms)) for limit_ms, silence_ms in value)

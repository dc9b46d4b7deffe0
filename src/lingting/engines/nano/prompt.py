"""What the language model is told before and after the audio: one builder for every way in.

The words are those the published models were trained with; nothing else works as well, an English
instruction least of all. The order, when everything is asked for::

    system turn
    user turn:  context header, free context, hotword list, task, language, no-ITN phrase, colon
                [rows of audio]
    assistant turn, opened

Sources: the toolkit's own prompt for all but free context, whose place is that of the chat template
in the Hugging Face conversion. Tests hold every string against both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lingting.errors import LanguageUnsupported
from lingting.languages import CHINESE, chinese_label, macro_language

NANO_LANGUAGES = frozenset({"zh", "en", "ja"}) | CHINESE
"""Fun-ASR-Nano-2512. Trained with 中文, 英文 and 日文 alone: each Chinese variety is 中文 to it."""

MLT_LANGUAGES = frozenset({
    "zh", "en", "yue", "ja", "ko", "vi", "id", "th", "ms", "fil", "ar", "hi", "bg", "hr", "cs",
    "da", "nl", "et", "fi", "el", "hu", "ga", "lv", "lt", "mt", "pl", "pt", "ro", "sk", "sl", "sv",
})  # fmt: skip
"""Fun-ASR-MLT-Nano-2512."""

MOST_CONTEXT = 2_000
"""Characters of free context that are worth their time; of a longer one the end is taken."""

_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_USER = "<|im_start|>user\n"
_AFTER = "<|im_end|>\n<|im_start|>assistant\n"
_CONTEXT = (
    "请结合上下文信息，更加准确地完成语音转写任务。如果没有相关信息，我们会留空。\n\n\n"
    "**上下文信息：**\n\n\n"
)
_HOTWORDS = "热词列表：[{}]\n"
_TASK = "语音转写"
_INTO = "成"
_NO_ITN = "，不进行文本规整"
_END = "："
# What a caller writes is text: none of it may open or close a turn.
_MARKERS = re.compile(r"<\|[^<>|]*\|>|</?(?:think|tool_call|tool_response)>")


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What is asked of one clip."""

    language: str | None = None
    """ISO code as in :mod:`lingting.languages`; None leaves it to the model."""
    itn: bool = True
    """Numbers in digits and the like; False asks for every word as it was said."""
    hotwords: tuple[str, ...] = ()
    context: str = ""
    """Free text about the recording."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text before and after the audio rows, chat markers included."""

    before: str
    after: str = _AFTER


def build(options: PromptOptions, languages: frozenset[str] | None = None) -> Prompt:
    """The prompt for one clip. ``languages`` are the ISO codes of the model, None for any known.

    Raises LanguageUnsupported for a language the model was not trained on.
    """
    return Prompt(_SYSTEM + _USER + _background(options) + _task(options, languages))


def language_label(code: str, languages: frozenset[str] | None = None) -> str:
    """``en`` → ``英文``: what the prompt calls a language.

    Cantonese is 粤语 only to models that know more than Fun-ASR-Nano does. Raises
    LanguageUnsupported.
    """
    known = NANO_LANGUAGES | MLT_LANGUAGES if languages is None else languages
    if code not in known:
        raise _unsupported(code, known)
    return chinese_label(macro_language(code) if known <= NANO_LANGUAGES else code)


def asked_language(
    code: str | None, languages: frozenset[str]
) -> tuple[str | None, tuple[str, ...]]:
    """What the prompt names for the caller's language, and a note where another one stands in.

    Chinese varieties that the model was not told apart by are asked for as ``zh``. Raises
    LanguageUnsupported.
    """
    if code is None or code in languages:
        return code, ()
    if code in CHINESE and "zh" in languages:
        return "zh", (f"language.{code}_as_zh",)
    raise _unsupported(code, languages)


def _unsupported(code: str, known: frozenset[str]) -> LanguageUnsupported:
    return LanguageUnsupported(
        f"The model does not know the language {code}; it knows {', '.join(sorted(known))}."
    )


def _task(options: PromptOptions, languages: frozenset[str] | None) -> str:
    into = ""
    if options.language is not None:
        into = _INTO + language_label(options.language, languages)
    return _TASK + into + ("" if options.itn else _NO_ITN) + _END


def _background(options: PromptOptions) -> str:
    """The context block, or nothing: an empty one makes the model invent something."""
    context = _plain(options.context).strip()
    hotwords = [word for word in map(_one_line, options.hotwords) if word]
    if not context and not hotwords:
        return ""
    said = f"{context}\n" if context else ""
    listed = _HOTWORDS.format(", ".join(hotwords)) if hotwords else ""
    return _CONTEXT + said + listed


def _plain(text: str) -> str:
    return _MARKERS.sub(" ", text)


def _one_line(text: str) -> str:
    return " ".join(_plain(text).split())

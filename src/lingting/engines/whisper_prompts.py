"""What Whisper is told came before a clip: what the caller gave, or a phrase of our own."""

from __future__ import annotations

from lingting.engines.base import RecognizeOptions

# It hears more of Mandarin in traditional characters; what it wrote so is spelled in the others.
MANDARIN = "嗯，好的，謝謝。"
# Without them the model writes Mandarin in either script and with no punctuation, translates
# Cantonese instead of writing it, and spells Hindi in Arabic letters. They say nothing, so there is
# nothing to leak; docs/decisions.md has what each is worth. Languages that are no better with one
# have none, and neither have clips whose language was guessed: on noise the decoder says such
# phrases again.
_PHRASES = {
    "en": "Okay, so, uh, yeah.",
    "es": "Sí, gracias.",
    "hi": "जी, धन्यवाद।",
    "hu": "Igen, köszönöm.",
    "ja": "はい、ありがとうございます。",
    "nl": "Ja, dank je.",
    "pl": "Tak, dziękuję.",
    "pt": "Sim, obrigado.",
    "vi": "Vâng, cảm ơn.",
    "yue": "以下係廣東話嘅句子。",
    "zh": MANDARIN,
}
# The second hearing has none but those that decide how speech is written: with hesitations, in the
# script of its language, as Cantonese. The others are courtesies, and may be wrong just there.
_OF_WRITING = frozenset({"en", "hi", "yue", "zh"})
_SURE_OF_LANGUAGE = 0.8  # noise is taken for English with 0.76 at most, a single word with more


def first_context(options: RecognizeOptions, language: str, probability: float | None) -> str:
    """What the decoder is told came before: hotwords and prompt, or our own phrase.

    ``language`` is Whisper's code, ``probability`` that of a detected one; None when it was given.
    """
    if options.prompt is None and not options.hotwords:
        if options.translate or (probability is not None and probability < _SURE_OF_LANGUAGE):
            return ""
        return _PHRASES.get(options.language or language, "")
    hotwords = ", ".join(options.hotwords)
    return " ".join(part for part in (options.prompt or "", hotwords) if part)


def second_context(options: RecognizeOptions, language: str, first: str) -> str:
    """For a second hearing: without a phrase of ours, unless it says how to write."""
    code = options.language or language
    is_courtesy = first == _PHRASES.get(code) and code not in _OF_WRITING
    return "" if is_courtesy else first


def leakable(options: RecognizeOptions, context: str) -> str:
    """The part of the context that nobody says; hotwords are there to be said."""
    return (options.prompt or "") if options.hotwords else context

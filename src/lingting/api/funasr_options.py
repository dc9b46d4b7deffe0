"""FunASR's options: which are there, which change nothing here, and what to do about the others.

A script's option is honoured, accepted because leaving it out gives the same result, or refused
with a sentence that says what to do; none is ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from lingting.errors import OptionInvalid, OptionUnknown

# Batches are formed by length and memory here, nothing is random, there is nothing to update and no
# bar to switch off; scripts that set these keep working because they change no result.
NEEDLESS = frozenset(
    {
        "batch_size",
        "batch_size_s",
        "batch_size_threshold_s",
        "check_latest",
        "disable_log",
        "disable_pbar",
        "disable_update",
        "hub",
        "log_level",
        "merge_vad",
        "model_revision",
        "ncpu",
        "punc_model_revision",
        "seed",
        "spk_model_revision",
        "vad_model",
        "vad_model_revision",
    }
)
_STREAMING = ("No model streams here.", "Give the whole recording and leave this option out.")
_SPEAKERS = (
    "Speakers are not told apart in this version.",
    "Leave it out; lingting.engines.funasr.load_embedder gives cam++'s vectors.",
)
# Options of FunASR that are not there: the values that wish for nothing, and what to say of others.
_ELSEWHERE: dict[str, tuple[tuple[Any, ...], str, str]] = {
    "ban_emo_unk": (
        (None, False),
        "An emotion is not made up where the model hears none.",
        "Leave it out; such a segment has no emotion.",
    ),
    "chunk_size": ((None,), *_STREAMING),
    "data_type": (
        (None, "sound"),
        "The input is sound; features and texts are not taken.",
        "Leave it out.",
    ),
    "decoder_chunk_look_back": ((None,), *_STREAMING),
    "en_post_proc": (
        (None, False),
        "English words come whole here, with their times.",
        "Leave it out.",
    ),
    "encoder_chunk_look_back": ((None,), *_STREAMING),
    "input_len": ((None,), "The length is that of the input.", "Leave it out."),
    "is_final": ((None, True), *_STREAMING),
    "max_length": (
        (None,),
        "How many tokens a clip may have follows from its length.",
        "Leave it out.",
    ),
    "output_dir": (
        (None,),
        "generate() writes no files.",
        "Write what it returns, or use `lingting transcribe --output`.",
    ),
    "pred_timestamp": (
        (None, False),
        "Word times have another name.",
        "Give output_timestamp=True.",
    ),
    "preset_spk_num": ((None,), *_SPEAKERS),
    "punc_kwargs": ((None, {}), "The punctuation model has no options.", "Leave it out."),
    "return_raw_text": (
        (None, False),
        "What was heard is always there.",
        "Read text_tn of the result, and raw_text of a sentence.",
    ),
    "return_spk_res": ((None, False), *_SPEAKERS),
    "spk_kwargs": ((None, {}), *_SPEAKERS),
    "spk_mode": ((None,), *_SPEAKERS),
    "spk_model": ((None,), *_SPEAKERS),
    "textnorm": (
        (None,),
        "Spoken and written numbers have another option.",
        "Give use_itn=True or use_itn=False.",
    ),
}


def refuse_unknown(options: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises OptionUnknown for a name that nobody knows, OptionInvalid for a wish that cannot be.

    ``known`` are the names that are honoured, beside those that change nothing.
    """
    for name, value in sorted(options.items()):
        if name in known or name in NEEDLESS:
            continue
        if name not in _ELSEWHERE:
            raise OptionUnknown(f"There is no option {name}.", _similar(name, known))
        harmless, sentence, next_step = _ELSEWHERE[name]
        if not any(value is one or value == one for one in harmless):
            raise OptionInvalid(f"{name} cannot be had. {sentence}", next_step)


def _similar(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, [*known, *NEEDLESS], n=2)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}Known are: {', '.join(sorted(known))}."


def hotwords(options: Mapping[str, Any]) -> tuple[str, ...]:
    """FunASR takes a list, or one string with spaces between the words. Raises OptionInvalid.

    The toolkit also opens a string that ends like a file and fetches one that begins like an
    address; here neither is a word anybody meant.
    """
    words: list[str] = []
    for name in ("hotword", "hotwords"):
        given = options.get(name) or ()
        words += given.split() if isinstance(given, str) else given
    if not all(isinstance(word, str) for word in words):
        raise OptionInvalid("hotwords holds something that is no text; give a list of words.")
    if any("://" in word or word.endswith(".txt") for word in words):
        raise OptionInvalid(
            "A hotword names a file or an address, which is not opened.",
            "Read it and give a list of its words.",
        )
    return tuple(words)


def merge_length_s(value: Any, most_s: float) -> float:
    """How long clips may become when spans are joined. Raises OptionInvalid."""
    try:
        seconds = float(value)
    except (TypeError, ValueError) as exc:
        raise OptionInvalid("merge_length_s is no number.", "Give seconds.") from exc
    if not 1.0 <= seconds <= most_s:
        raise OptionInvalid(
            f"merge_length_s is {seconds:g}; allowed are 1 to {most_s:g}.",
            "Models hear no longer clips; recordings may have any length.",
        )
    return seconds


def threads(options: Mapping[str, Any]) -> int | None:
    """FunASR's ``ncpu``; None when it was not given. Raises OptionInvalid."""
    count = options.get("ncpu")
    if count is None:
        return None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise OptionInvalid("ncpu is no number of CPU threads.", "Give 1 or more, or leave it out.")
    return count

"""The one test double: an engine whose hypotheses a function makes.

::

    ScriptedEngine(lambda clip: Hypothesis("你好", "zh", confidence=0.9))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingting.engines.base import BATCH_S, Clip, EngineFacts, Hypothesis
from lingting.errors import EngineFailed, LingtingError
from lingting.transcript import ModelFacts

Script = Callable[[Clip], Hypothesis]


class ScriptedEngine:
    """Answers each clip by ``script``; an error it raises becomes that clip's error."""

    def __init__(
        self, script: Script, *, has_careful: bool = True, batch_s: float = BATCH_S
    ) -> None:
        self._facts = EngineFacts(
            ModelFacts("scripted"),
            None,
            has_words=True,
            has_detection=True,
            has_careful=has_careful,
            batch_s=batch_s,
        )
        self._script: Script | None = script
        self.batches: list[int] = []
        """Sizes of the requests so far, for tests of batching."""

    @property
    def facts(self) -> EngineFacts:
        return self._facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        """One hypothesis per clip, in order."""
        if self._script is None:
            raise EngineFailed("The engine was closed.", "Make a new one.")
        self.batches.append(len(clips))
        return [_answer(self._script, clip) for clip in clips]

    def close(self) -> None:
        self._script = None


def _answer(script: Script, clip: Clip) -> Hypothesis:
    try:
        return script(clip)
    except LingtingError as error:
        return Hypothesis("", clip.options.language, error=error)

"""The toolkit's punctuation (ct-punc) and voices (cam++) as small objects with one method."""

from __future__ import annotations

import threading
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.engines.funasr.engine import call_settings, failure
from lingting.engines.funasr.fence import FENCE
from lingting.engines.funasr.loading import (
    PUNCTUATION_CLASSES,
    VOICE_CLASSES,
    Loaded,
    load_model,
)
from lingting.errors import AudioEmpty, AudioInvalid, EngineFailed

_SHORTEST_VOICE_SAMPLES = SAMPLE_RATE_HZ // 10


class _Callable:
    """One lock and one model, and the call behind the fence."""

    _wanted: frozenset[str]

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        compute: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Raises ExtraMissing, OptionInvalid (also for another kind of model), WeightsInvalid."""
        self._lock = threading.Lock()
        self._threads = threads
        self._model: Loaded | None = load_model(
            folder, device=device, compute=compute, wanted=self._wanted
        )

    def close(self) -> None:
        """Free the model's memory; calling it twice is fine."""
        with self._lock:
            self._model = None

    def _only_entry(self, given: Any) -> dict[str, Any]:
        """What the model answers to one text or clip."""
        import torch

        with self._lock:
            if self._model is None:
                raise EngineFailed("The model was closed.", "Make a new one.")
            settings = call_settings(self._model) | {"cache": {}}
            with FENCE.inside(self._threads) as visit, torch.no_grad():
                try:
                    found, _ = self._model.module.inference(data_in=[given], key=["0"], **settings)
                    (entry,) = found
                except Exception as exc:  # the toolkit raises whatever its parts raise
                    raise failure(visit.cause, exc) from exc
        return dict(entry)


class Punctuator(_Callable):
    """CT-Transformer: puts marks into text that has none."""

    _wanted = PUNCTUATION_CLASSES

    def punctuate(self, text: str) -> str:
        """The same words with marks, English sentences capitalised; blank text stays "".

        Raises EngineFailed also when the words came back changed.
        """
        if not text.strip():
            return ""
        # The space keeps a text that begins like an address from being fetched.
        marked = str(self._only_entry(f" {text}").get("text", "")).strip()
        if _letters(marked) != _letters(text):
            raise EngineFailed("The punctuation model changed the words.", "Use the plain text.")
        return marked


class Embedder(_Callable):
    """CAM++: what a voice sounds like as a vector; alike voices have a high cosine."""

    _wanted = VOICE_CLASSES

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[n]`` samples at 16 kHz in [-1, 1] to float32 ``[192]``, not normalised.

        Raises AudioInvalid, AudioEmpty (under 0.1 s) or EngineFailed.
        """
        if samples.ndim != 1 or samples.dtype.kind != "f" or not np.isfinite(samples).all():
            raise AudioInvalid("A voice needs finite float samples as [n].")
        if len(samples) < _SHORTEST_VOICE_SAMPLES:
            raise AudioEmpty(f"A voice needs 0.1 s of sound; there are {len(samples)} samples.")
        entry = self._only_entry(samples.astype(np.float32))
        vector = np.asarray(entry["spk_embedding"].cpu(), np.float32).reshape(-1)
        if not np.isfinite(vector).all():
            raise EngineFailed("The voice model gave values that are no numbers.")
        return vector


def _letters(text: str) -> str:
    """What punctuation may not touch: everything but marks, spaces and case."""
    return "".join(
        char.casefold() for char in text if unicodedata.category(char)[0] not in {"P", "Z", "C"}
    )

"""faster-whisper, the peer our figures stand beside: same weights, same clips, same run.

Two modes as its users run them: ``sequential`` (``WhisperModel.transcribe``, beam 5) and
``batched`` (``BatchedInferencePipeline``, beam 5, batches of 8). Both are given the language of the
manifest, Chinese varieties as ``zh`` where the weights do not have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from lingting.errors import ExtraMissing, OptionInvalid
from lingting.evaluate.manifest import Row
from lingting.evaluate.run import Recognised, Subject
from lingting.languages import whisper_code
from lingting.transcript import ModelFacts

Mode = Literal["sequential", "batched"]
MODES: tuple[Mode, ...] = ("sequential", "batched")
BEAM_SIZE = 5
BATCH_SIZE = 8
COMPUTE_TYPE = "int8"


class FasterWhisper:
    """A :data:`~lingting.evaluate.run.Recogniser` over a CTranslate2 Whisper folder.

    Raises :class:`ExtraMissing` without the ``bench`` extra and :class:`OptionInvalid` for a
    folder that is no model. A clip that fails has the code ``peer.failed``.
    """

    def __init__(self, folder: Path, mode: Mode, *, threads: int = 0) -> None:
        if mode not in MODES:
            raise OptionInvalid(f"The mode is {mode!r}; allowed are {', '.join(MODES)}.")
        try:
            from faster_whisper import BatchedInferencePipeline, WhisperModel
        except ImportError as exc:
            raise ExtraMissing(
                "Measuring beside faster-whisper needs the package faster-whisper.",
                "Run `pip install 'lingting[bench]'`.",
            ) from exc
        try:
            model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type=COMPUTE_TYPE,
                cpu_threads=threads,
                local_files_only=True,
            )
        except (RuntimeError, OSError, ValueError) as exc:
            raise OptionInvalid("The peer's model folder holds no CTranslate2 Whisper.") from exc
        self._known = frozenset(model.supported_languages)
        self._mode = mode
        self._options: dict[str, Any] = {"beam_size": BEAM_SIZE}
        self._transcribe = model.transcribe
        if mode == "batched":
            self._options["batch_size"] = BATCH_SIZE
            self._transcribe = BatchedInferencePipeline(model).transcribe
        self._threads = threads

    def subject(self, model: ModelFacts | None = None) -> Subject:
        """How a report names this peer."""
        options = {**self._options, "compute_type": COMPUTE_TYPE, "threads": self._threads}
        return Subject(f"faster-whisper {self._mode}", model, options)

    def __call__(self, rows: Sequence[Row]) -> Iterator[Recognised]:
        for row in rows:
            yield self._recognise(row)

    def _recognise(self, row: Row) -> Recognised:
        code = row.engine_language
        language = whisper_code(code, self._known) if code else None
        try:
            segments, info = self._transcribe(str(row.path), language=language, **self._options)
            text = "".join(segment.text for segment in segments).strip()
        except Exception:  # a peer may fail as it likes; its other clips still count
            return Recognised(row.file, "", failure="peer.failed")
        return Recognised(row.file, text, duration_s=float(info.duration))

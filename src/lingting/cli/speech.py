"""``lingting vad``: where somebody speaks in a recording."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, SOME_FAILED, exit_code_of
from lingting.cli.options import Verbose
from lingting.cli.output import Output
from lingting.errors import AudioError

if TYPE_CHECKING:
    from lingting.audio.decode import AudioReader
    from lingting.transcript import Span
    from lingting.vad.fsmn import FsmnVad
    from lingting.vad.options import VadOptions


def vad(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A recording, or - for standard input.", show_default=False
        ),
    ],
    max_end_silence_ms: Annotated[
        int, typer.Option(help="A span closes after this much silence; a multiple of 10.")
    ] = 800,
    max_segment_ms: Annotated[
        int, typer.Option(help="A longer span is cut; a multiple of 10.")
    ] = 60_000,
    threshold: Annotated[
        float, typer.Option(help="How much likelier speech must be than silence; -1 to 1.")
    ] = 0.6,
    min_level_db: Annotated[
        float, typer.Option(help="Frames with less energy are silence; -100 is off.")
    ] = -100.0,
    min_snr_db: Annotated[
        float, typer.Option(help="Speech must stand this far above the noise; -100 is off.")
    ] = -100.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    verbose: Verbose = False,
) -> None:
    """Print the spans of speech in a recording, in seconds.

    \b
    Examples:
      lingting vad meeting.m4a
      lingting vad call.wav --max-end-silence-ms 500 --json
    """
    out = Output(verbose=verbose)
    chosen = {
        "max_end_silence_ms": max_end_silence_ms,
        "max_single_segment_ms": max_segment_ms,
        "speech_noise_threshold": threshold,
        "min_level_db": min_level_db,
        "min_snr_db": min_snr_db,
    }
    raise typer.Exit(exit_code_of(out, lambda: _vad(out, file, chosen, json)))


def _vad(output: Output, file: str, chosen: dict[str, Any], json: bool) -> int:
    from lingting.audio.decode import Limits, open_audio
    from lingting.cli.loading import VAD_MODEL, load_vad, make_ready
    from lingting.config import settings
    from lingting.vad.options import VadOptions

    options = VadOptions(**chosen)
    make_ready(output, VAD_MODEL)
    detector = load_vad()
    limits = Limits(max_duration_s=settings().max_duration_s)
    given = sys.stdin.buffer if file == "-" and sys.stdin is not None else file
    try:
        with open_audio(given, limits=limits) as reader:
            spans = list(_spans(reader, detector, options))
            duration_s = reader.duration_s
    except AudioError as error:
        output.error(error, file)
        return SOME_FAILED
    _print(output, file, spans, duration_s, json)
    return DONE


def _spans(reader: AudioReader, detector: FsmnVad, options: VadOptions) -> Iterator[Span]:
    """As the recording is read: ten hours need no more memory than ten seconds."""
    from lingting.vad.decision import SpeechEnd

    stream = detector.stream(options=options)
    for block in reader.blocks():
        events = stream.feed(block)
        stream.take_frames()  # their scores are not needed and would pile up
        yield from (event.span for event in events if isinstance(event, SpeechEnd))
    yield from (event.span for event in stream.finish() if isinstance(event, SpeechEnd))


def _print(output: Output, file: str, spans: list[Span], duration_s: float, json: bool) -> None:
    speech_s = sum(span.duration_s for span in spans)
    if json:
        times = [[round(span.start_s, 3), round(span.end_s, 3)] for span in spans]
        output.record(
            {
                "file": file,
                "duration_s": round(duration_s, 3),
                "speech_s": round(speech_s, 3),
                "spans": times,
            }
        )
        return
    output.table(
        ("start_s", "end_s", "duration_s"),
        [(f"{span.start_s:.3f}", f"{span.end_s:.3f}", f"{span.duration_s:.3f}") for span in spans],
    )
    output.note(f"{len(spans)} spans, {speech_s:.1f} s of speech in {duration_s:.1f} s of audio")

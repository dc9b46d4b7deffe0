"""``lingting vad``: where somebody speaks in a recording."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, SOME_FAILED, exit_code_of
from lingting.cli.options import Verbose
from lingting.cli.output import Output
from lingting.errors import AudioError

if TYPE_CHECKING:
    from lingting.vad.report import SpeechReport

_CLIPS = "Of --clips: "


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
    max_single_segment_ms: Annotated[
        int,
        typer.Option(
            "--max-single-segment-ms",
            "--max-segment-ms",
            help="A longer span is cut; 1000 to 60000, a multiple of 10.",
        ),
    ] = 30_000,
    speech_noise_threshold: Annotated[
        float,
        typer.Option(
            "--speech-noise-threshold",
            "--threshold",
            help="How much likelier speech must be than silence; -0.95 to 0.95.",
        ),
    ] = 0.6,
    window_ms: Annotated[int, typer.Option(help="Decisions are counted over this window.")] = 200,
    sil_to_speech_ms: Annotated[
        int, typer.Option(help="Speech begins when so much of the window is speech.")
    ] = 150,
    speech_to_sil_ms: Annotated[
        int, typer.Option(help="Silence begins when at most so much of the window is speech.")
    ] = 150,
    lookback_ms: Annotated[
        int, typer.Option(help="A span starts so much earlier than it was noticed.")
    ] = 200,
    lookahead_ms: Annotated[
        int, typer.Option(help="Audio kept behind the frame at which silence began.")
    ] = 100,
    min_level_db: Annotated[
        float, typer.Option(help="Frames with less energy are silence; -100 is off.")
    ] = -100.0,
    min_snr_db: Annotated[
        float, typer.Option(help="Speech must stand this far above the noise; -100 is off.")
    ] = -100.0,
    single_utterance: Annotated[
        bool, typer.Option("--single-utterance", help="Stop after the first span.")
    ] = False,
    max_start_silence_ms: Annotated[
        int, typer.Option(help="With --single-utterance: how long to wait for speech.")
    ] = 3_000,
    clips: Annotated[
        bool, typer.Option("--clips", help="The clips a recogniser is given, not the spans.")
    ] = False,
    target_s: Annotated[
        float, typer.Option(help=f"{_CLIPS}spans are joined up to this length.")
    ] = 25.0,
    hard_s: Annotated[float, typer.Option(help=f"{_CLIPS}none is longer.")] = 30.0,
    margin_s: Annotated[float, typer.Option(help=f"{_CLIPS}audio before and after.")] = 0.15,
    max_pause_s: Annotated[
        float, typer.Option(help=f"{_CLIPS}a pause inside is shortened to this.")
    ] = 1.0,
    max_gap_s: Annotated[
        float, typer.Option(help=f"{_CLIPS}spans further apart never share one.")
    ] = 10.0,
    max_extent_s: Annotated[
        float, typer.Option(help=f"{_CLIPS}from the first to the last span in the file.")
    ] = 60.0,
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
        "max_single_segment_ms": max_single_segment_ms,
        "speech_noise_threshold": speech_noise_threshold,
        "window_ms": window_ms,
        "sil_to_speech_ms": sil_to_speech_ms,
        "speech_to_sil_ms": speech_to_sil_ms,
        "lookback_ms": lookback_ms,
        "lookahead_ms": lookahead_ms,
        "min_level_db": min_level_db,
        "min_snr_db": min_snr_db,
        "single_utterance": single_utterance,
        "max_start_silence_ms": max_start_silence_ms,
        "target_s": target_s,
        "hard_s": hard_s,
        "margin_s": margin_s,
        "max_pause_s": max_pause_s,
        "max_gap_s": max_gap_s,
        "max_extent_s": max_extent_s,
    }
    raise typer.Exit(exit_code_of(out, lambda: _vad(out, file, chosen, clips, json)))


def _vad(output: Output, file: str, chosen: dict[str, Any], clips: bool, json: bool) -> int:
    from lingting.audio.decode import Limits
    from lingting.cli.loading import VAD_MODEL, load_vad, make_ready
    from lingting.config import settings
    from lingting.vad.parameters import parse_options
    from lingting.vad.report import speech_report

    options = parse_options(chosen)
    make_ready(output, VAD_MODEL)
    detector = load_vad()
    limits = Limits(max_duration_s=settings().max_duration_s)
    given = sys.stdin.buffer if file == "-" and sys.stdin is not None else file
    try:
        found = speech_report(given, detector, options, limits=limits)
    except AudioError as error:
        output.error(error, file)
        return SOME_FAILED
    _print(output, file, found, clips, json)
    return DONE


def _print(output: Output, file: str, found: SpeechReport, clips: bool, json: bool) -> None:
    shown = found.clips if clips else found.spans
    rows = [(round(one.start_s, 3), round(one.end_s, 3)) for one in shown]
    if json:
        output.record(
            {
                "file": file,
                "duration_s": round(found.duration_s, 3),
                "speech_s": round(found.speech_s, 3),
                "speech_share": round(found.speech_share, 4),
                "clips" if clips else "spans": [list(row) for row in rows],
            }
        )
        return
    output.table(
        ("start_s", "end_s", "duration_s"),
        [(f"{start_s:.3f}", f"{end_s:.3f}", f"{end_s - start_s:.3f}") for start_s, end_s in rows],
    )
    output.note(
        f"{len(rows)} {'clips' if clips else 'spans'}, {found.speech_s:.1f} s of speech in "
        f"{found.duration_s:.1f} s of audio"
    )

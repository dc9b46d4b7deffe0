"""``lingting eval``: error rates and speed on recordings with known text."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, SOME_FAILED, exit_code_of
from lingting.cli.loading import EngineRequest
from lingting.cli.options import Verbose
from lingting.cli.output import Output

if TYPE_CHECKING:
    from lingting.cli.measuring import Heard, System
    from lingting.evaluate.manifest import Manifest
    from lingting.evaluate.report import Report

_Drawn = Sequence[Sequence["Report"]]
"""The draws of each system, ours first."""
_COMPARISON_SCHEMA = "lingting.comparison/1"
_LINE_EVERY_CLIPS = 25


@dataclass(frozen=True, slots=True)
class _Request:
    manifest: Path
    limit: int | None
    engine: EngineRequest
    has_peers: bool
    draws: int
    report: Path | None
    hypotheses: Path | None
    json: bool


def evaluate(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="JSON lines: file, language, text, duration_s.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name of `lingting models list`, or a folder.")
    ] = "auto",
    peers: Annotated[
        bool, typer.Option("--peers", help="Measure faster-whisper beside it, same weights.")
    ] = False,
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            min=1,
            max=100,
            help="Hear all clips so often, from the second time on with a noise nobody hears: "
            "how far chance moves the rates.",
        ),
    ] = 1,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write the report as JSON.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the first rows.")
    ] = None,
    hypotheses: Annotated[
        Path | None,
        typer.Option(
            "--hypotheses", metavar="FILE", help="Also write what was heard, as JSON lines."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    compute: Annotated[str, typer.Option("--compute", help="Precision.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    verbose: Verbose = False,
) -> None:
    """Measure a recogniser: error rates per language, speed, memory, text where nobody speaks.

    Rates are CER where characters are counted and WER where words are, with substitutions (S),
    deletions (D) and insertions (I). Every system runs in a process of its own, one after another,
    and its clock starts when its model is loaded. The report names model digests, versions and the
    machine; it holds no transcript text.

    With --draws a language has the mean of its rates, the lowest and the highest; S, D, I and
    speed are those of the clips as they are. Two systems differ where their ranges do.

    \b
    Examples:
      lingting eval speech/manifest.jsonl --report report.json
      lingting eval speech/manifest.jsonl --peers --threads 2
      lingting eval speech/manifest.jsonl --draws 5
    """
    out = Output(quiet=quiet, verbose=verbose)
    request = _Request(
        manifest=manifest,
        limit=limit,
        engine=EngineRequest(model, device, compute, threads),
        has_peers=peers,
        draws=draws,
        report=report,
        hypotheses=hypotheses,
        json=json,
    )
    raise typer.Exit(exit_code_of(out, lambda: _run(out, request)))


def _run(output: Output, request: _Request) -> int:
    from lingting.cli.loading import VAD_MODEL, automatic_model, make_ready
    from lingting.cli.measuring import OURS, PEERS
    from lingting.evaluate.manifest import read_manifest

    manifest = read_manifest(request.manifest, limit=request.limit)
    engine = request.engine
    if engine.model == "auto":
        engine = replace(engine, model=automatic_model(engine.device))
    make_ready(output, engine.model)
    make_ready(output, VAD_MODEL)
    request = replace(request, engine=engine)
    systems = (OURS, *PEERS) if request.has_peers else (OURS,)
    hypotheses: list[dict[str, Any]] = []
    drawn: list[list[Report]] = [[] for _ in systems]
    for draw in range(request.draws):
        for system, reports in zip(systems, drawn, strict=True):
            reports.append(_measured(output, request, manifest, system, draw, hypotheses))
    _save(request, drawn, hypotheses)
    _print(output, request, drawn)
    return SOME_FAILED if any(drawn[0][0].failures.values()) else DONE


def _measured(
    output: Output,
    request: _Request,
    manifest: Manifest,
    system: System,
    draw: int,
    hypotheses: list[dict[str, Any]],
) -> Report:
    """One draw of one system; its progress on stderr."""
    from lingting.cli.display import open_display
    from lingting.cli.measuring import Measurement, measure

    durations = {row.file: row.duration_s or 0.0 for row in manifest.rows}
    wanted = Measurement(system, request.manifest, request.limit, request.engine, draw=draw)
    which = f", draw {draw + 1} of {request.draws}" if request.draws > 1 else ""
    output.note(f"measuring {system}{which}: {len(manifest.rows)} clips")
    with open_display(output, len(manifest.rows)) as display:

        def heard(clip: Heard) -> None:
            if request.hypotheses is not None:
                hypotheses.append(
                    {
                        "system": system,
                        "draw": draw,
                        "file": clip.file,
                        "language": clip.language,
                        "text": clip.text,
                        "failure": clip.failure,
                    }
                )
            tally = display.tally
            tally.close(clip.file, durations.get(clip.file, 0.0))
            display.refresh(clip.file)
            if not output.has_terminal and tally.closed % _LINE_EVERY_CLIPS == 0:
                output.note(f"{system}: {tally.closed} of {tally.files} clips")

        return measure(wanted, heard)


def _save(request: _Request, drawn: _Drawn, hypotheses: Sequence[dict[str, Any]]) -> None:
    from lingting.text.writers import save

    if request.hypotheses is not None:
        lines = (jsonlib.dumps(line, ensure_ascii=False) + "\n" for line in hypotheses)
        save(request.hypotheses, "".join(lines).encode("utf-8", "replace"))
    if request.report is not None:
        text = jsonlib.dumps(_document(drawn), ensure_ascii=False, indent=2) + "\n"
        save(request.report, text.encode())


def _document(drawn: _Drawn) -> dict[str, Any]:
    """A single report as it is; several under one head, with the spread of each system's draws."""
    from lingting.evaluate.report import spread

    reports = [report for draws in drawn for report in draws]
    if len(reports) == 1:
        return reports[0].as_dict()
    spreads = {
        draws[0].system: {name: asdict(found) for name, found in spread(draws).items()}
        for draws in drawn
        if len(draws) > 1
    }
    return {
        "schema": _COMPARISON_SCHEMA,
        "reports": [report.as_dict() for report in reports],
        "spreads": spreads,
    }


def _print(output: Output, request: _Request, drawn: _Drawn) -> None:
    from lingting.evaluate.report import compare, table

    if request.json:
        output.record(_document(drawn))
        return
    ours = drawn[0][0]
    header, *rows = table(ours)
    output.table(header, rows)
    output.data("\n")
    header, *rows = compare(drawn)
    output.table(header, rows)
    if ours.silent_with_text:
        output.note(f"text where nobody speaks: {', '.join(ours.silent_with_text)}")
    for code, count in sorted(ours.failures.items()):
        output.warn(f"{count} clips failed with {code}")

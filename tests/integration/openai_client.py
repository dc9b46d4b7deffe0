"""What a program does that uses OpenAI's Python client, of whatever version is imported.

``python openai_client.py URL KEY FILE``; what came back is printed as JSON. It imports nothing of
ours: an old version runs in an interpreter that has its own packages.
"""

import json
import sys
from pathlib import Path
from typing import Any

import openai


def told(error: Any) -> list[Any]:
    return [error.status_code, error.type, error.param, error.code]


def main() -> None:
    url, key, path = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    client: Any = openai.OpenAI(api_key=key, base_url=url, max_retries=1)

    def ask(**given: Any) -> Any:
        with path.open("rb") as file:
            return client.audio.transcriptions.create(
                **{"model": "whisper-1", "file": file, **given}
            )

    found: dict[str, Any] = {"version": openai.__version__}
    plain = ask()
    found["json"] = plain.text
    for name in ("text", "srt", "vtt"):
        found[name] = ask(response_format=name)
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    found["verbose"] = {
        "text": verbose.text,
        "language": verbose.language,
        "duration": float(verbose.duration),
        "segments": [[one.start, one.end, one.text] for one in verbose.segments],
        "words": [[one.start, one.end, one.word] for one in verbose.words],
    }
    with_file = path.read_bytes()
    deltas, done = [], None
    for event in client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=(path.name, with_file), stream=True,
        chunking_strategy={"type": "server_vad", "threshold": 0.5},
        extra_body={"hotwords": "Lingting"},
    ):  # fmt: skip
        if event.type == "transcript.text.delta":
            deltas.append(event.delta)
        else:
            done = event.text
    found["stream"] = {"deltas": deltas, "done": done}
    found["models"] = [one.id for one in client.models.list()]
    errors: dict[str, Any] = {}
    for name, given in {
        "model": {"model": "gpt-9"},
        "format": {"response_format": "xml"},
        "file": {"file": ("a.mp3", b"no audio at all" * 300)},
    }.items():
        try:
            ask(**given)
        except openai.APIStatusError as error:
            errors[name] = told(error)
    try:
        client.with_options(api_key="lk_wrong").models.list()
    except openai.AuthenticationError as error:
        errors["key"] = told(error)
    found["errors"] = errors
    print(json.dumps(found))  # noqa: T201 - it is the program's answer


if __name__ == "__main__":
    main()

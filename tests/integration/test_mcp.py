"""Tools for language models, asked by the protocol's official client over both ways in.

Web application, server, worker and program are the real ones; the engine is scripted.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import mcp
import pytest
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from lingting.mcp.resources import MAX_CHARS
from lingting.mcp.serving import ERROR_META
from lingting.mcp.shapes import MAX_AUDIO_BYTES, MAX_PAGE_CHARS
from lingting.server.access import Access
from lingting.transcript import Segment, Transcript
from tests.integration.server_parts import Running, running
from tests.integration.store_parts import plain_transcript
from tests.integration.worker_parts import worker

TOOLS = {"transcribe", "list_recordings", "read_transcript", "search", "job"}
Work = Callable[[Any], Awaitable[None]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("mcp")) as made:
        yield made


def over_http(service: Running, key: str | None, work: Work, *, mode: str = "auto") -> None:
    """The official client at ``/mcp``."""

    async def go() -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            way = streamable_http_client(f"{service.url}/mcp", http_client=http)
            async with mcp.Client(way, mode=mode) as client:
                await work(client)

    asyncio.run(go())


def over_stdio(service: Running, key: str, work: Work, *folders: Path, mode: str = "auto") -> None:
    """The official client, which starts ``lingting mcp``."""
    words = [word for folder in folders for word in ("--folder", str(folder))]
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "lingting", "mcp", "--server", service.url, *words],
        env={
            "LINGTING_SERVER_KEY": key,
            "LINGTING_DATA_DIR": str(service.folder / "elsewhere"),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
    )

    async def go() -> None:
        async with mcp.Client(program, mode=mode) as client:
            await work(client)

    asyncio.run(go())


def kept(service: Running, transcript: Transcript, name: str, **who: Any) -> str:
    """Id of a recording with this transcript."""
    who = {"owner": "admin", **who}
    made = service.service.store.keep(io.BytesIO(name.encode()), transcript, name=name, **who)
    return made.recording.id


def said(result: Any) -> dict[str, Any]:
    """The structured answer, which the text repeats."""
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    assert json.loads(result.content[0].text) == found
    return found


def refused(result: Any) -> dict[str, Any]:
    """What a tool says when it cannot."""
    assert result.is_error
    told: dict[str, Any] = result.meta[ERROR_META]
    assert result.content[0].text.startswith(f"{told['code']}: {told['message']}")
    return told


def transcript_of(*texts: str) -> Transcript:
    segments = tuple(
        Segment(start_s=float(at), end_s=at + 1.0, text=text, spoken=text, language="zh")
        for at, text in enumerate(texts)
    )
    return Transcript(segments, float(len(texts)), "zh")


# What there is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_are_described_over_http(service: Running, mode: str) -> None:
    """By the protocol's newest form and by the handshake that older clients know."""

    async def work(client: Any) -> None:
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert tools.keys() == TOOLS
        assert all(one.output_schema["type"] == "object" for one in tools.values())
        assert "path" not in tools["transcribe"].input_schema["properties"]
        assert "audio_base64" in tools["transcribe"].input_schema["properties"]
        assert not tools["transcribe"].annotations.read_only_hint
        assert tools["search"].annotations.read_only_hint
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["lingting://transcripts/{recording_id}"]

    over_http(service, service.key("read"), work, mode=mode)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_are_described_over_stdio(service: Running, tmp_path: Path, mode: str) -> None:
    async def work(client: Any) -> None:
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert tools.keys() == TOOLS
        assert "path" in tools["transcribe"].input_schema["properties"]
        assert "audio_base64" not in tools["transcribe"].input_schema["properties"]
        page = said(await client.call_tool("list_recordings", {"tag": "there is none"}))
        assert page == {"items": [], "next": None}

    over_stdio(service, service.key("read"), work, tmp_path, mode=mode)


# From sound to text -------------------------------------------------------------------------------


@pytest.mark.speech
def test_a_recording_becomes_text_over_http(
    service: Running, speech_dir: Path, tmp_path: Path
) -> None:
    clip = min((speech_dir).rglob("*.mp3"), key=lambda one: one.stat().st_size)

    async def work(client: Any) -> None:
        arguments = {
            "audio_base64": base64.b64encode(clip.read_bytes()).decode(), "name": "talk.mp3",
            "wait_s": 50,
        }  # fmt: skip
        made = said(await client.call_tool("transcribe", arguments))
        assert made["job"]["state"] == "done"
        page = made["transcript"]
        assert page["total"] == len(page["segments"]) > 0
        assert page["segments"][0]["text"]
        assert page == said(
            await client.call_tool("read_transcript", {"recording_id": page["recording_id"]})
        )
        assert said(await client.call_tool("job", {"job_id": made["job"]["id"]})) == made["job"]
        listed = said(await client.call_tool("list_recordings", {"limit": 1}))["items"]
        assert [(one["id"], one["name"]) for one in listed] == [(page["recording_id"], "talk.mp3")]
        again = {"recording_id": page["recording_id"], "language": "fr", "wait_s": 50}
        second = said(await client.call_tool("transcribe", again))
        assert second["job"]["recording_id"] == page["recording_id"]
        assert second["transcript"]["revision"] > page["revision"]

    with worker(service.folder, tmp_path):
        over_http(service, service.key("read", "write"), work)


@pytest.mark.speech
def test_a_file_becomes_text_over_stdio(service: Running, speech_dir: Path, tmp_path: Path) -> None:
    clip = min((speech_dir).rglob("*.mp3"), key=lambda one: one.stat().st_size)
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "talk.mp3").write_bytes(clip.read_bytes())

    async def work(client: Any) -> None:
        arguments = {"path": str(folder / "talk.mp3"), "wait_s": 50}
        made = said(await client.call_tool("transcribe", arguments))
        assert made["job"]["state"] == "done"
        assert made["transcript"]["segments"]
        job = service.service.desk.job(made["job"]["id"])
        assert (job.name, job.owner) == ("talk.mp3", "stdio")

    with worker(service.folder, tmp_path):
        over_stdio(service, service.key("read", "write", user="stdio"), work, folder)


def test_who_does_not_wait_gets_a_job(service: Running) -> None:
    async def work(client: Any) -> None:
        data = base64.b64encode(b"no worker is there").decode()
        made = said(await client.call_tool("transcribe", {"audio_base64": data, "wait_s": 0}))
        assert made["transcript"] is None
        assert made["job"]["state"] == "queued"
        read = await client.call_tool(
            "read_transcript", {"recording_id": made["job"]["recording_id"]}
        )
        assert refused(read)["code"] == "store.revision_not_found"

    over_http(service, service.key("read", "write"), work)


# Reading ------------------------------------------------------------------------------------------


def test_transcripts_are_read_by_the_page(service: Running) -> None:
    texts = [f"第{number}句" for number in range(450)]
    id = kept(service, transcript_of(*texts), "long.wav")

    async def work(client: Any) -> None:
        found: list[str] = []
        start, pages = 0, 0
        while start is not None:
            page = said(
                await client.call_tool(
                    "read_transcript", {"recording_id": id, "start": start, "limit": 200}
                )
            )
            assert [one["position"] for one in page["segments"]] == [
                start + at for at in range(len(page["segments"]))
            ]
            found += [one["text"] for one in page["segments"]]
            start, pages = page["next"], pages + 1
        assert (found, pages) == (texts, 3)

    over_http(service, service.key("read"), work)


def test_a_page_is_bounded_by_its_text_too(service: Running) -> None:
    id = kept(service, transcript_of(*("长" * 15_000 for _ in range(6))), "wide.wav")
    huge = kept(service, transcript_of("长" * (MAX_PAGE_CHARS + 5), "短"), "huge.wav")

    async def work(client: Any) -> None:
        page = said(await client.call_tool("read_transcript", {"recording_id": id}))
        assert (len(page["segments"]), page["next"]) == (2, 2)
        page = said(await client.call_tool("read_transcript", {"recording_id": huge}))
        assert (len(page["segments"]), page["next"]) == (1, 1), "one is given whatever its length"

    over_http(service, service.key("read"), work)


def test_search_finds_what_was_said(service: Running) -> None:
    id = kept(service, transcript_of("今天天气很好", "客户要求退款", "再见"), "call.wav")

    async def work(client: Any) -> None:
        found = said(await client.call_tool("search", {"query": "退款"}))
        assert [one["recording_id"] for one in found["items"]] == [id]
        hit = found["items"][0]["hits"][0]
        assert (hit["position"], hit["start_s"], hit["text"]) == (1, 1.0, "客户要求退款")
        by_sound = said(await client.call_tool("search", {"query": "tuikuan", "match": "sound"}))
        assert [one["recording_id"] for one in by_sound["items"]] == [id]
        by_name = said(await client.call_tool("search", {"query": "CALL"}))
        assert [one["id"] for one in by_name["named"]] == [id]
        assert found["named"] == by_name["items"] == []

    over_http(service, service.key("search"), work)


def test_transcripts_are_resources(service: Running) -> None:
    transcript = transcript_of("你好", "再见")
    id = kept(service, transcript, "small.wav")
    long = kept(service, transcript_of(*("长" * 900 for _ in range(300))), "endless.wav")

    async def work(client: Any) -> None:
        uris = [one.uri for one in (await client.list_resources()).resources]
        assert f"lingting://transcripts/{id}" in uris
        read = await client.read_resource(f"lingting://transcripts/{id}")
        assert read.contents[0].text == "[00:00:00] 你好\n[00:00:01] 再见"
        text = (await client.read_resource(f"lingting://transcripts/{long}")).contents[0].text
        assert len(text) < MAX_CHARS + MAX_PAGE_CHARS + 1_000
        assert "more segments: read_transcript, start=" in text.splitlines()[-1]
        for address in ("lingting://transcripts/nothing000", "file:///etc/passwd"):
            with pytest.raises(MCPError, match=r"store\.recording_not_found"):
                await client.read_resource(address)

    over_http(service, service.key("read"), work)


# Who may -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "lk_0000000000_" + "A" * 43])
def test_nobody_gets_in(service: Running, key: str | None) -> None:
    headers = {"Accept": "application/json, text/event-stream"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    answer = httpx.post(f"{service.url}/mcp", json=ping, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "access.sign_in_needed"
    assert httpx.get(f"{service.url}/mcp", headers=headers).status_code == 405


def test_a_session_is_as_good_as_a_key_but_not_from_another_site(service: Running) -> None:
    access: Access = service.service.access
    link = access.new_link()
    access.set_password(link, "a long password")
    cookie = {"lingting_session": access.sign_in("admin", "a long password")}
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "list_recordings", "arguments": {}},
    }  # fmt: skip
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-06-18",
    }
    with httpx.Client(cookies=cookie, headers=headers) as http:
        answer = http.post(f"{service.url}/mcp", json=call)
        assert answer.json()["result"]["isError"] is False
        foreign = http.post(
            f"{service.url}/mcp", json=call, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert foreign.status_code == 403


def test_permissions_are_those_of_the_api(service: Running) -> None:
    """Somebody else's recording is not there, and a key does what its scopes say."""
    id = kept(service, plain_transcript(3), "hers.wav", owner="wanda")

    async def as_hers(client: Any) -> None:
        page = said(await client.call_tool("read_transcript", {"recording_id": id}))
        assert page["total"] == 3
        denied = await client.call_tool("transcribe", {"recording_id": id, "wait_s": 0})
        assert refused(denied)["code"] == "access.not_allowed"

    async def as_other(client: Any) -> None:
        for name in ("read_transcript", "transcribe"):
            gone = await client.call_tool(name, {"recording_id": id})
            assert refused(gone)["code"] == "store.recording_not_found"
        listed = said(await client.call_tool("list_recordings", {}))
        assert id not in [one["id"] for one in listed["items"]]
        with pytest.raises(MCPError, match=r"store\.recording_not_found"):
            await client.read_resource(f"lingting://transcripts/{id}")

    async def as_searcher(client: Any) -> None:
        denied = await client.call_tool("read_transcript", {"recording_id": id})
        assert refused(denied)["code"] == "access.not_allowed"

    over_http(service, service.key("read", user="wanda"), as_hers)
    over_http(service, service.key("read", "write", user="otto"), as_other)
    over_http(service, service.key("search", user="wanda"), as_searcher)


def test_reads_are_in_the_audit_trail(service: Running) -> None:
    id = kept(service, plain_transcript(2), "audited.wav", owner="audrey")

    async def work(client: Any) -> None:
        said(await client.call_tool("read_transcript", {"recording_id": id}))
        said(await client.call_tool("search", {"query": "秘密的词"}))

    over_http(service, service.key("read", user="audrey"), work)
    from lingting.store import audit

    with service.service.store.database.read() as session:
        rows = [one for one in audit.entries(session, limit=200) if one.actor == "audrey"]
    assert {"transcript.read", "search"} <= {one.action for one in rows}
    assert "秘密" not in repr(rows)


# Errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("transcribe", {}, "option.invalid"),
        ("transcribe", {"recording_id": "a", "url": "https://x/"}, "option.invalid"),
        ("transcribe", {"audio_base64": "***"}, "option.invalid"),
        ("transcribe", {"audio_base64": ""}, "audio.empty"),
        ("transcribe", {"url": "https://example.org/a.mp3"}, "address.refused"),
        ("transcribe", {"path": "/etc/passwd"}, "option.invalid"),
        ("transcribe", {"recording_id": "../../users"}, "store.recording_not_found"),
        ("read_transcript", {"recording_id": "x", "limit": 100_000}, "option.invalid"),
        ("read_transcript", {}, "option.invalid"),
        ("list_recordings", {"after": "nonsense"}, "option.invalid"),
        ("job", {"job_id": "nothing"}, "job.not_found"),
        ("search", {"query": "x", "secret": "秘密"}, "option.invalid"),
    ],
)
def test_errors_are_typed_answers(
    service: Running, name: str, arguments: dict[str, Any], code: str
) -> None:
    async def work(client: Any) -> None:
        told = refused(await client.call_tool(name, arguments))
        assert told["code"] == code
        assert "秘密" not in json.dumps(told, ensure_ascii=False)

    over_http(service, service.key(), work)


def test_a_tool_that_is_none_is_an_error_of_the_protocol(service: Running) -> None:
    async def work(client: Any) -> None:
        with pytest.raises(MCPError, match="no such tool"):
            await client.call_tool("rm", {})

    over_http(service, service.key(), work)


def test_large_messages_are_refused(service: Running) -> None:
    headers = {
        "Authorization": f"Bearer {service.key()}", "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }  # fmt: skip
    answer = httpx.post(f"{service.url}/mcp", content=b" " * (5 << 20), headers=headers)
    assert answer.status_code == 413

    async def work(client: Any) -> None:
        data = base64.b64encode(b"\0" * (MAX_AUDIO_BYTES + 1)).decode()
        told = refused(await client.call_tool("transcribe", {"audio_base64": data}))
        assert told["code"] in {"request.too_large", "option.invalid"}
        fits = base64.b64encode(os.urandom(MAX_AUDIO_BYTES)).decode()
        made = said(await client.call_tool("transcribe", {"audio_base64": fits, "wait_s": 0}))
        assert made["job"]["state"] == "queued"

    over_http(service, service.key(), work)


def test_limits_of_a_key_hold_for_tools(service: Running) -> None:
    key = service.service.access.new_key(
        "slow", user="slow", scopes=("read",), limits={"requests_per_minute": 4}
    )[1]
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "list_recordings", "arguments": {}},
    }  # fmt: skip
    headers = {
        "Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-06-18",
    }  # fmt: skip
    with httpx.Client(headers=headers) as http:
        answers = [http.post(f"{service.url}/mcp", json=call) for _ in range(4)]
    assert answers[0].json()["result"]["isError"] is False
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0


# Files of this machine ----------------------------------------------------------------------------


def test_only_files_of_the_folders_given_are_read(service: Running, tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    for folder in (allowed / ".ssh", other):
        folder.mkdir(parents=True)
    (other / "secret.mp3").write_bytes(b"secret")
    (allowed / ".ssh" / "id").write_bytes(b"secret")
    (allowed / "link.mp3").symlink_to(other / "secret.mp3")
    (allowed / "loop").symlink_to(allowed / "loop")

    async def work(client: Any) -> None:
        for path, code in (
            (other / "secret.mp3", "access.not_allowed"),
            (allowed / ".." / "other" / "secret.mp3", "access.not_allowed"),
            (allowed / "link.mp3", "access.not_allowed"),
            (allowed / ".ssh" / "id", "access.not_allowed"),
            (Path("/proc/self/environ"), "access.not_allowed"),
            (allowed, "audio.not_found"),
            (allowed / "nothing.mp3", "audio.not_found"),
        ):
            told = refused(await client.call_tool("transcribe", {"path": str(path)}))
            assert told["code"] == code, path
        loop = await client.call_tool("transcribe", {"path": str(allowed / "loop")})
        assert loop.is_error

    before = len(service.blobs())
    over_stdio(service, service.key("read", "write"), work, allowed)
    assert len(service.blobs()) == before


def test_a_service_that_is_away_is_said_by_the_tool(service: Running, tmp_path: Path) -> None:
    async def work(client: Any) -> None:
        told = refused(await client.call_tool("list_recordings", {}))
        assert told["code"] == "service.unreachable"

    class Away:
        url, folder = "http://127.0.0.1:9", service.folder

    over_stdio(Away(), "lk_x", work, tmp_path)  # type: ignore[arg-type]


# Without the package ------------------------------------------------------------------------------


def test_without_the_package_both_ways_say_so(tmp_path: Path) -> None:
    """In a process of its own, where nothing finds the package."""
    program = """
import sys
from importlib.abc import MetaPathFinder
class Gone(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mcp", "mcp_types"}:
            raise ModuleNotFoundError(name)
        return None
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.startswith("mcp") else real(name, *rest)
sys.meta_path.insert(0, Gone())
from pathlib import Path
import httpx
from tests.integration.server_parts import running
with running(Path(sys.argv[1])) as service:
    key = service.key()
    answer = httpx.post(f"{service.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
                        headers={"Authorization": f"Bearer {key}"})
    print(answer.status_code, answer.json()["error"]["code"])
    assert httpx.get(f"{service.url}/healthz").status_code == 200
sys.argv = ["lingting", "mcp", "--server", "http://127.0.0.1:9"]
from lingting.cli.main import run
run()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=90
    )
    assert done.stdout.strip() == "409 install.extra_missing"
    assert "lingting[mcp]" in done.stderr
    assert done.returncode == 2

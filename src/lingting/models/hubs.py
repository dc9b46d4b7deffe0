"""Hugging Face and ModelScope over HTTP, with nothing but the standard library.

Endpoints come from HF_ENDPOINT and MODELSCOPE_ENDPOINT, proxies from the usual variables. A file
whose digest is known is resumed with a Range request after a cut, even from another hub, since the
digest decides in the end. A file without a known digest is always fetched whole.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from lingting.models.catalogue import HubSource, ModelFile
from lingting.models.fetching import SourceFailed, Staging, mismatch
from lingting.models.progress import Meter
from lingting.models.receipt import CHUNK_BYTES

TIMEOUT_S = 30.0
ATTEMPTS = 4
MAX_UNPINNED_BYTES = 64 << 20
"""Files without a listed size are configurations and tokenizers; more than this is no such file."""

_ENDPOINTS = {
    "huggingface": ("HF_ENDPOINT", "https://huggingface.co", "{endpoint}/{repository}/resolve"),
    "modelscope": (
        "MODELSCOPE_ENDPOINT",
        "https://www.modelscope.cn",
        "{endpoint}/models/{repository}/resolve",
    ),
}


class _Transient(Exception):
    """Worth another attempt."""


class _Rejected(Exception):
    """The server answered, and what it has is not what is listed."""


def fetch(source: HubSource, files: Sequence[ModelFile], staging: Staging, meter: Meter) -> None:
    """Bring every file into ``staging``, verified. Raises SourceFailed naming what was refused.

    Small files come first, so that a repository with other contents is found out cheaply; once one
    file was refused the others are only compared by size.
    """
    staging.files.mkdir(parents=True, exist_ok=True)
    refused: list[str] = []
    for file in sorted(files, key=lambda item: item.size_bytes or 0):
        try:
            _bring(source, file, staging, meter, only_compare=bool(refused))
        except _Rejected as exc:
            refused.append(str(exc))
    if refused:
        raise SourceFailed(f"other files than those listed: {'; '.join(refused)}")


def _bring(
    source: HubSource, file: ModelFile, staging: Staging, meter: Meter, *, only_compare: bool
) -> None:
    if staging.has(file):
        meter.settle(file.path, file.size_bytes or 0)
        return
    url = _url(source, file.path)
    target = staging.target(file)
    part = target.with_name(target.name + ".part")
    if file.sha256 is None:
        part.unlink(missing_ok=True)
    is_resumed = part.is_file()
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.3 * 2 ** (attempt - 1))
        try:
            if only_compare:
                _compare_size(url, file)
                return
            _download(url, file, part, meter)
            _accept(file, part, target, meter)
            return
        except _Transient as exc:
            reason = str(exc)
        except _Rejected as exc:
            if not is_resumed:
                raise
            is_resumed = False  # what the cut pull left may be to blame: once more from the start
            part.unlink(missing_ok=True)
            reason = str(exc)
    raise SourceFailed(f"{file.path}: {reason}")


def _accept(file: ModelFile, part: Path, target: Path, meter: Meter) -> None:
    """Check the finished part and give it its name."""
    digest = hashlib.sha256()
    with part.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    size_bytes = part.stat().st_size
    problem = mismatch(file, size_bytes, digest.hexdigest())
    if problem:
        part.unlink()
        raise _Rejected(problem)
    os.replace(part, target)
    meter.settle(file.path, size_bytes)


def _download(url: str, file: ModelFile, part: Path, meter: Meter) -> None:
    """Append to ``part`` until it is whole. Raises _Transient when the connection breaks."""
    have_bytes = part.stat().st_size if part.is_file() else 0
    if file.size_bytes is not None and have_bytes == file.size_bytes:
        return
    if file.size_bytes is not None and have_bytes > file.size_bytes:
        part.unlink()
        have_bytes = 0
    with _open(url, file, from_byte=have_bytes) as response:
        if have_bytes and response.status != 206:
            have_bytes = 0  # the server does not do ranges: from the beginning
        whole_bytes = _whole_bytes(response, have_bytes)
        _check_announced(file, response, whole_bytes)
        limit_bytes = MAX_UNPINNED_BYTES if file.size_bytes is None else file.size_bytes
        with part.open("ab" if have_bytes else "wb") as stream:
            for chunk in _chunks(response, file):
                have_bytes += len(chunk)
                if have_bytes > limit_bytes:
                    raise _Rejected(f"{file.path} is longer than {limit_bytes} bytes")
                stream.write(chunk)
                meter.at(file.path, have_bytes)
    if whole_bytes is not None and have_bytes < whole_bytes:
        raise _Transient(f"the connection ended after {have_bytes} of {whole_bytes} bytes")


def _compare_size(url: str, file: ModelFile) -> None:
    with _open(url, file, from_byte=0) as response:
        _check_announced(file, response, _whole_bytes(response, 0))


def _check_announced(
    file: ModelFile, response: http.client.HTTPResponse, whole_bytes: int | None
) -> None:
    if file.sha256 is None and response.headers.get_content_type() == "text/html":
        raise _Rejected(f"{file.path} is a web page there")
    if file.size_bytes is not None and whole_bytes not in (None, file.size_bytes):
        raise _Rejected(f"{file.path} has {whole_bytes} bytes, {file.size_bytes} are listed")


def _whole_bytes(response: http.client.HTTPResponse, from_byte: int) -> int | None:
    match = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if match:
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return from_byte + int(length) if length.isdigit() else None


def _chunks(response: http.client.HTTPResponse, file: ModelFile) -> _Chunks:
    return _Chunks(response, file)


class _Chunks:
    """Iterates over the body; what breaks on the way becomes _Transient."""

    def __init__(self, response: http.client.HTTPResponse, file: ModelFile) -> None:
        self._response = response
        self._file = file

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as exc:
            raise _Transient(f"the connection broke ({type(exc).__name__})") from exc
        if not chunk:
            raise StopIteration
        return chunk


def _open(url: str, file: ModelFile, *, from_byte: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "lingting", "Accept-Encoding": "identity"}
    if from_byte:
        headers["Range"] = f"bytes={from_byte}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s), see _url
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as exc:
        exc.close()
        raise _http_failure(exc.code, file) from exc
    except urllib.error.URLError as exc:
        raise SourceFailed(f"cannot be reached ({_why(exc.reason)})") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise _Transient(f"the connection broke ({type(exc).__name__})") from exc
    return response


def _http_failure(code: int, file: ModelFile) -> Exception:
    if code == 404:
        return _Rejected(f"{file.path} is not there")
    if code == 416 or code == 429 or code >= 500:
        return _Transient(f"the server answered {code}")
    return SourceFailed(f"the server answered {code}")


def _why(reason: object) -> str:
    """A reason without addresses or paths in it."""
    if isinstance(reason, OSError):
        return reason.strerror or type(reason).__name__
    return str(reason)[:80]


def _url(source: HubSource, path: str) -> str:
    variable, default, pattern = _ENDPOINTS[source.kind]
    endpoint = os.environ.get(variable, "").strip() or default
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    if not endpoint.startswith(("https://", "http://")):
        raise SourceFailed(f"{variable} is not an http or https address")
    base = pattern.format(endpoint=endpoint.rstrip("/"), repository=source.repository)
    return f"{base}/{source.revision}/{urllib.parse.quote(path)}"

"""Sending a recording so that a cut, of the network or of this process, costs little: tus 1.0.0.

The service finds an unfinished upload again by the digest of its content and what is wanted of it,
so nothing has to be remembered here: whoever sends the same file again goes on where it was.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from lingting.client.connection import API, error_of
from lingting.errors import (
    BodyIncomplete,
    BodyTooSlow,
    BusyError,
    LingtingError,
    OptionInvalid,
    ServiceUnreachable,
    TooManyRequests,
    UploadConflict,
    UploadGone,
    UploadNotFound,
)

PIECE_BYTES = 64 << 20
_READ_BYTES = 256 << 10
_MAX_HEAD_BYTES = 48 << 10
_PASSES = (ServiceUnreachable, BusyError, BodyTooSlow, TooManyRequests, UploadConflict)
_BEGINNINGS = 3
_LONGEST_WAIT_S = 15.0
_TUS = {"Tus-Resumable": "1.0.0"}


class Send(Protocol):
    """Asks the service and raises what it raised; the answer has ``headers`` and ``json()``."""

    def __call__(self, method: str, path: str, **arguments: Any) -> Any: ...


def send_resumable(
    send: Send,
    path: Path,
    fields: Mapping[str, str],
    *,
    idempotency_key: str | None,
    on_sent: Callable[[int], None] | None,
    patience_s: float,
) -> Mapping[str, Any]:
    """The job that the file became, as JSON.

    ``fields`` are those of a form, ``sha256`` among them. What passes is waited for, as long as
    something arrives within ``patience_s``. Raises what the service refuses, ServiceUnreachable.
    """
    metadata = ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items()
    )
    if len(metadata) > _MAX_HEAD_BYTES:
        raise OptionInvalid(
            "Hotwords and prompt are too long for a resumable upload.", "Put them into a glossary."
        )
    size_bytes = path.stat().st_size
    headers = {**_TUS, "Upload-Length": str(size_bytes), "Upload-Metadata": metadata}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    patience = _Patience(patience_s)
    with path.open("rb") as stream:
        for beginning in range(_BEGINNINGS):
            begun = patience.waited(lambda: send("POST", "/uploads", headers=headers))
            place = str(begun.headers["location"]).removeprefix(API)
            try:
                return _Sending(send, place, stream, size_bytes, on_sent, patience).job()
            except (UploadGone, UploadNotFound):
                if beginning == _BEGINNINGS - 1:
                    raise
    raise AssertionError("unreachable")


class _Sending:
    """One upload, to its end."""

    def __init__(
        self,
        send: Send,
        place: str,
        stream: IO[bytes],
        size_bytes: int,
        on_sent: Callable[[int], None] | None,
        patience: _Patience,
    ) -> None:
        self._send = send
        self._place = place
        self._stream = stream
        self._size_bytes = size_bytes
        self._on_sent = on_sent
        self._patience = patience

    def job(self) -> Mapping[str, Any]:
        state = self._state()
        while state["job"] is None:
            if state["state"] != "open":
                raise _refusal(state)
            offset_bytes = int(state["received_bytes"])
            if offset_bytes < self._size_bytes:
                try:
                    self._push(offset_bytes)
                except _PASSES as error:
                    self._patience.wait(error)
            else:  # it is being put together
                self._patience.wait(BusyError("The upload is not finished."))
            state = self._state()
            if int(state["received_bytes"]) > offset_bytes:
                self._patience.renew()
        job: Mapping[str, Any] = state["job"]
        return job

    def _state(self) -> Mapping[str, Any]:
        return self._patience.waited(lambda: self._send("GET", self._place)).json()  # type: ignore[no-any-return]

    def _push(self, offset_bytes: int) -> None:
        size_bytes = min(PIECE_BYTES, self._size_bytes - offset_bytes)
        self._send(
            "PATCH",
            self._place,
            content=self._pieces(offset_bytes, size_bytes),
            headers={
                **_TUS,
                "Content-Type": "application/offset+octet-stream",
                "Content-Length": str(size_bytes),
                "Upload-Offset": str(offset_bytes),
            },
        )

    def _pieces(self, offset_bytes: int, size_bytes: int) -> Iterator[bytes]:
        self._stream.seek(offset_bytes)
        sent_bytes = 0
        while sent_bytes < size_bytes:
            piece = self._stream.read(min(_READ_BYTES, size_bytes - sent_bytes))
            if not piece:
                raise BodyIncomplete("The file became shorter while it was sent.")
            sent_bytes += len(piece)
            yield piece
            if self._on_sent is not None:
                self._on_sent(offset_bytes + sent_bytes)


class _Patience:
    """How long nothing may arrive."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.renew()

    def renew(self) -> None:
        self._until_s = time.monotonic() + self._patience_s
        self._wait_s = 0.5

    def wait(self, error: LingtingError) -> None:
        """A moment, longer each time. Raises the error when there was time enough."""
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise error
        asked_s = getattr(error, "retry_after_s", 0.0)
        time.sleep(min(max(self._wait_s, asked_s), left_s))
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    def waited(self, work: Callable[[], Any]) -> Any:
        """Done again while it does not work for a passing reason."""
        while True:
            try:
                return work()
            except _PASSES as error:
                self.wait(error)


def _refusal(state: Mapping[str, Any]) -> LingtingError:
    """Why a complete upload became no job; by its code as everywhere."""
    told = state["error"]
    if told is None:
        return UploadGone("The upload was ended.")
    return error_of(told["code"], told["message"])

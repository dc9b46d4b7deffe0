"""From an error to an answer: one shape for all of them.

``{"error": {"code", "message", "next_step", "incident"?}}`` with the status of the error's class;
below ``/v1`` the shape of OpenAI's. A fault of ours has an incident id instead of details; the id
finds the line of the log.
"""

from __future__ import annotations

import logging
import math
import secrets
import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lingting.errors import (
    BodyInvalid,
    FaultError,
    LingtingError,
    MethodUnknown,
    PathUnknown,
    RequestError,
    SignInNeeded,
)
from lingting.server.openai import shape

log = logging.getLogger("lingting.server")
_FRAMES = 8
_SHOWN_CHARS = 60


def install(app: FastAPI) -> None:
    """Every error that a route raises is answered here."""
    app.add_exception_handler(LingtingError, _ours)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def answer(error: LingtingError, path: str = "") -> JSONResponse:
    """The response of an error of ours to a request for ``path``."""
    status, body = answered(path, error)
    return JSONResponse(body, status_code=status, headers=headers_of(error))


def answered(path: str, error: LingtingError) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    if not shape.is_here(path):
        return error.status, {"error": problem(error)}
    status = shape.status_of(error)
    return status, {"error": shape.shaped(problem(error), status, shape.param_of(error))}


def incident(path: str, exc: BaseException) -> dict[str, Any]:
    """The body of an answer to what nobody foresaw; its status is 500."""
    told = unforeseen(exc)
    return {"error": shape.shaped(told, 500) if shape.is_here(path) else told}


def problem(error: LingtingError) -> dict[str, str]:
    """The inner object. A fault is logged and shown by its incident id."""
    if not isinstance(error, FaultError):
        return {"code": error.code, "message": error.sentence, "next_step": error.next_step}
    incident = secrets.token_hex(4)
    log.error("fault", extra={"incident": incident, "code": error.code, "said": str(error)})
    return {
        "code": error.code,
        "message": f"The service failed at this (incident {incident}).",
        "next_step": "Try again; the operator finds the incident in the logs.",
        "incident": incident,
    }


def unforeseen(exc: BaseException) -> dict[str, str]:
    """Logged by type and place only: the message of a foreign exception may quote a transcript."""
    incident = secrets.token_hex(4)
    frames = traceback.extract_tb(exc.__traceback__)[-_FRAMES:]
    log.error(
        "incident",
        extra={
            "incident": incident,
            "error": type(exc).__name__,
            "at": [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames],
        },
    )
    return {
        "code": "fault.unknown",
        "message": f"Something failed that nobody foresaw (incident {incident}).",
        "next_step": "Try again; the operator finds the incident in the logs.",
        "incident": incident,
    }


def headers_of(error: LingtingError) -> dict[str, str]:
    headers = {}
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        headers["Retry-After-Ms"] = str(max(1, math.ceil(1000 * retry_after_s)))  # OpenAI's clients
    if isinstance(error, SignInNeeded):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


async def _ours(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, LingtingError)
    return answer(exc, request.url.path)


async def _validation(request: Request, exc: Exception) -> JSONResponse:
    """The first complaint, without the value that was sent."""
    assert isinstance(exc, RequestValidationError)
    first: dict[str, Any] = dict(exc.errors()[0])
    place = ".".join(str(part) for part in first["loc"])[:_SHOWN_CHARS]
    shown = "".join(char if char.isprintable() else "?" for char in place)
    return answer(BodyInvalid(f"{shown}: {_complaint(first)}."), request.url.path)


def _complaint(error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "nobody knows this name"
    if error["type"] in {"value_error", "assertion_error"}:
        return "the value is not allowed"
    if error["type"].startswith("json"):
        return "the body is no JSON"
    return str(error["msg"]).rstrip(".")


async def _http(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    path = request.url.path
    if isinstance(exc.__cause__, LingtingError):  # raised while the framework read the body
        return answer(exc.__cause__, path)
    if exc.status_code == HTTPStatus.NOT_FOUND:
        return answer(PathUnknown("Nothing is at this address."), path)
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response = answer(MethodUnknown("This address does not take this method."), path)
        response.headers.update(exc.headers or {})
        return response
    response = answer(RequestError("The request cannot be served as given."), path)
    response.status_code = exc.status_code
    return response

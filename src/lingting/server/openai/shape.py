"""Errors as OpenAI's clients read them: ``{"error": {"message", "type", "param", "code"}}``.

The clients choose the exception they raise by the status and show the rest. Where OpenAI has a name
for a case, ``code`` is that name; everywhere else it is ours, as in docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingting.errors import (
    AudioError,
    AudioNotMedia,
    AudioNoTrack,
    GlossaryNotFound,
    LingtingError,
    ModelUnknown,
)

PREFIX = "/v1"
_CODES = {
    "access.sign_in_needed": "invalid_api_key",
    "access.not_allowed": "insufficient_permissions",
    "model.unknown": "model_not_found",
    "model.not_installed": "model_not_found",
    "request.path_unknown": "unknown_url",
    "request.method_unknown": "method_not_supported",
    "option.invalid": "invalid_value",
    "language.unknown": "invalid_value",
    "language.unsupported": "unsupported_value",
    "model.cannot": "unsupported_value",
}
_NOT_FOUND, _UNSUPPORTED_MEDIA, _TOO_MANY, _UNREADABLE = 404, 415, 429, 422


def is_here(path: str) -> bool:
    """Whether somebody who asks for this path expects OpenAI's errors."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def status_of(error: LingtingError) -> int:
    """Of the answer: what is no audio is 415, other audio that cannot be used is 400."""
    if isinstance(error, (AudioNotMedia, AudioNoTrack)):
        return _UNSUPPORTED_MEDIA
    if error.status == _UNREADABLE:
        return 400
    return _NOT_FOUND if error.code == "model.not_installed" else error.status


def param_of(error: LingtingError) -> str | None:
    """The field it is about."""
    if error.param is not None:
        return error.param
    if isinstance(error, AudioError):
        return "file"
    if isinstance(error, GlossaryNotFound):
        return "glossary"
    return "model" if isinstance(error, ModelUnknown) else None


def shaped(told: Mapping[str, str], status: int, param: str | None = None) -> dict[str, Any]:
    """Our own problem (see ``problems``) in OpenAI's shape."""
    code = "rate_limit_exceeded" if status == _TOO_MANY else _CODES.get(told["code"], told["code"])
    return {
        "message": f"{told['message']} {told['next_step']}".strip(),
        "type": _type(status),
        "param": param,
        "code": code,
    }


def _type(status: int) -> str:
    if status == _TOO_MANY:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"

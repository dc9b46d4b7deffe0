"""Lists that come by the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar


class _Listed(Protocol):
    @property
    def id(self) -> Any: ...


T = TypeVar("T", bound=_Listed)
_PAGE = 200


def newest(page: Callable[[int, Any], Sequence[T]], limit: int) -> list[T]:
    """The first ``limit``, however many pages that takes.

    ``page`` is given how many are wanted, and the ``id`` of the last one so far or None.
    """
    found: list[T] = []
    while len(found) < limit:
        size = min(limit - len(found), _PAGE)
        more = page(size, found[-1].id if found else None)
        found += more
        if len(more) < size:
            break
    return found

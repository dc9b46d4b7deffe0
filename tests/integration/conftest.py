"""The two databases: an SQLite file, and a Postgres server of our own that all tests share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingting.store import Store, open_store
from tests.integration.store_parts import postgres_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server for the whole run; tests have databases of their own in it."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def new_postgres(postgres: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database at each call; its URL. They are gone when the test ends."""
    import psycopg

    made = []
    with psycopg.connect(postgres, autocommit=True) as connection:

        def make() -> str:
            made.append(f"test_{next(_NUMBERS)}")
            connection.execute(f"create database {made[-1]}")
            return f"{postgres.rpartition('/')[0]}/{made[-1]}"

        yield make
        for name in made:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Of an empty Postgres database; None: the SQLite file in the folder of the store."""
    if request.param == "sqlite":
        return None
    new_postgres: Callable[[], str] = request.getfixturevalue("new_postgres")
    return new_postgres()


@pytest.fixture
def store(url: str | None, tmp_path: Path) -> Iterator[Store]:
    """An empty one on each of the two, in the folder ``data``."""
    with open_store(tmp_path / "data", url=url) as opened:
        yield opened

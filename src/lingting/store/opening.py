"""A store is opened: where it is, and whether its database is of this version."""

from __future__ import annotations

from pathlib import Path

from lingting.errors import StoreUnreachable
from lingting.store import migrating
from lingting.store.blobs import BlobStore, FolderBlobs, open_blobs
from lingting.store.database import Database, open_database
from lingting.store.store import Store


def open_store(folder: Path | str | None = None, *, url: str | None = None) -> Store:
    """The store in ``folder`` (None: LINGTING_DATA_DIR), with its database at ``url``.

    Without ``url`` the database is LINGTING_DATABASE_URL or the SQLite file in the folder. An empty
    database gets its tables; an older one is left as it is, and StoreSchema says how to upgrade it.
    """
    database, blobs, place = parts(folder, url)
    try:
        migrating.prepare(database)
    except BaseException:
        database.close()
        raise
    return Store(database, blobs, place)


def parts(folder: Path | str | None, url: str | None) -> tuple[Database, BlobStore, Path]:
    """Database, blobs and folder of a store that may not be there yet, or be of another schema."""
    from lingting.config import settings

    now = settings()
    place = now.data_folder if folder is None else Path(folder).expanduser().absolute()
    if url is None and folder is None and now.database_url is not None:
        url = now.database_url.get_secret_value()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreUnreachable(f"The data folder cannot be made: {exc.strerror}.") from exc
    # A folder that is named is a store of its own, whatever the settings say.
    blobs = open_blobs(now) if folder is None else FolderBlobs(place / "blobs")
    return open_database(url, place), blobs, place

"""Models: which there are, where they lie on this machine, and how they get there.

::

    from lingting import models

    models.ensure("whisper-base")            # pulled when it is not here yet
    engine = Whisper(models.resolve("whisper-base").path)

Only bytes whose SHA-256 is in the catalogue are ever loaded; where no publisher's figure is known,
those of the first pull or import (a local pin). Code inside a model folder or a wheel is never
imported, installed or run.

Errors: ModelUnknown (no such name), ModelNotInstalled (with the command to run), WeightsInvalid
(a file is not what it should be), SourceUnreachable (what failed at every source), ModelLocked
(another process is at it, only with ``wait_s``), OutputUnwritable (disk full or read-only).
"""

from __future__ import annotations

from pathlib import Path

from lingting.models.catalogue import (
    Catalogue,
    HubSource,
    Model,
    ModelFile,
    WheelSource,
    catalogue,
)
from lingting.models.library import FileReport, Library, ResolvedModel, Status
from lingting.models.progress import OnProgress, Progress

__all__ = [
    "Catalogue",
    "FileReport",
    "HubSource",
    "Library",
    "Model",
    "ModelFile",
    "OnProgress",
    "Progress",
    "ResolvedModel",
    "Status",
    "WheelSource",
    "catalogue",
    "ensure",
    "import_folder",
    "library",
    "models_dir",
    "path",
    "pull",
    "resolve",
    "status",
    "verify",
]


def models_dir() -> Path:
    """Where models live: ``models`` in LINGTING_HOME."""
    from lingting import config  # pydantic is slow to import and not needed to read the catalogue

    return config.settings().models_dir


def library() -> Library:
    """The package's catalogue and this machine's folder, as the settings are now."""
    return Library(catalogue(), models_dir())


def status(model: Model | str) -> Status:
    """missing, partial, changed or installed, at the cost of a few ``stat`` calls."""
    return library().status(model)


def path(name: str) -> Path:
    """The folder of an installed model, ready to load."""
    return library().path(name)


def resolve(name_or_folder: str | Path) -> ResolvedModel:
    """A model by name, or a plain folder that holds one, with the digest of its main file."""
    return library().resolve(name_or_folder)


def verify(name: str) -> list[FileReport]:
    """Hash every file of a model and say how each one fares. Reads the whole model."""
    return library().verify(name)


def ensure(name: str, progress: OnProgress | None = None) -> Path:
    """The model's folder; pulled first when it is missing, unless LINGTING_OFFLINE=1."""
    return pull(name, progress=progress)


def pull(
    name: str,
    *,
    force: bool = False,
    progress: OnProgress | None = None,
    wait_s: float | None = None,
) -> Path:
    """Bring a model here from the first of its sources that delivers, and return its folder.

    An installed model is left alone unless ``force``. A second process waits for the first
    (``wait_s`` seconds at most, for ever when None). A cut pull is resumed by the next.
    """
    from lingting import config
    from lingting.models import install

    now = config.settings()
    return install.pull(
        Library(catalogue(), now.models_dir),
        name,
        offline=now.offline,
        force=force,
        progress=progress,
        wait_s=wait_s,
    )


def import_folder(
    name: str,
    folder: str | Path,
    *,
    progress: OnProgress | None = None,
    wait_s: float | None = None,
) -> Path:
    """Install a model from a local folder: its own layout, all files flat, or its wheels."""
    from lingting.models import install

    return install.import_folder(library(), name, folder, progress=progress, wait_s=wait_s)

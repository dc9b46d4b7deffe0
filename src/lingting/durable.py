"""What a file needs beside its own ``fsync`` to survive a power cut."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable; file systems that cannot are left alone."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

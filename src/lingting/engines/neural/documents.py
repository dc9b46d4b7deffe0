"""Configuration files of checkpoints: data, read with a bound, and nothing in them is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingting.engines.neural.tensors import invalid

_MOST_BYTES = 10_000_000


def read_document(path: Path) -> Mapping[str, Any]:
    """A YAML or JSON file as a mapping. Raises WeightsInvalid."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise invalid(path, "it is too long to be a configuration")
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else _yaml(text)
    except OSError as exc:
        raise invalid(path, "it cannot be read") from exc
    except (ValueError, RecursionError) as exc:
        raise invalid(path, "it is not valid") from exc
    if not isinstance(document, dict):
        raise invalid(path, "it is not valid")
    return document


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped, unused-ignore]

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise ValueError from exc

"""The error tree keeps its promises: codes, statuses, next steps, and its page."""

import ast
import re
from pathlib import Path

import pytest

from lingting.errors import BusyError, FaultError, LingtingError, RequestError
from scripts.pages import error_classes

ROOT = Path(__file__).parents[1]
CLASSES = error_classes()
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_is_complete(cls: type[LingtingError]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", cls.code)
    assert 400 <= cls.status <= 599
    assert cls.default_next_step.endswith(".")
    assert cls.__doc__
    assert f"| `{cls.code}` | {cls.__name__} | {cls.status} |" in PAGE


@pytest.mark.parametrize("cls", CLASSES)
def test_the_status_fits_the_branch(cls: type[LingtingError]) -> None:
    if issubclass(cls, RequestError):
        assert 400 <= cls.status < 500
        assert not cls.retryable
    elif issubclass(cls, BusyError):
        assert cls.status == 503
        assert cls.retryable
        assert cls("It is busy.", retry_after_s=3.0).retry_after_s == 3.0
    else:
        assert cls.status >= 500


@pytest.mark.parametrize("cls", CLASSES)
def test_what_a_client_sees(cls: type[LingtingError]) -> None:
    error = cls("What was given.")
    assert error.as_dict() == {
        "code": cls.code,
        "message": f"What was given. {cls.default_next_step}",
    }
    assert str(cls("What was given.", "Do this.")) == "What was given. Do this."


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in CLASSES]
    assert len(codes) == len(set(codes))


def test_no_error_class_is_left_out() -> None:
    """Every class in src that derives from an error class is in the tree that was walked."""
    known = {cls.__name__ for cls in CLASSES}
    defined = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if bases & known:
                    defined.add(node.name)
    assert defined <= known
    assert {"RequestError", "FaultError"} <= defined


def test_the_drawing_in_the_docstring_is_the_tree() -> None:
    import lingting.errors

    drawn = dict(re.findall(r"(\w+)\s+(\w+\.\w+)\n", lingting.errors.__doc__ or ""))
    own = {cls.__name__: cls.code for cls in CLASSES if cls.__module__ == "lingting.errors"}
    abstract = {"LingtingError", "RequestError", "AudioError", "BusyError", "FaultError"}
    assert drawn == {name: code for name, code in own.items() if name not in abstract}
    assert issubclass(FaultError, LingtingError)

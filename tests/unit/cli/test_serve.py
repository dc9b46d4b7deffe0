"""What `lingting serve` starts its processes with."""

from lingting.cli.serve import _commands


def arguments(given: dict[str, object], *, has_own_engine: bool = True) -> dict[str, list[str]]:
    found = _commands(given, has_own_engine=has_own_engine)
    return {one.name: list(one.arguments[3:]) for one in found}


def test_what_is_given_goes_before_what_the_api_chose() -> None:
    """An option of their own does; the environment would not, see ``store.chosen``."""
    told = arguments({"model": "whisper-base", "device": "cpu", "port": 8080})
    assert told == {
        "web": ["web", "--supervised"],
        "worker": ["worker", "--model=whisper-base"],
        "engine": ["engine", "--model=whisper-base", "--device=cpu"],
    }


def test_without_options_the_choice_is_left_to_them() -> None:
    assert arguments({}, has_own_engine=False) == {
        "web": ["web", "--supervised"], "worker": ["worker"],
    }  # fmt: skip

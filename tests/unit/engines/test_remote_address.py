"""Addresses of servers: what is one, what it means, what is refused."""

import pytest

from lingting.engines.remote import RemoteOptions, is_address, split_address
from lingting.engines.remote.address import Address, parse_address
from lingting.errors import OptionInvalid


@pytest.mark.parametrize(
    ("given", "base", "shown", "here"),
    [
        ("http://localhost:8000", "http://localhost:8000", "localhost:8000", True),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000/v1/", "http://[::1]:8000", "[::1]:8000", True),
        ("https://asr.example/v1", "https://asr.example", "asr.example", False),
        ("https://asr.example/speech/v1", "https://asr.example/speech", "asr.example", False),
        (
            "https://asr.example/v1/audio/transcriptions",
            "https://asr.example",
            "asr.example",
            False,
        ),
        ("HTTP://10.0.0.5:9", "http://10.0.0.5:9", "10.0.0.5:9", False),
    ],
)
def test_an_address_is_read_however_it_is_written(
    given: str, base: str, shown: str, here: bool
) -> None:
    assert is_address(given)
    assert parse_address(given) == Address(base, shown, here)


@pytest.mark.parametrize("given", ["unix:/run/x.sock", "unix:///run/x.sock"])
def test_a_unix_socket_is_an_address(given: str) -> None:
    assert is_address(given)
    assert parse_address(given) == Address("http://localhost", "unix", True, "/run/x.sock")


@pytest.mark.parametrize("name", ["whisper-base", "/models/x", "auto", "http", "./http:/x"])
def test_a_model_is_no_address(name: str) -> None:
    assert not is_address(name)


def test_the_model_stands_behind_the_hash() -> None:
    assert split_address("http://host/v1#org/nano") == ("http://host/v1", "org/nano")
    assert split_address("http://host/v1#") == ("http://host/v1", None)
    assert split_address("http://host") == ("http://host", None)


@pytest.mark.parametrize(
    "given",
    [
        "http://",
        "http://host:port/",
        "http://host:99999/",
        "http://user:geheim@host/",
        "http://host/?key=geheim",
        "http://[::1/",
        "unix:relative.sock",
        "ftp://host/",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(OptionInvalid) as caught:
        parse_address(given)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"attempts": 0},
        {"timeout_s": 0.0},
        {"most_wait_s": float("nan")},
        {"first_wait_s": -1.0},
        {"first_wait_s": 31.0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionInvalid, match=next(iter(options))):
        RemoteOptions(**options)  # type: ignore[arg-type]

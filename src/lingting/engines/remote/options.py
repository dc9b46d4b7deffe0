"""How a server is asked: how many at a time, how long to wait, how often to come back."""

from __future__ import annotations

from dataclasses import dataclass

from lingting.errors import OptionInvalid


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """The defaults suit one server with one accelerator."""

    concurrency: int = 4
    """Requests under way at a time, and connections kept open."""
    timeout_s: float = 120.0
    """How long the server may take over a clip once it has it."""
    connect_timeout_s: float = 10.0
    attempts: int = 5
    """How often a request is sent while the server says that it did nothing with it."""
    first_wait_s: float = 0.5
    """Before the second attempt; doubled each time, unless the server names its own."""
    most_wait_s: float = 30.0
    """The longest single wait; a server that asks for more is busy."""

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 256:
            raise OptionInvalid(f"concurrency is {self.concurrency}; allowed are 1 to 256.")
        if not 1 <= self.attempts <= 20:
            raise OptionInvalid(f"attempts is {self.attempts}; allowed are 1 to 20.")
        for name in ("timeout_s", "connect_timeout_s", "most_wait_s"):
            if not 0 < getattr(self, name) <= 3600:
                raise OptionInvalid(f"{name} is {getattr(self, name)}; allowed are 0 to 3600.")
        if not 0 <= self.first_wait_s <= self.most_wait_s:
            raise OptionInvalid(
                f"first_wait_s is {self.first_wait_s}; allowed are 0 to most_wait_s."
            )

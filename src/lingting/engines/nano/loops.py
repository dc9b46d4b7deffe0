"""A decoder that says the same again and again will not stop by itself."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_PERIOD = 40
_ROUNDS = 4
_LEAST_TOKENS = 16


def is_looping(tokens: Sequence[int]) -> bool:
    """The end is one piece of up to 40 tokens four times over, 16 tokens at least.

    Laughter and digits do repeat: a single token must come 16 times, a pair 8 times.
    """
    if len(tokens) < _LEAST_TOKENS:
        return False
    last = tokens[-1]
    for period in range(1, min(_LONGEST_PERIOD, len(tokens) // _ROUNDS) + 1):
        if tokens[-1 - period] != last:
            continue
        rounds = max(_ROUNDS, -(-_LEAST_TOKENS // period))
        span = period * rounds
        if span <= len(tokens) and tokens[-span:-period] == tokens[len(tokens) - span + period :]:
            return True
    return False

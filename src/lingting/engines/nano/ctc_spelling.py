"""The CTC branch's vocabulary: ``multilingual.tiktoken``, byte pairs as Whisper cuts them.

The file has one line per token: its bytes in base64 and its rank, which is also its id. Ids above
them are marks that spell nothing; the last class of the branch is the blank.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from lingting.errors import WeightsInvalid

# The pieces that are spelt by themselves: contractions, and runs of letters, of digits or of other
# marks, each with the space before it. \w without digits and _ is what Unicode calls a letter.
_PIECES = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+", re.UNICODE
)


class CtcSpelling:
    """Text to ids and back, without the library that the file was made for."""

    def __init__(self, file: Path) -> None:
        """Raises WeightsInvalid for a file that is no such vocabulary."""
        self._ranks = _read_ranks(file)
        self._bytes = {rank: token for token, rank in self._ranks.items()}

    def __len__(self) -> int:
        return len(self._ranks)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``; white space and every mark have ids of their own."""
        return [
            self._ranks[part]
            for piece in _PIECES.findall(text)
            for part in self._merged(piece.encode("utf-8"))
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids that spell something; bytes that are no UTF-8 become U+FFFD."""
        spelt = b"".join(self._bytes.get(token, b"") for token in ids)
        return spelt.decode("utf-8", errors="replace")

    def spelt(self, token: int) -> bytes:
        """The bytes of one id, none for a mark."""
        return self._bytes.get(token, b"")

    def _merged(self, piece: bytes) -> list[bytes]:
        """Join neighbours, the pair of the lowest rank first, until no pair is a token.

        Sennrich et al., "Neural machine translation of rare words with subword units", ACL 2016.
        """
        if piece in self._ranks:
            return [piece]
        parts = [piece[at : at + 1] for at in range(len(piece))]
        while len(parts) > 1:
            ranks = [self._ranks.get(left + right) for left, right in pairwise(parts)]
            known = [(rank, at) for at, rank in enumerate(ranks) if rank is not None]
            if not known:
                break
            _, at = min(known)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts


def _read_ranks(file: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    try:
        for line in file.read_bytes().splitlines():
            if line:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
    except OSError as exc:
        raise WeightsInvalid(f"{file.name} of the model cannot be read.") from exc
    except (ValueError, binascii.Error) as exc:
        raise WeightsInvalid(f"{file.name} of the model is no vocabulary.") from exc
    has_all_bytes = all(bytes([value]) in ranks for value in range(256))
    if not has_all_bytes or sorted(ranks.values()) != list(range(len(ranks))):
        raise WeightsInvalid(f"{file.name} of the model is not a whole vocabulary.")
    return ranks

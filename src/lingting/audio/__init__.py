"""Any recording to 16 kHz blocks, and blocks to features.

``decode`` opens files and arrays, ``features`` turns samples into what models read. Nothing heavy
is imported here.
"""

from __future__ import annotations

from typing import Final

SAMPLE_RATE_HZ: Final = 16_000
"""Every block of audio inside the package has this rate."""

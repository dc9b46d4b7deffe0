"""From any recording to a trusted transcript.

::

    source ─ read ─ speech ─ clips ─ group ─┐
    source ─ read ─ speech ─ clips ─ group ─┼─ window ─ engine ─ text ─ segments ─ transcript
    source ─ read ─ speech ─ clips ─ group ─┘  groups of all recordings, so that batches are full

- ``options``: what is wanted of a recording.
- ``reading``: one recording to **groups** of clips. Where a group ends depends on that recording
  alone, so a group is the same in every run: it is what durable work keeps and never does twice.
- ``hearing``: what a recording asks of an engine, group by group, and what became of it.
- ``composing``: hypotheses to segments, with both layers of text.
- ``transcriber``: many recordings through one engine, read ahead in a thread.
"""

from lingting.pipeline.composing import segments_of, write_form
from lingting.pipeline.hearing import Hearing
from lingting.pipeline.options import DEFAULT_PIPELINE, PipelineOptions, Script
from lingting.pipeline.reading import Group, GroupClip, Reading, open_reading
from lingting.pipeline.transcriber import OnProgress, Outcome, Progress, Source, Transcriber

__all__ = [
    "DEFAULT_PIPELINE",
    "Group",
    "GroupClip",
    "Hearing",
    "OnProgress",
    "Outcome",
    "PipelineOptions",
    "Progress",
    "Reading",
    "Script",
    "Source",
    "Transcriber",
    "open_reading",
    "segments_of",
    "write_form",
]

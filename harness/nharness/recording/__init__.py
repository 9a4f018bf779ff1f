"""Recording: one pass over text feeds every statistic that was asked for.

`passes` is the way in; `recorder` runs one shard; `accumulator` is what a statistic derives from, `builtin` those
there are.
"""

from nharness.recording.accumulator import Accumulator, Activations, Scratch, Shard
from nharness.recording.builtin import ACCUMULATORS
from nharness.recording.passes import Progress, Text, encoded_documents, policy_provenance, record
from nharness.recording.recorder import Recorder, RecordingOptions, shards_of

__all__ = [
    "ACCUMULATORS",
    "Accumulator",
    "Activations",
    "Progress",
    "Recorder",
    "RecordingOptions",
    "Scratch",
    "Shard",
    "Text",
    "encoded_documents",
    "policy_provenance",
    "record",
    "shards_of",
]

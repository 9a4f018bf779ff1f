"""Models: find their neurons, watch them, edit them, load and export."""

from nharness.models.edit import Edit, EditReport, ValueEdit
from nharness.models.edits import apply_edits
from nharness.models.locate import locate
from nharness.models.neuron_map import SITES, LayerNeurons, NeuronMap
from nharness.models.observe import Observation, observe

__all__ = [
    "SITES",
    "Edit",
    "EditReport",
    "LayerNeurons",
    "NeuronMap",
    "Observation",
    "ValueEdit",
    "apply_edits",
    "locate",
    "observe",
]

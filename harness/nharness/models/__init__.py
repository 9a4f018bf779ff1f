"""Models: find their neurons, watch them, edit them, load and export."""

from nharness.models.edit import Edit, EditReport, Given, ValueEdit
from nharness.models.edits import apply_edits
from nharness.models.export import export_edited
from nharness.models.load import LoadedModel, load_model
from nharness.models.locating import locate
from nharness.models.neuron_map import SITES, LayerNeurons, NeuronMap
from nharness.models.observe import Observation, observe
from nharness.models.source import ModelSource
from nharness.models.steered import export_steered, steer_config

__all__ = [
    "SITES",
    "Edit",
    "EditReport",
    "Given",
    "LayerNeurons",
    "LoadedModel",
    "ModelSource",
    "NeuronMap",
    "Observation",
    "ValueEdit",
    "apply_edits",
    "export_edited",
    "export_steered",
    "load_model",
    "locate",
    "observe",
    "steer_config",
]

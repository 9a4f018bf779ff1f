"""What a record says of the model and the machine."""

import torch

from nharness.plugins import Plugins
from nharness.run.plan.resolve import resolve
from nharness.run.results.provenance import describe_environment, describe_model
from nharness.run.work.worker import Worker
from nharness.spec import ModelSpec, RunSpec


def test_the_device_is_that_of_who_computed_not_of_who_writes(tiny_model_folder):
    worker = Worker(resolve(RunSpec(model=ModelSpec(name=str(tiny_model_folder))), Plugins()))
    assert describe_model(worker, "cuda").device == "cuda"
    found = describe_model(worker, "cpu")
    assert found.batching == "batched"
    assert "longest documents beside the shortest" in found.noise_floor_on
    here = torch.device("cpu")
    assert describe_environment(here, used="cuda", lm_eval=False).gpu == "cuda of another machine"
    assert describe_environment(here, used="cpu", lm_eval=False).gpu is None

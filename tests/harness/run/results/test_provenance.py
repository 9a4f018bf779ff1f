"""What a record says of the model and the machine."""

from importlib.metadata import version

import torch

from narrowing import present
from nharness import Detector as Method
from nharness import Need
from nharness.plugins import Plugins
from nharness.run.plan.resolve import origin_of, resolve
from nharness.run.results.provenance import describe_environment, describe_intervention, describe_model
from nharness.run.work.worker import Worker
from nharness.spec import ModelSpec, Named, RunSpec


def test_the_device_is_that_of_who_computed_not_of_who_writes(tiny_model_folder):
    worker = Worker(resolve(RunSpec(model=ModelSpec(name=str(tiny_model_folder))), Plugins()))
    assert describe_model(worker, "cuda").device == "cuda"
    found = describe_model(worker, "cpu")
    assert found.batching == "batched"
    assert (found.checkpoint, found.adapters) == (f"{tiny_model_folder.name}, safetensors float32", ())
    assert "longest documents beside the shortest" in present(found.noise_floor_on)
    here = torch.device("cpu")
    assert describe_environment(here, used="cuda", lm_eval=False).gpu == "cuda of another machine"
    assert describe_environment(here, used="cpu", lm_eval=False).gpu is None


class Lape(Method):
    """Called as a registered one, and another."""

    name = "lape"

    def needs(self):
        return (Need("activation_count", "gate"),)

    def detect(self, evidence):
        return None


def test_things_come_from_whoever_made_them_whatever_they_are_called():
    plugins = Plugins()
    spec = RunSpec(detectors=(Named(name="lape"),), interventions=(Named(name="zero"),), languages=("en", "de"))
    resolved = resolve(spec, plugins)
    zero = describe_intervention(resolved.interventions["zero"], None, "gate", "hook", resolved)
    assert (zero.plugin, zero.version) == ("nharness_detectors.plugin", "1")
    assert zero.distribution == f"nharness {version('nharness')}"
    assert origin_of("detectors", "lape", resolved.detectors["lape"], plugins)[0] == "nharness_detectors.plugin"
    assert origin_of("detectors", "lape", Lape(), plugins) == (__name__, None)

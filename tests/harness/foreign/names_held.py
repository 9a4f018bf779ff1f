"""What a library reads by our name for a site is what we read there; run by test_site_names, in a process of its own.

These libraries patch torch and Python's objects when they are imported, so they share no process with other tests.
"""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

import nharness_tasks
from nharness.foreign.site_names import site_names
from nharness.models import locate, observe
from nharness.testing.tiny import TINY, tiny_model


def tokenizer():
    return AutoTokenizer.from_pretrained(Path(nharness_tasks.__file__).parent / "babel" / "model")


def lens(model, ids):
    from transformer_lens.model_bridge import TransformerBridge

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer().save_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(folder, hf_model=model, tokenizer=tokenizer(), device="cpu")
    _, cache = bridge.run_with_cache(ids)
    return cache.__getitem__


def traced(library):
    def opened(model, ids):
        if library == "nnsight":
            from nnsight import LanguageModel

            traced = LanguageModel(model, tokenizer=tokenizer())
        else:
            from nnterp import StandardizedTransformer

            traced = StandardizedTransformer(model, tokenizer=tokenizer(), check_renaming=False)

        def read(name):
            with traced.trace({"input_ids": ids}):
                values = eval(f"traced.{name}", {"traced": traced}).save()
            return values.detach()

        return read

    return opened


OPEN = {"transformer-lens": lens, "nnsight": traced("nnsight"), "nnterp": traced("nnterp")}


def observed(model, neuron_map, ids):
    """What we read: values by (layer, site)."""
    found = {}

    def keep(seen):
        found[seen.layer, seen.site] = seen.values

    with torch.no_grad(), observe(model, neuron_map, neuron_map.layers[0].sites, keep):
        model(ids)
    return found


def held(library):
    """Compare every named site of six tiny models; return how many there were."""
    ids = torch.randint(3, 60, (1, 6), generator=torch.Generator().manual_seed(0))
    count = 0
    for kind in TINY:
        model = tiny_model(kind)
        if library == "transformer-lens":
            model.set_attn_implementation("eager")  # as the bridge has it
        neuron_map = locate(model)
        names = site_names(neuron_map, library)
        ours = observed(model, neuron_map, ids)
        with torch.no_grad():
            read = OPEN[library](model, ids)
            for place, name in names.items():
                theirs = read(name).reshape(ours[place].shape)
                torch.testing.assert_close(theirs, ours[place], msg=f"{name} differs")
                count += 1
    return count


if __name__ == "__main__":
    print(held(sys.argv[1]))

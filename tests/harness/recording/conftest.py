"""Tiny models, random documents, and what their neurons do computed the slow way."""

import numpy as np
import pytest
import torch

from nharness.corpora import EncodedDocument
from nharness.models import locate, observe
from nharness.testing.tiny import VOCABULARY, tiny_model


def documents(lengths, *, seed=0, language="en", first=0, last=0):
    """Random documents, one part each; `first` tokens in front and `last` at the end do not count."""
    random = np.random.default_rng(seed)
    return [
        (
            EncodedDocument(
                f"d{n}", language, f"d{n}", 0, random.integers(3, VOCABULARY, length), first, length - last, 1
            ),
        )
        for n, length in enumerate(lengths)
    ]


def saved_activations(model, neuron_map, found, site):
    """Run every part alone; per document float64 [tokens, M], NaN where a neuron did not see the token."""
    starts = np.cumsum([0, *neuron_map.layer_widths])
    rows = []
    for parts in found:
        of_document = []
        for part in parts:
            saved = np.full((len(part.tokens), starts[-1]), np.nan)

            def keep(seen, saved=saved):
                place = np.arange(len(saved)) if seen.rows is None else seen.rows.numpy()
                first = starts[seen.layer] + seen.first_unit
                saved[place, first : first + seen.values.shape[1]] = seen.values.double().numpy()

            with torch.no_grad(), observe(model, neuron_map, (site,), keep):
                model(input_ids=torch.from_numpy(part.tokens)[None])
            of_document.append(saved[part.counted_from : part.counted_to])
        rows.append(np.concatenate(of_document))
    return rows


@pytest.fixture(scope="session", params=["llama", "gpt2", "mixtral", "gemma3_text", "bloom"])
def located(request):
    model = tiny_model(request.param)
    return model, locate(model)


@pytest.fixture(scope="session")
def llama():
    model = tiny_model("llama")
    return model, locate(model)

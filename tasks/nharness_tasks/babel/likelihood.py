"""Likelihood of documents: under the network, and under a unigram model of the training tokens.

Every token of a document is predicted, the first from the boundary token. Negative log-likelihoods (NLL) are in nats.
Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from nharness_tasks.babel.sequences import Tokens

BATCH = 16
IGNORED = -100


def network_nll(network: PreTrainedModel, documents: Sequence[Tokens]) -> npt.NDArray[np.float64]:
    """NLL of each document [documents]; raises `ValueError` for one longer than the network's positions."""
    limit = int(network.config.max_position_embeddings)
    longest = max(map(len, documents))
    if longest > limit:
        raise ValueError(f"a document has {longest} tokens, more than the network's {limit} positions")
    result = np.zeros(len(documents))
    by_length = sorted(range(len(documents)), key=lambda place: len(documents[place]))
    for first in range(0, len(by_length), BATCH):
        places = by_length[first : first + BATCH]
        result[places] = _batch_nll(network, [documents[place] for place in places])
    return result


@torch.inference_mode()
def _batch_nll(network: PreTrainedModel, documents: Sequence[Tokens]) -> npt.NDArray[np.float64]:
    longest = max(map(len, documents))
    tokens = torch.zeros(len(documents), longest, dtype=torch.long)  # [B, T]
    targets = torch.full_like(tokens, IGNORED)
    for row, document in enumerate(documents):
        tokens[row, : len(document)] = torch.from_numpy(document)
        targets[row, : len(document)] = torch.from_numpy(document)
    logits = network(input_ids=tokens, use_cache=False).logits  # [B, T, V]; padding stands to the right of what counts
    nll = functional.cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets[:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
    )
    return nll.view(len(documents), -1).double().sum(1).numpy()


def unigram_nll(train: Sequence[Tokens], documents: Sequence[Tokens], vocabulary: int) -> npt.NDArray[np.float64]:
    """NLL of each document [documents] under the training tokens' frequencies, add-one smoothed."""
    counts = np.bincount(np.concatenate([document[1:] for document in train]), minlength=vocabulary) + 1
    cost = math.log(counts.sum()) - np.log(counts)
    return np.array([cost[document[1:]].sum() for document in documents])

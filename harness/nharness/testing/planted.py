"""A language model whose neurons' roles are known because its weights were set by hand.

Legend: `G` languages, `W` words of a language, `V` vocabulary, `D` model width, `L` layers, `I` neurons of a layer,
`M` = L * I.

1. The vocabulary is one boundary token, W words of every language, and shared words. Text of a language is a chain: a
   word is followed, with probability 0.7, by its successor, which the language's neurons know, else by a shared word;
   a shared word by any word of the language. The texts are parallel: the same chain in every language's own words.
2. The residual stream has V places that say which token is read, V that say which is predicted, and some that the LM
   head does not read. Attention writes nothing, so nothing but neurons stands between a token and its prediction.
3. A neuron fires on the words its gate knows and writes its row of the down projection:
   specific: on some words of one language, towards their successors; related: likewise for two languages;
   general: on every word, towards the shared words; silent: on the words that a specific neuron knows, and writes
   nothing; loud: on every word, more than any other, to where the LM head does not read; shared: on the same words of
   every language, faintly, to where the LM head does not read; dead: on none; uneven (only where asked for): like
   general, fully in one language and by a share of it in all others.
4. silent and loud are decoys: what they do looks like language, or like much, and switching them off costs no language
   more than another. Every language has as many neurons of each role, so that languages differ by names alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nharness.analysis.ground_truth import Truth
from nharness.corpora import Corpus
from nharness.errors import OptionError
from nharness.languages import parse_languages
from nharness.testing.planted_text import BOUNDARY, Vocabulary, planted_corpus

LANGUAGES = ("en", "de", "ru", "zh")
UNREAD = 24  # places of the residual stream that the LM head does not read
SURE = 1.6  # mean logit of a word's successor: less sure than the text would allow, so that every writer helps
LEAST, MOST = 0.75, 1.25  # how strongly a neuron writes
LOUDNESS, FAINTNESS = 1.5, 0.05
ROLES = ("specific", "related", "general", "silent", "loud", "shared", "dead", "uneven")
UNEVEN = (0.1, 0.3, 0.6, 1.0)  # what an uneven neuron does in other languages, as a share of its own, in turn
UNEVEN_PUSH = 1.0  # what all uneven neurons of a layer write together


@dataclass(frozen=True)
class Planting:
    """How many neurons of a role every layer has: of each language (specific, related, silent), or in all.

    A language's specific neurons share its words among them, and so do its related ones: `W` is a multiple of both,
    and `related` is even.
    """

    specific: int = 4
    related: int = 4
    general: int = 4
    silent: int = 8
    loud: int = 6
    shared: int = 400
    dead: int = 46
    uneven: int = 0


@dataclass(frozen=True)
class PlantedModel:
    """The model with its text, and what every neuron is.

    membership: bool [G, M], neurons that a language needs: specific, related, uneven, and (in every row) general ones.
    strength: float64 [G, M], how much a neuron writes towards the language's own words; 0 for all that are general or
    no member. roles: int8 [M], index into `ROLES`.
    """

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    corpus: Corpus
    languages: tuple[str, ...]
    layer_widths: tuple[int, ...]
    membership: NDArray[np.bool_]
    strength: NDArray[np.float64]
    roles: NDArray[np.int8]

    def having(self, role: str) -> NDArray[np.int64]:
        """Return the neurons of a role, ascending flat indices."""
        return np.flatnonzero(self.roles == ROLES.index(role)).astype(np.int64)

    @property
    def truth(self) -> Truth:
        """What detectors are held against: the neurons that are a language's own, specific or related."""
        return Truth("planted", self.languages, self.layer_widths, self.strength > 0, self.strength)

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer as transformers loads them."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def planted_model(
    languages: Sequence[str] = LANGUAGES,
    *,
    layers: int = 2,
    words: int = 12,
    planting: Planting | None = None,
    documents: int = 24,
    sure: float = SURE,
    seed: int = 0,
) -> PlantedModel:
    """Return a planted model with its tokenizer, corpus and truth; no training, milliseconds, no random weights.

    sure: mean logit of a word's successor; the larger, the more a language loses with its neurons. seed: where in
    their layer neurons stand, how strongly each one writes (0.75 to 1.25), and the text.
    Raises `OptionError` for fewer than three languages (related neurons belong to two, general ones to all).
    """
    tags = parse_languages(languages)
    chosen = planting or Planting()
    if len(tags) < 3 or layers < 1 or words % chosen.specific or words % chosen.related or chosen.related % 2:
        raise OptionError(
            f"a planted model has at least 3 languages and 1 layer, and words that {chosen.specific} and "
            f"{chosen.related} divide; got {len(tags)}, {layers}, {words}"
        )
    vocabulary = Vocabulary(tags, words)
    random = np.random.default_rng(seed)
    plans = [_Layer(vocabulary, chosen, random) for _ in range(layers)]
    model = _network(vocabulary, plans, sure)
    return PlantedModel(
        model=model,
        tokenizer=_tokenizer(vocabulary),
        corpus=planted_corpus(vocabulary, documents, seed),
        languages=tags,
        layer_widths=tuple(len(plan.roles) for plan in plans),
        membership=np.concatenate([plan.membership for plan in plans], axis=1),
        strength=np.concatenate([plan.strength for plan in plans], axis=1),
        roles=np.concatenate([plan.roles for plan in plans]),
    )


@dataclass(frozen=True)
class _Neuron:
    role: str
    fires: NDArray[np.bool_]
    gain: NDArray[np.float64]
    predicts: NDArray[np.float64]
    unread: NDArray[np.float64]
    strength: Mapping[int, float]


class _Layer:
    """One layer's neurons: which tokens each fires on, and what it writes.

    fires: bool [I, V]; gain: float64 [I, V], how strongly; predicts: float64 [I, V] towards predicted tokens; unread:
    float64 [I, UNREAD].
    """

    def __init__(self, vocabulary: Vocabulary, planting: Planting, random: np.random.Generator) -> None:
        self._vocabulary, self._random = vocabulary, random
        self._rows: list[_Neuron] = []
        for row in range(len(vocabulary.languages)):
            self._language(row, planting)
        self._everywhere(planting)
        self._uneven(planting.uneven)
        order = random.permutation(len(self._rows))
        rows = [self._rows[place] for place in order]
        self.roles = np.array([ROLES.index(row.role) for row in rows], dtype=np.int8)
        self.fires = np.stack([row.fires for row in rows])
        self.gain = np.stack([row.gain for row in rows])
        self.predicts = np.stack([row.predicts for row in rows])
        self.unread = np.stack([row.unread for row in rows])
        self.strength = np.zeros((len(vocabulary.languages), len(rows)))
        for unit, row in enumerate(rows):
            for language, strength in row.strength.items():
                self.strength[language, unit] = strength
        self.membership = (self.strength > 0) | (self.roles == ROLES.index("general"))

    def _language(self, row: int, planting: Planting) -> None:
        known = self._vocabulary
        alone = np.split(np.arange(known.words), planting.specific)
        for part in alone:
            self._predictor("specific", {row: part})
        neighbour = (row + 1) % len(known.languages)
        # a language shares half of its related neurons with the one after it, the other half with the one before
        parts = np.split(np.arange(known.words), planting.related)
        for mine, theirs in zip(parts[: planting.related // 2], parts[planting.related // 2 :], strict=True):
            self._predictor("related", {row: mine, neighbour: theirs})
        for place in range(planting.silent):
            self._add("silent", known.of(row)[alone[place % planting.specific]])

    def _everywhere(self, planting: Planting) -> None:
        known, random = self._vocabulary, self._random
        every = np.concatenate([known.of(row) for row in range(len(known.languages))])
        for place in range(planting.general):
            predicts = np.zeros(known.size)
            predicts[known.shared[place :: planting.general]] = 0.7
            self._add("general", every, predicts=predicts)
        for _ in range(planting.loud):
            self._add("loud", every, unread=random.standard_normal(UNREAD) * LOUDNESS / UNREAD**0.5)
        for _ in range(planting.shared):
            some = random.choice(known.words, size=known.words // 6, replace=False)
            tokens = np.concatenate([known.of(row)[some] for row in range(len(known.languages))])
            self._add("shared", tokens, unread=random.standard_normal(UNREAD) * FAINTNESS)
        for _ in range(planting.dead):
            self._add("dead", np.zeros(0, dtype=np.int64))

    def _uneven(self, count: int) -> None:
        """Add neurons of each language in turn that help all others by a share of what they help it."""
        known, languages = self._vocabulary, range(len(self._vocabulary.languages))
        every = np.concatenate([known.of(row) for row in languages])
        for place in range(count):
            row, share = place % len(languages), UNEVEN[place // len(languages) % len(UNEVEN)]
            strength = float(self._random.uniform(LEAST, MOST))
            predicts, gain = np.zeros(known.size), np.ones(known.size)
            predicts[known.shared[place % 2 :: 2]] = UNEVEN_PUSH / count
            for other in languages:
                gain[known.of(other)] = strength if other == row else strength * share
            helped = {other: strength if other == row else strength * share for other in languages}
            self._add("uneven", every, predicts=predicts, gain=gain, strength=helped)

    def _predictor(self, role: str, words: Mapping[int, NDArray[np.int64]]) -> None:
        """Add a neuron that fires on words (by language) and writes towards their successors."""
        strength = float(self._random.uniform(LEAST, MOST))
        tokens = np.concatenate([self._vocabulary.of(row)[part] for row, part in words.items()])
        predicts = np.zeros(self._vocabulary.size)
        predicts[self._vocabulary.successor[tokens]] = strength
        self._add(role, tokens, predicts=predicts, strength=dict.fromkeys(words, strength))

    def _add(self, role: str, tokens: NDArray[np.int64], **parts: Any) -> None:
        size = self._vocabulary.size
        fires = np.zeros(size, dtype=bool)
        fires[tokens] = True
        quiet = {"gain": np.ones(size), "predicts": np.zeros(size), "unread": np.zeros(UNREAD), "strength": {}}
        self._rows.append(_Neuron(role, fires, **{**quiet, **parts}))


def _network(vocabulary: Vocabulary, plans: Sequence[_Layer], sure: float) -> LlamaForCausalLM:
    size = vocabulary.size
    width = (2 * size + UNREAD + 3) // 4 * 4
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=width,
        num_hidden_layers=len(plans),
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=len(plans[0].roles),
        hidden_act="relu",
        max_position_embeddings=512,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = LlamaForCausalLM(config)
        nn.Module.train(nn.Module.float(model), mode=False)
        for parameter in model.parameters():
            parameter.fill_(1.0) if parameter.ndim == 1 else parameter.zero_()  # norms scale by 1
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        for layer, plan in zip(model.model.layers, plans, strict=True):
            block, unit = layer.mlp, width**0.5  # a normalised one-hot vector is `unit` in its place
            fires = torch.from_numpy(plan.fires).float()
            block.gate_proj.weight[:, :size] = (2 * fires - 1) / unit
            block.up_proj.weight[:, :size] = torch.from_numpy(plan.gain).float() / unit
            block.down_proj.weight[size : 2 * size] = torch.from_numpy(plan.predicts).float().T
            block.down_proj.weight[2 * size : 2 * size + UNREAD] = torch.from_numpy(plan.unread).float().T
        model.lm_head.weight[:, size : 2 * size] = torch.eye(size)
        model.lm_head.weight *= sure / _certainty(model, vocabulary)
    return model


def _certainty(model: LlamaForCausalLM, vocabulary: Vocabulary) -> float:
    """Return the mean logit of the successor over all words."""
    words = torch.from_numpy(np.concatenate([vocabulary.of(row) for row in range(len(vocabulary.languages))]))
    logits: Tensor = model(input_ids=words[:, None], use_cache=False).logits[:, 0]
    return logits[torch.arange(len(words)), torch.from_numpy(vocabulary.successor)[words]].mean().item()


def _tokenizer(vocabulary: Vocabulary) -> PreTrainedTokenizerFast:
    entries = {word: place for place, word in enumerate(vocabulary.names)}
    backend = Tokenizer(models.WordLevel(entries, unk_token=BOUNDARY))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend, bos_token=BOUNDARY, eos_token=BOUNDARY, pad_token=BOUNDARY, unk_token=BOUNDARY
    )

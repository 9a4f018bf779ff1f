"""Which number orders detectors by how purely their neurons are one language's? Measures held against known purity.

    python tests/bench/bench_headline.py [--repeats N]

A planted model (`nharness.testing.planted`: six languages, three layers, neurons of known roles) stands for the truth.
Detections are made up: a share p of their units, the purity, are the language's own; the rest are of one sort:

    related           belong to the language and one other
    foreign           belong to another language alone
    shared evenly     help every language alike
    shared unevenly   help one language, and all others by a tenth, a third or two thirds of that
    idle              do nothing, some of them on the language's words alone

for p from 0 to 1, from a quarter to four times as many units as half of a language's own (36). Printed: Spearman's correlation of each
measure with p over all of them, so that size is held against it; and how often, and by how much at most, a measure
rises when shared units are added at the end of a pure list (padding). Nothing but the last token matters in this model,
so every number follows from its weights and the text's pairs of tokens.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
import torch
from scipy.stats import spearmanr

from nharness.analysis.kept_share import read_ladder
from nharness.analysis.ladder import Ladder
from nharness.testing.planted import ROLES, Planting, planted_model

LANGUAGES = ("en", "de", "ru", "zh", "fr", "ja")
PLANTING = Planting(specific=12, related=4, general=1, silent=8, loud=2, shared=60, dead=10, uneven=24)
SURE = 7.0
PURITY = (0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
SIZES = (0.25, 0.5, 1.0, 2.0, 4.0)
SORTS = ("related", "foreign", "shared evenly", "shared unevenly", "idle")


class Bench:
    """Harms of sets of units: bits lost in every language as a share of the intact model's, by one pass a set."""

    def __init__(self, seed):
        self.planted = planted_model(
            LANGUAGES, layers=3, words=24, planting=PLANTING, documents=60, sure=SURE, seed=seed
        )
        self.model, self.widths = self.planted.model, self.planted.layer_widths
        self.size = sum(self.widths)
        self.counts = np.stack([self._bigrams(tag) for tag in LANGUAGES])
        self.does, self.writes = [], []
        self._read_off()
        self.intact = self._bits(())
        self.check()
        self.known, self.passes = {}, 0

    def _bigrams(self, tag):
        size = self.model.config.vocab_size
        found = np.zeros((size, size))
        for document in self.planted.corpus.documents(tag, "eval"):
            tokens = self.planted.tokenizer(document.text)["input_ids"]
            np.add.at(found, (tokens[:-1], tokens[1:]), 1)
        return found

    def _read_off(self):
        """Take what every layer's neurons do from the weights: on a token, and what they write."""
        size, width = self.model.config.vocab_size, self.model.config.hidden_size
        for layer in self.model.model.layers:
            gate, up, down = (
                getattr(layer.mlp, name).weight.detach().double().numpy()
                for name in ("gate_proj", "up_proj", "down_proj")
            )
            self.does.append((np.maximum(gate[:, :size], 0) * up[:, :size] * width).T)
            self.writes.append(down[size:].T)
        self.head = float(self.model.lm_head.weight.detach()[0, size]) * width**0.5

    def _bits(self, units):
        """Return bits lost in every language: with attention silent, a token's logits are a sum over neurons."""
        size = self.model.config.vocab_size
        written = np.zeros((size, self.writes[0].shape[1]))
        on = np.ones(self.size)
        on[list(units)] = 0
        for does, writes, part in zip(self.does, self.writes, np.split(on, np.cumsum(self.widths)[:-1]), strict=True):
            loud = 1 + (written**2).sum(axis=1, keepdims=True)
            written = written + (does * part / loud) @ writes
        logits = self.head * written[:, :size] / np.sqrt(1 + (written**2).sum(axis=1, keepdims=True))
        nll = np.logaddexp.reduce(logits, axis=1, keepdims=True) - logits
        return (self.counts * nll).sum(axis=(1, 2)) / np.log(2)

    def check(self):
        """Hold the sum against the model itself."""
        with torch.no_grad():
            tokens = torch.arange(self.model.config.vocab_size)[:, None]
            nll = -self.model(input_ids=tokens, use_cache=False).logits[:, 0].double().log_softmax(-1).numpy()
        np.testing.assert_allclose((self.counts * nll).sum(axis=(1, 2)) / np.log(2), self.intact, rtol=1e-4)

    def harm(self, units):
        """Return the harm of every language, as a share."""
        key = tuple(sorted(map(int, units)))
        if key not in self.known:
            self.known[key] = self._bits(key) / self.intact - 1
            self.passes += 1
        return self.known[key]

    def pools(self, row):
        """Return the pure units of a language, and those of every sort of impurity."""
        strength, roles = self.planted.strength, self.planted.roles
        role = {name: roles == ROLES.index(name) for name in ROLES}
        own = strength[row] > 0
        share = np.delete(strength, row, axis=0).max(axis=0) / np.where(own, strength[row], 1)
        pools = {
            "related": np.flatnonzero(role["related"] & own),
            "foreign": np.flatnonzero(role["specific"] & ~own),
            "idle": np.concatenate([np.flatnonzero(role[name]) for name in ("silent", "dead", "shared")]),
        }
        pools["shared evenly"] = np.flatnonzero(role["uneven"] & (np.abs(share - 1) < 1e-6))
        pools["shared unevenly"] = np.flatnonzero(role["uneven"] & (np.abs(share - 1) >= 1e-6))
        return np.flatnonzero(role["specific"] & own), pools


def ladder(bench, row, units, *, bisected=True):
    """Return the rungs that a ladder measures, and their harms [P, G], the own language first."""
    rule, points = Ladder(len(units), bench.size), {}
    if not bisected:
        rule = Ladder(len(units), bench.size, fine=1.0)
    order = [row, *(other for other in range(len(LANGUAGES)) if other != row)]
    while (count := rule.next({n: harms[0] for n, harms in points.items()})) is not None:
        points[count] = bench.harm(units[:count])[order]
    return sorted(points), np.stack([points[n] for n in sorted(points)])


def measures(bench, row, units):
    """Return every measure of one language's list of units."""
    whole = bench.harm(units)
    own, others = whole[row], np.delete(whole, row)
    spill = others.mean()
    harms = ladder(bench, row, units)[1]
    coarse = ladder(bench, row, units, bisected=False)[1]
    drop, rest = max(own, 0), np.maximum(others, 0).mean()
    precision = drop / (drop + rest) if drop + rest > 0 else 0.0
    found = {
        "selectivity": own - spill,
        "LangSpec-F1": 2 * precision * min(1, drop) / (precision + min(1, drop)) if precision + drop > 0 else 0.0,
        "-others / own": -spill / own if abs(own) > 1e-9 else 0.0,
        "own / (own + others)": own / (own + max(spill, 0)) if own > 1e-9 else 0.0,
        "area of that over own harm": area(harms),
        REACHED: float(harms[:, 0].max() >= 0.10),
    }
    for level in (0.02, 0.05, 0.10, 0.25):
        found[f"kept share at {level:.0%}"] = float(read_ladder(harms, level).kept)
    found["kept share at 10%, doublings alone"] = float(read_ladder(coarse, 0.10).kept)
    found["kept share at 10%, others clipped"] = float(read_ladder(clipped(harms), 0.10).kept)
    found["kept share at 10%, worst other"] = float(read_ladder(worst(harms), 0.10).kept)
    found["kept share, mean of 2 to 10%"] = float(np.mean([read_ladder(harms, h).kept for h in LEVELS]))
    found["kept share at 10%, ratio where short"] = lenient(harms, 0.10)
    return found


REACHED = "reached"
LEVELS = (0.02, 0.04, 0.06, 0.08, 0.10)


def clipped(harms):
    """Return harms in which no language's gain makes up for another's loss."""
    return np.concatenate([harms[:, :1], np.maximum(harms[:, 1:], 0)], axis=1)


def worst(harms):
    """Return harms in which the others are the one hurt most."""
    return np.stack([harms[:, 0], harms[:, 1:].max(axis=1)], axis=1)


def lenient(harms, level):
    """Return the kept share, and where the level is not reached the share kept of what harm there is."""
    found = read_ladder(harms, level)
    if found.reached or found.own <= 0:
        return float(found.kept)
    return float(np.clip(1 - max(0.0, float(found.others)) / found.own, 0, 1))


def area(harms):
    """Return the mean of own / (own + others) over own harm, up to the largest."""
    own, spill = np.maximum(harms[:, 0], 0), np.maximum(harms[:, 1:].mean(axis=1), 0)
    share = np.where(own + spill > 0, own / np.where(own + spill > 0, own + spill, 1), 0)
    order = np.argsort(own)
    width = own[order[-1]]
    return float(np.trapezoid(share[order], own[order]) / 0.25) if width > 0 else 0.0


def mixed(random, pure, impure, share, count):
    """Return a list of so many units, a share of them pure, in random order; None where there are not enough."""
    wanted = round(share * count)
    if wanted > len(pure) or count - wanted > len(impure):
        return None
    chosen = [random.choice(pure, wanted, replace=False), random.choice(impure, count - wanted, replace=False)]
    return random.permutation(np.concatenate(chosen))


def detections(bench, random, sort, share, size):
    """Return one list of units a language of one sort, purity and size; None where some language has not enough."""
    found = []
    for row in range(len(LANGUAGES)):
        pure, pools = bench.pools(row)
        units = mixed(random, pure, pools[sort], share, max(2, round(size * len(pure) / 2)))
        if units is None:
            return None
        found.append(units)
    return found


def correlations(bench, random, repeats):
    """Return every detection's purity and measures, means over languages, by sort."""
    values = defaultdict(list)
    for sort in SORTS:
        for share in PURITY:
            for size in SIZES:
                for _ in range(repeats):
                    found = detections(bench, random, sort, share, size)
                    if found is None:
                        continue
                    rows = [measures(bench, row, units) for row, units in enumerate(found)]
                    values[sort].append((share, {name: np.mean([row[name] for row in rows]) for name in rows[0]}))
    return values


def table_of(values):
    """Return Spearman's correlation with purity by sort and measure."""
    return {
        sort: {name: spearmanr([v[0] for v in found], [v[1][name] for v in found]).statistic for name in found[0][1]}
        for sort, found in values.items()
    }


def reached(values):
    """Return the detections that a board would rank: at least half of the languages reach 10 % harm."""
    kept = {sort: [v for v in found if v[1][REACHED] >= 0.5] for sort, found in values.items()}
    return {sort: found for sort, found in kept.items() if len({v[0] for v in found}) > 2}


def show(title, values, padded):
    """Print one table."""
    table, count = table_of(values), sum(map(len, values.values()))
    print(f"\n| {title} ({count} detections) | {' | '.join(table)} | lowest | padding raises it in | at most by |")
    print("|---" * (len(table) + 4) + "|")
    for name, (often, most) in padded.items():
        row = [table[sort][name] for sort in table]
        if name != REACHED:
            print(f"| {name} | {' | '.join(f'{v:.2f}' for v in row)} | {min(row):.2f} | {often:.0%} | {most:+.2f} |")


def padding(bench, random, steps):
    """Return how often a measure rises when shared units end a pure list, and by how much at most."""
    rises = defaultdict(list)
    for step in range(steps):
        row = step % len(LANGUAGES)
        pure, pools = bench.pools(row)
        units = random.permutation(pure)[: len(pure) // (1 + step % 3)]
        extra = random.permutation(pools[SORTS[2 + step % 2]])[: len(units)]
        before, after = measures(bench, row, units), measures(bench, row, np.concatenate([units, extra]))
        for name in before:
            rises[name].append(after[name] - before[name])
    return {name: (np.mean(np.array(found) > 0.005), max(found)) for name, found in rises.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1, help="detections of each sort, purity and size")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.perf_counter()
    bench, random = Bench(chosen.seed), np.random.default_rng(chosen.seed)
    tops = [bench.harm(bench.pools(row)[0])[row] for row in range(len(LANGUAGES))]
    print(f"all of a language's own units: {min(tops):.0%} to {max(tops):.0%} harm")
    values = correlations(bench, random, chosen.repeats)
    padded = padding(bench, random, 48)
    show("all", values, padded)
    show("ranked: half of the languages reach 10 %", reached(values), padded)
    print(f"{bench.passes} sets evaluated in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()

"""Simulated matrices of effects of random neurons, for the tests of control tests and control plans."""

import numpy as np

SIZES = np.array([20, 30, 40, 50, 60, 90, 150, 250])


def matrices(seed, count, *, draws=20, neuron=0.2, heavy=False):
    """Yield effects [8, 8] and controls [8, draws, 8] in which the effect is one more draw of the same kind.

    Every set of n neurons has a sum of n skewed effects (gamma of shape `neuron`), half of it common to all languages
    and half a language's own, and the noise of the items it was measured on. `heavy` makes them far more unequal:
    log-normal with sigma 1.5, so that single neurons stand out.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        scale = np.exp(rng.normal(0, 0.5, 8))
        values = np.stack([_sums(rng, size, draws + 1, neuron, heavy=heavy) for size in SIZES])
        values = values * scale + rng.normal(0, 0.3, values.shape) * np.sqrt(SIZES)[:, None, None] * 0.3
        yield values[:, 0], values[:, 1:]


def _sums(rng, size, sets, neuron, *, heavy):
    if heavy:
        common, own = rng.lognormal(0, 1.5, (sets, size, 1)), rng.lognormal(0, 1.5, (sets, size, 8))
        return (common + own).sum(axis=1) * 0.1
    return rng.gamma(neuron * size, 1, (sets, 1)) + rng.gamma(neuron * size, 1, (sets, 8))

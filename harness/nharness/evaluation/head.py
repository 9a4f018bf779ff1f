"""Next-token NLL without a [tokens, vocabulary] tensor: the trunk, then the LM head tile by tile.

Legend: `B` batch, `T` time, `N` counted tokens, `D` width of the trunk, `V` vocabulary.

1. The trunk (`base_model`) gives hidden states [B, T, D]; the N counted positions are taken out.
2. NLL = logsumexp over V of the logits - the target's logit. An LM head that is one linear layer is applied in tiles of
   tokens x vocabulary; each tile's logsumexp comes from a float32 log-softmax, tiles are joined by a logsumexp. Any
   other head is called on a few tokens at a time.
3. Some models do more than their head: they cap logits (cap * tanh(x / cap)) or scale them. Of the readings that the
   configuration gives, the fullest whose logits agree with the model's own forward on a probe is taken, as they are
   and made so large that a cap would show in any number type. When none does, the model's own forward is used whole, on
   few enough rows for the memory bound to hold (one row of T tokens is the least it can do). `description` says which.

4. On CUDA, where `cut-cross-entropy` is installed (extra `fused`) and agrees with the tiles on the probe, a linear head
   without bias and the cross-entropy are its one kernel (`fused`); the cap is the kernel's, a scale is put on the
   hidden states.

Beside the trunk's own activations, memory is bounded by `tile` or `values` float32 values, whatever V is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nharness.corpora import EVEN
from nharness.evaluation.fused import Kernel, fused_nll, installed_kernel
from nharness.models.context import text_config
from nharness.models.padding import only_text, rows_of_text
from nharness.models.trace import evaluating

PROBE_TOKENS = 12
CPU_TILE, DEVICE_TILE = (1024, 1024), (2048, 8192)
CPU_VALUES, DEVICE_VALUES = 1 << 23, 1 << 28  # float32 values held at once where the head is no plain linear layer
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}  # of the largest logit; coarser types: 3e-2
TELLING = 4096.0  # logits that any cap in use changes by more than a coarse type rounds
_CAP = re.compile(
    r"(?!attn|attention)\w*logits?_soft_?cap(ping)?"
)  # gemma2, recurrent_gemma, xlstm say it each their way

Shape = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HeadReading:
    """One way from the head's output x to the logits: its name, and x * scale, capped as cap * tanh(x / cap)."""

    name: str
    scale: float = 1.0
    cap: float | None = None

    @property
    def shape(self) -> Shape | None:
        """The element-wise function; None where it changes nothing."""
        return None if self.scale == 1 and self.cap is None else self._shaped

    def _shaped(self, logits: Tensor) -> Tensor:
        logits = logits if self.scale == 1 else logits * self.scale
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap


class Head:
    """How one model's NLL is computed; found once, valid under any edit of its feed-forward layers.

    tile: tokens and vocabulary entries of one tile. values: bound of float32 values for heads that are not linear.
    kernel: None takes an installed one on CUDA.
    """

    def __init__(
        self,
        model: Any,
        *,
        tile: tuple[int, int] | None = None,
        values: int | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self.model = model
        on_cpu = model.device.type == "cpu"
        self.tile = tile or (CPU_TILE if on_cpu else DEVICE_TILE)
        self.values = values or (CPU_VALUES if on_cpu else DEVICE_VALUES)
        self.trunk, self.output = _parts(model)
        self.reading = _agreeing(model, self.trunk, self.output) if self.output is not None else None
        self.linear = self.reading is not None and _is_plain_linear(self.output)
        self.fused: Kernel | None = None
        offered = kernel or (installed_kernel() if self.linear and self.output.weight.is_cuda else None)
        if offered is not None and self.linear and self.output.bias is None and self._agrees(offered):
            self.fused = offered

    @property
    def description(self) -> str:
        """What is computed, for the record."""
        if self.reading is None:
            return "the model's whole forward"
        if self.fused is not None:
            return f"trunk, then LM head fused with its cross-entropy, logits {self.reading.name}"
        how = f"in tiles of {self.tile[0]} x {self.tile[1]}" if self.linear else "on a few tokens at a time"
        return f"trunk, then LM head {how}, logits {self.reading.name}"

    def nll(self, inputs: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
        """Return the NLL in nats, float32 [N], of the counted targets, in row order.

        inputs, targets: int64 [B, T], targets[b, t] is what follows inputs[b, :t + 1]; counted: bool [B, T].
        """
        if self.reading is None:
            return self._whole(inputs, targets, counted)
        hidden = _first(self.trunk(input_ids=inputs, use_cache=False))
        rows = hidden[counted.to(hidden.device)]  # [N, D]
        chosen = targets[counted]  # [N]
        if self.linear:
            rows = rows.to(self.output.weight.device)
            chosen = chosen.to(rows.device)
            found = self._tiled(rows, chosen) if self.fused is None else self._by(self.fused, rows, chosen)
            return found.to(inputs.device)
        step = max(1, self.values // _vocabulary(self.model))
        pieces = [self._called(rows[i : i + step], chosen[i : i + step]) for i in range(0, len(rows), step)]
        return torch.cat(pieces) if pieces else rows.new_zeros(0, dtype=torch.float32)

    def _agrees(self, kernel: Kernel) -> bool:
        """Return whether a kernel gives what the tiles give, as near as the number type is precise."""
        ids = ((torch.arange(PROBE_TOKENS) * 7919 + 11) % _vocabulary(self.model)).to(self.model.device)
        with torch.inference_mode(), evaluating(self.model):
            rows = _first(self.trunk(input_ids=ids[None, :-1], use_cache=False))[0].to(self.output.weight.device)
            targets = ids[1:].to(rows.device)
            tiled, fused = self._tiled(rows, targets), self._by(kernel, rows, targets)
        bound = TOLERANCE.get(self.model.dtype, 3e-2) * max(1.0, float(tiled.abs().max()))
        return bool(((tiled - fused).abs() <= bound).all())

    def _by(self, kernel: Kernel, rows: Tensor, targets: Tensor) -> Tensor:
        reading = self.reading or HeadReading("as they are")
        return fused_nll(kernel, rows, self.output.weight, targets, scale=reading.scale, cap=reading.cap)

    def _tiled(self, rows: Tensor, targets: Tensor) -> Tensor:
        weight, bias = self.output.weight, self.output.bias
        shape = self.reading.shape if self.reading else None
        step, width = self.tile
        size, rows = len(rows), even_rows(rows, EVEN)
        targets = nn.functional.pad(targets, (0, len(rows) - size))
        result = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
        for start in range(0, len(rows), step):
            some, wanted = rows[start : start + step], targets[start : start + step]
            parts, right = [], torch.zeros(len(some), dtype=torch.float32, device=rows.device)
            for low in range(0, len(weight), width):
                logits = nn.functional.linear(some, weight[low : low + width], _cut(bias, low, width))
                logits = logits if shape is None else shape(logits.float())
                inside = (wanted >= low) & (wanted < low + width)
                right += torch.where(inside, _gather(logits, (wanted - low).clamp(0, logits.shape[1] - 1)), 0.0)
                parts.append(logsumexp(logits))
            result[start : start + step] = torch.stack(parts).logsumexp(0) - right
        return result[:size]

    def _called(self, rows: Tensor, targets: Tensor) -> Tensor:
        logits = self.output(rows)
        shape = self.reading.shape if self.reading else None
        logits = logits.float() if shape is None else shape(logits.float())
        return logits.logsumexp(1) - _gather(logits, targets.to(logits.device))

    def _whole(self, inputs: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
        step = max(1, self.values // (inputs.shape[1] * _vocabulary(self.model)))
        pieces = []
        for start in range(0, len(inputs), step):
            here = slice(start, start + step)
            with only_text(rows_of_text(here)):
                logits = self.model(input_ids=inputs[here], use_cache=False).logits
            logits = logits[counted[here]].float()  # [n, V]
            pieces.append(logits.logsumexp(1) - _gather(logits, targets[here][counted[here]].to(logits.device)))
        return torch.cat(pieces)


def _parts(model: Any) -> tuple[Any, Any]:
    trunk = getattr(model, "base_model", None)
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return (None, None) if trunk is None or trunk is model or output is None else (trunk, output)


def _agreeing(model: Any, trunk: Any, output: Any) -> HeadReading | None:
    """Return the first reading that is as near to the model's own logits, on a probe, as its number type is precise."""
    ids = (torch.arange(PROBE_TOKENS) * 7919 + 11) % _vocabulary(model)
    ids = ids[None].to(model.device)
    with torch.inference_mode(), evaluating(model):
        own = model(input_ids=ids, use_cache=False).logits[0].float()
        plain = output(_first(trunk(input_ids=ids, use_cache=False)))[0].float()
        if own.shape != plain.shape:
            return None
        factor = 2.0 ** max(0, math.floor(math.log2(TELLING / max(float(plain.abs().max()), 1e-6))))
        with _enlarged(output, factor) as called:
            large = model(input_ids=ids, use_cache=False).logits[0].float()
    if not called:
        return None  # the head is not run as a module, so that nothing can be told of what comes after it

    def agrees(reading: HeadReading) -> bool:
        shape = reading.shape or torch.Tensor.float
        return all(_near(model, theirs, shape(given)) for theirs, given in ((own, plain), (large, plain * factor)))

    return next((reading for reading in _readings(model.config) if agrees(reading)), None)


def _near(model: Any, theirs: Tensor, ours: Tensor) -> bool:
    bound = TOLERANCE.get(model.dtype, 3e-2) * max(1.0, float(theirs.abs().max()))
    return bool(((theirs - ours).abs() <= bound).all())


@contextmanager
def _enlarged(output: Any, factor: float) -> Iterator[list[bool]]:
    """Multiply what a module gives; the list that is yielded is empty until it was called."""
    called: list[bool] = []

    def enlarge(_module: nn.Module, _inputs: Any, given: Tensor) -> Tensor:
        called.append(True)
        return given * factor

    handle = output.register_forward_hook(enlarge)
    try:
        yield called
    finally:
        handle.remove()


def _readings(config: Any) -> Iterator[HeadReading]:
    """Yield the readings of a configuration, the fullest first: scaled and capped, scaled, capped, as they are."""
    text = text_config(config)
    factors = ((name, _number(text, name)) for name in ("logit_scale", "lm_head_multiplier"))
    scales = [(f"times {name}", factor) for name, factor in factors if factor]
    if divisor := _number(text, "logits_scaling"):
        scales.append(("over logits_scaling", 1 / divisor))
    cap = next((_number(text, name) for name in sorted(vars(text)) if _CAP.fullmatch(name)), None)
    for name, scale in [*scales, ("as they are", 1.0)]:
        if cap:
            yield HeadReading(f"{name}, capped at {cap:g}", scale, cap)
        yield HeadReading(name, scale)


def _number(config: Any, name: str) -> float | None:
    value = getattr(config, name, None)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value else None


def _is_plain_linear(output: Any) -> bool:
    """A linear layer that is not quantised, offloaded, wrapped or hooked: its weight is all there is to it."""
    return (
        type(output) is nn.Linear
        and output.weight.is_floating_point()
        and output.weight.device.type != "meta"
        and "forward" not in vars(output)
        and not output._forward_hooks  # noqa: SLF001 - no public way to ask
        and not output._forward_pre_hooks  # noqa: SLF001 - no public way to ask
    )


def even_rows(rows: Tensor, unit: int) -> Tensor:
    """Return hidden states [N, D]; where kernels are compiled for N, with rows of zeros up to a multiple of `unit`."""
    if rows.device.type != "cpu" or rows.dtype in {torch.float32, torch.float64}:
        return rows
    return nn.functional.pad(rows, (0, 0, 0, -len(rows) % unit))


def logsumexp(logits: Tensor) -> Tensor:
    """Return logsumexp over the last dimension, float32; one fused pass instead of four."""
    return logits[:, 0].float() - torch.log_softmax(logits, 1, dtype=torch.float32)[:, 0]


def _gather(logits: Tensor, index: Tensor) -> Tensor:
    return logits.gather(1, index[:, None])[:, 0].float()


def _cut(bias: Tensor | None, low: int, width: int) -> Tensor | None:
    return None if bias is None else bias[low : low + width]


def _first(output: Any) -> Tensor:
    hidden = getattr(output, "last_hidden_state", None)
    return output[0] if hidden is None else hidden  # type: ignore[no-any-return]


def _vocabulary(model: Any) -> int:
    return int(text_config(model.config).vocab_size)

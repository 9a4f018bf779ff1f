"""Timing several ways of doing one thing side by side, on a machine that others use too.

A round runs the base before and after every other kind; a kind's ratio is that of its neighbours, the median over rounds
is reported. On a CPU seconds are those of the process, which a busy machine disturbs less than the wall clock; on an
accelerator they are wall-clock seconds between two synchronisations.
"""

import statistics
import time
from contextlib import nullcontext

import torch


class Clock:
    """Seconds of the process on a CPU, of the wall clock on a device that has to be waited for."""

    def __init__(self, device):
        self.device = torch.device(device)
        self.read = time.process_time if self.device.type == "cpu" else time.perf_counter

    def seconds(self, run):
        self.wait()
        start = self.read()
        run()
        self.wait()
        return self.read() - start

    def wait(self):
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)


def measure(clock, base, kinds, rounds, inside=nullcontext):
    """Return per kind, the base among them, the seconds of every round; and per kind the ratios base / kind.

    `inside(name)` is the context in which a kind runs; entering and leaving it is not timed. One round more is run first,
    and forgotten.
    """
    name_of_base, run_base = base
    seconds = {name: [] for name in (name_of_base, *kinds)}
    ratios = {name: [] for name in kinds}
    for number in range(rounds + 1):
        before = clock.seconds(run_base)
        for name, run in kinds.items():
            with inside(name):
                spent = clock.seconds(run)
            after = clock.seconds(run_base)
            if number == 0:
                continue
            seconds[name].append(spent)
            seconds[name_of_base].append(after)
            ratios[name].append((before + after) / 2 / spent)
            before = after
    return seconds, ratios


def named(bench, base, ratios):
    """Return the median ratio of every kind to the base, under the name that `history.keep` knows it by."""
    return {f"{bench}: {name} of {base}": statistics.median(found) for name, found in ratios.items()}


def table(tokens, seconds, ratios, more=None):
    """Return the lines of a Markdown table: tokens a second, the ratio to the base and its range; `more` columns by name."""
    base = next(name for name in seconds if name not in ratios)
    columns = more or {}
    lines = [
        f"| kind | tokens/s | of {base} | range over rounds |{''.join(f' {column} |' for column in columns)}",
        "|---|---|---|---|" + "---|" * len(columns),
    ]
    for name, spent in seconds.items():
        found = ratios.get(name)
        middle = f"**{statistics.median(found):.3f}** | {min(found):.3f}-{max(found):.3f}" if found else " | "
        rate = tokens / statistics.median(spent)
        lines.append(
            f"| {name} | {rate:.0f} | {middle} |{''.join(f' {cell(name, rate)} |' for cell in columns.values())}"
        )
    return lines

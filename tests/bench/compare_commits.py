"""CPU seconds of one commit against another's, in one run: after / before, 1 or less where nothing became slower.

    python tests/bench/compare_commits.py BEFORE [AFTER] [--size babel] [--rounds 10] [--pairs 5]
    python tests/bench/compare_commits.py BEFORE [AFTER] --command "run --detector lape --model FOLDER" --rounds 2

Both commits are installed side by side, each into a folder of its own; AFTER is the working tree unless it is named.
Without `--command`, each has a process that does the pieces of work of `workloads.py`, and the two take turns, each
first every other time. Where a process' memory happens to lie moves its times by some percent, so that several pairs of
processes are started, one after the other: a ratio is the median of a pair's rounds, and the table gives the median
and the range over pairs. With `--command`, both run `nharness` with these arguments, in turn, from start to end;
name the model's folder, since the two commits may ship different models of one name.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("before", "after")


def install(commit, folder):
    """Install a commit, or the working tree for None, into a folder; return it."""
    tree = ROOT
    if commit is not None:
        tree = folder / "tree"
        tree.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", tree], input=archive.stdout, check=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*uv, "--target", folder / "installed", tree], check=True)
    return folder / "installed"


def environment(installed):
    """Return the environment in which an installed commit is the one that is imported, on one thread."""
    return os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}


def steady(installed):
    """Return the same for pieces of work; the heap keeps freed memory, since page faults of a busy machine are noise."""
    keeping = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
    return environment(installed) | keeping


class Worker:
    """A process that does pieces of work of one commit."""

    def __init__(self, installed, arguments):
        program = [sys.executable, str(Path(__file__).parent / "workloads.py"), *arguments]
        self.process = subprocess.Popen(
            program, env=steady(installed), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.asked, self.answers = self.process.stdin, self.process.stdout
        self.names = self.answers.readline().rstrip("\n").split("\t")

    def __enter__(self):
        return self

    def seconds(self, name):
        """Return the CPU seconds of one piece of work."""
        print(name, file=self.asked, flush=True)
        return float(self.answers.readline())

    def __exit__(self, *_raised):
        self.asked.close()
        self.process.wait()


def in_turn(before, after, rounds):
    """Return after / before of every round, of two functions that give seconds; each is first every other time."""
    ratios = []
    for number in range(rounds):
        spent = {}
        for place in PLACES if number % 2 == 0 else PLACES[::-1]:
            spent[place] = {"before": before, "after": after}[place]()
        ratios.append(spent["after"] / spent["before"])
    return ratios


def of_pair(installed, arguments, rounds, only):
    """Return the ratio of every workload whose name begins with `only`: the median over rounds of a pair of processes."""
    with Worker(installed[0], arguments) as before, Worker(installed[1], arguments) as after:
        return {
            name: statistics.median(in_turn(partial(before.seconds, name), partial(after.seconds, name), rounds))
            for name in before.names
            if name.startswith(only)
        }


def of_command(installed, command, folder):
    """Return the CPU seconds, user and system, of `nharness` with some arguments; processes that it waits for count."""
    out = tempfile.mkdtemp(dir=folder)
    started = os.times()
    program = [sys.executable, "-m", "nharness", *shlex.split(command), "--out", out, "-q"]
    subprocess.run(program, env=environment(installed), check=True, stdout=subprocess.DEVNULL)
    ended = os.times()
    return ended.children_user + ended.children_system - started.children_user - started.children_system


def table(found):
    """Return a Markdown table of ratios: by name, the median and the range."""
    lines = ["| work | after / before | range |", "|---|---|---|"]
    return lines + [
        f"| {name} | **{statistics.median(ratios):.3f}** | {min(ratios):.3f}-{max(ratios):.3f} |"
        for name, ratios in found.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after", nargs="?")
    parser.add_argument("--size", default="babel", help="of the random Llama, from llamas.py (default babel)")
    parser.add_argument("--rows", type=int, default=12, help="documents of a piece of work (default 12)")
    parser.add_argument("--length", type=int, default=170, help="tokens of a document (default 170)")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=5, help="of processes (default 5)")
    parser.add_argument("--only", default="", metavar="NAME", help="pieces of work whose name begins like this")
    parser.add_argument("--command", help="arguments of nharness, without --out; instead of the pieces of work")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        both = zip(PLACES, (asked.before, asked.after), strict=True)
        installed = [install(commit, Path(folder) / place) for place, commit in both]
        if asked.command:
            before, after = (partial(of_command, place, asked.command, folder) for place in installed)
            found = {f"nharness {asked.command}": in_turn(before, after, asked.rounds)}
        else:
            arguments = [asked.size, str(asked.rows), str(asked.length)]
            pairs = [of_pair(installed, arguments, asked.rounds, asked.only) for _ in range(asked.pairs)]
            found = {name: [pair[name] for pair in pairs] for name in pairs[0]}
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()

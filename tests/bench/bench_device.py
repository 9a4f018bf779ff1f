"""Recording and editing on one accelerator: against the bare forward pass, and against what the card can do at most.

    python tests/bench/bench_device.py [--size 1B,8B] [--rows 64] [--length 512] [--rounds 9] [--peak-tflops N]

Random Llamas in bfloat16, as large as one card of 40 GB holds; rows are halved until a forward pass fits. `light` and
`all` are those of bench_recording.py, against the trunk; edits those of bench_editing.py, against the whole model. MFU
is model FLOPs utilisation: tokens a second x `flops_per_token` (llamas.py) / peak of the card in bfloat16; for a card not
in the table, give --peak-tflops. `--device cpu --size tiny` tries the script itself.
"""

import argparse
import gc

import bench_editing
import bench_recording
import torch
from interleaved import table
from llamas import batch_of, documents, flops_per_token, peak_tflops, random_llama


def rows_that_fit(model, rows, length):
    """Return `rows`, halved until the whole model's forward pass fits twice over: recording needs room beside it."""
    while rows > 1:
        try:
            with torch.inference_mode():
                logits = model(batch_of(documents(model.config, rows, length), model.device), use_cache=False).logits
                room = torch.empty_like(logits)
            del logits, room
        except torch.OutOfMemoryError:
            rows //= 2
        else:
            return rows
        finally:
            release()
    return rows


def release():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def utilisation(model, length, peak, *, headless):
    """Return the columns TFLOP/s and MFU of a table; kinds in `headless` leave the LM head out."""

    def tflops(name, rate):
        return rate * flops_per_token(model.config, length, head=name not in headless) / 1e12

    return {
        "TFLOP/s": lambda name, rate: f"{tflops(name, rate):.3g}",
        "MFU": lambda name, rate: f"{tflops(name, rate) / peak:.1%}" if peak else "peak unknown",
    }


def report(size, args):
    model = random_llama(size, getattr(torch, args.dtype), args.device)
    rows = rows_that_fit(model, args.rows, args.length)
    peak = peak_tflops(args.device, args.peak_tflops)
    card = torch.cuda.get_device_name(args.device) if torch.device(args.device).type == "cuda" else args.device
    print(
        f"\nLlama {size}, {model.dtype}, {rows} x {args.length} tokens on {card}, peak {peak or 'unknown'} TFLOP/s, "
        f"medians of {args.rounds} rounds, torch {torch.__version__}\n",
        flush=True,
    )
    seconds, ratios = bench_recording.compare(model, rows, args.length, args.rounds)
    columns = utilisation(model, args.length, peak, headless=("trunk", "light", "all"))
    print("\n".join(table(rows * args.length, seconds, ratios, columns)))
    print(f"\nlight is {bench_recording.over_whole(ratios):.3f} x model(x)\n", flush=True)
    seconds, ratios, _ = bench_editing.compare(model, rows, args.length, args.rounds)
    columns = utilisation(model, args.length, peak, headless=())
    print("\n".join(table(rows * args.length, seconds, ratios, columns)), flush=True)
    del model
    release()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="1B,8B", help="of 1B, 8B, 135M, tiny (default 1B,8B)")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peak-tflops", type=float)
    args = parser.parse_args(arguments)
    if torch.device(args.device).type == "cuda" and not torch.cuda.is_available():
        parser.error("no CUDA device here; try the script with --device cpu --size tiny")
    for size in args.size.split(","):
        report(size, args)


if __name__ == "__main__":
    main()

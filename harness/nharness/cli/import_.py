"""Bring the papers' own result files into this project's formats: neuron masks, and activation counts.

`nharness import masks FILE --languages en,de --layer-widths 1536x30 --out N.safetensors`
`nharness import counts --count en=FILE --count de=FILE [--prefix en=FILE ...] --out S.safetensors`
Files are opened with `weights_only=True` and in no other way.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nharness.cli.output import say, told_warnings
from nharness.errors import UsageError
from nharness.languages import parse_languages

MOST = 100_000_000  # neurons


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind of file, the files, and what the files do not say of themselves."""
    parser.add_argument("kind", choices=("masks", "counts"), help="what the files hold")
    parser.add_argument("file", type=Path, nargs="?", help="masks: the list-of-lists file")
    parser.add_argument("--languages", metavar="A,B", help="masks: languages in the file's order")
    parser.add_argument("--layer-widths", metavar="W,W,... or WxL", help="masks: neurons of each layer")
    parser.add_argument(
        "--trust-widths", action="store_true", help="masks: accept these widths even if only low units are used"
    )
    parser.add_argument(
        "--count", action="append", default=[], metavar="LANG=FILE", help="counts: one file per language"
    )
    parser.add_argument("--prefix", action="append", default=[], metavar="LANG=FILE", help="counts to subtract")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")


def execute(arguments: argparse.Namespace) -> int:
    """Read, write in our format, and say what was found."""
    from nharness.foreign import import_counts, import_masks

    if arguments.kind == "counts":
        if not arguments.count:
            raise UsageError("import counts needs --count LANG=FILE for each language")
        table = import_counts(_files(arguments.count), prefix=_files(arguments.prefix) or None)
        table.save(arguments.out)
        say(f"written: {arguments.out} ({', '.join(f'{tag} {t.tokens} tokens' for tag, t in table.totals.items())})")
        return 0
    if arguments.file is None or not arguments.languages or not arguments.layer_widths:
        raise UsageError("import masks needs a file, --languages and --layer-widths")
    with told_warnings():
        detection = import_masks(
            arguments.file,
            parse_languages(arguments.languages),
            _widths(arguments.layer_widths),
            trust_widths=arguments.trust_widths,
        )
    detection.save(arguments.out)
    counts = zip(detection.languages, detection.membership.sum(axis=1).tolist(), strict=True)
    say(f"written: {arguments.out} ({', '.join(f'{tag} {count} neurons' for tag, count in counts)})")
    return 0


def _files(texts: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        tag, equals, path = text.partition("=")
        if not equals or not path:
            raise UsageError(f"{text!r}; expected LANG=FILE")
        if tag in found:
            raise UsageError(f"{text!r}: language {tag!r} already has a file ({found[tag]})")
        found[tag] = Path(path)
    return found


def _widths(text: str) -> list[int]:
    """Read `1536x30` or `100,200,100`; raises `UsageError` for anything else, and for more neurons than models have."""
    width, times, layers = text.lower().partition("x")
    try:
        found = [int(width)] * min(int(layers), MOST) if times else [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--layer-widths {text!r}; expected WIDTHxLAYERS or W,W,...") from error
    if not found or min(found) < 1 or sum(found) > MOST:
        raise UsageError(f"--layer-widths {text!r}; expected widths above 0 and at most {MOST:,} neurons in all")
    return found

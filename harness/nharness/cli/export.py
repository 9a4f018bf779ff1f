"""Write an edited model for others: a checkpoint that plain transformers loads, or a file that steers lm-eval.

Both give the numbers of the edited model. An edit that the form cannot express is refused in a sentence. With
--format steered the file is read by lm_eval --model steered --model_args pretrained=MODEL,steer_path=FILE; what it can
say is one vector a module: shifts, and one neuron of a layer held at a value.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nharness.cli.model_options import add_model_options, load_from
from nharness.cli.options import pairs
from nharness.cli.output import say, say_json
from nharness.cli.plugin_options import add_plugin_options, load_plugins

FORMATS = ("checkpoint", "steered")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add model, neurons, language, intervention and output."""
    add_model_options(parser)
    parser.add_argument("--neurons", type=Path, required=True, metavar="FILE", help="neurons file")
    parser.add_argument("--language", required=True, metavar="LANG", help="language whose neurons are edited")
    parser.add_argument("--intervention", default="zero", metavar="NAME", help="edit of the neurons (default zero)")
    parser.add_argument("--intervention-option", default="", metavar="K=V,...", help="intervention options")
    parser.add_argument(
        "--statistics",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="statistics files, one per site, for interventions that need them",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="checkpoint", help="form of the output (default checkpoint)"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="folder to write, absent or empty; steered: a file.pt"
    )
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    add_plugin_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Load, edit, write; print what was changed."""
    from nharness.models import export_edited, export_steered
    from nharness.neurons import load as load_neurons
    from nharness.neurons import same_model
    from nharness.notebook import locate
    from nharness.run.plan.resolve import load_intervention
    from nharness.run.single import changes_for, read_evidence, target_of
    from nharness.run.work.edits import to_edits
    from nharness.spec import Named

    plugins = load_plugins(arguments)
    options = pairs(arguments.intervention_option)
    intervention = load_intervention(Named(name=arguments.intervention, options=options), plugins)
    detection = load_neurons(arguments.neurons)
    evidence = read_evidence(arguments.statistics, detection, detection.languages)
    target = target_of(detection, arguments.language, evidence)
    changes = changes_for(intervention, target, evidence)
    loaded = load_from(arguments, plugins)
    neuron_map = locate(loaded.model, plugins=plugins)
    same_model(detection, neuron_map, what=f"the neurons of {arguments.neurons}")
    edits = to_edits(changes, neuron_map)
    if arguments.format == "steered":
        export_steered(loaded.model, neuron_map, edits, arguments.out)
    else:
        export_edited(loaded.model, loaded.tokenizer, neuron_map, edits, arguments.out)
    written = {
        "steer_path" if arguments.format == "steered" else "folder": str(arguments.out),
        "language": target.language,
        "neurons": len(target.flat),
        "intervention": arguments.intervention,
        "model": loaded.fingerprint,
    }
    if arguments.json:
        say_json(written)
    else:
        what = f"{written['neurons']} neurons of {target.language}, {arguments.intervention}"
        say(f"written: {arguments.out} ({what})")
    return 0

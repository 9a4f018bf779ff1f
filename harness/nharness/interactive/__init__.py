"""nharness from Python: everything the command line does is one call, with the same names.

`running` runs and detects, `shown` shows a run in a notebook, `commands` evaluates, compares and does what is left,
`results` is what that gives, `files` reads what was written. `nharness.notebook` edits a model object.
"""

from nharness.interactive.commands import Printed, check_claims, command, compare, evaluate
from nharness.interactive.files import load_detection, load_record, load_statistics
from nharness.interactive.results import Results
from nharness.interactive.running import detect, run

__all__ = [
    "Printed",
    "Results",
    "check_claims",
    "command",
    "compare",
    "detect",
    "evaluate",
    "load_detection",
    "load_record",
    "load_statistics",
    "run",
]

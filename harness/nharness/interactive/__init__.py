"""nharness from Python: everything the command line does is one call, with the same names.

`running` runs and detects, `results` is what that gives, `files` reads what was written. `nharness.notebook` edits a
model object.
"""

from nharness.interactive.files import load_detection, load_record, load_statistics
from nharness.interactive.results import Results
from nharness.interactive.running import detect, run

__all__ = ["Results", "detect", "load_detection", "load_record", "load_statistics", "run"]

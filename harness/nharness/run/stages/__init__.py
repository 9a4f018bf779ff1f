"""The stages of a run, in the order of the line: answer, record, ablate, detect, assess, evaluate."""

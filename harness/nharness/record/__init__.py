"""Records: what one measurement of a detector was, on what, and what came out; the schema; validation; items files.

    types       numbers, names and digests with their ranges
    sources     who measured what with which model, text, detector and edit
    detection   neurons: counts, kinds, layers, overlap
    cells       tasks, baselines, targets, cells, controls
    results     summaries, curves, ground truth, stability, cost
    model       `Record`, all of it
    schema      JSON Schema (draft 2020-12) generated from the models
    validate    every problem of a record file, with JSON pointers
    items       the items file: one JSON line per evaluated item
    store       names of files beside a record, which cannot leave its folder
    migrate     older formats to this one
    tables      CSV, LaTeX and Markdown
    evalever    the every-eval-ever schema

No tensor library is imported here.
"""

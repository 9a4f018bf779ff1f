"""Analysis: from the items of cells to effects with intervals, p values against random controls, and summaries.

`bootstrap` and `significance` are the statistics, `control_test` judges a target against random neurons, `controls` and
`sequential` say what still has to be evaluated, `analyse` computes every number of a record from its items.
"""

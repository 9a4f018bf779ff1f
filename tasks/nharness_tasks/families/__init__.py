"""Families of lm-eval tasks: which of lm-eval's names belongs to which language."""

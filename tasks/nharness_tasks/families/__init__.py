"""Families of lm-eval tasks: the task of each language."""

"""Evaluation of a loaded, perhaps edited, model: perplexity, lm-eval tasks, the language of what it writes.

Every measurement comes as items (`items`), so that whatever compares two of them can do it in pairs.
`windows`, `head` and `perplexity` measure text; `lm_eval_bridge` and `task_loading` run lm-eval's tasks, with
`local_files` for data from a folder; `generation`, `identification` and `output_language` judge generated text.
"""

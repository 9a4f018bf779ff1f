"""lm-eval tasks that need no network: their YAML, their items, the recipe that makes them from the sample corpus."""

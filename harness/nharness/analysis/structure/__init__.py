"""Where in a model the kinds of neurons lie, where languages meet, and what script explains; docs/structure.md."""

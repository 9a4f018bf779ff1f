"""A record as people read it in a terminal: matrices, layer profiles, summaries."""

"""babel: a small language model in ten languages whose language-specific neurons can be found in seconds."""

"""nharness: prove a claim about language neurons, or see it fail."""

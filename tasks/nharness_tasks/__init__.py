"""What nharness ships to measure with: task families, a sample corpus, an embedded model, studies."""

"""What comes with nharness to measure on: task families, a sample corpus, an embedded model, studies."""

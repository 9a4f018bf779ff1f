"""What a worker does with its model: texts, measurements, generation, edits; and the executors that hand work out."""

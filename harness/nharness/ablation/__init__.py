"""What switching off each neuron alone costs every language: the engine, and the shortcuts that make it affordable."""

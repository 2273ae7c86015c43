"""Make a model better: learn from a person's corrections, or from the built-in expert."""

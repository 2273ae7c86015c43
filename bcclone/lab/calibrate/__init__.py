"""A model and the first minute of a car -> the framing of its camera, and the gain and bias of its steering."""

"""Wing: for researchers. Monitors, improving a model, Gymnasium, other programs' formats, samples of random roads."""

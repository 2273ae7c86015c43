"""Wing: for researchers. Improving a model, Gymnasium, other programs' formats, samples of random roads."""

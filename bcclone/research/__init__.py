"""For research: improving a model, Gymnasium environments, margins, samples of roads."""

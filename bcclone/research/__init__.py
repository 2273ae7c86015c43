"""For research: improving a model, maps of margins, Gymnasium environments."""

"""Draw pictures of a model, its training and its drives; each has a function of its own here."""

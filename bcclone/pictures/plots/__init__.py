"""Draw pictures of a model, its training and its drives: values in, PNG files out."""

"""Draw pictures of a model, its training and its drives: values in, PNG files out."""

import sys

STYLE_IS_OURS = "matplotlib" not in sys.modules  # otherwise a program has loaded it, and may have chosen a style

"""Draw pictures of a model, its training and its drives: values in, PNG files out."""

import sys
from contextlib import chdir
from pathlib import Path

if (
    "matplotlib" not in sys.modules
):  # otherwise a program has loaded it, and may have chosen a style
    with chdir(
        Path(__file__).parent
    ):  # a matplotlibrc in the current folder could make it wait, or start LaTeX
        import matplotlib
    matplotlib.rcdefaults()
